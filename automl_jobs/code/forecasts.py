"""The training script of a forecasting trial: series, forecasters, and the rolling origin that scores them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.code.source import Source
from forestay import project

if TYPE_CHECKING:
    from automl_jobs.engine.forecasting.panel import Series
    from automl_jobs.engine.forecasting.problem import ForecastProblem
    from automl_jobs.engine.records import TrialRecord
    from automl_jobs.runs import JobDetail, RunStore, TrialDetail

LOCAL, LINEAR = {"ExponentialSmoothing": "ets", "AutoArima": "arima"}, ("Arimax", "Prophet")


@dataclass(frozen=True)
class Piece:
    """A forecaster, or that of a member of an ensemble."""

    trial: str
    algorithm: str
    preprocessor: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Retold:
    """A trial to be told as a script. `pieces`: its own, or an ensemble's members; the others as of gather.Retold."""

    job: JobDetail
    found: TrialDetail
    problem: ForecastProblem
    pieces: tuple[Piece, ...]
    score: float
    threads: int
    packages: Mapping[str, str]


def gather(store: RunStore, detail: JobDetail, found: TrialDetail, warn: Callable[[str], None]) -> Retold:
    """A trial of the run store, with the series of its job made again.

    Raises InputError for a trial whose files are gone, or whose data is not what it was.
    """
    from automl_jobs.code import gather as shared
    from automl_jobs.engine.run import shares
    from automl_jobs.explain import rebuilt_problem

    records = shared.records_of(store, detail)
    members = _members(records[found.row.id])
    problem: Any = rebuilt_problem(detail, None, warn)
    score = _score(problem, records, members, found, detail)
    threads = shares(shared.spec_of(store, detail), problem.rows)[1]
    pieces = tuple(_piece(records[trial]) for trial in members)
    return Retold(detail, found, problem, pieces, score, threads, shared.packages_of(found))


def _members(record: TrialRecord) -> list[str]:
    from automl_jobs.engine.ensemble import VOTING
    from automl_jobs.engine.forecasting.ensemble import MEMBER

    if record.plan.algorithm != VOTING:
        return [record.plan.id]
    return [name.removeprefix(MEMBER) for name in record.result.parameters if name.startswith(MEMBER)]


def _piece(record: TrialRecord) -> Piece:
    return Piece(record.plan.id, record.plan.algorithm, record.result.preprocessor, record.plan.parameters)


def _score(
    problem: ForecastProblem,
    records: Mapping[str, TrialRecord],
    members: Sequence[str],
    found: TrialDetail,
    detail: JobDetail,
) -> float:
    """The score of the backtest on the series as they are now. Raises InputError where it is another."""
    import numpy as np

    from automl_jobs.code import gather as shared
    from automl_jobs.engine import metrics
    from automl_jobs.engine.forecasting import backtest, trainer

    said = np.mean(shared.held_out(records, members), axis=0)
    now = sum(len(backtest.periods(problem.series, windows, problem).truth) for windows in problem.splits)
    if len(said) != now:
        raise shared.changed(detail, found, f"{len(said)} periods judged it, there are {now} now")
    each = [backtest.scores(part, problem.series, problem) for part in trainer.split(problem, said)]
    return shared.same_score(metrics.average(each).get(problem.metric), found, detail)


def fill(retold: Retold, folder: Path) -> None:
    """Write the files of a script into an empty folder."""
    import templates
    from automl_jobs.code.write import FOLDS, ROWS, SCRIPT, SETTINGS, surround
    from automl_jobs.engine.forecasting import trainer

    modules = _modules(retold)
    project.write_atomic(
        folder / SCRIPT, templates.render("code/forecast.py.j2", **_context(retold, Source(), modules))
    )
    project.write_json(folder / SETTINGS, _settings(retold))
    _write_series(retold, folder / ROWS, folder / FOLDS)
    surround(folder, retold.packages, trainer.MODULES, modules)


def _modules(retold: Retold) -> dict[str, Path]:
    """What fits a series by a search of its own, which is no short script: the engine's module, as it is."""
    from automl_jobs.engine.forecasting import arima, ets

    names = {one.algorithm for one in retold.pieces}
    found = {}
    if "ExponentialSmoothing" in names:
        found["forestay_ets.py"] = Path(str(ets.__file__))
    if names & {"AutoArima", "Arimax"} or _profiled(retold):
        found["forestay_arima.py"] = Path(str(arima.__file__))
    return found


def _profiled(retold: Retold) -> bool:
    """Whether a seasonal component is a column of a regressor on lags."""
    settings = retold.problem.lag_settings
    return settings.stl != "none" and settings.season > 1 and any(_kind(one) == "lags" for one in retold.pieces)


def _kind(one: Piece) -> str:
    """How the forecaster is fitted: simple, local, linear or lags."""
    from automl_jobs.engine.forecasting import catalogue

    if one.algorithm in LOCAL:
        return "local"
    if one.algorithm in LINEAR:
        return "linear"
    return "simple" if one.algorithm in ("Baseline", *catalogue.SIMPLE) else "lags"


def _fits(problem: ForecastProblem) -> list[list[Series]]:
    """The series of each fit: those of the folds, and all of them."""
    folds = [[problem.series[window.series].cut(window.fit) for window in windows] for windows in problem.splits]
    return [*folds, list(problem.series)]


def _context(retold: Retold, source: Source, modules: Mapping[str, Path]) -> dict[str, Any]:
    """What the template needs."""
    from automl_jobs.code.write import METRICS
    from automl_jobs.engine.forecasting import backtest, catalogue, frequency, lagged, linear, trainer

    problem = retold.problem
    settings = problem.lag_settings
    pieces = [_told(retold, one, source) for one in retold.pieces]
    kinds = {one["kind"] for one in pieces}
    classes = {"simple": ("Simple",), "lags": ("LagForecaster", "Encoder"), "local": ()}
    classes["linear"] = ("Design", "Encoder", "LinearForecaster", "LinearPart")
    for kind in kinds:
        source.use("forestay_forecasters", *classes[kind])
    if kinds & {"simple", "local"}:
        source.use("forestay_forecasters", "LocalForecaster")
    if any(one["log"] for one in pieces):
        source.use("forestay_forecasters", "Logarithm")
    if len(pieces) > 1:
        source.use("forestay_forecasters", "Mean")
    source.use("forestay_forecasting", "ForecastModel", "SeriesEnd", "Spread", "Task")
    source.use("sklearn.isotonic", "IsotonicRegression")
    metric = problem.metric
    source.use(*METRICS[metric])
    logarithm = problem.logarithm
    return {
        "job": retold.job.job,
        "trial": retold.found.row.id,
        "algorithm": retold.found.row.algorithm,
        "metric": metric,
        "function": METRICS[metric][1],
        "pieces": pieces,
        "kinds": kinds,
        "imports": source.import_lines(),
        "modules": sorted(name.removesuffix(".py") for name in modules),
        "horizon": problem.horizon,
        "season": problem.season,
        "period": frequency.period(problem.frequency),
        "holidays": problem.holidays is not None,
        "hidden": bool(problem.hidden),
        "past": bool(settings.past),
        "profiled": _profiled(retold),
        "shift": None if logarithm is None else logarithm.shift,
        "floor": backtest.floor(problem),
        "most_rows": _most_rows(problem),
        "kept_values": _kept_values(retold),
        "kept_rows": trainer.kept_rows(problem),
        "kept_errors": backtest.KEPT_ERRORS,
        "kept_left": linear.KEPT_ERRORS,
        "changes": linear.CHANGES,
        "weak": lagged.WEAK_SEASON,
        "many_series": lagged.MANY_SERIES,
        "fewest": catalogue.FEWEST_VALUES,
        "several": len(problem.series) > 1,
    }


def _kept_values(retold: Retold) -> int:
    """How many values of each series the served model keeps."""
    from automl_jobs.engine.forecasting import trainer

    last = [_chosen(one, retold.problem.series, retold.problem) for one in retold.pieces if _kind(one) == "lags"]
    lags = [max(one["lags"], default=0) + max(one["windows"], default=0) for one in last]
    return trainer.kept_values(retold.problem, lags)


def _most_rows(problem: ForecastProblem) -> int | None:
    """How many rows of each series a regressor on lags sees at most; None where that is all."""
    from automl_jobs.engine.forecasting.lagged import most_rows

    most = most_rows(problem.series)
    return most if max(len(one) for one in problem.series) > most else None


def _told(retold: Retold, one: Piece, source: Source) -> dict[str, Any]:
    """One forecaster as code."""
    from automl_jobs.engine.forecasting import catalogue

    kind, parameters = _kind(one), dict(one.parameters)
    log = bool(parameters.get("log")) and retold.problem.logarithm is not None
    told: dict[str, Any] = {
        "trial": one.trial,
        "algorithm": one.algorithm,
        "preprocessor": one.preprocessor,
        "suffix": "" if len(retold.pieces) == 1 else f"_{one.trial}",
        "kind": kind,
        "log": log,
    }
    if kind == "lags":
        own = {name: value for name, value in parameters.items() if name not in catalogue.VIEW}
        estimator = catalogue.regressor(one.algorithm, own, retold.threads, retold.problem.seed)
        told["estimator"] = source.of(estimator)
        told["direct"] = not catalogue.recursive(parameters)
        told["offset"] = parameters.get("offset", "season")
        told["cycles"] = one.algorithm in catalogue.LINEAR_NAMES
    elif kind == "linear":
        told["prophet"] = one.algorithm == "Prophet"
        told["bend"] = parameters.get("bend", 0.05)
        told["ridge"] = parameters.get("ridge", 0.3)
    elif kind == "local":
        told["module"] = f"forestay_{LOCAL[one.algorithm]}"
    else:
        told["simple"] = "Naive" if one.algorithm == "Baseline" else one.algorithm
    return told


def _settings(retold: Retold) -> dict[str, Any]:
    """What the script reads at its start: names, and what the job chose by the length of the series of each fit."""
    problem = retold.problem
    settings = problem.lag_settings
    fits = _fits(problem)
    return {
        "job": retold.job.job,
        "trial": retold.found.row.id,
        "metric": retold.job.primary_metric,
        "score": retold.score,
        "time": problem.time,
        "ids": list(problem.ids),
        "target": problem.target,
        "frequency": problem.frequency,
        "series": [list(one.key) for one in problem.series],
        "columns": [list(pair) for pair in problem.columns],
        "known": [list(pair) for pair in problem.known],
        "past": [list(pair) for pair in settings.past],
        "hidden": list(problem.hidden),
        "holidays": None if problem.holidays is None else [str(day) for day in problem.holidays],
        "folds": [
            [{"series": one.series, "fit": one.fit, "start": one.start, "stop": one.stop} for one in windows]
            for windows in problem.splits
        ],
        "scales": [problem.scales[one.key] for one in problem.series],
        "fits": {
            one.trial: [_chosen(one, series, problem) for series in fits]
            for one in retold.pieces
            if _kind(one) in ("lags", "linear")
        },
    }


def _chosen(one: Piece, series: Sequence[Series], problem: ForecastProblem) -> dict[str, Any]:
    """Lags, windows and waves of one fit: what the length of its series allows."""
    from automl_jobs.engine.forecasting import catalogue, lagged, linear

    if _kind(one) == "linear":
        series = [each for each in series if len(each) >= catalogue.FEWEST_VALUES]
        return {"waves": linear.waves(problem.frequency, linear.days(series), one.algorithm == "Prophet")}
    settings = problem.lag_settings
    lags, windows = lagged.reach(series, settings, catalogue.base(problem, one.parameters))
    return {"lags": list(lags), "windows": list(windows), "yearly": lagged.yearly(series)}


def _write_series(retold: Retold, rows: Path, folds: Path) -> None:
    """The series on their grids: times, target and features by the table's names, what else is known beside them."""
    import numpy as np
    import pandas as pd

    problem = retold.problem
    frames = []
    for one in problem.series:
        frame = one.features[[name for name, _ in problem.columns]].reset_index(drop=True)
        frame[problem.time], frame[problem.target] = one.times, one.values
        for name, value in zip(problem.ids, one.key, strict=True):
            if name not in frame:
                frame[name] = value
        frames.append(frame)
    pd.concat(frames, ignore_index=True).to_parquet(rows, index=False)
    np.savez_compressed(
        folds,
        series=np.repeat(np.arange(len(problem.series)), [len(one) for one in problem.series]),
        observed=np.concatenate([one.observed for one in problem.series]),
    )
