"""Raw rows as the columns that a fitted model knows, each of its type: a frame, or for few rows plain cells.

This module is copied beside every `model.pkl` and imported there under this name, where nothing else of Forestay is
installed. So it imports numpy, pandas, scikit-learn and its siblings there only, and what it pickles must stay
loadable: a change of an attribute's meaning needs a new class name.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

NUMBERS = ("numeric", "boolean")
MANY_ROWS = 1_000
# A frame of no more rows is read cell by cell, and answered by one thread: to start more takes longer.
FEW_ROWS = 32
TRUE_WORDS = ("true", "yes", "1", "1.0")
FALSE_WORDS = ("false", "no", "0", "0.0")


def category_text(value: Any) -> Any:
    """One cell of a categorical column as text, equal however the cell was read: 3, 3.0 and "3" are "3".

    Missing stays missing (NaN).
    """
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or value is pd.NaT:
        return np.nan
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, float | np.floating):
        if np.isnan(value):
            return np.nan
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    return str(value)


def _numbers(column: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    # A column without infinite values stays the one that came, not a copy of it.
    return numbers.where(np.isfinite(numbers)) if np.isinf(numbers.to_numpy()).any() else numbers


def _truths(column: pd.Series) -> pd.Series:
    if pd.api.types.is_bool_dtype(column):
        return column.astype("float64")
    words = column.map(category_text, na_action="ignore").astype("object").astype(str).str.lower()
    result = pd.Series(np.nan, index=column.index, dtype="float64")
    result[words.isin(TRUE_WORDS)] = 1.0
    result[words.isin(FALSE_WORDS)] = 0.0
    return result


def _date_text(value: Any) -> Any:
    """A number as text, which pandas reads as a date; a date or text as it is."""
    return category_text(value) if isinstance(value, int | float | np.number | np.bool_) else value


def _dates(column: pd.Series) -> pd.Series:
    if not pd.api.types.is_datetime64_any_dtype(column):
        if column.dtype != "str" and column.dtype.kind in "iufbO":  # 20240229 is a date, as a number too
            column = column.map(_date_text, na_action="ignore").astype("object")
        column = pd.to_datetime(column, errors="coerce", format="ISO8601", utc=True)
    if column.dt.tz is not None:
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    return column.astype("datetime64[us]")


def _categories(column: pd.Series) -> pd.Series:
    if column.dtype == "str":
        return column
    values = column.astype("object").map(category_text)
    # Where nothing is there, as in a single row, pandas answers with numbers, which encoders of text refuse.
    return values if values.dtype.kind == "O" else values.astype("object")


def _texts(column: pd.Series) -> pd.Series:
    texts = _categories(column)
    return texts.where(texts.notna(), "").astype("object")


_READERS = {
    "numeric": _numbers,
    "boolean": _truths,
    "datetime": _dates,
    "categorical": _categories,
    "text": _texts,
}


def _number_cells(column: Sequence[Any] | np.ndarray) -> np.ndarray | None:
    """Numbers as `_numbers` reads them; None where there is a cell that only pandas can read."""
    if not _is_array(column, "fi"):
        if not set(map(type, column)) <= _PLAIN:
            return None
        column = [np.nan if value is pd.NA else value for value in column]
    numbers = np.asarray(column, dtype="float64")
    finite = np.isfinite(numbers)
    return numbers if finite.all() else np.where(finite, numbers, np.nan)


def _truth_cells(column: Sequence[Any] | np.ndarray) -> np.ndarray:
    if set(map(type, column)) <= _TRUTHS:
        return np.array(column, dtype="float64")
    words = [str(category_text(value)).lower() for value in column]
    return np.array([1.0 if word in TRUE_WORDS else 0.0 if word in FALSE_WORDS else np.nan for word in words])


def _word_cells(column: Sequence[Any] | np.ndarray) -> list[Any]:
    if set(map(type, column)) == {str}:
        return list(column)
    return [category_text(value) for value in column]


def _text_cells(column: Sequence[Any] | np.ndarray) -> list[Any]:
    return ["" if word != word else word for word in _word_cells(column)]


def _date_cells(column: Sequence[Any] | np.ndarray) -> np.ndarray | None:
    """Times without a zone, as text too, as datetime64[us]; None where there is a cell that only pandas can read."""
    if _is_array(column, "M"):
        return np.asarray(column, dtype="datetime64[us]")
    kinds = set(map(type, column))
    if not kinds <= _TIMES or (str in kinds and not all(type(cell) is not str or _ISO(cell) for cell in column)):
        return None
    return np.array([_moment(value) for value in column], dtype="datetime64[us]")


def _moment(value: Any) -> dt.datetime | None:
    if type(value) is not str:
        return None if value is pd.NaT else value
    try:
        return dt.datetime.fromisoformat(value)
    except ValueError:  # a thirtieth of February
        return None


def _is_array(column: Any, kinds: str) -> bool:
    """Whether a column's cells lie in an array of one of these kinds of numpy's dtypes already."""
    return isinstance(column, np.ndarray) and column.dtype.kind in kinds


_PLAIN = frozenset({float, int, bool, type(None), type(pd.NA)})
_TRUTHS = frozenset({bool, type(None)})
_TIMES = frozenset({dt.datetime, type(None), type(pd.NaT), str})
# Dates as nearly all data writes them; what else ISO 8601 allows is pandas' to read.
_ISO = re.compile(
    r"(1[89]|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{3}([0-9]{3})?)?)?)?"
).fullmatch
_CELL_READERS: dict[str, Callable[[Any], Any]] = {
    "numeric": _number_cells,
    "boolean": _truth_cells,
    "datetime": _date_cells,
    "categorical": _word_cells,
    "text": _text_cells,
}


class Cells:
    """Typed rows, column by column; a frame of them costs more than the model.

    Parameters
    ----------
    columns: name to the n values: array of float64 or datetime64[us], list of words, or a series.
    index: of the rows.
    """

    def __init__(self, columns: dict[str, Any], index: pd.Index) -> None:
        self.columns = columns
        self.index = index

    def __len__(self) -> int:
        return len(self.index)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, as a frame has them: all that a model without features, a baseline, asks of its rows."""
        return len(self.index), len(self.columns)

    def block(self, names: str | Sequence[str]) -> Any:
        """What a ColumnTransformer would hand on: (n, k) numbers, times or words, else a series or frame."""
        if isinstance(names, str):
            return self.series(names)
        found = [self.columns[name] for name in names]
        if all(type(column) is np.ndarray and column.dtype == found[0].dtype for column in found):
            return np.column_stack(found)
        if all(type(column) is list for column in found):
            words = np.empty((len(self), len(found)), dtype=object)
            for place, column in enumerate(found):
                words[:, place] = column
            return words
        return pd.DataFrame({name: self.series(name) for name in names}, index=self.index)

    def series(self, name: str) -> pd.Series:
        column = self.columns[name]
        if isinstance(column, pd.Series):
            return column
        return pd.Series(column, index=self.index, dtype="object" if isinstance(column, list) else column.dtype)


def row_count(rows: pd.DataFrame | Mapping[str, Any]) -> int:
    """How many rows there are in a frame, or in columns."""
    return len(rows) if isinstance(rows, pd.DataFrame) else len(next(iter(rows.values())))


class InputFrame(TransformerMixin, BaseEstimator):
    """Picks the model's columns from a raw frame and gives each its type.

    Parameters
    ----------
    columns: pairs (name, type) with type numeric, boolean, datetime, categorical or text.

    `transform` takes a frame of n rows with at least these columns, in any order and of any dtype that can be read
    (numbers and ISO 8601 dates as text too), and returns a frame with exactly these columns: numeric and boolean as
    float64, datetime as datetime64[us] without zone (aware times in UTC), categorical as text with NaN for missing,
    text with "" for missing. What can't be read as its type is missing. Raises ValueError naming absent columns.
    """

    def __init__(self, columns: Sequence[tuple[str, str]]) -> None:
        self.columns = columns

    def fit(self, X: pd.DataFrame, y: Any = None) -> InputFrame:
        self.feature_names_in_ = np.array([name for name, _ in self.columns], dtype=object)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        check_is_fitted(self)
        absent = [name for name, _ in self.columns if name not in X.columns]
        if absent:
            raise ValueError(f"columns are missing: {absent}")
        read = {name: _READERS[kind](X[name]) for name, kind in self.columns}
        return pd.DataFrame(read, index=X.index, copy=False)

    def cells(self, X: pd.DataFrame | Mapping[str, list[Any]]) -> Cells:
        """What `transform` gives, without a frame: of few rows as a frame, or of any number as columns.

        A column is a list of cells, or an array of numbers or of datetime64.
        """
        check_is_fitted(self)
        if isinstance(X, pd.DataFrame):
            index: pd.Index = X.index
            columns: dict[str, Any] = dict(zip(X.columns, X.to_numpy(dtype=object).T, strict=True))
        else:
            index, columns = pd.RangeIndex(row_count(X)), dict(X)
        absent = [name for name, _ in self.columns if name not in columns]
        if absent:
            raise ValueError(f"columns are missing: {absent}")
        read: dict[str, Any] = {}
        for name, kind in self.columns:
            found = _CELL_READERS[kind](columns[name])
            if found is None:
                found = _READERS[kind](X[name] if isinstance(X, pd.DataFrame) else pd.Series(X[name], dtype="object"))
                if found.dtype.kind in "fM":
                    found = found.to_numpy()
            read[name] = found
        return Cells(read, index)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        return self.feature_names_in_
