"""One forecasting trial: backtest on each fold, fit on all, write the outputs. Runs in a worker process."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import forestay_forecasters
import forestay_forecasting
from automl_jobs.engine import metrics, outputs, pruning
from automl_jobs.engine.forecasting import backtest, catalogue
from automl_jobs.engine.forecasting.backtest import Forecasts
from automl_jobs.engine.forecasting.panel import Series
from automl_jobs.engine.forecasting.problem import ForecastProblem
from automl_jobs.engine.forecasting.table import forecast_table
from automl_jobs.engine.trial import HELD_OUT, TrialOutcome, TrialPlan, keep_last_fold
from forestay_forecasters import Mean
from forestay_forecasting import ForecastModel, SeriesEnd

# What a served forecast is made of: each module imports those before it.
MODULES = (*outputs.MODULES, forestay_forecasting, forestay_forecasters)
# What the served model keeps of each series: as long as any lag or season reaches, with room.
KEPT_VALUES = 500
KEPT_SEASONS = 4


class ForecastTrainer:
    """Trains trials of one problem.

    Parameters
    ----------
    problem: the forecasting problem.
    threads: how many threads an algorithm may use.
    """

    def __init__(self, problem: ForecastProblem, threads: int) -> None:
        self.problem = problem
        self.threads = threads

    def run(self, plan: TrialPlan, folder: Path) -> TrialOutcome:
        """Backtest and fit `plan`, and write its files to `folder`/outputs.

        Raises GivenUp when it misses the plan's bar clearly, ValueError when the primary metric is not defined on the
        validation periods; whatever an algorithm raises passes through.
        """
        started = time.monotonic()
        algorithm = catalogue.by_name(plan.algorithm)
        parts, forecaster, last_fold = self.fit(algorithm, plan.parameters, plan.bar)
        found = outcome(
            self.problem,
            plan,
            parts,
            forecaster,
            folder,
            described=describe(plan.parameters),
            parameters={name: str(value) for name, value in plan.parameters.items()},
            packages=algorithm.packages,
            started=started,
        )
        if wants_last_fold(self.problem):
            keep_last_fold(folder, last_fold)
        # Fold by fold only where the metric has a value on each.
        return replace(found, compared=tuple(found.folds)) if len(found.folds) == len(self.problem.splits) else found

    def fit(
        self, algorithm: catalogue.Algorithm, parameters: dict[str, Any], bar: Sequence[float] = ()
    ) -> tuple[list[Forecasts], Any, Any]:
        """The backtest of each fold, the forecaster fitted on all, and that of the last fold.

        `bar` holds the best trial's scores on the folds. Raises GivenUp when the first ones miss it clearly.
        """
        problem = self.problem
        folds: list[Forecasts] = []
        seen: list[float] = []
        for windows in problem.splits:
            series = [problem.series[window.series].cut(window.fit) for window in windows]
            forecaster = algorithm.fit(series, problem, parameters, self.threads)
            folds.append(backtest.roll(forecaster, problem.series, windows, problem))
            if not np.isfinite(folds[-1].predicted).all():
                raise ValueError("a forecast is not a number")
            if bar:
                scores = backtest.scores(backtest.bounded(folds[-1], problem), problem.series, problem)
                seen.append(scores.get(problem.metric, math.nan))
                if pruning.clearly_worse(seen, bar, problem.higher):
                    raise pruning.GivenUp(seen, bar)
        return folds, algorithm.fit(list(problem.series), problem, parameters, self.threads), forecaster


def outcome(
    problem: ForecastProblem,
    plan: TrialPlan,
    parts: Sequence[Forecasts],
    forecaster: Any,
    folder: Path,
    *,
    described: str,
    parameters: dict[str, str],
    packages: tuple[str, ...],
    started: float,
) -> TrialOutcome:
    """Score the backtest of each fold, and write the model's files to `folder`/outputs.

    Parameters
    ----------
    parts: the forecasts of each fold. forecaster: fitted on all.
    described, parameters: what it is, for the leaderboard. packages: distributions that it needs.
    started: time.monotonic() when the trial began.
    """
    parts = [backtest.bounded(part, problem) for part in parts]
    each = [backtest.scores(part, problem.series, problem) for part in parts]
    values = metrics.average(each)
    if problem.metric not in values:
        raise ValueError(f"{problem.metric} is not defined on the validation periods")
    every = backtest.joined(parts)
    model = served(problem, forecaster, every)
    written = outputs.write(folder / "outputs", problem, model, plan.algorithm, described, packages, modules=MODULES)
    np.save(folder / HELD_OUT, every.predicted)
    return TrialOutcome(
        plan=plan,
        preprocessor=described,
        score=values[problem.metric],
        folds=[scores[problem.metric] for scores in each if problem.metric in scores],
        metrics=values | written.as_metrics(),
        artifacts={
            "residuals": metrics.residuals(every.truth, every.predicted),
            "predicted_true": metrics.predicted_true(every.truth, every.predicted),
            "forecast_table": forecast_table(
                problem.series,
                problem.ids,
                problem.splits[-1],
                parts[-1],
                problem.horizon,
                model.spread,
                backtest.floor(problem),
            ),
        },
        parameters=parameters,
        duration_seconds=time.monotonic() - started,
        outputs=written.folder,
    )


def wants_last_fold(problem: ForecastProblem) -> bool:
    """Whether the forecaster of a trial's last fold is kept: importances of columns are measured with it."""
    return bool(problem.columns) and problem.test is None


def held_out(problem: ForecastProblem, folder: Path) -> list[Forecasts]:
    """The backtest of each fold of the trial in this folder."""
    return split(problem, np.load(folder / HELD_OUT))


def split(problem: ForecastProblem, predicted: np.ndarray) -> list[Forecasts]:
    """The backtest of each fold by the forecasts of all, one after the other."""
    empty = [backtest.periods(problem.series, windows, problem) for windows in problem.splits]
    ends = np.cumsum([len(part.truth) for part in empty])[:-1]
    return [replace(part, predicted=own) for part, own in zip(empty, np.split(predicted, ends), strict=True)]


def served(problem: ForecastProblem, forecaster: Any, found: Forecasts) -> ForecastModel:
    """The served model; `found` is the whole backtest, which its quantiles are made of."""
    reach, rows = kept_values(problem, _lags(forecaster)), kept_rows(problem)
    return ForecastModel(
        forecaster=forecaster,
        series={one.key: _end(one, reach, rows) for one in problem.series},
        time=problem.time,
        ids=problem.ids,
        target=problem.target,
        columns=problem.columns,
        frequency=problem.frequency,
        spread=backtest.spread(found, problem),
        floor=backtest.floor(problem),
    )


def kept_values(problem: ForecastProblem, lags: Sequence[int]) -> int:
    """How many values of each series are served with a model of such lags."""
    return max([KEPT_VALUES, KEPT_SEASONS * problem.season, 2 * problem.horizon, *lags])


def kept_rows(problem: ForecastProblem) -> int:
    """Of how many rows features are: of the last season, which those of the first periods ahead are compared with."""
    return 2 * max(problem.horizon, problem.season) + problem.season + 3


def _end(one: Series, values: int, rows: int) -> SeriesEnd:
    return SeriesEnd(one.values[-values:], one.times[-1], one.features.iloc[-rows:].reset_index(drop=True))


def _lags(forecaster: Any) -> list[int]:
    """The lags of a forecaster and of its members, with room for windows."""
    if isinstance(forecaster, Mean):
        return [lag for member in forecaster.members for lag in _lags(member)]
    return [lag + max(getattr(forecaster, "windows", ()), default=0) for lag in getattr(forecaster, "lags", ())]


def describe(parameters: dict[str, Any]) -> str:
    """What a model makes of the series, for the leaderboard."""
    words = []
    if "offset" in parameters:
        words = ["Lags", {"none": "", "level": "Level", "season": "SeasonalDifference"}[parameters["offset"]]]
        words.append("Direct" if parameters["steps"] == catalogue.DIRECT else "Recursive")
    if parameters.get("log"):
        words.append("Log")
    return "+".join(word for word in words if word)


def test_metrics(problem: ForecastProblem, folder: Path) -> dict[str, float]:
    """The metrics of the model in an outputs folder on the job's test data, forecast a horizon at a time."""
    import joblib

    if problem.test is None:
        raise ValueError("the job has no test data")
    series, windows = problem.test
    model = joblib.load(folder / outputs.MODEL)
    found = backtest.roll(model.forecaster, series, windows, problem)
    return backtest.scores(backtest.bounded(found, problem), series, problem)
