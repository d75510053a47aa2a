"""Features of typed columns: dates, categories and texts as numbers.

This module is copied beside every `model.pkl` and imported there under this name, where nothing else of Forestay is
installed. So it imports numpy, pandas, scikit-learn and its siblings there only, and what it pickles must stay
loadable: a change of an attribute's meaning needs a new class name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, hstack
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_selection import r_regression
from sklearn.preprocessing import OneHotEncoder, TargetEncoder
from sklearn.utils.validation import check_is_fitted

from forestay_reading import FEW_ROWS, MANY_ROWS


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


class Dense(TransformerMixin, BaseEstimator):
    """Makes a dense array (n, m) of a sparse matrix (n, m), for estimators that need one."""

    def fit(self, X: Any, y: Any = None) -> Dense:
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        return X.toarray() if hasattr(X, "toarray") else np.asarray(X)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        return input_features


class Screened(TransformerMixin, BaseEstimator):
    """Makes a dense array of the features that each by itself say most of a number (Fan & Lv 2008, "Sure independence
    screening"), so that an estimator that needs one gets one of bounded size.

    Parameters
    ----------
    most: how many features are kept.

    Input: a matrix (n, m), sparse or dense. Output: float64 (n, min(m, most)), features in their order.
    """

    def __init__(self, most: int) -> None:
        self.most = most

    def fit(self, X: Any, y: Any) -> Screened:
        self.n_features_in_ = X.shape[1]
        self.kept_ = np.arange(X.shape[1])
        if X.shape[1] > self.most:
            with np.errstate(divide="ignore", invalid="ignore"):
                strength = np.abs(r_regression(X, y))
            # A feature that never changes says nothing.
            order = np.argsort(-np.nan_to_num(strength), kind="stable")
            self.kept_ = np.sort(order[: self.most])
        return self

    def transform(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        kept = X if len(self.kept_) == X.shape[1] else X[:, self.kept_]
        return kept.toarray() if hasattr(kept, "toarray") else np.asarray(kept)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        return input_features if input_features is None else np.asarray(input_features, dtype=object)[self.kept_]
