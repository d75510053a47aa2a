"""One forecasting trial: backtest on each fold, fit on all, write the outputs. Runs in a worker process."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import forestay_forecasters
import forestay_forecasting
import forestay_transformers
from automl_jobs.engine import metrics, outputs
from automl_jobs.engine.forecasting import backtest, catalogue
from automl_jobs.engine.forecasting.backtest import Forecasts
from automl_jobs.engine.forecasting.panel import Series
from automl_jobs.engine.forecasting.problem import ForecastProblem
from automl_jobs.engine.trial import TrialOutcome, TrialPlan
from forestay_forecasters import Mean
from forestay_forecasting import ForecastModel, SeriesEnd

ENSEMBLE = "VotingEnsemble"
# What a served forecast is made of: each module imports those before it.
MODULES = (forestay_transformers, forestay_forecasting, forestay_forecasters)
# What the served model keeps of each series: as long as any lag or season reaches, with room.
KEPT_VALUES = 500
KEPT_SEASONS = 4


class ForecastTrainer:
    """Trains trials of one problem. What was fitted is kept, so that an ensemble of it costs nothing.

    Parameters
    ----------
    problem: the forecasting problem.
    threads: how many threads an algorithm may use.
    """

    def __init__(self, problem: ForecastProblem, threads: int) -> None:
        self.problem = problem
        self.threads = threads
        self._kept: dict[str, tuple[list[Forecasts], Any]] = {}

    def run(self, plan: TrialPlan, folder: Path) -> TrialOutcome:
        """Backtest and fit `plan`, and write its files to `folder`/outputs.

        Raises ValueError when the primary metric is not defined on the validation periods; whatever an algorithm raises
        passes through.
        """
        started = time.monotonic()
        problem = self.problem
        members = plan.parameters["members"] if plan.algorithm == ENSEMBLE else [(plan.algorithm, plan.parameters)]
        fitted = [self._fitted(name, parameters) for name, parameters in members]
        parts = [_mean([folds[number] for folds, _ in fitted]) for number in range(len(problem.splits))]
        parts = [backtest.bounded(part, problem) for part in parts]
        each = [backtest.scores(part, problem.series, problem) for part in parts]
        values = metrics.average(each)
        if problem.metric not in values:
            raise ValueError(f"{problem.metric} is not defined on the validation periods")
        forecaster = fitted[0][1] if len(fitted) == 1 else Mean([forecaster for _, forecaster in fitted])
        every = backtest.joined(parts)
        algorithms = [catalogue.by_name(name) for name, _ in members]
        packages = tuple(sorted({package for algorithm in algorithms for package in algorithm.packages}))
        model = self.model(forecaster, every)
        described = describe(plan.algorithm, plan.parameters)
        written = outputs.write(
            folder / "outputs", problem, model, plan.algorithm, described, packages, modules=MODULES
        )
        return TrialOutcome(
            plan=plan,
            preprocessor=described,
            score=values[problem.metric],
            folds=[scores[problem.metric] for scores in each if problem.metric in scores],
            metrics=values | written.as_metrics(),
            artifacts={
                "residuals": metrics.residuals(every.truth, every.predicted),
                "predicted_true": metrics.predicted_true(every.truth, every.predicted),
            },
            parameters=shown(plan),
            duration_seconds=time.monotonic() - started,
            outputs=written.folder,
        )

    def _fitted(self, name: str, parameters: dict[str, Any]) -> tuple[list[Forecasts], Any]:
        """The backtest of each fold, and the forecaster fitted on all."""
        kept = json.dumps([name, parameters], sort_keys=True)
        if kept not in self._kept:
            self._kept[kept] = self._fit(catalogue.by_name(name), parameters)
        return self._kept[kept]

    def _fit(self, algorithm: catalogue.Algorithm, parameters: dict[str, Any]) -> tuple[list[Forecasts], Any]:
        problem = self.problem
        folds = []
        for windows in problem.splits:
            series = [problem.series[window.series].cut(window.fit) for window in windows]
            forecaster = algorithm.fit(series, problem, parameters, self.threads)
            folds.append(backtest.roll(forecaster, problem.series, windows, problem))
            if not np.isfinite(folds[-1].predicted).all():
                raise ValueError("a forecast is not a number")
        return folds, algorithm.fit(list(problem.series), problem, parameters, self.threads)

    def model(self, forecaster: Any, found: Forecasts) -> ForecastModel:
        """The served model."""
        problem = self.problem
        reach = max([KEPT_VALUES, KEPT_SEASONS * problem.season, 2 * problem.horizon, *_lags(forecaster)])
        # Features of the last season, which those of the first periods ahead are compared with.
        rows = 2 * max(problem.horizon, problem.season) + problem.season + 3
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


def _end(one: Series, values: int, rows: int) -> SeriesEnd:
    return SeriesEnd(one.values[-values:], one.times[-1], one.features.iloc[-rows:].reset_index(drop=True))


def _lags(forecaster: Any) -> list[int]:
    """The lags of a forecaster and of its members, with room for windows."""
    if isinstance(forecaster, Mean):
        return [lag for member in forecaster.members for lag in _lags(member)]
    return [lag + max(getattr(forecaster, "windows", ()), default=0) for lag in getattr(forecaster, "lags", ())]


def _mean(parts: Sequence[Forecasts]) -> Forecasts:
    first = parts[0]
    return Forecasts(first.series, first.steps, first.truth, np.mean([part.predicted for part in parts], axis=0))


def describe(algorithm: str, parameters: dict[str, Any]) -> str:
    """What the model makes of the series, for the leaderboard."""
    if algorithm == ENSEMBLE:
        return f"{len(parameters['members'])} models"
    words = []
    if "offset" in parameters:
        words = ["Lags", {"none": "", "level": "Level", "season": "SeasonalDifference"}[parameters["offset"]]]
        words.append("Direct" if parameters["steps"] == catalogue.DIRECT else "Recursive")
    if parameters.get("log"):
        words.append("Log")
    return "+".join(word for word in words if word)


def shown(plan: TrialPlan) -> dict[str, str]:
    """A plan's parameters as text."""
    if plan.algorithm == ENSEMBLE:
        names = [f"{name} {describe(name, parameters)}".strip() for name, parameters in plan.parameters["members"]]
        return {"members": ", ".join(names)}
    return {name: str(value) for name, value in plan.parameters.items()}


def test_metrics(problem: ForecastProblem, folder: Path) -> dict[str, float]:
    """The metrics of the model in an outputs folder on the job's test data, forecast a horizon at a time."""
    import joblib

    if problem.test is None:
        raise ValueError("the job has no test data")
    series, windows = problem.test
    model = joblib.load(folder / outputs.MODEL)
    found = backtest.roll(model.forecaster, series, windows, problem)
    return backtest.scores(backtest.bounded(found, problem), series, problem)
