"""The type of a column whose values are what they are: numbers, dates, booleans, or words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from automl_jobs.data import dates
from automl_jobs.data.table import ColumnType
from forestay.errors import InputError
from forestay.words import some

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_MIN_IDENTIFIER_ROWS = 50
_IDENTIFIER_SHARE = 0.95
_ID_WORDS = {"id", "ids", "uuid", "guid", "key", "pk", "index", "idx", "rowid", "row", "nr", "number", "code"}
_ID_FIRST_WORDS = {"id", "uuid", "guid"}
# Text: two words a value on average, and this many different ones.
_TEXT_WORDS = 2.0
_TEXT_DISTINCT = 20
_TEXT_SHARE = 0.2
_LONG_TEXT_WORDS = 3.0
_LONG_TEXT_DISTINCT = 2000
_WORD_SAMPLE = 10_000


@dataclass(frozen=True)
class Typed:
    """A column with its type; `formats` are the strptime formats of dates that were text."""

    series: pd.Series
    type: ColumnType
    formats: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def from_arrow(name: str, values: pa.ChunkedArray, days: bool = False) -> Typed:
    """A column that has a type of its own: from Parquet, from JSON, or by an MLTable's word.

    `days` says that its times may stand for days: see ReadOptions.days.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if pa.types.is_dictionary(kind):
        return from_arrow(name, pc.cast(values, kind.value_type))
    if pa.types.is_boolean(kind):
        return Typed(pd.Series(values.to_pandas()).astype("boolean"), constant_or(ColumnType.BOOLEAN, values))
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        series, moved = _moments(values), False
        if days and pa.types.is_timestamp(kind) and kind.tz is not None:
            series, moved = dates.as_days(_moments(pc.local_timestamp(values)), series)
        return Typed(series, constant_or(ColumnType.DATETIME, values), (), (dates.IN_UTC,) if moved else ())
    if pa.types.is_integer(kind):
        wide = pa.float64() if kind == pa.uint64() or values.null_count else pa.int64()
        return Typed(pd.Series(pc.cast(values, wide, safe=False).to_pandas()), _whole_kind(name, values))
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = pc.cast(values, pa.float64(), safe=False)
        lost = int(pc.sum(pc.is_inf(values)).as_py() or 0)
        values = pc.if_else(pc.is_finite(values), values, pa.scalar(None, pa.float64()))
        warnings = (f"{lost} infinite values, taken as missing",) if lost else ()
        return Typed(pd.Series(values.to_pandas()), constant_or(ColumnType.NUMERIC, values), (), warnings)
    return words(as_text(values))


def _moments(values: pa.ChunkedArray) -> pd.Series:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    return pd.Series(pc.cast(values, pa.timestamp("us"), safe=False).to_pandas()).astype("datetime64[us]")


def words(values: pa.ChunkedArray, warnings: tuple[str, ...] = ()) -> Typed:
    """A column of text that is nothing else: text, identifier, categorical or constant."""
    import pyarrow.compute as pc

    series = strings(values)
    there = len(values) - values.null_count
    unique = pc.unique(values.drop_null())
    distinct = len(unique)
    if distinct == 0 or (distinct == 1 and not values.null_count):
        return Typed(series, ColumnType.CONSTANT, (), warnings)
    sample = unique.take(list(range(0, distinct, max(1, distinct // _WORD_SAMPLE))))
    mean = float(pc.mean(pc.count_substring_regex(sample, r"\S\s+(\S|$)")).as_py()) + 1
    share = distinct / there
    kind = ColumnType.CATEGORICAL
    if (mean >= _TEXT_WORDS and distinct > _TEXT_DISTINCT and share >= _TEXT_SHARE) or (
        mean >= _LONG_TEXT_WORDS and distinct >= _LONG_TEXT_DISTINCT
    ):
        kind = ColumnType.TEXT
    elif there >= _MIN_IDENTIFIER_ROWS and share >= _IDENTIFIER_SHARE:
        kind = ColumnType.IDENTIFIER
    return Typed(series, kind, (), warnings)


def _whole_kind(name: str, values: pa.ChunkedArray) -> ColumnType:
    """Whole numbers are an identifier when all differ and they count up from 0 or 1, or the name says so."""
    import pyarrow.compute as pc

    kind = constant_or(ColumnType.NUMERIC, values)
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
    found = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    return bool(found) and (found[-1] in _ID_WORDS or found[0] in _ID_FIRST_WORDS)


def constant_or(kind: ColumnType, values: pa.ChunkedArray) -> ColumnType:
    """CONSTANT when all are missing, or all are there and the same; else `kind`."""
    import pyarrow.compute as pc

    if values.null_count == len(values):
        return ColumnType.CONSTANT
    if values.null_count:
        return kind
    bounds = pc.min_max(values).as_py()
    return ColumnType.CONSTANT if bounds["min"] == bounds["max"] else kind


def as_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Any column as text; nested and binary values by their printed form."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(values.type):
        return values
    if pa.types.is_dictionary(values.type):
        return as_text(pc.cast(values, values.type.value_type))
    try:
        return pc.cast(values, pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        texts = [None if value is None else str(value) for value in values.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])


def strings(values: pa.ChunkedArray) -> pd.Series:
    """Text as pandas' str dtype, NaN where missing."""
    import pandas as pd

    return pd.Series(values.to_pandas()).astype("str")


def listed(names: Sequence[str]) -> str:
    """Names for a message, five at most."""
    return some([show(name) for name in names], 5)


def plain(text: str) -> str:
    """Text from data on one line of a terminal or a comment: characters that do not print are escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def show(name: str) -> str:
    """A name from data for a message: as it is when plain, else quoted with its odd characters escaped."""
    return name if name.isprintable() and name == name.strip() and name else repr(name)


def unknown_column(name: str, names: Sequence[str], where: str) -> InputError:
    """The error for a column that is not there, with the nearest names."""
    same = [other for other in names if other.lower() == name.lower()]
    near = list(dict.fromkeys([*same, *difflib.get_close_matches(name, names, n=3, cutoff=0.5)]))
    fix = f"nearest: {listed(near)}" if near else f"columns: {listed(names)}"
    return InputError(f"there is no column {name!r}", where=where, fix=fix)
