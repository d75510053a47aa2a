"""How sure a score is: the primary metric alone, quick enough to be asked a thousand times, and its interval."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from automl_jobs.engine import metrics
from automl_jobs.engine.multilabel import thresholds

if TYPE_CHECKING:
    from automl_jobs.engine.problem import Problem

Draw = TypeVar("Draw")
RESAMPLES, FEWEST_RESAMPLES = 1_000, 100
LEVEL = 0.95
TRAIN_ROWS = 2_000


class Measured(Protocol):
    """What the primary metric of a problem rests on, beside the rows."""

    @property
    def metric(self) -> str: ...

    @property
    def multilabel(self) -> bool: ...

    @property
    def classification(self) -> bool: ...

    @property
    def span(self) -> tuple[float, float]: ...

    @property
    def positive(self) -> int | None: ...


def primary(
    problem: Measured,
    truth: np.ndarray,
    predicted: np.ndarray,
    weights: np.ndarray | None = None,
    labels: np.ndarray | None = None,
) -> float:
    """The problem's primary metric; NaN where these rows have no value of it.

    Parameters
    ----------
    truth: class numbers, or values, (n,). predicted: (n, k) probabilities, or (n,) values. weights: of rows, or None.
        With several labels a row both are (n, k) of 0 and 1: what is true, and what is said.
    labels: class numbers as they are decided; None for the most probable ones.
    """
    if problem.multilabel:
        return thresholds.primary(problem.metric, truth, predicted)
    if metrics.count_nothing(weights):
        return float("nan")
    if not problem.classification:
        span = problem.span[1] - problem.span[0]
        if span > 0 and problem.metric == "normalized_root_mean_squared_error":
            return min(float(np.sqrt(np.average((predicted - truth) ** 2, weights=weights))) / span, 1.0)
        if span > 0 and problem.metric == "normalized_mean_absolute_error":
            return min(float(np.average(np.abs(predicted - truth), weights=weights)) / span, 1.0)
        found = metrics.regression(truth, predicted, *problem.span, weights)
        return found.get(problem.metric, float("nan"))
    if problem.metric == "accuracy":
        said = predicted.argmax(axis=1) if labels is None else labels
        return float(np.average(said == truth, weights=weights))
    if problem.metric == "AUC_weighted":
        return _area(truth, predicted, weights)
    found = metrics.classification(truth, predicted, weights, problem.positive, labels)
    return found.get(problem.metric, float("nan"))


def _area(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None) -> float:
    """AUC of one-vs-rest, weighted by the frequency of classes."""
    # With two classes one curve is the other's mirror image.
    classes = np.unique(truth) if predicted.shape[1] > 2 else np.array([1])
    areas, sizes = [], []
    for label in classes:
        inside, outside, ordered = _pairs(truth == label, predicted[:, label], weights)
        if not inside or not outside:
            return float("nan")
        areas.append(ordered / (inside * outside))
        sizes.append(inside)
    return float(np.average(areas, weights=sizes))


def _pairs(hit: np.ndarray, scores: np.ndarray, weights: np.ndarray | None) -> tuple[float, float, float]:
    """What the rows inside of a class count, those outside, and the pairs of both in order; ties count half."""
    if weights is None:  # by ranks: twice as quick
        from scipy.stats import rankdata

        inside = int(hit.sum())
        return inside, len(hit) - inside, float(rankdata(scores)[hit].sum()) - inside * (inside + 1) / 2
    _, place = np.unique(scores, return_inverse=True)
    within, beyond = np.bincount(place, weights * hit), np.bincount(place, weights * ~hit)
    return float(within.sum()), float(beyond.sum()), float(within @ (np.cumsum(beyond) - beyond / 2))


def interval(
    problem: Problem,
    truth: np.ndarray,
    predicted: np.ndarray,
    seconds: float,
    labels: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> dict[str, Any]:
    """The bootstrap interval of the primary metric on these rows: 95 % of 1000 resamples of them, by percentiles.

    Parameters
    ----------
    seconds: time to spend; fewer resamples (100 at least) are drawn where they take longer.
    labels: class numbers as they are decided; None for the most probable ones. weights: of rows, or None.

    Returns `{metric: {"low", "high", "level", "resamples", "rows"}}`, empty where the metric has no value.
    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """

    def resampled(draw: np.random.Generator) -> float:
        rows = draw.integers(0, len(truth), len(truth))
        shares, said = (None if one is None else one[rows] for one in (weights, labels))
        return primary(problem, truth[rows], predicted[rows], shares, said)

    return percentiles(problem.metric, len(truth), resampled, problem.seed, seconds)


def percentiles(
    metric: str, rows: int, resampled: Callable[[np.random.Generator], float], seed: int, seconds: float
) -> dict[str, Any]:
    """What `interval` returns, from the metric of one resample after the other; NaN does not count."""
    values: list[float] = []
    for draw in within(seconds, itertools.repeat(np.random.default_rng(seed))):
        value = resampled(draw)
        if np.isfinite(value):
            values.append(value)
    return {metric: between(values, rows)} if len(values) > 1 else {}


def within(seconds: float, draws: Iterable[Draw]) -> Iterator[Draw]:
    """As many of the draws as there is time for: RESAMPLES at most, FEWEST_RESAMPLES whatever they take."""
    ends = time.monotonic() + seconds
    for number, drawn in enumerate(itertools.islice(draws, RESAMPLES)):
        if number >= FEWEST_RESAMPLES and time.monotonic() > ends:
            return
        yield drawn


def between(values: Sequence[float], rows: int) -> dict[str, Any]:
    """The middle 95 % of what resamples of so many rows came to."""
    low, high = np.percentile(values, [100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2])
    return {"low": float(low), "high": float(high), "level": LEVEL, "resamples": len(values), "rows": rows}


def over_folds(folds: list[float]) -> dict[str, float]:
    """The primary metric's standard deviation over the splits and its standard error; nothing for a single split."""
    finite = [score for score in folds if np.isfinite(score)]
    if len(finite) < 2:
        return {}
    error = float(np.std(finite, ddof=1)) / np.sqrt(len(finite))
    return {"score_std": float(np.std(finite)), "score_se": float(error)}


def train_rows(problem: Problem) -> np.ndarray:
    """A sample of the rows that the last split's model is fitted on, to score it on what it has seen."""
    rows = problem.splits[-1][0]
    if len(rows) <= TRAIN_ROWS:
        return rows
    return np.sort(np.random.default_rng(problem.seed).choice(rows, TRAIN_ROWS, replace=False))


def on_training(
    problem: Problem, rows: np.ndarray, predicted: np.ndarray, labels: np.ndarray | None = None
) -> dict[str, float]:
    """The primary metric on training rows as `train_score`."""
    weights = None if problem.weights is None else problem.weights[rows]
    value = primary(problem, problem.target[rows], predicted, weights, labels)
    return {"train_score": value} if np.isfinite(value) else {}
