"""A trial of the run store explained on request: its data is read again by the job file it was trained from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forestay.errors import InputError

if TYPE_CHECKING:
    from automl_jobs.engine.tasks import AnyProblem
    from automl_jobs.prepare import Prepared
    from automl_jobs.runs import JobDetail, RunStore, TrialDetail


@dataclass(frozen=True)
class Request:
    """What to explain.

    Attributes
    ----------
    job, rank: the trial; without a rank the job's choice.
    seconds: time to spend on importances; None takes those kept with the job where they are of this trial.
    rows: a data file whose rows' contributions are wanted, or None.
    overrides: `--set` over what was given at submit.
    """

    job: str
    rank: int | None
    seconds: float | None = None
    rows: Path | None = None
    overrides: Mapping[str, str] | None = None


DEFAULT_SECONDS = 30.0


def explain(store: RunStore, request: Request, warn: Callable[[str], None]) -> dict[str, Any]:
    """The explanation of a trial as a document.

    Keys: job, rank, trial, algorithm, metric, score, data, rows, repeats, importances, left_out; `contributions` with a
    list for the rows of `request.rows` (see `engine.explain.contributions`). Raises InputError.
    """
    from automl_jobs.engine import explain as engine
    from automl_jobs.engine import tasks
    from automl_jobs.engine.trial import LAST_FOLD
    from automl_jobs.runs import files
    from automl_jobs.runs.read import trial_run

    detail = store.job(request.job)
    found = store.trial(detail.job, request.rank)
    if found.judged is None:
        raise InputError(
            f"trial {found.row.rank} of {detail.job} has no model: {found.row.error or 'none was kept'}",
            where="--rank",
            fix=f"choose a completed one: forestay job leaderboard {detail.job}",
        )
    head = {"job": detail.job, "rank": found.row.rank, "trial": found.row.id, "algorithm": found.row.algorithm}
    kept = detail.documents.get("explanation")
    if request.rows is not None:
        contributions = _contributions(found, request.rows)
        importances = kept if kept and kept.get("trial") == found.row.id else None
        return {**head, **(importances or {"metric": detail.primary_metric}), **head, "contributions": contributions}
    if request.seconds is None and kept and kept.get("trial") == found.row.id:
        return {**kept, **head}
    problem = rebuilt_problem(detail, request.overrides, warn)
    folder = files.trial_folder(store, trial_run(store, found.row), LAST_FOLD)
    last_fold = None if folder is None else engine.load_last_fold(folder)
    seconds = request.seconds or DEFAULT_SECONDS
    try:
        told = tasks.of(problem.task).explain(problem, engine.load(found.judged), seconds, last_fold)
    except ValueError as error:
        raise InputError(str(error), fix="check that the data is that of the job") from error
    return {**head, **told.as_dict()}


def rebuilt_problem(detail: JobDetail, overrides: Mapping[str, str] | None, warn: Callable[[str], None]) -> AnyProblem:
    """The training problem of a job, built again: the same rows on the same sides, by its seed.

    Parameters
    ----------
    overrides: `--set` over what was given at submit.
    warn: told when the data has changed since.

    Raises InputError when the job file is gone or another one.
    """
    from automl_jobs.engine import tasks

    prepared = prepared_again(detail, overrides, warn)
    problem: AnyProblem = tasks.of(detail.task).build(prepared, int(detail.parameters.get("seed", 0)))
    return problem


def prepared_again(detail: JobDetail, overrides: Mapping[str, str] | None, warn: Callable[[str], None]) -> Prepared:
    """The job file of a job and its data, read again. Parameters and errors are those of `rebuilt_problem`."""
    from automl_jobs.spec.jobs import runnable
    from automl_jobs.submit import SubmitOptions, prepare_job, submitted_options

    if detail.task not in runnable():
        raise InputError(f"{detail.task} jobs can't be explained here", fix=f"here: {', '.join(runnable())}")
    path = Path(detail.path)
    if not detail.path or not path.is_file():
        raise InputError(
            "the job file that this job was trained from is gone, and with it the way to its data",
            where=detail.path or detail.job,
            fix="put it back there; a job's file is kept in the run store as job.yml",
        )
    options = submitted_options(detail) or SubmitOptions()
    prepared = prepare_job(path, replace(options, overrides={**options.overrides, **(overrides or {})}))
    spec = prepared.loaded.spec
    differs = [
        f"{name} is {now}, was {then}"
        for name, now, then in (
            ("task", spec.task, detail.task),
            ("the target", spec.target_column_name, detail.target),
            ("the primary metric", spec.metric, detail.primary_metric),
        )
        if now != then
    ]
    if differs:
        raise InputError(
            f"the job file has changed since the job ran: {'; '.join(differs)}",
            where=str(path),
            fix="put the file back as it was; it is kept in the run store as job.yml",
        )
    rows, then = len(prepared.require_local().frame), detail.parameters.get("rows")
    if then is not None and str(rows) != then:
        warn(f"the training data has {rows} rows and had {then} when the job ran: it has changed")
    return prepared


def _contributions(found: TrialDetail, path: Path) -> list[dict[str, Any]]:
    import json

    from automl_jobs.data import load_table
    from automl_jobs.engine import explain as engine
    from automl_jobs.prepare.findings import listed

    assert found.outputs is not None
    frame = load_table(path).frame
    schema = json.loads((found.outputs / "model_schema.json").read_text(encoding="utf-8"))
    if schema["task"] == "forecasting":
        raise InputError(
            "contributions to rows are not computed for forecasts, whose rows rest on those before them",
            where="--rows",
            fix="leave it away: importances of the columns are told for every trial",
        )
    missing = [column["name"] for column in schema["columns"] if column["used"] and column["name"] not in frame.columns]
    if missing:
        raise InputError(
            f"the rows lack columns of the model: {listed(missing)}", where=str(path), fix="give the raw columns"
        )
    try:
        return engine.contributions(engine.load(found.outputs), frame)
    except engine.NotTrees:
        raise InputError(
            f"contributions are computed for LightGBM and XGBoost; trial {found.row.rank} is {found.row.algorithm}",
            where="--rank",
            fix=f"choose another: forestay job leaderboard {found.job}",
        ) from None
