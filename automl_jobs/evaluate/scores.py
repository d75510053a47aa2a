"""Metrics of a model's answers, all of them or one alone, and the resamples that say how sure they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from automl_jobs.engine import metrics, spread
from automl_jobs.engine.judging import unseen_as_missed
from automl_jobs.engine.multilabel import metrics as label_metrics
from automl_jobs.engine.quality import quality
from automl_jobs.evaluate.rows import Answers

if TYPE_CHECKING:
    from automl_jobs.evaluate.loading import LoadedModel
    from forestay_forecasting import Key

MOST_DRAWN_FROM = 20_000
FEWEST_BLOCKS, MANY_SERIES = 4, 10
FEWEST_VALUES = spread.FEWEST_RESAMPLES // 2
# What a classifier that gives no probabilities has no value of.
OF_PROBABILITIES = ("AUC", "average_precision", "log_loss", "expected_calibration_error", "brier_score", "minority_av")
QUICK_OF_LABELS = ("accuracy", "iou")
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
        return lambda part: metrics.regression(part.truth, part.predicted, low, high)
    return lambda part: _classified(model, part)


def _classified(model: LoadedModel, part: Answers) -> Metrics:
    truth, probabilities = unseen_as_missed(part.truth, part.predicted)
    found = metrics.classification(truth, probabilities, None, model.measure.positive, part.labels)
    found |= quality(model.measure, truth, probabilities, part.labels)
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


def _forecast_scorer(model: LoadedModel, every: Answers) -> Scorer:
    """Metrics as those of the job's own backtest; a series that it did not have is measured by its rows here."""
    from automl_jobs.engine.forecasting import backtest

    assert every.series is not None
    keys = list(dict.fromkeys(every.series))
    number = {key: place for place, key in enumerate(keys)}
    own: dict[Any, tuple[float, float, float]] = dict(model.measure.series)
    spread_of = model.model.spread
    truth = pd.Series(every.truth).groupby(pd.Series([number[key] for key in every.series]))
    for place, values in truth:
        key = keys[int(str(place))]
        if key not in own:
            scale = spread_of.scales.get(key, spread_of.usual) if spread_of is not None else float(values.std(ddof=0))
            own[key] = (float(values.min()), float(values.max()), scale or 1.0)
    yard = _Yard(
        {key: (low, high) for key, (low, high, _) in own.items()}, {key: scale for key, (_, _, scale) in own.items()}
    )
    series = [_Named(key) for key in keys]

    def score(part: Answers) -> Metrics:
        assert part.series is not None
        assert part.steps is not None
        numbers = np.array([number[key] for key in part.series])
        return backtest.scores(backtest.Forecasts(numbers, part.steps, part.truth, part.predicted), series, yard)

    return score


def blocks(found: Answers) -> list[np.ndarray] | None:
    """Rows that are drawn together because their errors go together; None where each row is drawn by itself.

    Of forecasts whole series, where there are ten or more (Field and Welsh 2007, "Bootstrapping clustered data"), else
    runs of successive forecasts (Kuensch 1989, "The jackknife and the bootstrap for general stationary observations").
    """
    if found.series is None or found.steps is None:
        return None
    number = {key: place for place, key in enumerate(dict.fromkeys(found.series))}
    numbers = np.array([number[key] for key in found.series])
    begins = np.flatnonzero(np.diff(numbers) != 0) + 1
    if len(number) < MANY_SERIES:
        begins = np.flatnonzero((np.diff(numbers) != 0) | (np.diff(found.steps) <= 0)) + 1
    return np.split(np.arange(len(found)), begins)


def draws(found: Answers, seed: int) -> Iterator[np.ndarray]:
    """Rows of one resample after the other, without end; none at all where there are too few blocks to draw from."""
    parts = blocks(found)
    draw = np.random.default_rng(seed)
    if parts is None:
        # Of very many rows a part says enough, in the time there is; the interval of all would be narrower.
        among = draw.permutation(len(found))[:MOST_DRAWN_FROM]
        while len(among) > 1:
            yield among[draw.integers(0, len(among), len(among))]
    while parts is not None and len(parts) >= FEWEST_BLOCKS:
        yield np.concatenate([parts[place] for place in draw.integers(0, len(parts), len(parts))])


def resampled(found: Answers, score: Scorer, seed: int, seconds: float) -> dict[str, dict[str, Any]]:
    """The interval of every metric that all resamples but a few have a value of."""
    ends = time.monotonic() + seconds
    values: dict[str, list[float]] = {}
    for count, drawn in enumerate(draws(found, seed)):
        if count >= spread.RESAMPLES or (count >= spread.FEWEST_RESAMPLES and time.monotonic() > ends):
            break
        for name, value in score(found.taken(drawn)).items():
            values.setdefault(name, []).append(value)
    return {
        name: spread.between(every, len(found)) for name, every in sorted(values.items()) if len(every) >= FEWEST_VALUES
    }


def quick(model: LoadedModel, every: Answers) -> Callable[[Answers], float]:
    """What gives the metric alone, quick enough to be asked a thousand times where there is a way."""
    measure = model.measure
    if model.task == "forecasting" or (measure.multilabel and measure.metric not in QUICK_OF_LABELS):
        score = scorer(model, every)
        return lambda part: score(part).get(measure.metric, float("nan"))
    if measure.multilabel:
        return lambda part: spread.primary(measure, part.truth, part.said)
    if not measure.classification:
        if not measure.known:
            measure = replace(measure, span=(float(every.truth.min()), float(every.truth.max())))
        return lambda part: spread.primary(measure, part.truth, part.predicted)

    def classified(part: Answers) -> float:
        truth, predicted = unseen_as_missed(part.truth, part.predicted)
        return spread.primary(measure, truth, predicted, labels=part.labels)

    return classified
