"""What fitted models and steps of scikit-learn and LightGBM say of few rows, without what they do for many.

Their checks, and the start of each tree, cost more than the answer for a row. scikit-learn visits the trees of a forest
or a booster one by one, five microseconds or more for each of some hundred, whether one row is asked or ten: here all
are gone down at once, a level at a time. The answers are the library's to the last bit: the same comparisons, and the
same numbers added up in the same order.

This module is copied beside every `model.pkl` and imported there under this name, where nothing else of Forestay is
installed. It reads the libraries' own attributes, in the versions that the model's environment pins: where one is
missing, the library itself answers.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from forestay_reading import FEW_ROWS

# More rows cost more this way than the visits of trees do.
FEW_FOR_TREES = 8
# Of models, their trees as they are gone down here; as long as the model is there.
_made: MutableMapping[Any, Any] = weakref.WeakKeyDictionary()


def imputed(imputer: SimpleImputer, values: np.ndarray) -> np.ndarray:
    """What an imputer of NaN that keeps empty columns makes of (n, k)."""
    missing = values != values
    filled = np.where(missing, imputer.statistics_, values)
    indicator = imputer.indicator_
    if indicator is None or not len(indicator.features_):
        return filled
    return np.hstack([filled, missing[:, indicator.features_].astype(values.dtype)])


def scaled(scaler: StandardScaler, values: np.ndarray) -> np.ndarray:
    """What a scaler makes of (n, k)."""
    return np.asarray((values - scaler.mean_) / scaler.scale_)


STEPS: dict[type, Callable[[Any, np.ndarray], np.ndarray]] = {SimpleImputer: imputed, StandardScaler: scaled}
"""Steps that have a quick way, and what it is."""


def values_of(model: Any, rows: Any) -> Any:
    """What a model's `predict` gives, of a regressor values (n,)."""
    few = _few(model, rows, probabilities=False)
    return model.predict(rows) if few is None else few


def probabilities_of(model: Any, rows: Any) -> np.ndarray:
    """What a classifier's `predict_proba` gives, (n, k)."""
    few = _few(model, rows, probabilities=True)
    return np.asarray(model.predict_proba(rows)) if few is None else few


def _few(model: Any, rows: Any, probabilities: bool) -> np.ndarray | None:
    """A model's answer, or None where the library is to give it."""
    if not isinstance(rows, np.ndarray) or not len(rows):
        return None
    if isinstance(model, Pipeline):
        *steps, (_, last) = model.steps
        if len(rows) > FEW_FOR_TREES or any(type(step) not in STEPS for _, step in steps):
            return None
        for _, step in steps:
            rows = STEPS[type(step)](step, rows)
        return _few(last, rows, probabilities)
    name = type(model).__name__
    if name == ("LGBMClassifier" if probabilities else "LGBMRegressor"):
        return _boosted_by_lightgbm(model, rows)
    kind = _KINDS.get(name)
    if kind is None or len(rows) > FEW_FOR_TREES or hasattr(model, "classes_") != probabilities:
        return None
    try:
        trees = getattr(model, kind.TREES)
        made = _made.get(model)
        # A model that has learned again has other trees.
        if made is None or made[0] is not trees or made[1] != len(trees):
            made = _made[model] = trees, len(trees), kind(model)
        return made[2].answer(model, rows)
    except (AttributeError, KeyError, TypeError):
        # Another version of the library keeps its trees in another way.
        return None


def _boosted_by_lightgbm(model: Any, rows: np.ndarray) -> np.ndarray | None:
    """LightGBM's answer by its booster itself, since the wrapper costs half as much again."""
    if callable(model.objective):
        return None
    found = np.asarray(model.booster_.predict(rows, num_threads=1 if len(rows) <= FEW_ROWS else model.n_jobs or 0))
    return np.column_stack([1.0 - found, found]) if hasattr(model, "classes_") and found.ndim == 1 else found


@dataclass(frozen=True)
class _Trees:
    """The nodes of all trees of a model, one after the other. A leaf leads to itself, on either side.

    Attributes
    ----------
    roots: of each tree (t,). feature, threshold: a row goes left whose feature is no more than the threshold.
    left, right: where to. absent: whether a row without the feature goes left. depth: of the deepest tree.
    """

    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    absent: np.ndarray
    depth: int

    def leaves(
        self, rows: np.ndarray, aside: Callable[[np.ndarray, np.ndarray, np.ndarray], None] | None = None
    ) -> Any:
        """The node at which each row (n, features) ends in each tree: (n, t).

        Parameters
        ----------
        aside: (nodes, values, left) changes `left` where a node does not compare with a threshold.
        """
        numbers = np.arange(len(rows))[:, None]
        places = np.broadcast_to(self.roots, (len(rows), len(self.roots)))
        for _ in range(self.depth):
            values = rows[numbers, self.feature[places]]
            left = np.where(np.isnan(values), self.absent[places], values <= self.threshold[places])
            if aside is not None:
                aside(places, values, left)
            places = np.where(left, self.left[places], self.right[places])
        return places


def _joined(
    starts: np.ndarray,
    feature: np.ndarray,
    threshold: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    absent: np.ndarray,
    leaf: np.ndarray,
    depth: int,
) -> _Trees:
    """Trees whose `left` and `right` count from the first node of each tree, given at `starts`."""
    counts = np.diff([*starts, len(leaf)])
    first, own = np.repeat(starts, counts), np.arange(len(leaf))
    return _Trees(
        roots=starts.astype("int32"),
        feature=np.where(leaf, 0, feature).astype("int32"),
        threshold=threshold.astype("float64"),
        left=np.where(leaf, own, first + left).astype("int32"),
        right=np.where(leaf, own, first + right).astype("int32"),
        absent=absent.astype(bool),
        depth=depth,
    )


def _starts(counts: Sequence[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)[:-1]]).astype("int64")


class _Boosted:
    """scikit-learn's HistGradientBoosting."""

    TREES = "_predictors"

    def __init__(self, estimator: Any) -> None:
        trees = [tree for iteration in estimator._predictors for tree in iteration]
        nodes = np.concatenate([tree.nodes for tree in trees])
        starts = _starts([len(tree.nodes) for tree in trees])
        self.trees = _joined(
            starts,
            nodes["feature_idx"],
            nodes["num_threshold"],
            nodes["left"].astype("int64"),
            nodes["right"].astype("int64"),
            nodes["missing_go_to_left"],
            nodes["is_leaf"] != 0,
            int(nodes["depth"].max()),
        )
        self.values = nodes["value"].copy()
        self.classes = estimator.n_trees_per_iteration_
        self.baseline = np.asarray(estimator._baseline_prediction).reshape(1, -1)
        self.categorical = (nodes["is_categorical"] != 0) & (nodes["is_leaf"] == 0)
        sets = [tree.raw_left_cat_bitsets for tree in trees]
        before = np.repeat(_starts([len(one) for one in sets]), [len(tree.nodes) for tree in trees])
        self.place = np.where(self.categorical, before + nodes["bitset_idx"], 0)
        self.sets = np.concatenate(sets)
        self.tables, self.order = self._encoder(estimator)

    @staticmethod
    def _encoder(estimator: Any) -> tuple[list[tuple[int, dict[float, float]]], np.ndarray | None]:
        """The numbers of categories, by column, and the order in which the trees know the columns."""
        prepared = estimator._preprocessor
        if prepared is None:
            return [], None
        mask = np.asarray(estimator.is_categorical_)
        order = np.concatenate([np.flatnonzero(mask), np.flatnonzero(~mask)])
        known = prepared.named_transformers_["encoder"].categories_
        return [
            (place, {float(value): float(code) for code, value in enumerate(values) if value == value})
            for place, values in enumerate(known)
        ], order

    def answer(self, model: Any, rows: np.ndarray) -> np.ndarray:
        """What the trees add up to, as the model's loss reads it."""
        rows = np.asarray(rows, dtype="float64")
        if self.order is not None:
            rows = rows[:, self.order]
            for place, table in self.tables:
                rows[:, place] = [table.get(value, np.nan) for value in rows[:, place].tolist()]
        nodes = self.trees.leaves(rows, self._aside if self.tables else None)
        added = self.values[nodes].reshape(len(rows), -1, self.classes)
        first = np.broadcast_to(self.baseline, (len(rows), 1, self.classes))
        raw = np.cumsum(np.concatenate([first, added], axis=1), axis=1)[:, -1]
        if hasattr(model, "classes_"):
            return np.asarray(model._loss.predict_proba(raw))
        return np.asarray(model._loss.link.inverse(raw.ravel()))

    def _aside(self, nodes: np.ndarray, values: np.ndarray, left: np.ndarray) -> None:
        """Of nodes that ask for a category: whether it is among those that go left."""
        asked = self.categorical[nodes] & ~np.isnan(values)
        codes = values[asked].astype("int64")
        words = self.sets[self.place[nodes[asked]], codes // 32]
        left[asked] = (words >> (codes % 32).astype(words.dtype)) & 1


class _Forest:
    """scikit-learn's forests."""

    TREES = "estimators_"

    def __init__(self, estimator: Any) -> None:
        trees = [one.tree_ for one in estimator.estimators_]
        leaf = np.concatenate([tree.children_left for tree in trees]) == -1
        self.starts = _starts([tree.node_count for tree in trees])
        self.trees = _joined(
            self.starts,
            np.concatenate([tree.feature for tree in trees]),
            np.concatenate([tree.threshold for tree in trees]),
            np.concatenate([tree.children_left for tree in trees]),
            np.concatenate([tree.children_right for tree in trees]),
            np.concatenate([tree.missing_go_to_left for tree in trees]),
            leaf,
            max(tree.max_depth for tree in trees),
        )
        # Views of the trees' own: of many classes they are most of a forest.
        self.values = [tree.value[:, 0, :] for tree in trees]

    def answer(self, model: Any, rows: np.ndarray) -> np.ndarray:
        """The mean of the trees' answers."""
        nodes = self.trees.leaves(np.asarray(rows, dtype="float32")) - self.starts
        total = np.zeros((len(rows), self.values[0].shape[1]))
        for values, places in zip(self.values, nodes.T, strict=True):
            total += values[places]
        total /= len(self.values)
        return total if hasattr(model, "classes_") else total[:, 0]


_KINDS: dict[str, type[_Boosted | _Forest]] = {
    "HistGradientBoostingClassifier": _Boosted,
    "HistGradientBoostingRegressor": _Boosted,
    "RandomForestClassifier": _Forest,
    "RandomForestRegressor": _Forest,
    "ExtraTreesClassifier": _Forest,
    "ExtraTreesRegressor": _Forest,
}
