"""Columns of text, and typed ones, to the column types of a Table.

The rules, in this order; the same file gives the same answer every time.

1. Constant: nothing but missing values, or one value and none missing.
2. Text that is all numbers is numeric, with these exceptions: codes with leading zeros and whole numbers past 64 bits
   stay text. NA, null and their like are missing in a column of numbers, dates or booleans, and values elsewhere.
   A decimal comma or thousands marks are found from all columns together.
3. true and false are boolean (yes and no, 0 and 1 are not, as in Azure).
4. Text that is dates in 99 % of its rows is datetime.
5. Whole numbers that are all different are an identifier when they count up from 0 or 1, or the name says so (id, key,
   index, ...); other numbers never are. Tables under 50 rows have no identifiers.
6. What is left: text when values have two words or more on average and mostly differ; identifier when nearly every
   row has another single word; else categorical.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from automl_jobs.data import dates, numbers
from automl_jobs.data.table import ColumnType, ReadOptions
from forestay.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Text that stands for a missing value where the rest of a column is numbers, dates or booleans.
NA_MARKERS = (
    *("NA", "N/A", "n/a", "na", "#N/A", "#NA", "<NA>", "NaN", "nan", "-NaN", "-nan"),
    *("NULL", "null", "Null", "None", "none", "-", "--", "?", ".", "#DIV/0!", "#VALUE!", "#NUM!", "#REF!"),
)
_BOOLEANS = {"true": True, "false": False}
_SAID_BOOLEANS = {
    **_BOOLEANS,
    "yes": True,
    "no": False,
    "y": True,
    "n": False,
    "t": True,
    "f": False,
    "1": True,
    "0": False,
}
_MIN_IDENTIFIER_ROWS = 50
_IDENTIFIER_SHARE = 0.95
_ID_WORDS = {
    "id",
    "ids",
    "uuid",
    "guid",
    "key",
    "pk",
    "index",
    "idx",
    "rowid",
    "row",
    "nr",
    "no",
    "num",
    "number",
    "code",
}
_MOSTLY_NUMBERS = 0.8


@dataclass(frozen=True)
class Typed:
    """A column with its type; `formats` are the strptime formats of dates that were text."""

    series: pd.Series
    type: ColumnType
    formats: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inferred:
    """All columns, and what was guessed: `unusual` is what other readers would not guess alike."""

    columns: Mapping[str, Typed]
    notes: tuple[str, ...]
    unusual: tuple[str, ...]


class Inference:
    """One pass over a table's columns.

    Parameters
    ----------
    options: what the user says.
    text: how far columns of text are interpreted: "all", "dates" (JSON has no dates of its own), or "none" (Parquet).
    european: a semicolon separates the fields, which speaks for a decimal comma and the day first.
    said: columns of text that stay text, because the MLTable says string.
    """

    def __init__(
        self, options: ReadOptions, text: str = "all", european: bool = False, said: frozenset[str] = frozenset()
    ):
        self.options = options
        self.text = text
        self.european = european
        self.said = said
        self.notes: list[str] = []
        self.unusual: list[str] = []

    def run(self, columns: Mapping[str, pa.ChunkedArray]) -> Inferred:
        """Type all columns. Raises InputError for a type that the user gave and the values refuse."""
        for name in self.options.types:
            if name not in columns:
                raise unknown_column(name, list(columns), "--type")
        import pyarrow as pa

        looks: dict[str, _Look] = {}
        typed: dict[str, Typed] = {}
        for name, values in columns.items():
            said = self.options.types.get(name)
            if said is not None:
                looks[name] = _Look(self, name, as_text(values), said)
            elif not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
                typed[name] = from_arrow(name, values)
            elif name in self.said or self.text == "none":
                typed[name] = _words(name, values)
            else:
                looks[name] = _Look(self, name, values, None)
        decimal = self._decimal(looks)
        day_first = self._day_first(looks, decimal)
        for name, look in looks.items():
            typed[name] = look.finish(decimal, day_first)
        self._say(looks, decimal)
        return Inferred({name: typed[name] for name in columns}, tuple(self.notes), tuple(self.unusual))

    def _decimal(self, looks: Mapping[str, _Look]) -> str:
        """The decimal mark of the file: the user's word, else that which some column needs, else by the delimiter."""
        if self.options.decimal:
            return self.options.decimal
        comma = point = False
        for look in looks.values():
            marks = {style[0] for style in look.styles}
            if look.fractions or marks == {"."}:
                point = True
            comma = comma or marks == {","}
        if comma != point:
            return "," if comma else "."
        return "," if self.european and not point else "."

    def _day_first(self, looks: Mapping[str, _Look], decimal: str) -> bool | None:
        """Day or month first where a column leaves it open: the user's word, the other columns', else by the look."""
        if self.options.day_first is not None:
            return self.options.day_first
        orders = {look.dates.day_first for look in looks.values() if look.dates and not look.dates.ambiguous} - {None}
        if len(orders) == 1:
            return orders.pop()
        return True if self.european or decimal == "," else None

    def _say(self, looks: Mapping[str, _Look], decimal: str) -> None:
        """Gather what the columns guessed into one note a kind."""
        said = {
            "comma": f"decimal comma in {{}}: --decimal {'.' if decimal == ',' else ','} reads it otherwise",
            "zeros": "digits with leading zeros kept as text in {}: --type COLUMN=numeric makes them numbers",
            "kept": "NA and its like kept as values in {}: --na-value NA makes them missing",
            "markers": "NA and its like taken as missing in {}: --keep-na makes them values",
            "day": "dates read day first in {}: --month-first turns them",
            "month": "dates read month first in {}: --day-first turns them",
        }
        for kind, text in said.items():
            names = [name for name, look in looks.items() if kind in look.found]
            if names:
                self.notes.append(text.format(listed(names)))
        for mark in (",", ".", " ", "'"):
            names = [name for name, look in looks.items() if f"thousands {mark}" in look.found]
            if names:
                self.notes.append(
                    f'thousands mark "{mark}" in {listed(names)}: --thousands none when it is something else'
                )
        reasons = {"comma": "decimal commas", "markers": "NA and its like", "spaces": "spaces around values"}
        found = {kind for look in looks.values() for kind in look.found}
        self.unusual.extend(text for kind, text in reasons.items() if kind in found)
        if any(kind.startswith("thousands") for kind in found):
            self.unusual.append("thousands marks")
        if self.options.na_values and any("na-values" in look.found for look in looks.values()):
            self.unusual.append("values that mean missing")
        if "infinite" in found:
            self.unusual.append("infinite values")


class _Look:
    """What one column of text may be."""

    def __init__(self, inference: Inference, name: str, values: pa.ChunkedArray, said: ColumnType | None):
        import pyarrow as pa
        import pyarrow.compute as pc

        options = inference.options
        self.inference, self.name, self.said = inference, name, said
        self.found: set[str] = set()
        self.styles: tuple[tuple[str, str], ...] = ()
        self.fractions = False
        self.dates: dates.Dates | None = None
        if options.na_values:
            null = pc.is_in(values, value_set=pa.array(options.na_values, pa.string()))
            if pc.any(null).as_py():
                self.found.add("na-values")
                values = pc.if_else(null, pa.scalar(None, pa.string()), values)
        self.raw = values
        self.bare = values
        self.numbers: pa.ChunkedArray | None = None
        if said in (ColumnType.CATEGORICAL, ColumnType.TEXT, ColumnType.IDENTIFIER):
            return
        trimmed = pc.utf8_trim_whitespace(values)
        blank = pc.equal(trimmed, "")
        bare = pc.if_else(blank, pa.scalar(None, pa.string()), trimmed) if pc.any(blank).as_py() else trimmed
        self.marked = pa.array([], pa.string())
        if not (options.keep_na or options.na_values):
            null = pc.is_in(bare, value_set=pa.array(NA_MARKERS))
            if pc.any(null).as_py():
                self.marked = pc.unique(bare.filter(null))
                bare = pc.if_else(null, pa.scalar(None, pa.string()), bare)
        self.bare = bare
        if bare.null_count == len(bare):
            return
        if inference.text == "all" or said is ColumnType.NUMERIC:
            self.numbers = numbers.to_numbers(bare)
        if self.numbers is not None:
            self.fractions = pa.types.is_floating(self.numbers.type) and numbers.some(bare, "[.]")
            if self.fractions:
                self.styles = numbers.styles_of(pc.unique(bare))
                # 1.234 may be read two ways; 1.5 or 0.25 only one way.
                self.fractions = not self.styles
            return
        encoded = bare.combine_chunks().dictionary_encode()
        encoded = encoded if isinstance(encoded, pa.DictionaryArray) else encoded.combine_chunks()
        self.encoded = encoded
        counts = pc.value_counts(encoded.drop_null())
        self.counts = counts.field("counts")
        distinct = counts.field("values")
        self.distinct = distinct.dictionary_decode() if isinstance(distinct, pa.DictionaryArray) else distinct
        if inference.text == "all" or said is ColumnType.NUMERIC:
            spaced = numbers.even_spaces(self.distinct)
            styles = numbers.styles_of(spaced)
            wanted = options.thousands
            self.styles = tuple(
                style for style in styles if wanted is None or style[1] == wanted or not _uses(spaced, style)
            )
        if not self.styles:
            self.dates = dates.look_at(self.distinct, self.counts, options.day_first)

    def finish(self, decimal: str, day_first: bool | None) -> Typed:
        """The column as it is: by the user's word, else by what fits."""
        if self.said is not None:
            return self._as_said(decimal, day_first)
        if self.bare.null_count == len(self.bare):
            return (
                Typed(_strings(self.raw if len(self.marked) else self.bare), ColumnType.CONSTANT)
                if not len(self.marked)
                else _words(self.name, self.raw)
            )
        if self.numbers is not None and not numbers.leading_zeros(self.bare):
            return self._number(self._styled(decimal) if self._prefers_comma(decimal) else self.numbers)
        if self.numbers is None and self.styles:
            return self._number(self._styled(decimal))
        if self.numbers is None:
            truth = self._truth(_BOOLEANS)
            if truth is not None:
                self._cleaned()
                return Typed(truth, ColumnType.BOOLEAN)
            if self.dates is not None:
                return self._date(self.dates, day_first)
        elif self.inference.text == "all":
            self.found.add("zeros")
        if len(self.marked) and any(
            text in ("NA", "N/A", "n/a", "NULL", "null", "NaN", "nan") for text in self.marked.to_pylist()
        ):
            self.found.add("kept")
        return _words(self.name, self.raw, self._mixed())

    def _prefers_comma(self, decimal: str) -> bool:
        """Whether 1.234 means 1234 here: the file has decimal commas, and points stand where thousands marks would."""
        return decimal == "," and (",", ".") in self.styles and self.inference.options.thousands in (None, ".")

    def _styled(self, decimal: str) -> pa.ChunkedArray | None:
        """The numbers in the file's style, or in the only one that fits."""
        if self.numbers is not None:
            self.found.add("thousands .")
            return numbers.from_style(self.bare, ",", ".")
        style = next((style for style in self.styles if style[0] == decimal), self.styles[0])
        spaced = numbers.even_spaces(self.distinct)
        if _uses(spaced, style):
            self.found.add(f"thousands {style[1]}")
        if style[0] == "," and numbers.some(spaced, ","):
            self.found.add("comma")
        return _spread(self.encoded, numbers.even_spaces(self.encoded.dictionary), style)

    def _number(self, values: pa.ChunkedArray | None) -> Typed:
        if values is None:
            return _words(self.name, self.raw)
        self._cleaned()
        typed = from_arrow(self.name, values)
        if any("infinite" in text for text in typed.warnings):
            self.found.add("infinite")
        return typed

    def _date(self, found: dates.Dates, day_first: bool | None) -> Typed:
        formats = found.formats
        if found.ambiguous:
            if day_first is None:
                day_first = formats[0].startswith("%d.") or formats[0].startswith("%d-")
            if not day_first:
                formats = tuple(dates.swap(form) for form in formats)
        order = day_first if found.ambiguous else found.day_first
        if order is not None:
            self.found.add("day" if order else "month")
        self._cleaned()
        parsed = dates.parse(self.encoded.dictionary, formats)
        series = _take(parsed, self.encoded)
        lost = int(series.isna().sum()) - self.bare.null_count
        warnings = (f"{lost} values are no dates like the rest, and taken as missing",) if lost else ()
        kind = ColumnType.DATETIME
        if series.notna().all() and parsed.nunique() == 1:
            kind = ColumnType.CONSTANT
        return Typed(series, kind, formats, warnings)

    def _truth(self, names: Mapping[str, bool]) -> pd.Series | None:
        import pandas as pd

        texts = [str(text).lower() for text in self.distinct.to_pylist()] if len(self.distinct) <= 12 else [""]
        if not texts or any(text not in names for text in texts):
            return None
        if len(texts) == 1 and self.said is None and self.bare.null_count == 0:
            return None
        lookup = pd.Series(
            [names.get(str(text).lower()) for text in self.encoded.dictionary.to_pylist()], dtype="boolean"
        )
        return _take(lookup, self.encoded)

    def _cleaned(self) -> None:
        """Note what stood in the file beside the values."""
        import pyarrow.compute as pc

        if len(self.marked):
            self.found.add("markers")
        elif pc.any(pc.not_equal(pc.utf8_trim_whitespace(self.raw), self.raw)).as_py():
            self.found.add("spaces")

    def _mixed(self) -> tuple[str, ...]:
        """A warning for a column that is mostly numbers."""
        import pyarrow.compute as pc

        if self.numbers is not None or self.inference.text != "all":
            return ()
        hits = numbers.matches(self.distinct, numbers.PLAIN)
        share = (pc.sum(self.counts.filter(hits)).as_py() or 0) / (pc.sum(self.counts).as_py() or 1)
        if share < _MOSTLY_NUMBERS or share == 1.0:
            return ()
        odd = self.distinct.filter(pc.invert(hits))
        shown = ", ".join(repr(text) for text in odd.slice(0, 3).to_pylist())
        return (f"mixed: {share:.1%} numbers, but also {shown}; --na-value makes such a value missing",)

    def _as_said(self, decimal: str, day_first: bool | None) -> Typed:
        kind = self.said
        assert kind is not None
        if kind is ColumnType.NUMERIC:
            return self._said_number(decimal)
        if kind is ColumnType.DATETIME:
            found = self.dates
            if found is None:
                raise self._refused("dates in a format that is known")
            typed = self._date(found, day_first)
            return Typed(typed.series, kind, typed.formats, typed.warnings)
        if kind is ColumnType.BOOLEAN:
            if self.numbers is not None:
                encoded = self.bare.combine_chunks().dictionary_encode()
                self.encoded, self.distinct = encoded, encoded.dictionary
            truth = self._truth(_SAID_BOOLEANS)
            if truth is None:
                raise self._refused("true/false, yes/no, y/n, t/f or 1/0")
            return Typed(truth, kind)
        return Typed(_strings(self.raw), kind)

    def _said_number(self, decimal: str) -> Typed:
        if self.numbers is not None:
            typed = self._number(self._styled(decimal) if self._prefers_comma(decimal) else self.numbers)
            return Typed(typed.series, ColumnType.NUMERIC, (), typed.warnings)
        if self.styles:
            typed = self._number(self._styled(decimal))
            return Typed(typed.series, ColumnType.NUMERIC, (), typed.warnings)
        raise self._refused("numbers")

    def _refused(self, what: str) -> InputError:
        shown = ", ".join(repr(text) for text in self.bare.drop_null().slice(0, 3).to_pylist())
        return InputError(
            f"column {self.name!r} is not {what}: {shown}",
            where=f"--type {self.name}={self.said}",
            fix="leave the flag out, or say with --na-value which values mean missing",
        )


def from_arrow(name: str, values: pa.ChunkedArray) -> Typed:
    """A column that has a type of its own: from Parquet, JSON, or by an MLTable's word."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if pa.types.is_dictionary(kind):
        return from_arrow(
            name, pa.chunked_array([chunk.dictionary_decode() for chunk in values.chunks], kind.value_type)
        )
    if pa.types.is_boolean(kind):
        series = pd.Series(values.to_pandas()).astype("boolean")
        return Typed(series, _constant_or(ColumnType.BOOLEAN, values))
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        series = pd.Series(pc.cast(values, pa.timestamp("us"), safe=False).to_pandas()).astype("datetime64[us]")
        return Typed(series, _constant_or(ColumnType.DATETIME, values))
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind) or pa.types.is_float32(kind):
        return from_arrow(name, pc.cast(values, pa.float64(), safe=False))
    if pa.types.is_integer(kind):
        wide = pc.cast(values, pa.float64() if kind == pa.uint64() or values.null_count else pa.int64(), safe=False)
        return Typed(pd.Series(wide.to_pandas()), _whole_kind(name, values))
    if pa.types.is_floating(kind):
        finite = pc.is_finite(values)
        warnings: tuple[str, ...] = ()
        lost = int(pc.sum(pc.is_inf(values)).as_py() or 0)
        if lost:
            warnings = (f"{lost} infinite values, taken as missing",)
        values = pc.if_else(finite, values, pa.scalar(None, pa.float64()))
        return Typed(pd.Series(values.to_pandas()), _constant_or(ColumnType.NUMERIC, values), (), warnings)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _words(name, values)
    return _words(name, as_text(values))


def _whole_kind(name: str, values: pa.ChunkedArray) -> ColumnType:
    """Rule 5: whole numbers that are keys."""
    import pyarrow.compute as pc

    kind = _constant_or(ColumnType.NUMERIC, values)
    count = len(values)
    if kind is ColumnType.CONSTANT or values.null_count or count < _MIN_IDENTIFIER_ROWS:
        return kind
    bounds = pc.min_max(values).as_py()
    counts_up = bounds["min"] in (0, 1) and bounds["max"] - bounds["min"] == count - 1
    if not (counts_up or named_as_key(name)) or pc.count_distinct(values).as_py() < count:
        return kind
    return ColumnType.IDENTIFIER


def named_as_key(name: str) -> bool:
    """Whether a name's last word, or its first, says that it is a key: customer_id, rowId, ID, uuid."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return bool(words) and (words[-1].lower() in _ID_WORDS or words[0].lower() in ("id", "uuid", "guid"))


def _constant_or(kind: ColumnType, values: pa.ChunkedArray) -> ColumnType:
    """Rule 1."""
    import pyarrow.compute as pc

    if values.null_count == len(values):
        return ColumnType.CONSTANT
    if values.null_count:
        return kind
    bounds = pc.min_max(values).as_py()
    return ColumnType.CONSTANT if bounds["min"] == bounds["max"] else kind


def _words(name: str, values: pa.ChunkedArray, warnings: tuple[str, ...] = ()) -> Typed:
    """Rule 6: a column of text that is nothing else."""
    import pyarrow.compute as pc

    series = _strings(values)
    there = len(values) - values.null_count
    distinct = int(pc.count_distinct(values).as_py())
    if distinct == 0 or (distinct == 1 and not values.null_count):
        return Typed(series, ColumnType.CONSTANT, (), warnings)
    unique = pc.unique(values.drop_null())
    words = float(pc.mean(pc.add(pc.count_substring_regex(unique, r"\S\s+\S"), 1)).as_py())
    share = distinct / there
    if words >= 2 and ((distinct > 20 and share >= 0.2) or (distinct >= 2000 and words >= 3)):
        kind = ColumnType.TEXT
    elif there >= _MIN_IDENTIFIER_ROWS and share >= _IDENTIFIER_SHARE:
        kind = ColumnType.IDENTIFIER
    else:
        kind = ColumnType.CATEGORICAL
    return Typed(series, kind, (), warnings)


def listed(names: list[str]) -> str:
    """Names for a note: at most five, each on one line."""
    shown = ", ".join(show(name) for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def show(name: str) -> str:
    """A name from data for a message: as it is when plain, else quoted with its odd characters escaped."""
    return name if name.isprintable() and name == name.strip() and name else repr(name)


def unknown_column(name: str, names: list[str], where: str) -> InputError:
    """The error for a column that is not there, with the nearest names."""
    import difflib

    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    lower = [other for other in names if other.lower() == name.lower() and other not in near]
    listing = listed([*lower, *near]) if lower or near else listed(names)
    return InputError(
        f"there is no column {name!r}",
        where=where,
        fix=f"{'nearest' if lower or near else 'columns'}: {listing}",
    )


def as_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Any column as text; nested and binary values by their printed form."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(values.type):
        return values
    if pa.types.is_dictionary(values.type):
        return as_text(pa.chunked_array([chunk.dictionary_decode() for chunk in values.chunks], values.type.value_type))
    try:
        return pc.cast(values, pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        texts = [None if value is None else str(value) for value in values.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])


def _uses(distinct: pa.Array, style: tuple[str, str]) -> bool:
    """Whether some value has this style's thousands mark."""
    import pyarrow.compute as pc

    return bool(pc.any(pc.match_substring(distinct, style[1])).as_py())


def _spread(encoded: pa.DictionaryArray, texts: pa.Array, style: tuple[str, str]) -> pa.ChunkedArray | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    parsed = numbers.from_style(texts, *style)
    return None if parsed is None else pa.chunked_array([pc.take(parsed, encoded.indices)])


def _take(lookup: pd.Series, encoded: pa.DictionaryArray) -> pd.Series:
    """Each row's entry of `lookup`, missing where the row is."""
    import pyarrow.compute as pc

    indices = pc.fill_null(encoded.indices, len(lookup)).to_numpy(zero_copy_only=False)
    return lookup.reindex(range(len(lookup) + 1)).iloc[indices].reset_index(drop=True)


def _strings(values: pa.ChunkedArray) -> pd.Series:
    """Text as pandas' str dtype, NaN where missing."""
    import pandas as pd

    return (
        pd.Series(values.to_pandas()).astype("str")
        if values.null_count == len(values)
        else pd.Series(values.to_pandas(), dtype="str")
    )
