"""Metrics of a model's answers, all of them or one alone, and the resamples that say how sure they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_jobs.engine import metrics, spread
from automl_jobs.engine.judging import unseen_as_missed
from automl_jobs.engine.multilabel import metrics as label_metrics
from automl_jobs.engine.quality import quality
from automl_jobs.evaluate.rows import Answers

if TYPE_CHECKING:
    from automl_jobs.evaluate.loading import LoadedModel
    from forestay_forecasting import Key

MOST_DRAWN_FROM, MOST_DRAWN_QUICKLY = 20_000, 200_000
FEWEST_BLOCKS, MANY_SERIES = 4, 10
FEWEST_VALUES = spread.FEWEST_RESAMPLES // 2
# What a classifier that gives no probabilities has no value of.
OF_PROBABILITIES = ("AUC", "average_precision", "log_loss", "expected_calibration_error", "brier_score", "minority_av")
QUICK_OF_LABELS = ("accuracy", "iou")
SIZES = {"normalized_root_mean_squared_error": 2, "normalized_mean_absolute_error": 1}
OF_ALL_SERIES = ("r2_score", "spearman_correlation", "explained_variance")
Metrics = dict[str, float]
Scorer = Callable[[Answers], Metrics]


def scorer(model: LoadedModel, every: Answers) -> Scorer:
    """What gives all metrics of some answers; `every` are all rows, by which is measured what the job does not say."""
    measure = model.measure
    if model.task == "forecasting":
        return _forecast_scorer(model, every)
    if measure.multilabel:
        return lambda part: label_metrics.multilabel(part.truth, part.predicted, part.said)
    if not measure.classification:
        low, high = measure.span if measure.known else (float(every.truth.min()), float(every.truth.max()))
        return lambda part: metrics.regression(part.truth, part.predicted, low, high, part.weights)
    return lambda part: _classified(model, part)


def _classified(model: LoadedModel, part: Answers) -> Metrics:
    truth, probabilities = unseen_as_missed(part.truth, part.predicted)
    found = metrics.classification(truth, probabilities, part.weights, model.measure.positive, part.labels)
    found |= quality(model.measure, truth, probabilities, part.labels, part.weights)
    if model.probabilities:
        return found
    return {name: value for name, value in found.items() if not name.startswith(OF_PROBABILITIES)}


@dataclass(frozen=True)
class _Named:
    """A series as `backtest.scores` asks for one."""

    key: Key


@dataclass(frozen=True)
class _Yard:
    """What it divides errors by."""

    spans: dict[Key, tuple[float, float]]
    scales: dict[Key, float]


def _yard(model: LoadedModel, every: Answers) -> _Yard:
    """As the job has it; a series that it did not have is measured by its rows here."""
    own: dict[Key, tuple[float, float, float]] = dict(model.measure.series)
    spread_of = model.model.spread
    for number, key in enumerate(every.keys):
        values = every.truth[every.series == number]
        if key not in own and len(values):
            scale = spread_of.scales.get(key, spread_of.usual) if spread_of is not None else float(values.std())
            own[key] = (float(values.min()), float(values.max()), scale or 1.0)
    return _Yard(
        {key: (low, high) for key, (low, high, _) in own.items()}, {key: scale for key, (_, _, scale) in own.items()}
    )


def _forecast_scorer(model: LoadedModel, every: Answers) -> Scorer:
    """Metrics as those of the job's own backtest."""
    from automl_jobs.engine.forecasting import backtest

    yard = _yard(model, every)
    series = [_Named(key) for key in every.keys]

    def score(part: Answers) -> Metrics:
        found = backtest.Forecasts(part.numbers, part.steps_ahead, part.truth, part.predicted)
        return backtest.scores(found, series, yard)

    return score


def blocks(found: Answers) -> list[np.ndarray] | None:
    """Rows that are drawn together because their errors go together; None where each row is drawn by itself.

    Of forecasts whole series, where there are ten or more (Field and Welsh 2007, "Bootstrapping clustered data"), else
    runs of successive forecasts (Kuensch 1989, "The jackknife and the bootstrap for general stationary observations").
    """
    if found.series is None or found.steps is None:
        return None
    other = np.diff(found.series) != 0
    if len(found.keys) < MANY_SERIES:
        other |= np.diff(found.steps) <= 0
    begins = np.flatnonzero(other) + 1
    return np.split(np.arange(len(found)), begins)


def draws(found: Answers, seed: int, most: int = MOST_DRAWN_FROM) -> Iterator[np.ndarray]:
    """Rows of one resample after the other, without end; none at all where there are too few blocks to draw from.

    Parameters
    ----------
    most: of more single rows so many are drawn from; an interval of all would be narrower, and take longer.
    """
    parts = blocks(found)
    draw = np.random.default_rng(seed)
    if parts is None:
        among = draw.permutation(len(found))[:most]
        while len(among) > 1:
            yield among[draw.integers(0, len(among), len(among))]
    while parts is not None and len(parts) >= FEWEST_BLOCKS:
        yield np.concatenate([parts[place] for place in draw.integers(0, len(parts), len(parts))])


def resampled(
    found: Answers, score: Scorer, seed: int, seconds: float, most: int = MOST_DRAWN_FROM
) -> dict[str, dict[str, Any]]:
    """The interval of every metric that half of the fewest resamples have a value of; none in no time."""
    if seconds <= 0:
        return {}
    values: dict[str, list[float]] = {}
    for drawn in spread.within(seconds, draws(found, seed, most)):
        for name, value in score(found.taken(drawn)).items():
            values.setdefault(name, []).append(value)
    return {
        name: spread.between(every, len(found)) for name, every in sorted(values.items()) if len(every) >= FEWEST_VALUES
    }


def quick(model: LoadedModel, every: Answers) -> Callable[[Answers], float]:
    """What gives the metric alone, quick enough to be asked a thousand times where there is a way."""
    measure = model.measure
    if model.task == "forecasting" and measure.metric in SIZES:
        return _quick_forecast(model, every)
    if model.task == "forecasting" and measure.metric in OF_ALL_SERIES:
        return lambda part: metrics.regression(part.truth, part.predicted, 0.0, 0.0).get(measure.metric, float("nan"))
    if model.task == "forecasting" or (measure.multilabel and measure.metric not in QUICK_OF_LABELS):
        score = scorer(model, every)
        return lambda part: score(part).get(measure.metric, float("nan"))
    if measure.multilabel:
        return lambda part: spread.primary(measure, part.truth, part.said)
    if not measure.classification:
        if not measure.known:
            measure = replace(measure, span=(float(every.truth.min()), float(every.truth.max())))
        return lambda part: spread.primary(measure, part.truth, part.predicted, part.weights)

    def classified(part: Answers) -> float:
        truth, predicted = unseen_as_missed(part.truth, part.predicted)
        return spread.primary(measure, truth, predicted, part.weights, part.labels)

    return classified


def _quick_forecast(model: LoadedModel, every: Answers) -> Callable[[Answers], float]:
    """The mean over series of an error in proportion to the series' range, as `backtest.scores` has it."""
    spans = _yard(model, every).spans
    ranges = np.array([spans[key][1] - spans[key][0] for key in every.keys])
    power = SIZES[model.measure.metric]

    def score(part: Answers) -> float:
        counts = np.bincount(part.numbers, minlength=len(ranges))
        sizes = np.bincount(part.numbers, np.abs(part.truth - part.predicted) ** power, len(ranges))
        there = counts > 0
        errors = (sizes[there] / counts[there]) ** (1 / power)
        shares = np.divide(errors, ranges[there], out=(errors > 0).astype(float), where=ranges[there] > 0)
        return float(np.minimum(shares, 1.0).mean())

    return score
