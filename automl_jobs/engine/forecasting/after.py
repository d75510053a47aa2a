"""What is told of a job's best forecast: what it is made of, what became of each column, which of them it rests on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_jobs.engine.explain import TEST, TRAINING, VALIDATION, Explanation, load, load_last_fold, permuted
from automl_jobs.engine.forecasting import backtest
from automl_jobs.engine.forecasting.outline import Window
from automl_jobs.engine.forecasting.panel import Series
from automl_jobs.engine.forecasting.problem import ForecastProblem
from automl_jobs.engine.summary import TYPES
from forestay_forecasters import Mean

if TYPE_CHECKING:
    from automl_jobs.engine.after import Describe
    from automl_jobs.prepare import ColumnUse

INTERVAL_SHARE, MOST_INTERVAL_SECONDS = 0.3, 3.0
NOT_FEATURES = ("the target", "the weight of each row", "marks the folds")


def describe(problem: ForecastProblem, request: Describe) -> dict[str, Any]:
    """Documents of the job, by name: how it forecasts, its features, and the explanation where it is due."""
    started = time.monotonic()
    model = load(request.outputs)
    documents: dict[str, Any] = {
        "forecast": facts(problem, model),
        "featurization_summary": summarise(problem, request.columns),
    }
    if problem.test is not None:
        series, windows = problem.test
        found = backtest.bounded(backtest.roll(model.forecaster, series, windows, problem), problem)
        seconds = min(MOST_INTERVAL_SECONDS, INTERVAL_SHARE * request.seconds)
        documents["test_metrics_interval"] = backtest.interval(found, series, problem, seconds)
    if request.explain and problem.columns:
        left = request.seconds - (time.monotonic() - started)
        # Without a value of the metric on the periods at hand there is no explanation; the rest is told all the same.
        with contextlib.suppress(ValueError):
            told = explain(problem, model, max(left, 0.0), load_last_fold(request.outputs.parent))
            documents["explanation"] = {"rank": request.rank, "trial": request.trial, **told.as_dict()}
    return documents


def facts(problem: ForecastProblem, model: Any) -> dict[str, Any]:
    """What the forecasts of a model are made of: series, times, lags and windows, columns, holidays.

    Keys: series, frequency, horizon, seasonality, folds, target_lags, rolling_windows, known_ahead, past_values_of,
    holidays (the country's days that the model knows), logarithm (whether a member works on it).
    """
    lags, windows, logarithm = set(), set(), False
    for member in _members(model.forecaster):
        lags |= {int(lag) for lag in getattr(member, "lags", ())}
        windows |= {int(width) for width in getattr(member, "windows", ())}
        logarithm = logarithm or getattr(member, "log", None) is not None
    return {
        "series": len(problem.series),
        "frequency": problem.frequency,
        "horizon": problem.horizon,
        "seasonality": problem.season,
        "folds": len(problem.splits),
        "target_lags": sorted(lags),
        "rolling_windows": sorted(windows),
        "known_ahead": [name for name, _ in problem.known],
        "past_values_of": [name for name, _ in problem.lag_settings.past],
        "holidays": 0 if problem.holidays is None else len(problem.holidays),
        "logarithm": logarithm,
    }


def _members(forecaster: Any) -> list[Any]:
    return forecaster.members if isinstance(forecaster, Mean) else [forecaster]


def summarise(problem: ForecastProblem, columns: Sequence[ColumnUse]) -> list[dict[str, Any]]:
    """Azure's featurization summary, as of the other tasks: what the job offers to its models of each raw column."""
    known = {name for name, _ in problem.known}
    past = {name for name, _ in problem.lag_settings.past}
    rows = []
    for use in columns:
        if use.reason in NOT_FEATURES:
            continue
        steps = ["Value"] * (use.name in known) + ["PastValue"] * (use.name in past)
        if use.name == problem.time:
            steps = ["Calendar", "Season"] + ["Holidays"] * (problem.holidays is not None)
        elif use.name in problem.ids:
            steps = ["SeriesIdentifier"]
        rows.append(
            {
                "RawFeatureName": use.name,
                "TypeDetected": TYPES[str(use.type)],
                "Dropped": "No" if use.used else "Yes",
                "EngineeredFeatureCount": len(steps),
                "Transformations": steps,
                "Reason": use.reason or None,
            }
        )
    return rows


def explain(problem: ForecastProblem, model: Any, seconds: float, last_fold: Any = None) -> Explanation:
    """Permutation importance of the columns beside time and target: values of a column are exchanged between periods.

    Measured on the test periods; without test data on those of the last fold, by `last_fold`, its forecaster: without
    that by the model, which was fitted on them. Raises ValueError when the primary metric has no value there.
    """
    started = time.monotonic()
    forecaster = model.forecaster if last_fold is None else last_fold
    if problem.test is not None and last_fold is None:
        (series, windows), data = problem.test, TEST
    else:
        series, windows = problem.series, problem.splits[-1]
        data = TRAINING if last_fold is None else VALIDATION

    def score(of: Sequence[Series]) -> tuple[float, int]:
        found = backtest.bounded(backtest.roll(forecaster, of, windows, problem), problem)
        return backtest.scores(found, of, problem).get(problem.metric, float("nan")), len(found.truth)

    whole, rows = score(series)
    if not np.isfinite(whole):
        raise ValueError(f"{problem.metric} has no value on the periods that importances would be measured on")
    columns = [name for name, _ in problem.columns]
    draw = np.random.default_rng(problem.seed)

    def begin() -> Callable[[str], float]:
        return lambda column: score(_shuffled(series, windows, column, column in problem.hidden, draw))[0]

    found = Explanation(problem.metric, whole, data, rows, 1, (), ())
    return permuted(found, columns, problem.higher, started + seconds, begin)


def _shuffled(
    series: Sequence[Series], windows: Sequence[Window], column: str, past: bool, draw: np.random.Generator
) -> list[Series]:
    """The series with a column's values exchanged over all forecast periods; over all others where only those count."""
    places = {window.series: slice(0, window.start) if past else slice(window.start, window.stop) for window in windows}
    values = np.concatenate([series[number].features[column].to_numpy()[place] for number, place in places.items()])
    values = values[draw.permutation(len(values))]
    found = list(series)
    for number, place in places.items():
        whole = series[number].features[column].to_numpy(copy=True)
        count = len(whole[place])
        whole[place], values = values[:count], values[count:]
        frame = series[number].features.assign(**{column: whole})
        found[number] = replace(series[number], features=frame)
    return found
