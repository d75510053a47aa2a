"""What answers in multi-label jobs: a linear score a label, and blends of such models.

This module is copied beside every `model.pkl` and imported there under this name, where nothing else of Forestay is
installed. So it imports numpy, pandas, scikit-learn and its siblings there only, and what it pickles must stay
loadable: a change of an attribute's meaning needs a new class name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted

from forestay_models import Blend


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


class BlendedLabels(ClassifierMixin, Blend):
    """A weighted mean of the probabilities of LinearLabels with the same labels.

    Parameters
    ----------
    blocks: see Blend. thresholds: of each label, as in LinearLabels.
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
