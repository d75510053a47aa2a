"""One column of text: what it may be, and what it is once the file's decimal mark and order of dates are known.

All work is done on the different values, then spread over the rows.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from automl_jobs.data import dates, numbers
from automl_jobs.data.kinds import Typed, from_arrow, strings, words
from automl_jobs.data.table import ColumnType, ReadOptions
from forestay.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Text that stands for a missing value where the rest of a column is numbers, dates or booleans.
NA_MARKERS = (
    *("NA", "N/A", "n/a", "na", "#N/A", "#NA", "<NA>", "NaN", "nan", "-NaN", "-nan", "NaT", "NULL", "null", "Null"),
    *("None", "none", "-", "--", "?", ".", "#DIV/0!", "#VALUE!", "#NUM!", "#REF!"),
)
# Those that are worth a word when a column of text keeps them.
_TELLING = frozenset(("NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None"))
_BOOLEANS = {"true": True, "false": False}
_SAID_BOOLEANS = {
    **_BOOLEANS,
    **dict.fromkeys(("yes", "y", "t", "1"), True),
    **dict.fromkeys(("no", "n", "f", "0"), False),
}
_MOSTLY_NUMBERS = 0.8
_AS_TEXT = (ColumnType.CATEGORICAL, ColumnType.TEXT, ColumnType.IDENTIFIER)


class Look:
    """What one column of text may be.

    Parameters
    ----------
    values: text, null where the field is empty.
    said: the user's type for it, if any.
    full: whether numbers and booleans are looked for (not in JSON, which has its own).

    Attributes
    ----------
    styles: the styles in which all values are numbers, where that takes more than plain digits and a point.
    point: some number has a point that cannot be a thousands mark.
    dates: how it is written as dates.
    found: what was guessed, by the words of `infer`: comma, zeros, kept, markers, spaces, day, month, thousands X, ...
    """

    def __init__(self, name: str, values: pa.ChunkedArray, options: ReadOptions, said: ColumnType | None, full: bool):
        import pyarrow as pa
        import pyarrow.compute as pc

        self.name, self.options, self.said, self.full = name, options, said, full
        self.found: set[str] = set()
        self.styles: tuple[numbers.Style, ...] = ()
        self.point = False
        self.dates: dates.Dates | None = None
        if options.na_values:
            null = pc.is_in(values, value_set=pa.array(options.na_values, pa.string()))
            if pc.any(null).as_py():
                self.found.add("na-values")
                values = pc.if_else(null, pa.scalar(None, pa.string()), values)
        self.raw = values
        self.plain = self._plain_numbers() if full or said is ColumnType.NUMERIC else None
        if self.plain is None and said not in _AS_TEXT:
            self._explore()

    def _plain_numbers(self) -> pa.ChunkedArray | None:
        """The column as numbers at the first try: the usual case, and the quick one."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.said not in (None, ColumnType.NUMERIC) or self.raw.null_count == len(self.raw):
            return None
        found = numbers.to_numbers(self.raw)
        if found is not None and pa.types.is_floating(found.type):
            if pc.any(pc.is_nan(found)).as_py():
                return None
            self.point = not numbers.every(self.raw, numbers.pattern((",", ".")))
            return found if self.point else None
        return found

    def _explore(self) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        clean = numbers.even_spaces(pc.utf8_trim_whitespace(self._distinct))
        clean = pc.if_else(pc.equal(clean, ""), pa.scalar(None, pa.string()), clean)
        self.marked: list[str] = []
        if not (self.options.keep_na or self.options.na_values):
            null = pc.is_in(clean, value_set=pa.array(NA_MARKERS))
            self.marked = clean.filter(null).to_pylist()
            clean = pc.if_else(null, pa.scalar(None, pa.string()), clean)
        self.clean = clean
        self.values = clean.drop_null()
        if not len(self.values):
            return
        if self.said is ColumnType.NUMERIC or (self.full and self.said is None):
            found = numbers.styles_of(self.values)
            self.styles = tuple(style for style in found if self._allowed(style))
        if self.said is ColumnType.DATETIME or (not self.styles and self._clean_numbers is None):
            weights = self._counts.filter(pc.is_valid(clean))
            self.dates = dates.look_at(self.values, weights, self.options.day_first)

    def _allowed(self, style: numbers.Style) -> bool:
        """Whether the user's word leaves this style open."""
        decimal, thousands = self.options.decimal, self.options.thousands
        if decimal is not None and style[0] != decimal:
            return False
        return thousands in (None, style[1]) or not numbers.uses_thousands(self.values, style)

    @functools.cached_property
    def _encoded(self) -> pa.DictionaryArray:
        """The column as indices into its different values."""
        import pyarrow as pa

        encoded = self.raw.combine_chunks()
        encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
        return encoded.dictionary_encode()

    @functools.cached_property
    def _clean_numbers(self) -> pa.Array | None:
        """The different values, cleaned, as plain numbers."""
        return numbers.to_numbers(self.clean)

    @property
    def _distinct(self) -> pa.Array:
        return self._encoded.dictionary

    @functools.cached_property
    def _counts(self) -> pa.Array:
        """Rows of each different value."""
        import numpy as np
        import pyarrow as pa

        indices = self._encoded.indices.drop_null().to_numpy(zero_copy_only=False)
        return pa.array(np.bincount(indices, minlength=len(self._distinct)))

    @property
    def is_plain(self) -> bool:
        """Whether the values are numbers to any reader, marks or not."""
        return self.plain is not None or self._clean_numbers is not None

    @property
    def undecided(self) -> bool:
        """Whether the rest of the file has a say in how this column is read."""
        return bool(self.styles) or (self.dates is not None and self.dates.ambiguous)

    def finish(self, decimal: str, day_first: bool | None) -> Typed:
        """The column as it is: by the user's word, else by what fits, in the order of `infer`'s rules."""
        if self.said in _AS_TEXT:
            return Typed(strings(self.raw), self.said or ColumnType.TEXT)
        if self.plain is not None:
            return self._finish_plain()
        if not len(self.values) and self.said is None:
            return words(self.raw)
        number = self._number(decimal)
        if number is not None:
            return number
        truth = self._truth(_SAID_BOOLEANS if self.said is ColumnType.BOOLEAN else _BOOLEANS)
        if truth is not None:
            return truth
        if self.dates is not None and self.said in (None, ColumnType.DATETIME):
            return self._date(self.dates, day_first)
        if self.said is not None:
            raise self._refused()
        if _TELLING.intersection(self.marked):
            self.found.add("kept")
        mixed = self._mixed()
        typed = words(self.raw, mixed)
        # Numbers with a few odd words between are a column to mend, not one to leave out.
        return replace(typed, type=ColumnType.CATEGORICAL) if mixed and typed.type is ColumnType.IDENTIFIER else typed

    def _finish_plain(self) -> Typed:
        import pyarrow as pa

        assert self.plain is not None
        if self.said is None and pa.types.is_integer(self.plain.type) and numbers.leading_zeros(self.raw):
            self.found.add("zeros")
            return words(self.raw)
        return self._numeric(self.plain)

    def _number(self, decimal: str) -> Typed | None:
        """The column as numbers in the file's style, else in the only one that fits; None when it is none."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.said not in (None, ColumnType.NUMERIC) or not (self.full or self.said):
            return None
        plain = self._clean_numbers
        style = next((style for style in self.styles if style[0] == decimal), None)
        if plain is not None and (style is None or decimal == "."):
            parsed, style = plain, None
        elif self.styles:
            style = style or self.styles[0]
            parsed = numbers.from_style(self.clean, style)
        else:
            return None
        if parsed is None:
            return None
        if self.said is None and pa.types.is_integer(parsed.type) and numbers.leading_zeros(self.values):
            self.found.add("zeros")
            return words(self.raw)
        if style is not None:
            if numbers.uses_thousands(self.values, style):
                self.found.add(f"thousands {style[1]}")
            if style[0] == "," and numbers.some(self.values, ","):
                self.found.add("comma")
        self._cleaned()
        return self._numeric(pa.chunked_array([pc.take(parsed, self._encoded.indices)]))

    def _numeric(self, values: pa.ChunkedArray) -> Typed:
        typed = from_arrow(self.name, values)
        if typed.warnings:
            self.found.add("infinite")
        return typed if self.said is None else Typed(typed.series, ColumnType.NUMERIC, (), typed.warnings)

    def _date(self, look: dates.Dates, day_first: bool | None) -> Typed:
        formats, order = look.formats, look.day_first
        if look.ambiguous:
            # Where nothing else speaks: points and dashes are written day first, slashes month first.
            order = formats[0][2] in ".-" if day_first is None else day_first
            formats = formats if order else tuple(dates.swap(form) for form in formats)
        if look.ambiguous:
            self.found.add("day" if order else "month")
        elif order:
            self.found.add("day for sure")
        self._cleaned()
        parsed, moved = dates.parse_days(self.clean, formats, self.name in self.options.days)
        series = self._spread(parsed)
        lost = int(self._counts.to_numpy()[(parsed.isna() & self.clean.is_valid().to_pandas()).to_numpy()].sum())
        odd = (f"{lost} values are no dates like the rest, taken as missing",) if lost else ()
        warnings = (*odd, dates.IN_UTC) if moved else odd
        constant = self.said is None and series.notna().all() and parsed.nunique() == 1
        return Typed(series, ColumnType.CONSTANT if constant else ColumnType.DATETIME, formats, warnings)

    def _truth(self, names: Mapping[str, bool]) -> Typed | None:
        """The column as booleans, when all its values are among `names`."""
        import pandas as pd

        if (
            self.said not in (None, ColumnType.BOOLEAN)
            or not (self.full or self.said)
            or len(self.values) > len(names) * 4
        ):
            return None
        truths = [None if text is None else names.get(text.lower()) for text in self.clean.to_pylist()]
        if truths.count(None) > self.clean.null_count:
            return None
        self._cleaned()
        if any(text.lower() not in _BOOLEANS for text in self.values.to_pylist()):
            self.found.add("said-boolean")
        series = self._spread(pd.Series(truths, dtype="boolean"))
        constant = self.said is None and series.notna().all() and len(set(truths) - {None}) == 1
        return Typed(series, ColumnType.CONSTANT if constant else ColumnType.BOOLEAN)

    def _spread(self, lookup: pd.Series) -> pd.Series:
        """Each row's entry of `lookup`, which follows the different values; missing where the row is."""
        import pyarrow.compute as pc

        count = len(lookup)
        indices = pc.fill_null(self._encoded.indices, count).to_numpy(zero_copy_only=False)
        return lookup.reindex(range(count + 1)).iloc[indices].reset_index(drop=True)

    def _cleaned(self) -> None:
        """Note what stood in the file beside the values."""
        import pyarrow.compute as pc

        if self.marked:
            self.found.add("markers")
        if pc.any(pc.not_equal(pc.utf8_trim_whitespace(self._distinct), self._distinct)).as_py():
            self.found.add("spaces")

    def _mixed(self) -> tuple[str, ...]:
        """A warning for a column that is mostly numbers."""
        import pyarrow.compute as pc

        if not self.full:
            return ()
        hits = numbers.matches(self.clean, numbers.PLAIN)
        total = pc.sum(self._counts.filter(pc.is_valid(self.clean))).as_py()
        share = (pc.sum(self._counts.filter(hits)).as_py() or 0) / total
        if share < _MOSTLY_NUMBERS or share == 1.0:
            return ()
        shown = ", ".join(repr(text) for text in self.clean.filter(pc.invert(hits)).slice(0, 3).to_pylist())
        return (f"mixed: {share:.1%} numbers, but also {shown} (--na-value makes such a value missing)",)

    def _refused(self) -> InputError:
        wanted = {
            ColumnType.NUMERIC: "numbers",
            ColumnType.DATETIME: "dates in a format that is known",
            ColumnType.BOOLEAN: "true/false, yes/no, y/n, t/f or 1/0",
        }
        what = wanted.get(self.said or ColumnType.TEXT, "of that type")
        odd = self.values
        if self.said is ColumnType.NUMERIC:
            import pyarrow.compute as pc

            odd = odd.filter(pc.invert(numbers.matches(odd, numbers.NUMBER)))
        shown = ", ".join(repr(text) for text in odd.slice(0, 3).to_pylist()) or "no value at all"
        return InputError(
            f"column {self.name!r} is not {what}: {shown}",
            where=f"--type {self.name}={self.said}",
            fix="leave the flag out, or say with --na-value which values mean missing",
        )
