"""Scores of predictions, and how far chance moves them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

SAMPLES = 200

Scored = Callable[[np.ndarray], float]


def weighted_auc(truth: np.ndarray, classes: Sequence[str], probabilities: np.ndarray) -> float:
    """Area under the ROC curve of each class against the rest, weighted by how often the class occurs.

    `truth` holds names of `classes`. With two classes it is the usual AUC. A class of `truth` that the system does
    not know gets the area of a guess, 0.5; a sample with one class alone has no area: NaN.
    """
    from sklearn.metrics import roc_auc_score

    names, counts = np.unique(truth, return_counts=True)
    if len(names) < 2:
        return float("nan")
    places = {name: place for place, name in enumerate(classes)}
    areas = [roc_auc_score(truth == name, probabilities[:, places[name]]) if name in places else 0.5 for name in names]
    return float(np.average(areas, weights=counts))


def rmse(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(np.mean((truth - predicted) ** 2)))


def mase(history: np.ndarray, truth: np.ndarray, predicted: np.ndarray, season: int) -> float:
    """Mean absolute error over that of the seasonal naive forecast inside the history (Hyndman and Koehler, 2006)."""
    lag = season if len(history) > season else 1
    scale = np.mean(np.abs(history[lag:] - history[:-lag]))
    return float(np.mean(np.abs(truth - predicted)) / scale)


def resampled(score: Scored, rows: int, seed: int) -> list[float]:
    """`score(positions)` on bootstrap samples of the rows.

    The samples depend on `rows` and `seed` alone: two systems' lists pair off, so the spread of their differences is
    the noise of the gap between them. None at all where one of the samples has no score.
    """
    random = np.random.default_rng(seed)
    found = [score(random.integers(0, rows, rows)) for _ in range(SAMPLES)]
    return [float(f"{value:.6g}") for value in found] if np.isfinite(found).all() else []


def of_table(task: str, truth: Any, answer: dict[str, Any], predictions: np.ndarray, seed: int) -> dict[str, Any]:
    """Score and resampled scores of one system on one table."""
    if task == "classification":
        names = np.asarray(truth, dtype=str)

        def score(rows: np.ndarray) -> float:
            return weighted_auc(names[rows], answer["classes"], predictions[rows])

    else:
        numbers = np.asarray(truth, dtype=float)

        def score(rows: np.ndarray) -> float:
            return rmse(numbers[rows], predictions[rows])

    whole = score(np.arange(len(predictions)))
    return {"score": whole, "resampled": resampled(score, len(predictions), seed)}
