"""Columns of text, and typed ones, to the column types of a Table.

The rules, in this order; the same file gives the same answer every time.

1. Constant: nothing but missing values, or one value and none missing.
2. Text that is all numbers is numeric, with these exceptions: codes with leading zeros and whole numbers past 64 bits
   stay text. NA, null and their like are missing in a column of numbers, dates or booleans, and values elsewhere.
   A decimal comma or thousands marks are found from all columns together.
3. true and false are boolean (yes and no, 0 and 1 are not).
4. Text that is dates in 99 % of its rows is datetime.
5. Whole numbers that are all different are an identifier when they count up from 0 or 1, or the name says so (id, key,
   index, ...); other numbers never are. Tables under 50 rows have no identifiers.
6. What is left: text when values have two words or more on average and many differ; identifier when nearly every row
   has a value of its own; else categorical.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from automl_jobs.data.kinds import Typed, as_text, from_arrow, listed, unknown_column, words
from automl_jobs.data.look import Look
from automl_jobs.data.table import ReadOptions

if TYPE_CHECKING:
    import pyarrow as pa

_NOTES = {
    "comma": "decimal comma in {}: --decimal . reads it otherwise",
    "zeros": "digits with leading zeros kept as text in {}: --type COLUMN=numeric makes them numbers",
    "kept": "NA and its like kept as values in {}: --na-value NA makes them missing",
    "markers": "NA and its like taken as missing in {}: --keep-na makes them values",
    "day": "dates read day first in {}, which they do not tell: --month-first turns them",
    "month": "dates read month first in {}, which they do not tell: --day-first turns them",
    "day for sure": "dates are day first in {}",
}
_WARNINGS = {
    "zeros": "digits with leading zeros, kept as text",
    "day": "day first is a guess",
    "month": "month first is a guess",
    "kept": "NA is a value here",
}
# Why another reader of the same file would find other values.
_UNUSUAL = {
    "comma": "decimal commas",
    "markers": "NA and its like",
    "spaces": "spaces around values",
    "infinite": "infinite values",
    "na-values": "values that mean missing",
    "said-boolean": "yes and no as booleans",
}


@dataclass(frozen=True)
class Inferred:
    """All columns, and what was guessed: `unusual` is what other readers would not guess alike."""

    columns: Mapping[str, Typed]
    notes: tuple[str, ...]
    unusual: tuple[str, ...]


def infer(
    columns: dict[str, pa.ChunkedArray],
    options: ReadOptions,
    text: str = "all",
    european: bool = False,
    said: frozenset[str] = frozenset(),
) -> Inferred:
    """Type all columns.

    Parameters
    ----------
    columns: emptied on the way, so that text and result are not in memory together.
    text: how far columns of text are interpreted: "all", "dates" (JSON has no dates of its own), or "none" (Parquet).
    european: a semicolon separates the fields, which speaks for a decimal comma and the day first.
    said: columns of text that stay text, because the MLTable says string.

    Raises InputError for a type that the user gave and the values refuse.
    """
    import pyarrow as pa

    for name in options.types:
        if name not in columns:
            raise unknown_column(name, list(columns), "--type")
    order = list(columns)
    typed: dict[str, Typed] = {}
    looks: dict[str, Look] = {}
    found: dict[str, set[str]] = {}
    point = False
    orders: set[bool | None] = set()
    for name in order:
        values = columns.pop(name)
        wanted = options.types.get(name)
        if wanted is None and not pa.types.is_string(values.type) and not pa.types.is_large_string(values.type):
            typed[name] = from_arrow(name, values, name in options.days)
            continue
        if wanted is None and (name in said or text == "none"):
            typed[name] = words(as_text(values))
            continue
        look = Look(name, as_text(values), options, wanted, text == "all")
        point = point or look.point
        if look.dates and not look.dates.ambiguous:
            orders.add(look.dates.day_first)
        found[name] = look.found
        if look.undecided:
            looks[name] = look
        else:
            typed[name] = look.finish(options.decimal or ".", options.day_first)
    decimal = options.decimal or _decimal(looks, point, european)
    day_first = options.day_first if options.day_first is not None else _day_first(orders, european or decimal == ",")
    for name, look in looks.items():
        typed[name] = look.finish(decimal, day_first)
    notes, unusual = _say(found, options)
    for name, kinds in found.items():
        warnings = tuple(text for kind, text in _WARNINGS.items() if kind in kinds)
        typed[name] = replace(typed[name], warnings=(*typed[name].warnings, *warnings))
    return Inferred({name: typed[name] for name in order}, notes, unusual)


def _decimal(looks: Mapping[str, Look], point: bool, european: bool) -> str:
    """The decimal mark of the file: that which some column needs, else by the delimiter where marks are in doubt."""
    marks = [{style[0] for style in look.styles} for look in looks.values() if look.styles]
    comma, point = {","} in marks, point or {"."} in marks
    if comma != point:
        return "," if comma else "."
    doubt = any(look.styles and not look.is_plain for look in looks.values())
    return "," if european and doubt and not point else "."


def _day_first(orders: set[bool | None], european: bool) -> bool | None:
    """The order of day and month where a column leaves it open: that of the other columns, else by the look."""
    known = orders - {None}
    if len(known) == 1:
        return known.pop()
    return True if european else None


def _say(found: Mapping[str, set[str]], options: ReadOptions) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the columns guessed, gathered into one note a kind; what the user said is no guess."""
    notes, unusual = [], []
    kinds = {kind for kinds in found.values() for kind in kinds}
    said = {"comma"} if options.decimal else set()
    if options.day_first is not None:
        said |= {"day", "month", "day for sure"}
    for kind, note in _NOTES.items():
        if kind in kinds - said:
            notes.append(note.format(listed([name for name, kinds in found.items() if kind in kinds])))
    for kind in sorted(kind for kind in kinds if kind.startswith("thousands ") and options.thousands is None):
        names = listed([name for name, kinds in found.items() if kind in kinds])
        notes.append(f'thousands mark "{kind[-1]}" in {names}: --thousands none when it is something else')
    unusual = [reason for kind, reason in _UNUSUAL.items() if kind in kinds]
    if any(kind.startswith("thousands ") for kind in kinds):
        unusual.append("thousands marks")
    return tuple(notes), tuple(unusual)
