"""What answers at the end of a pipeline: fitted estimators with labels, decisions and calibration, blends and stacks.

This module is copied beside every `model.pkl` and imported there under this name, where nothing else of Forestay is
installed. So it imports numpy, pandas, scikit-learn and its siblings there only, and what it pickles must stay
loadable: a change of an attribute's meaning needs a new class name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone

from forestay_quick import probabilities_of, values_of


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
        return np.expm1(np.clip(np.asarray(values_of(self.estimator, X), dtype="float64"), None, 700.0))


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
    full[:, list(positions)] = probabilities_of(estimator, X)
    # Averaged and single-precision probabilities don't sum to one exactly.
    total = full.sum(axis=1, keepdims=True)
    return np.divide(full, total, out=np.full_like(full, 1.0 / count), where=total > 0)


def _told(model: Any, answer: str, rows: Any) -> np.ndarray:
    """What one of several models says: a regressor's values, or a classifier's probabilities."""
    told = values_of(model, rows) if answer == "predict" else model.predict_proba(rows)
    return np.asarray(told, dtype="float64")


class _Blocks(BaseEstimator):
    """Fitted transformers, each with the models on its features: `blocks`, pairs whose models have a place in it."""

    blocks: Sequence[tuple[Any, Sequence[tuple[Any, ...]]]]

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Any, y: Any) -> Self:
        """Fit new copies of all transformers and models on other rows; what each counts for stays."""
        blocks = []
        for transformer, models in self.blocks:
            features = clone(transformer)
            rows = features.fit_transform(X, y)
            blocks.append((features, [(clone(model).fit(rows, y), *place) for model, *place in models]))
        self.blocks = blocks
        return self


class Blend(_Blocks):
    """A weighted mean of fitted models, each on the features of its layout, which are computed once a layout.

    Parameters
    ----------
    blocks: pairs of a fitted transformer and its models, each with its weight; the weights of all sum to one.
    """

    def __init__(self, blocks: Sequence[tuple[Any, Sequence[tuple[Any, float]]]]) -> None:
        self.blocks = blocks

    def _mean(self, X: Any, answer: str) -> np.ndarray:
        total: Any = 0.0
        for transformer, models in self.blocks:
            rows = transformer.transform(X)
            for model, weight in models:
                total = total + weight * _told(model, answer, rows)
        return np.asarray(total)


class BlendedClassifier(_Decides, Blend):
    """A weighted mean of the class probabilities of LabelledClassifiers with the same labels.

    Parameters
    ----------
    blocks: see Blend. decision: how labels are decided (see `decided`); its members' decisions have no say.
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


class BlendedRegressor(RegressorMixin, Blend):
    """A weighted mean of the values of regressors."""

    def predict(self, X: Any) -> np.ndarray:
        return self._mean(X, "predict")


class _Stack(_Blocks):
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

    def _features(self, X: Any, answer: str) -> np.ndarray:
        members: dict[int, Any] = {}
        for transformer, models in self.blocks:
            rows = transformer.transform(X)
            for model, member, weight in models:
                members[member] = members.get(member, 0.0) + weight * _told(model, answer, rows)
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


class CalibrationFolds(BaseEstimator):
    """Three folds for scikit-learn's CalibratedClassifierCV, by class, however few rows a class has.

    Rows of a class that has fewer than three are on both sides of every fold: a machine can't be calibrated for what it
    was not trained on. Where every class is as small, all rows are the one fold.
    """

    FOLDS = 3

    def split(self, X: Any, y: Any, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pairs of row positions (training, calibration)."""
        from sklearn.model_selection import StratifiedKFold

        labels = np.asarray(y)
        _, numbers, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        few = sizes[numbers] < self.FOLDS
        rare, usual = np.flatnonzero(few), np.flatnonzero(~few)
        if not len(usual):
            yield rare, rare
            return
        for train, held in StratifiedKFold(self.FOLDS).split(usual, labels[usual]):
            yield np.sort(np.append(usual[train], rare)), np.sort(np.append(usual[held], rare))

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return sum(1 for _ in self.split(X, y))
