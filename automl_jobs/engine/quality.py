"""What Azure's metrics don't say of a classifier: how it does on the rare class, and how far its probabilities hold."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from automl_jobs.engine.metrics import count_nothing, defined, safe

BINS = 15


class Minority(Protocol):
    @property
    def minority(self) -> int:
        """The number of the rarest class in training; -1 where that is not known."""


def quality(
    problem: Minority,
    truth: np.ndarray,
    probabilities: np.ndarray,
    labels: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> dict[str, float]:
    """Recall and average precision of the job's rarest class, and how well the probabilities are calibrated.

    Parameters
    ----------
    problem: knows the rarest class. truth: class numbers (n,). probabilities: (n, k). weights: of rows, or None.
    labels: class numbers as they are decided; None for the most probable ones.

    What these rows have no value of is left out. Of all rows together, not averaged over folds: a fold may have no row
    of the rare class. `brier_score` is half the squared distance of probabilities from the truth, from 0 to 1;
    `expected_calibration_error` is how far the probability of the most probable class is from the share of rows in
    which it is right, in 15 bins (Guo et al. 2017, "On calibration of modern neural networks").
    """
    from sklearn import metrics

    if count_nothing(weights):
        return {}
    rare = problem.minority
    hit = truth == rare
    shares = np.ones(len(truth)) if weights is None else weights
    said = probabilities.argmax(axis=1) if labels is None else labels
    distance = (probabilities**2).sum(axis=1) - 2 * probabilities[np.arange(len(truth)), truth] + 1
    found = {
        "expected_calibration_error": _calibration_error(truth, probabilities, shares),
        "brier_score": safe(np.average, distance / 2, weights=shares),
    }
    if hit.any():
        found["minority_recall"] = safe(metrics.recall_score, hit, said == rare, sample_weight=weights)
        found["minority_average_precision"] = safe(
            metrics.average_precision_score, hit, probabilities[:, rare], sample_weight=weights
        )
    return defined(found)


def _calibration_error(truth: np.ndarray, probabilities: np.ndarray, shares: np.ndarray) -> float:
    top = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == truth).astype(float)
    place = np.minimum((top * BINS).astype(int), BINS - 1)
    gaps = np.bincount(place, weights=shares * (right - top), minlength=BINS)
    return float(np.abs(gaps).sum() / shares.sum())
