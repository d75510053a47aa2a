"""The estimators of our own that a fitted model is made of.

This module is copied beside every `model.pkl` and imported there under this name, where nothing else of Forestay is
installed. So it imports numpy, pandas and scikit-learn only, and what it pickles must stay loadable: a change of an
attribute's meaning needs a new class name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

NUMBERS = ("numeric", "boolean")
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
    return numbers.where(np.isfinite(numbers))


def _truths(column: pd.Series) -> pd.Series:
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
    return column.astype("object").map(category_text)


def _texts(column: pd.Series) -> pd.Series:
    return _categories(column).fillna("").astype("object")


_READERS = {
    "numeric": _numbers,
    "boolean": _truths,
    "datetime": _dates,
    "categorical": _categories,
    "text": _texts,
}


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
        return pd.DataFrame({name: _READERS[kind](X[name]) for name, kind in self.columns}, index=X.index)

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

    def __init__(self, cycles: bool = False) -> None:
        self.cycles = cycles

    def _parts(self, name: str, dates: pd.Series) -> dict[str, np.ndarray]:
        missing = dates.isna().to_numpy()
        hour = (dates.dt.hour + dates.dt.minute / 60).to_numpy(dtype="float64")
        weekday = dates.dt.day_of_week.to_numpy(dtype="float64")
        month = dates.dt.month.to_numpy(dtype="float64")
        elapsed = (dates - self.origins_[name]) / pd.Timedelta(days=1)
        parts = {"elapsed": elapsed.to_numpy(dtype="float64"), "day": dates.dt.day.to_numpy(dtype="float64")}
        if self.cycles:
            for part, values, period in (("month", month, 12), ("weekday", weekday, 7), ("hour", hour, 24)):
                parts[f"{part}_sin"] = np.sin(2 * np.pi * values / period)
                parts[f"{part}_cos"] = np.cos(2 * np.pi * values / period)
        else:
            parts |= {"month": month, "weekday": weekday, "hour": hour}
            parts["year"] = dates.dt.year.to_numpy(dtype="float64")
            parts["day_of_year"] = dates.dt.day_of_year.to_numpy(dtype="float64")
        return {part: np.where(missing, np.nan, values) for part, values in parts.items()}

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

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        return np.array([f"{name}_{part}" for name, part in self.kept_], dtype=object)


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
            out[:, position] = X[name].map(codes).to_numpy(dtype="float64")
        return out

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        return self.feature_names_in_


class Dense(TransformerMixin, BaseEstimator):
    """Makes a dense array (n, m) of a sparse matrix (n, m), for estimators that need one."""

    def fit(self, X: Any, y: Any = None) -> Dense:
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        return X.toarray() if hasattr(X, "toarray") else np.asarray(X)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        return input_features


class LabelledClassifier(ClassifierMixin, BaseEstimator):
    """A fitted classifier that knows classes as numbers, answering with the labels of the training data.

    Parameters
    ----------
    estimator: a fitted classifier with `predict_proba` whose classes are 0..m-1.
    classes: all k labels, sorted, in their own type.
    positions: which of `classes` the estimator's m classes are; a label that it never saw has probability zero.

    `predict_proba` gives float64 (n, k) in the order of `classes_`, each row summing to one. `predict` is the most
    probable label, the first one at a tie, as Azure's classifiers do. Fitting is done before: see `fit`.
    """

    def __init__(self, estimator: Any, classes: Sequence[Any], positions: Sequence[int]) -> None:
        self.estimator = estimator
        self.classes = classes
        self.positions = positions

    @property
    def classes_(self) -> np.ndarray:
        return np.asarray(self.classes)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Any, y: Any, **parameters: Any) -> LabelledClassifier:
        """Fit a new copy of the estimator on labels `y`."""
        labels = np.asarray(y)
        self.classes = np.unique(labels).tolist()
        self.positions = list(range(len(self.classes)))
        self.estimator = clone(self.estimator).fit(X, np.searchsorted(self.classes_, labels), **parameters)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        return full_probabilities(self.estimator, X, len(self.classes), self.positions)

    def predict(self, X: Any) -> np.ndarray:
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def full_probabilities(estimator: Any, X: Any, count: int, positions: Sequence[int]) -> np.ndarray:
    """Probabilities (n, count) of a classifier whose classes are `positions` among 0..count-1."""
    full = np.zeros((X.shape[0], count))
    full[:, list(positions)] = estimator.predict_proba(X)
    # Averaged and single-precision probabilities don't sum to one exactly.
    total = full.sum(axis=1, keepdims=True)
    return np.divide(full, total, out=np.full_like(full, 1.0 / count), where=total > 0)
