"""Forecasts of periods whose values are known, their metrics, and quantiles from their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from automl_jobs.engine import metrics
from automl_jobs.engine.forecasting.outline import Window
from automl_jobs.engine.forecasting.panel import Series
from automl_jobs.engine.forecasting.problem import ForecastProblem
from automl_jobs.engine.spread import percentiles
from forestay_forecasting import Key, Spread, Task

NORMALIZED = "normalized_"
KEPT_ERRORS = 400
LEAST_RUNS = 4


@dataclass(frozen=True)
class Forecasts:
    """Forecast periods whose value was observed, side by side.

    Attributes
    ----------
    series: (n,) number of each one's series. steps: (n,) how far ahead, 1 is the first.
    truth, predicted: (n,).
    """

    series: np.ndarray
    steps: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray


def roll(forecaster: Any, series: Sequence[Series], windows: Sequence[Window], problem: ForecastProblem) -> Forecasts:
    """Forecast the windows, a horizon at a time, each from all values before it."""
    parts: list[tuple[np.ndarray, ...]] = []
    hidden = problem.hidden
    step = 0
    while True:
        due = [window for window in windows if window.start + step < window.stop]
        if not due:
            break
        tasks = [
            series[window.series].task(
                window.start + step,
                min(problem.horizon, window.stop - window.start - step),
                window.start + step - window.fit,
                hidden,
            )
            for window in due
        ]
        for window, task, ahead in zip(due, tasks, forecaster.predict(tasks), strict=True):
            one = series[window.series]
            begin = window.start + step
            seen = one.observed[begin : begin + task.ahead]
            parts.append(
                (
                    np.full(task.ahead, window.series)[seen],
                    np.arange(1, task.ahead + 1)[seen],
                    one.values[begin : begin + task.ahead][seen],
                    np.asarray(ahead, dtype="float64")[seen],
                )
            )
        step += problem.horizon
    return joined([Forecasts(*part) for part in parts])


class _Nothing:
    """A forecaster that costs nothing."""

    def predict(self, tasks: Sequence[Task]) -> list[np.ndarray]:
        return [np.zeros(task.ahead) for task in tasks]


def periods(series: Sequence[Series], windows: Sequence[Window], problem: ForecastProblem) -> Forecasts:
    """The periods that `roll` forecasts, in its order; their forecasts are zero."""
    return roll(_Nothing(), series, windows, problem)


def joined(parts: Sequence[Forecasts]) -> Forecasts:
    names = ("series", "steps", "truth", "predicted")
    return Forecasts(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def bounded(found: Forecasts, problem: ForecastProblem) -> Forecasts:
    """The forecasts as the served model gives them: not below zero where the target never was."""
    if floor(problem) is None:
        return found
    return Forecasts(found.series, found.steps, found.truth, np.maximum(found.predicted, 0.0))


def floor(problem: ForecastProblem) -> float | None:
    return 0.0 if min(low for low, _ in problem.spans.values()) >= 0 else None


class Keyed(Protocol):
    @property
    def key(self) -> Key: ...


class Measured(Protocol):
    """What errors are divided by."""

    @property
    def spans(self) -> Mapping[Key, tuple[float, float]]:
        """Smallest and largest training value of each series."""

    @property
    def scales(self) -> Mapping[Key, float]:
        """Its mean absolute seasonal difference."""


def scores(found: Forecasts, series: Sequence[Keyed], problem: Measured) -> dict[str, float]:
    """Azure's metrics of forecasts.

    As azureml-metrics does: normalised metrics are computed a series at a time, by the series' own range, and averaged;
    the others over all rows. Beside them the mean absolute scaled error (averaged over series) and sMAPE in percent.
    """
    low = min(low for low, _ in problem.spans.values())
    high = max(high for _, high in problem.spans.values())
    result = metrics.regression(found.truth, found.predicted, low, high)
    each: list[dict[str, float]] = []
    scaled = []
    for number in np.unique(found.series):
        own = found.series == number
        truth, predicted = found.truth[own], found.predicted[own]
        key = series[number].key
        each.append(metrics.regression(truth, predicted, *problem.spans[key]))
        scaled.append(float(np.abs(truth - predicted).mean()) / problem.scales[key])
    for name in [name for name in result if name.startswith(NORMALIZED)]:
        values = [one[name] for one in each if name in one]
        if values:
            result[name] = float(np.mean(values))
    result["mean_absolute_scaled_error"] = float(np.mean(scaled))
    size = np.abs(found.truth) + np.abs(found.predicted)
    apart = np.abs(found.truth - found.predicted)
    result["symmetric_mean_absolute_percentage_error"] = float(
        200 * np.mean(np.divide(apart, size, out=np.zeros_like(size), where=size > 0))
    )
    return {name: value for name, value in result.items() if np.isfinite(value)}


def interval(found: Forecasts, series: Sequence[Series], problem: ForecastProblem, seconds: float) -> dict[str, Any]:
    """The bootstrap interval of the primary metric, as `engine.spread.interval` gives it for rows.

    Whole runs of successive forecasts are drawn, since their errors go together (Kuensch 1989, "The jackknife and the
    bootstrap for general stationary observations"). Empty where there are too few of them, or the metric has no value.
    """
    # A new run begins where the series changes or the steps ahead start again.
    begins = np.flatnonzero((np.diff(found.series) != 0) | (np.diff(found.steps) <= 0)) + 1
    runs = np.split(np.arange(len(found.truth)), begins)
    if len(runs) < LEAST_RUNS:
        return {}

    def resampled(draw: np.random.Generator) -> float:
        rows = np.concatenate([runs[place] for place in draw.integers(0, len(runs), len(runs))])
        drawn = Forecasts(found.series[rows], found.steps[rows], found.truth[rows], found.predicted[rows])
        return scores(drawn, series, problem).get(problem.metric, float("nan"))

    return percentiles(problem.metric, len(found.truth), resampled, problem.seed, seconds)


def spread(found: Forecasts, problem: ForecastProblem) -> Spread | None:
    """What quantiles are made of; None for too few errors."""
    from sklearn.isotonic import IsotonicRegression

    if len(found.truth) < 5:
        return None
    units = np.array([problem.scales[one.key] for one in problem.series])
    errors = (found.truth - found.predicted) / units[found.series]
    steps = np.arange(1, problem.horizon + 1)
    size = IsotonicRegression(increasing=True, out_of_bounds="clip").fit(found.steps, np.abs(errors))
    # A floor keeps a lucky first step from claiming certainty.
    widths = np.maximum(size.predict(steps), 0.3 * np.abs(errors).mean() + 1e-12)
    standard = np.sort(errors / widths[np.minimum(found.steps, problem.horizon) - 1])
    if len(standard) > KEPT_ERRORS:
        standard = np.quantile(standard, np.linspace(0, 1, KEPT_ERRORS))
    scales = {one.key: problem.scales[one.key] for one in problem.series}
    return Spread(widths, standard, scales, float(np.median(list(scales.values()))))
