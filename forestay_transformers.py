"""The estimators of our own that a fitted model is made of.

This module is copied beside every `model.pkl` and imported there under this name, where nothing else of Forestay is
installed. So it imports numpy, pandas and scikit-learn only, and what it pickles must stay loadable: a change of an
attribute's meaning needs a new class name.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, hstack, issparse
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction import FeatureHasher
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import ThreadpoolController

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


def _dates(column: pd.Series) -> pd.Series:
    if not pd.api.types.is_datetime64_any_dtype(column):
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
    """Times without a zone as datetime64[us]; None where there is a cell that only pandas can read."""
    if _is_array(column, "M"):
        return np.asarray(column, dtype="datetime64[us]")
    if not set(map(type, column)) <= _TIMES:
        return None
    return np.array([None if value is pd.NaT else value for value in column], dtype="datetime64[us]")


def _is_array(column: Any, kinds: str) -> bool:
    """Whether a column's cells lie in an array of one of these kinds of numpy's dtypes already."""
    return isinstance(column, np.ndarray) and column.dtype.kind in kinds


_PLAIN = frozenset({float, int, bool, type(None), type(pd.NA)})
_TRUTHS = frozenset({bool, type(None)})
_TIMES = frozenset({dt.datetime, type(None), type(pd.NaT)})
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
            index, columns = pd.RangeIndex(_count(X)), dict(X)
        absent = [name for name, _ in self.columns if name not in columns]
        if absent:
            raise ValueError(f"columns are missing: {absent}")
        read: dict[str, Any] = {}
        for name, kind in self.columns:
            found = _CELL_READERS[kind](columns[name])
            if found is None:
                found = _READERS[kind](X[name] if isinstance(X, pd.DataFrame) else pd.Series(X[name], dtype="object"))
            read[name] = found
        return Cells(read, index)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        return self.feature_names_in_


class DateParts(TransformerMixin, BaseEstimator):
    """Turns datetime columns into numbers: calendar parts and days since the first training date.

    Parameters
    ----------
    cycles: month, weekday and hour as sine and cosine (for linear models) instead of as plain numbers (for trees).

    Input: a frame of datetime columns, n rows. Output: float64 array (n, parts); NaN where the date is missing.
    Parts that don't vary in training are left out.
    """

    PERIODS: ClassVar = {"month": 12, "weekday": 7, "hour": 24}

    def __init__(self, cycles: bool = False) -> None:
        self.cycles = cycles

    def _parts(self, name: str, dates: pd.Series) -> dict[str, np.ndarray]:
        missing = dates.isna().to_numpy()
        hour = (dates.dt.hour + dates.dt.minute / 60).to_numpy(dtype="float64")
        weekday = dates.dt.day_of_week.to_numpy(dtype="float64")
        month = dates.dt.month.to_numpy(dtype="float64")
        elapsed = (dates - self.origins_[name]) / pd.Timedelta(days=1)
        parts = {"elapsed": elapsed.to_numpy(dtype="float64"), "day": dates.dt.day.to_numpy(dtype="float64")}
        parts |= self._cyclic({"month": month, "weekday": weekday, "hour": hour})
        if not self.cycles:
            parts["year"] = dates.dt.year.to_numpy(dtype="float64")
            parts["day_of_year"] = dates.dt.day_of_year.to_numpy(dtype="float64")
        return {part: np.where(missing, np.nan, values) for part, values in parts.items()}

    def _cyclic(self, parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Parts that come round again: as they are, or each as the point of a circle."""
        if not self.cycles:
            return parts
        angles = {part: 2 * np.pi * values / self.PERIODS[part] for part, values in parts.items()}
        return {
            f"{part}_{axis}": of(angle)
            for part, angle in angles.items()
            for axis, of in (("sin", np.sin), ("cos", np.cos))
        }

    def fit(self, X: pd.DataFrame, y: Any = None) -> DateParts:
        self.feature_names_in_ = np.array(X.columns, dtype=object)
        self.origins_ = {name: X[name].min() for name in X.columns}
        self.kept_: list[tuple[str, str]] = []
        for name in X.columns:
            for part, values in self._parts(name, X[name]).items():
                known = values[~np.isnan(values)]
                if known.size and known.min() != known.max():
                    self.kept_.append((name, part))
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        check_is_fitted(self)
        parts = {name: self._parts(name, X[name]) for name in self.feature_names_in_}
        out = np.empty((len(X), len(self.kept_)))
        for position, (name, part) in enumerate(self.kept_):
            out[:, position] = parts[name][part]
        return out

    def transform_dates(self, dates: np.ndarray) -> np.ndarray:
        """The same of datetime64[us] (n, columns), without pandas: for few rows."""
        out = np.empty((len(dates), len(self.kept_)))
        found: dict[str, dict[str, np.ndarray]] = {}
        for position, (name, part) in enumerate(self.kept_):
            if name not in found:
                column = dates[:, list(self.feature_names_in_).index(name)]
                found[name] = self._plain_parts(column, np.datetime64(self.origins_[name], "us"))
            out[:, position] = found[name][part]
        return out

    def _plain_parts(self, dates: np.ndarray, origin: np.datetime64) -> dict[str, np.ndarray]:
        """What `_parts` gives, of an array."""
        missing = np.isnat(dates)
        known = np.where(missing, np.datetime64(0, "us"), dates)
        days, months, years = (known.astype(f"datetime64[{unit}]") for unit in "DMY")
        minutes = (known - days) // np.timedelta64(60_000_000, "us")
        hour = minutes // 60 + minutes % 60 / 60
        weekday = ((days.astype("int64") + 3) % 7).astype("float64")
        month = (months.astype("int64") % 12 + 1).astype("float64")
        parts = {
            "elapsed": (known - origin) / np.timedelta64(1, "D"),
            "day": (days - months).astype("int64") + 1.0,
        }
        parts |= self._cyclic({"month": month, "weekday": weekday, "hour": hour})
        if not self.cycles:
            parts["year"] = years.astype("int64") + 1970.0
            parts["day_of_year"] = (days - years).astype("int64") + 1.0
        return {part: np.where(missing, np.nan, values) for part, values in parts.items()}

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        return np.array([f"{name}_{part}" for name, part in self.kept_], dtype=object)

    def __getstate__(self) -> dict[str, Any]:
        """Dates as ISO text: skops has no way to keep pandas' own."""
        state = dict(super().__getstate__())
        if "origins_" in state:
            state["origins_"] = {name: date.isoformat() for name, date in state["origins_"].items()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "origins_" in state:
            self.origins_ = {name: pd.Timestamp(date) for name, date in state["origins_"].items()}


class CategoryCodes(TransformerMixin, BaseEstimator):
    """Gives each category a number, by falling frequency; NaN for missing, rare and unseen ones.

    Parameters
    ----------
    max_categories: how many categories of a column keep a number of their own.
    min_count: categories seen less often count as unseen.

    Input: a frame of categorical columns (text, NaN for missing), n rows. Output: float64 array (n, columns).
    Trees take NaN as a value of its own; a dictionary look-up is the fastest way for one row.
    """

    def __init__(self, max_categories: int = 254, min_count: int = 1) -> None:
        self.max_categories = max_categories
        self.min_count = min_count

    def fit(self, X: pd.DataFrame, y: Any = None) -> CategoryCodes:
        self.feature_names_in_ = np.array(X.columns, dtype=object)
        self.codes_: dict[str, dict[str, float]] = {}
        for name in X.columns:
            counts = X[name].value_counts()
            counts = counts[counts >= self.min_count]
            # Equal counts are ordered by name: the codes don't depend on the order of the rows.
            ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: self.max_categories]
            self.codes_[name] = {str(category): float(code) for code, (category, _) in enumerate(ordered)}
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        check_is_fitted(self)
        out = np.empty((len(X), len(self.codes_)))
        for position, (name, codes) in enumerate(self.codes_.items()):
            if len(X) < MANY_ROWS:
                out[:, position] = X[name].map(codes).to_numpy(dtype="float64")
            else:
                # Each value is looked up once, and no row becomes an object.
                places, values = X[name].factorize()
                out[:, position] = np.array([*(codes.get(value, np.nan) for value in values), np.nan])[places]
        return out

    def transform_words(self, words: np.ndarray) -> np.ndarray:
        """The same of words (n, columns)."""
        return _looked_up(words, list(self.codes_.values()), [np.nan] * words.shape[1])

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        return self.feature_names_in_


class Topics(TruncatedSVD):
    """scikit-learn's TruncatedSVD, with no more components than there are terms."""

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        self.set_params(n_components=min(self.get_params()["n_components"], X.shape[1]))
        return np.asarray(super().fit_transform(X, y))


class TextTargetEncoder(TransformerMixin, BaseEstimator):
    """Says of a text what a linear model makes of it: class probabilities, or the expected target.

    Azure has a transformer of this name; it gives trees in a few dense columns what words tell about the target.

    Parameters
    ----------
    classification: whether the target is class numbers.
    min_df: a term must occur in so many texts.
    folds: `fit_transform` answers for each row with a model that has not seen it (Breiman 1996, stacked regressions).
    seed: of the folds.

    Input: one column of text, n rows. Output: float64 (n, k) for k classes (one column for two), (n, 1) for regression.
    """

    def __init__(self, classification: bool = True, min_df: int = 2, folds: int = 5, seed: int = 0) -> None:
        self.classification = classification
        self.min_df = min_df
        self.folds = folds
        self.seed = seed

    def _model(self) -> Any:
        from sklearn.linear_model import Ridge
        from sklearn.naive_bayes import MultinomialNB

        return MultinomialNB(alpha=0.3) if self.classification else Ridge(alpha=3.0, solver="lsqr")

    def _counts(self, X: Any) -> Any:
        texts = np.asarray(X, dtype=object)
        return csr_matrix((len(texts), 1)) if self.vectorizer_ is None else self.vectorizer_.transform(texts)

    def _answer(self, model: Any, counts: Any) -> np.ndarray:
        if not self.classification:
            return np.asarray(model.predict(counts), dtype="float64").reshape(-1, 1)
        full = np.zeros((counts.shape[0], len(self.classes_)))
        known = np.searchsorted(self.classes_, model.classes_)
        # Of a single class naive Bayes gives two columns; it is certain of the one it knows.
        full[:, known] = 1.0 if len(known) == 1 else model.predict_proba(counts)
        return full[:, 1:] if len(self.classes_) == 2 else full

    def fit(self, X: Any, y: Any) -> TextTargetEncoder:
        self._fit(X, y)
        return self

    def _fit(self, X: Any, y: Any) -> Any:
        """Fit on all rows; returns their term counts."""
        from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

        words = {"ngram_range": (1, 2), "min_df": self.min_df, "token_pattern": r"(?u)\b\w+\b", "dtype": np.float64}
        self.vectorizer_ = CountVectorizer(binary=True, **words) if self.classification else TfidfVectorizer(**words)
        texts = np.asarray(X, dtype=object)
        try:
            counts = self.vectorizer_.fit_transform(texts)
        except ValueError:
            # No word occurs often enough to learn from: every text says the same.
            self.vectorizer_ = None
            counts = self._counts(texts)
        self.classes_ = np.unique(y) if self.classification else np.array([])
        self.model_ = self._model().fit(counts, y)
        return counts

    def fit_transform(self, X: Any, y: Any = None, **_: Any) -> np.ndarray:
        from sklearn.model_selection import KFold, StratifiedKFold

        target = np.asarray(y)
        counts = self._fit(X, target)
        smallest = np.unique(target, return_counts=True)[1].min() if self.classification else len(target)
        folds = max(2, min(self.folds, len(target)))
        kind = StratifiedKFold if self.classification and smallest >= folds else KFold
        out = np.zeros_like(self._answer(self.model_, counts))
        for train, held in kind(n_splits=folds, shuffle=True, random_state=self.seed).split(counts, target):
            out[held] = self._answer(self._model().fit(counts[train], target[train]), counts[held])
        return out

    def transform(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return self._answer(self.model_, self._counts(X))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        count = 1 if not self.classification or len(self.classes_) == 2 else len(self.classes_)
        return np.array([f"text_target{position}" for position in range(count)], dtype=object)


def _looked_up(words: np.ndarray, tables: Sequence[dict[Any, Any]], otherwise: Sequence[Any]) -> np.ndarray:
    """Each word (n, k) in the table of its column, or what stands for the words that are not there: (n, k)."""
    columns = zip(words.T.tolist(), tables, otherwise, strict=True)
    return np.array([[table.get(word, rest) for word in column] for column, table, rest in columns]).T


def _places(categories: np.ndarray) -> dict[Any, int]:
    """The position of each category; that of NaN, which equals nothing, under None."""
    return {None if word != word else word: place for place, word in enumerate(categories.tolist())}


def _keyed(words: np.ndarray) -> np.ndarray:
    """Words (n, k) with None for NaN."""
    keyed = words.copy()
    keyed[words != words] = None
    return keyed


class OneHot(OneHotEncoder):
    """scikit-learn's OneHotEncoder, which also takes words (n, columns) quickly: see `transform_words`.

    It must treat unknown categories as `infrequent_if_exist`, and give sparse float32.
    """

    def transform_words(self, words: np.ndarray) -> np.ndarray | csr_matrix:
        """What `transform` gives, of few rows dense."""
        if not hasattr(self, "tables_"):
            self.tables_ = self._tables()
        tables, unknown, width = self.tables_
        places = _looked_up(_keyed(words), tables, unknown)
        rows, columns = np.nonzero(places >= 0)
        if len(words) <= FEW_ROWS:
            out = np.zeros((len(words), width), dtype=np.float32)
            out[rows, places[rows, columns]] = 1.0
            return out
        starts = np.concatenate([[0], np.cumsum((places >= 0).sum(axis=1))])
        ones = np.ones(len(rows), dtype=np.float32)
        return csr_matrix((ones, places[rows, columns], starts), shape=(len(words), width))

    def __getstate__(self) -> dict[str, Any]:
        """Without the tables, which are made when they are needed."""
        return {name: value for name, value in super().__getstate__().items() if name != "tables_"}

    def _tables(self) -> tuple[list[dict[Any, int]], list[int], int]:
        """For each column the place of each category and of unknown ones (-1: nowhere), and how many places."""
        rare = getattr(self, "infrequent_categories_", None) or [None] * len(self.categories_)
        tables, unknown, start = [], [], 0
        for categories, few in zip(self.categories_, rare, strict=True):
            gone = set() if few is None else set(_places(few))
            own = [word for word in _places(categories) if word not in gone]
            table = {word: start + place for place, word in enumerate(own)}
            start += len(own)
            unknown.append(-1 if few is None else start)
            table |= dict.fromkeys(gone, start)
            start += few is not None
            tables.append(table)
        return tables, unknown, start


class HashOneHot(TransformerMixin, BaseEstimator):
    """Gives each category one of a fixed number of places, by its hash (Weinberger et al. 2009, "Feature hashing").

    Azure's HashOneHotEncoder: no category is rare or unseen, at the price that some share a place.

    Parameters
    ----------
    bits: each column has 2 ** bits places.

    Input: a frame of categorical columns (text, NaN for missing), n rows. Output: sparse float32 (n, columns * places);
    a missing value has no place.
    """

    def __init__(self, bits: int = 10) -> None:
        self.bits = bits

    def fit(self, X: Any, y: Any = None) -> HashOneHot:
        names = getattr(X, "columns", None)
        self.n_features_in_ = X.shape[1]
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
        return self

    def transform(self, X: Any) -> csr_matrix:
        check_is_fitted(self)
        hasher = FeatureHasher(2**self.bits, input_type="string", alternate_sign=False, dtype=np.float32)
        words = np.asarray(X, dtype=object)
        blocks = []
        for column in words.T:
            # Each value is hashed once.
            places, values = pd.factorize(column)
            hashed = hasher.transform([[str(value)] for value in values] + [[]])
            blocks.append(hashed[places])
        return csr_matrix(hstack(blocks))

    def transform_words(self, words: np.ndarray) -> np.ndarray | csr_matrix:
        """The same of words (n, columns), of few rows dense."""
        hashed = self.transform(words)
        return np.asarray(hashed.toarray()) if len(words) <= FEW_ROWS else hashed

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        names = getattr(self, "feature_names_in_", [f"x{place}" for place in range(self.n_features_in_)])
        return np.array([f"{name}_hash{place}" for name in names for place in range(2**self.bits)], dtype=object)


class MeanTarget(TargetEncoder):
    """scikit-learn's TargetEncoder, which also takes words (n, columns) quickly: see `transform_words`."""

    def transform_words(self, words: np.ndarray) -> np.ndarray:
        """What `transform` gives."""
        if not hasattr(self, "tables_"):
            self.tables_ = [_places(categories) for categories in self.categories_]
        places = _looked_up(_keyed(words), self.tables_, [-1] * words.shape[1])
        means = np.atleast_1d(self.target_mean_)
        each = len(self.encodings_) // len(self.categories_)
        out = np.empty((len(words), len(self.encodings_)))
        for position, encoding in enumerate(self.encodings_):
            place = places[:, position // each]
            out[:, position] = np.where(place >= 0, encoding[place], means[position % each])
        return out

    def __getstate__(self) -> dict[str, Any]:
        """Without the tables, which are made when they are needed."""
        return {name: value for name, value in super().__getstate__().items() if name != "tables_"}


def _imputed(imputer: SimpleImputer, values: np.ndarray) -> np.ndarray:
    """What an imputer of NaN that keeps empty columns makes of (n, k)."""
    missing = values != values
    filled = np.where(missing, imputer.statistics_, values)
    indicator = imputer.indicator_
    if indicator is None or not len(indicator.features_):
        return filled
    return np.hstack([filled, missing[:, indicator.features_].astype(values.dtype)])


def _scaled(scaler: StandardScaler, values: np.ndarray) -> np.ndarray:
    return np.asarray((values - scaler.mean_) / scaler.scale_)


_QUICK = {SimpleImputer: _imputed, StandardScaler: _scaled}


class Columns(ColumnTransformer):
    """scikit-learn's ColumnTransformer, which also takes Cells: without its checks of frames a row is 20 times faster.

    The steps may be ours, an imputer or a scaler, which work on plain arrays; any other is given what it always is.
    """

    def transform(self, X: Any, **parameters: Any) -> Any:
        if not isinstance(X, Cells):
            return super().transform(X, **parameters)
        blocks = [
            _passed(part, X, names)
            for _, part, names in self.transformers_
            if part != "drop" and (isinstance(names, str) or len(names))
        ]
        if self.sparse_output_:
            return csr_matrix(hstack([csr_matrix(block) for block in blocks]))
        return np.hstack([block.toarray() if issparse(block) else block for block in blocks])


def _passed(part: Any, cells: Cells, names: str | Sequence[str]) -> Any:
    """What a fitted transformer, or a pipeline of some, makes of columns."""
    values = cells.block(names)
    for step in [step for _, step in part.steps] if hasattr(part, "steps") else [part]:
        if isinstance(step, str):  # passthrough
            continue
        plain = isinstance(values, np.ndarray)
        if plain and type(step) in _QUICK:
            values = _QUICK[type(step)](step, values)
        elif plain and values.dtype == object and hasattr(step, "transform_words"):
            values = step.transform_words(values)
        elif plain and values.dtype.kind == "M" and hasattr(step, "transform_dates"):
            values = step.transform_dates(values)
        else:
            first = plain and hasattr(step, "feature_names_in_")
            values = step.transform(pd.DataFrame(values, columns=step.feature_names_in_) if first else values)
    return values


class Side(FeatureUnion):
    """scikit-learn's FeatureUnion of fitted Columns, dense, which also takes Cells."""

    def transform(self, X: Any, **parameters: Any) -> Any:
        if not isinstance(X, Cells):
            return super().transform(X, **parameters)
        return np.hstack([part.transform(X) for _, part in self.transformer_list])


class ServedPipeline(Pipeline):
    """scikit-learn's Pipeline of an InputFrame, features that take Cells, and a model; of these a model may do both.

    Rows as a server gets them, in columns, `{name: [cell, ...]}` or `{name: array}`, and a few rows of a frame, go
    through plain Python and numpy: the answers are those that scikit-learn's Pipeline of the same steps gives. Times in
    columns are `datetime` or datetime64 without a zone.

    Attributes
    ----------
    takes_columns: tells a server that rows may come as columns.
    """

    takes_columns = True

    def plain(self) -> Pipeline:
        """scikit-learn's own Pipeline of the same steps."""
        return Pipeline(self.steps)

    def features(self, X: pd.DataFrame | Mapping[str, Any]) -> Any:
        """What the model is given of rows that take the quick way."""
        rows: Any = self.steps[0][1].cells(X)
        for _, step in self.steps[1:-1]:
            if not isinstance(step, str):  # passthrough
                rows = step.transform(rows)
        return rows

    def _quickly(self, X: Any, answer: str) -> Any:
        rows = self.features(X)
        model_answer = getattr(self.steps[-1][1], answer)
        if _count(X) > FEW_ROWS:
            return model_answer(rows)
        with _threads().limit(limits=1, user_api="openmp"):
            return model_answer(rows)

    def _quick(self, X: Any) -> bool:
        return isinstance(X, dict) or (isinstance(X, pd.DataFrame) and 0 < len(X) <= FEW_ROWS and X.columns.is_unique)

    def predict(self, X: Any, **parameters: Any) -> Any:
        return self._quickly(X, "predict") if self._quick(X) else super().predict(X, **parameters)

    @available_if(  # type: ignore[untyped-decorator]
        lambda self: hasattr(self.steps[-1][1], "predict_proba")
    )
    def predict_proba(self, X: Any, **parameters: Any) -> Any:
        return self._quickly(X, "predict_proba") if self._quick(X) else super().predict_proba(X, **parameters)


def _count(rows: pd.DataFrame | Mapping[str, Any]) -> int:
    """How many rows there are in a frame, or in columns."""
    return len(rows) if isinstance(rows, pd.DataFrame) else len(next(iter(rows.values())))


@functools.cache
def _threads() -> ThreadpoolController:
    """The thread pools of this process; to find them takes longer than to limit them."""
    return ThreadpoolController()


class Dense(TransformerMixin, BaseEstimator):
    """Makes a dense array (n, m) of a sparse matrix (n, m), for estimators that need one."""

    def fit(self, X: Any, y: Any = None) -> Dense:
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        return X.toarray() if hasattr(X, "toarray") else np.asarray(X)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        return input_features


class LogTarget(RegressorMixin, BaseEstimator):
    """A regressor that has learned log(1 + y), answering with y: errors count in proportion.

    Parameters
    ----------
    estimator: a regressor fitted on log(1 + y); y must not be negative.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Any, y: Any, **parameters: Any) -> LogTarget:
        """Fit a new copy of the estimator on targets `y`."""
        self.estimator = clone(self.estimator).fit(X, np.log1p(y), **parameters)
        return self

    def predict(self, X: Any) -> np.ndarray:
        # Beyond e^700 there is no double; no target comes near.
        return np.expm1(np.clip(np.asarray(self.estimator.predict(X), dtype="float64"), None, 700.0))


class _Decides(ClassifierMixin):
    """A classifier whose labels are decided from its probabilities, as `decision` says (see `decided`)."""

    # Models that were kept before there was a choice have no such attribute: the most probable label.
    decision: Mapping[str, Any] | None = None

    def predict(self, X: Any) -> np.ndarray:
        model: Any = self
        return np.asarray(model.classes_[decided(model.predict_proba(X), self.decision)])


class LabelledClassifier(_Decides, BaseEstimator):
    """A fitted classifier that knows classes as numbers, answering with the labels of the training data.

    Parameters
    ----------
    estimator: a fitted classifier with `predict_proba` whose classes are 0..m-1.
    classes: all k labels, sorted, in their own type.
    positions: which of `classes` the estimator's m classes are; a label that it never saw has probability zero.
    calibration: what corrects the estimator's probabilities (see `calibrated`), or None.
    decision: how labels are decided (see `decided`); None for the most probable one, the first at a tie, as Azure's
        classifiers do.

    `predict_proba` gives float64 (n, k) in the order of `classes_`, each row summing to one; it does not depend on the
    decision. Fitting is done before: see `fit`.
    """

    calibration: Mapping[str, Any] | None = None

    def __init__(
        self,
        estimator: Any,
        classes: Sequence[Any],
        positions: Sequence[int],
        calibration: Mapping[str, Any] | None = None,
        decision: Mapping[str, Any] | None = None,
    ) -> None:
        self.estimator = estimator
        self.classes = classes
        self.positions = positions
        self.calibration = calibration
        self.decision = decision

    @property
    def classes_(self) -> np.ndarray:
        return np.asarray(self.classes)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Any, y: Any, **parameters: Any) -> LabelledClassifier:
        """Fit a new copy of the estimator on labels `y`; with other labels than before nothing is left to correct."""
        labels = np.asarray(y)
        before, self.classes = list(self.classes), np.unique(labels).tolist()
        if self.classes != before:
            self.calibration = self.decision = None
        self.positions = list(range(len(self.classes)))
        self.estimator = clone(self.estimator).fit(X, np.searchsorted(self.classes_, labels), **parameters)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        found = full_probabilities(self.estimator, X, len(self.classes), self.positions)
        if self.calibration is not None:
            # Of the classes that the estimator knows; the others stay impossible.
            known = list(self.positions)
            shifts = np.asarray(self.calibration["shifts"])[known]
            found[:, known] = calibrated(found[:, known], {**self.calibration, "shifts": shifts})
        return found


def decided(probabilities: np.ndarray, decision: Mapping[str, Any] | None) -> np.ndarray:
    """Class numbers (n,) for probabilities (n, k).

    Parameters
    ----------
    decision: None: the most probable class, the first one at a tie. With "threshold" (of two classes): the class
        number "position" where its probability is at least that, else the other. With "weights" (k,): the class with
        the largest probability times weight.
    """
    if decision is None:
        return np.asarray(probabilities.argmax(axis=1))
    if "threshold" in decision:
        position = int(decision["position"])
        return np.where(probabilities[:, position] >= decision["threshold"], position, 1 - position)
    return np.asarray((probabilities * np.asarray(decision["weights"])).argmax(axis=1))


def calibrated(probabilities: np.ndarray, calibration: Mapping[str, Any] | None) -> np.ndarray:
    """Probabilities (n, k) in proportion to p ** slope * exp(shift), each row summing to one; as they are for None.

    Parameters
    ----------
    calibration: "slope" (above zero, so that of two classes no order of rows is reversed), "shifts" (k,), and "floor":
        what a smaller probability counts as. With two classes it is Platt's sigmoid of the log-odds, with more and no
        shifts temperature scaling (Guo et al. 2017, "On calibration of modern neural networks").
    """
    if calibration is None:
        return probabilities
    # The smallest number that has a logarithm, where there is no floor.
    floored = np.maximum(probabilities, max(calibration["floor"], np.finfo("float64").tiny))
    logs = calibration["slope"] * np.log(floored) + np.asarray(calibration["shifts"])
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def full_probabilities(estimator: Any, X: Any, count: int, positions: Sequence[int]) -> np.ndarray:
    """Probabilities (n, count) of a classifier whose classes are `positions` among 0..count-1."""
    full = np.zeros((X.shape[0], count))
    full[:, list(positions)] = _probabilities(estimator, X)
    # Averaged and single-precision probabilities don't sum to one exactly.
    total = full.sum(axis=1, keepdims=True)
    return np.divide(full, total, out=np.full_like(full, 1.0 / count), where=total > 0)


def _probabilities(estimator: Any, X: Any) -> np.ndarray:
    """An estimator's probabilities; LightGBM's by its booster itself, since the wrapper costs half as much again."""
    own = type(estimator).__name__ == "LGBMClassifier" and not callable(estimator.objective)
    if not own or not isinstance(X, np.ndarray):
        return np.asarray(estimator.predict_proba(X))
    threads = 1 if len(X) <= FEW_ROWS else estimator.n_jobs or 0
    found = np.asarray(estimator.booster_.predict(X, num_threads=threads))
    return found if found.ndim > 1 else np.column_stack([1.0 - found, found])


class _Blend(BaseEstimator):
    """A weighted mean of fitted models, each on the features of its layout, which are computed once a layout.

    Parameters
    ----------
    blocks: pairs of a fitted transformer and its models, each with its weight; the weights of all sum to one.
    """

    def __init__(self, blocks: Sequence[tuple[Any, Sequence[tuple[Any, float]]]]) -> None:
        self.blocks = blocks

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Any, y: Any) -> _Blend:
        """Fit new copies of all transformers and models on other rows, keeping the weights."""
        blocks = []
        for transformer, models in self.blocks:
            features = clone(transformer)
            rows = features.fit_transform(X, y)
            blocks.append((features, [(clone(model).fit(rows, y), weight) for model, weight in models]))
        self.blocks = blocks
        return self

    def _mean(self, X: Any, answer: str) -> np.ndarray:
        total: Any = 0.0
        for transformer, models in self.blocks:
            rows = transformer.transform(X)
            for model, weight in models:
                total = total + weight * np.asarray(getattr(model, answer)(rows), dtype="float64")
        return np.asarray(total)


class BlendedClassifier(_Decides, _Blend):
    """A weighted mean of the class probabilities of LabelledClassifiers with the same labels.

    Parameters
    ----------
    blocks: see _Blend. decision: how labels are decided (see `decided`); its members' decisions have no say.
    """

    def __init__(
        self,
        blocks: Sequence[tuple[Any, Sequence[tuple[Any, float]]]],
        decision: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(blocks)
        self.decision = decision

    @property
    def classes_(self) -> np.ndarray:
        return np.asarray(self.blocks[0][1][0][0].classes_)

    def predict_proba(self, X: Any) -> np.ndarray:
        return self._mean(X, "predict_proba")


class BlendedRegressor(RegressorMixin, _Blend):
    """A weighted mean of the values of regressors."""

    def predict(self, X: Any) -> np.ndarray:
        return self._mean(X, "predict")


class LinearLabels(ClassifierMixin, BaseEstimator):
    """Which of k labels a row has: for each label a linear score, as a probability, and a threshold.

    Parameters
    ----------
    estimator: a linear classifier (one with `coef_`, or a naive Bayes on counts), copied for each label; None gives
        every row the frequency of each label.
    classes: the k labels, sorted.
    thresholds: a label is said where its probability is above its threshold; None takes 0.5 for all, as Azure does.
    threads: how many labels are learned at once.

    Attributes
    ----------
    coef_: float32 (k, m), m features or none. intercept_: float64 (k,). The score of a label is its log-odds.

    Input of `fit`: features (n, m) and an indicator matrix (n, k) of 0 and 1. `predict_proba` gives float64 (n, k) in
    the order of `classes_`, each label's own probability; `predict` an object array (n,) of lists of labels.
    """

    # What is certain: a label that all rows of the training data have, or none.
    CERTAIN = 30.0

    def __init__(
        self, estimator: Any, classes: Sequence[str], thresholds: Sequence[float] | None = None, threads: int = 1
    ) -> None:
        self.estimator = estimator
        self.classes = classes
        self.thresholds = thresholds
        self.threads = threads

    @property
    def classes_(self) -> np.ndarray:
        return np.asarray(self.classes, dtype=object)

    def fit(self, X: Any, y: np.ndarray) -> LinearLabels:
        from joblib import Parallel, delayed

        if self.estimator is None:
            share = np.clip(y.mean(axis=0), 1e-12, 1 - 1e-12)
            self.coef_ = np.zeros((y.shape[1], 0), dtype=np.float32)
            self.intercept_ = np.log(share / (1 - share))
            return self
        rows = Parallel(n_jobs=self.threads, prefer="threads")(
            delayed(self._line)(X, y[:, label]) for label in range(y.shape[1])
        )
        self.coef_ = np.vstack([weights for weights, _ in rows]).astype(np.float32)
        self.intercept_ = np.array([bias for _, bias in rows])
        return self

    def _line(self, X: Any, y: np.ndarray) -> tuple[np.ndarray, float]:
        """The weights (m,) and the bias of one label's log-odds."""
        if y.min() == y.max():
            return np.zeros(X.shape[1]), self.CERTAIN if y[0] else -self.CERTAIN
        fitted = clone(self.estimator).fit(X, y)
        if hasattr(fitted, "coef_"):
            return fitted.coef_[0], float(fitted.intercept_[0])
        # Naive Bayes is linear in its counts; Bernoulli's also counts what is not there.
        there = fitted.feature_log_prob_
        gone = np.log1p(-np.exp(there)) if type(fitted).__name__ == "BernoulliNB" else np.zeros_like(there)
        bias = fitted.class_log_prior_ + gone.sum(axis=1)
        weights = there - gone
        return weights[1] - weights[0], float(bias[1] - bias[0])

    def calibrate(self, slopes: np.ndarray, offsets: np.ndarray) -> LinearLabels:
        """Turn each label's score s into slope * s + offset (Platt 1999)."""
        self.coef_ = (self.coef_ * slopes[:, None]).astype(np.float32)
        self.intercept_ = self.intercept_ * slopes + offsets
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        if not self.coef_.shape[1]:
            return np.tile(self.intercept_, (X.shape[0], 1))
        return np.asarray(X @ self.coef_.T, dtype="float64") + self.intercept_

    def predict_proba(self, X: Any) -> np.ndarray:
        return np.asarray(expit(self.decision_function(X)))

    def predict(self, X: Any) -> np.ndarray:
        return said_labels(self.predict_proba(X), self.thresholds, self.classes)


class BlendedLabels(ClassifierMixin, _Blend):
    """A weighted mean of the probabilities of LinearLabels with the same labels.

    Parameters
    ----------
    blocks: see _Blend. thresholds: of each label, as in LinearLabels.
    """

    def __init__(
        self,
        blocks: Sequence[tuple[Any, Sequence[tuple[Any, float]]]],
        thresholds: Sequence[float] | None = None,
    ) -> None:
        super().__init__(blocks)
        self.thresholds = thresholds

    @property
    def classes_(self) -> np.ndarray:
        return np.asarray(self.blocks[0][1][0][0].classes_)

    def predict_proba(self, X: Any) -> np.ndarray:
        return self._mean(X, "predict_proba")

    def predict(self, X: Any) -> np.ndarray:
        return said_labels(self.predict_proba(X), self.thresholds, self.classes_.tolist())


def said_labels(probabilities: np.ndarray, thresholds: Sequence[float] | None, classes: Sequence[str]) -> np.ndarray:
    """For each row the list of labels whose probability is above the threshold: an object array (n,)."""
    said = probabilities > (0.5 if thresholds is None else np.asarray(thresholds))
    found = np.empty(len(said), dtype=object)
    for row, labels in enumerate(said):
        found[row] = [label for label, there in zip(classes, labels, strict=True) if there]
    return found


class _Stack(BaseEstimator):
    """A model that has learned from the answers of fitted models (Wolpert 1992, "Stacked generalization").

    Parameters
    ----------
    blocks: pairs of a fitted transformer and its models, each with the number of the member that it belongs to and its
        weight in it; a member is one model, or the mean of some.
    learner: fitted on `stack_features` of the members' answers.
    """

    def __init__(self, blocks: Sequence[tuple[Any, Sequence[tuple[Any, int, float]]]], learner: Any) -> None:
        self.blocks = blocks
        self.learner = learner

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Any, y: Any) -> _Stack:
        """Fit new copies of all transformers and models on other rows, keeping what the learner makes of them."""
        blocks = []
        for transformer, models in self.blocks:
            features = clone(transformer)
            rows = features.fit_transform(X, y)
            blocks.append((features, [(clone(model).fit(rows, y), *place) for model, *place in models]))
        self.blocks = blocks
        return self

    def _features(self, X: Any, answer: str) -> np.ndarray:
        members: dict[int, Any] = {}
        for transformer, models in self.blocks:
            rows = transformer.transform(X)
            for model, member, weight in models:
                told = weight * np.asarray(getattr(model, answer)(rows), dtype="float64")
                members[member] = members.get(member, 0.0) + told
        return stack_features([members[member] for member in sorted(members)])


class StackedClassifier(_Decides, _Stack):
    """A stack of LabelledClassifiers with the same labels.

    Parameters
    ----------
    blocks: see _Stack. learner: a fitted classifier whose m classes are 0..m-1.
    positions: which of the labels these are. decision: how labels are decided (see `decided`).
    """

    def __init__(
        self,
        blocks: Sequence[tuple[Any, Sequence[tuple[Any, int, float]]]],
        learner: Any,
        positions: Sequence[int],
        decision: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(blocks, learner)
        self.positions = positions
        self.decision = decision

    @property
    def classes_(self) -> np.ndarray:
        return np.asarray(self.blocks[0][1][0][0].classes_)

    def predict_proba(self, X: Any) -> np.ndarray:
        rows = self._features(X, "predict_proba")
        return full_probabilities(self.learner, rows, len(self.classes_), self.positions)


class StackedRegressor(RegressorMixin, _Stack):
    """A stack of regressors."""

    def predict(self, X: Any) -> np.ndarray:
        return np.asarray(self.learner.predict(self._features(X, "predict")), dtype="float64")


def stack_features(answers: Sequence[np.ndarray]) -> np.ndarray:
    """What a stack's learner sees of its members' answers, float64 (n, m).

    Parameters
    ----------
    answers: of each member, values (n,), or probabilities (n, k): of two classes the log-odds of the second, of more
        the logarithms about their mean.
    """
    columns = []
    for answer in answers:
        if answer.ndim == 1:
            columns.append(answer[:, None])
            continue
        logs = np.log(np.clip(answer, 1e-6, 1.0))
        columns.append(logs[:, 1:] - logs[:, :1] if answer.shape[1] == 2 else logs - logs.mean(axis=1, keepdims=True))
    return np.hstack(columns)
