"""Reading jobs and trials: rows from runs, ranks, and the end of jobs whose process is gone."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.runs import choice, files, liveness, names, tags
from automl_jobs.runs.rows import ENDED, INTERRUPTED, JOB_DOCUMENTS, BestTrial, JobDetail, JobRow, TrialDetail, TrialRow
from automl_jobs.runs.writer import (
    AGAIN,
    COSTS,
    JOB_FILE,
    MLFLOW_STATUS,
    MODEL_MB,
    NOT_AZURES,
    PREDICT_MS,
    PREFER,
    QUALITY,
    REFIT,
    SCORE_SE,
    SCORE_STD,
    TEST,
    TRAIN_ROWS,
    TRAIN_SCORE,
    alive_file,
    best_tags,
    cancel_file,
    log,
    now,
)
from forestay import LOCAL, project
from forestay.errors import ForestayError, InputError

if TYPE_CHECKING:
    from automl_jobs.runs.source import Run, Source
    from automl_jobs.runs.store import RunStore

DOCUMENTS = (
    "confusion_matrix",
    "accuracy_table",
    "residuals",
    "predicted_true",
    "forecast_table",
    "decision",
    "calibration",
)
_ENDED = {"FINISHED": "Completed", "FAILED": "Failed", "KILLED": "Canceled"}


def _parents(store: RunStore) -> list[Run]:
    """The parent runs of all jobs, newest first."""
    runs = store.source.runs(tags.KIND, "job") if store.source else []
    newest_first = sorted(runs, key=lambda run: int(run.tags[tags.CREATED]), reverse=True)
    return [_settled(store, run) for run in newest_first]


def _parent(store: RunStore, given: str) -> Run:
    """The parent run that a user means. Raises InputError."""
    if store.source and names.is_job_name(given):
        exact = store.source.runs(tags.JOB, given)
        if exact:
            return _settled(store, exact[0])
    runs = _parents(store)
    found = names.find_job(given, [run.tags[tags.JOB] for run in runs])
    return next(run for run in runs if run.tags[tags.JOB] == found)


def _settled(store: RunStore, run: Run) -> Run:
    """The run as it is, or closed where its process is gone without having done so.

    The end is also recorded, unless the store can't be written now: the next reader comes to the same.
    """
    source = store.source
    if source is None or run.ended is not None or not liveness.is_dead(run.tags):
        return run
    run = source.run(run.run_id) or run  # it may have ended between our reading and its process's end
    if run.ended is not None:
        return run
    children = children_of(source, run)
    ended = max([int(run.tags[tags.CREATED]), _last_sign(store, run), *(child.ended or 0 for child in children)])
    rows = _ranked(children, run.tags)
    labels = {tags.TRIALS: str(len(rows)), **best_tags(best_of(rows, run))}
    status = _status(run)
    if status not in ENDED:
        status = "Failed"
        labels |= {tags.STATUS: status, tags.ERROR: INTERRUPTED}
    with contextlib.suppress(ForestayError), store.writing() as client:
        for child in children:
            if child.ended is None:
                log(client, child.run_id, labels={tags.STATUS: "Failed", tags.ERROR: INTERRUPTED})
                client.set_terminated(child.run_id, "FAILED", end_time=ended)
        log(client, run.run_id, labels=labels)
        client.set_terminated(run.run_id, MLFLOW_STATUS[status], end_time=ended)
        alive_file(store, run.tags[tags.JOB]).unlink(missing_ok=True)
    return replace(run, status=MLFLOW_STATUS[status], ended=ended, tags={**run.tags, **labels})


def _last_sign(store: RunStore, run: Run) -> int:
    """When the job's writer was last seen alive, in milliseconds since 1970; 0 where no sign was left."""
    with contextlib.suppress(OSError):
        return int(alive_file(store, run.tags[tags.JOB]).stat().st_mtime * 1000)
    return 0


def used_seconds(run: Run) -> float:
    """What all sessions of a job took together; the one that runs, up to now."""
    since = int(run.tags.get(tags.SESSION, run.tags[tags.CREATED]))
    return float(run.tags.get(tags.USED, 0)) + max(0, (run.ended or now()) - since) / 1000


def jobs(store: RunStore) -> list[JobRow]:
    """See `RunStore.jobs`."""
    return [_row(run) for run in _parents(store)]


def job(store: RunStore, given: str) -> JobDetail:
    """See `RunStore.job`."""
    run = _parent(store, given)
    row = _row(run)
    labels = run.tags
    tested = {name.removeprefix(TEST): value for name, value in run.metrics.items() if name.startswith(TEST)}
    started = labels.get(tags.STARTED)
    best = store.source.run(row.best.run_id) if store.source and row.best else None
    return JobDetail(
        **{field.name: getattr(row, field.name) for field in fields(row)},
        target=labels.get(tags.TARGET, ""),
        path=labels.get(tags.PATH, ""),
        started=int(started) if started else None,
        parameters=dict(run.params),
        test_metrics=tested if tags.TESTED in labels else None,
        tags={key: value for key, value in labels.items() if not key.startswith(("mlflow.", "forestay."))},
        documents=files.documents(store, run, JOB_DOCUMENTS),
        decision=None if best is None else files.document(store, best, "decision"),
        quality=_quality(best),
    )


def _quality(run: Run | None) -> dict[str, float]:
    return {} if run is None else {name: run.metrics[name] for name in QUALITY if name in run.metrics}


def job_file(store: RunStore, given: str) -> str:
    """See `RunStore.job_file`."""
    run = _parent(store, given)
    text = files.text(store, run, JOB_FILE)
    if text is None:
        raise InputError("the copy of its job file is gone", where=run.tags[tags.JOB])
    return text


def _row(run: Run) -> JobRow:
    labels = run.tags
    created = int(labels[tags.CREATED])
    return JobRow(
        job=labels[tags.JOB],
        run_id=run.run_id,
        experiment=run.experiment,
        env=labels.get(tags.ENV, LOCAL),
        status=_status(run),
        task=labels.get(tags.TASK, ""),
        primary_metric=labels[tags.PRIMARY_METRIC],
        trials=int(labels.get(tags.TRIALS, 0)),
        best=_best(labels),
        created=created,
        ended=run.ended,
        duration_seconds=round(used_seconds(run), 3),
        error=labels.get(tags.ERROR),
    )


def _status(run: Run) -> str:
    """MLflow's word for a run that has ended, else the writer's."""
    return _ENDED.get(run.status) or str(run.tags.get(tags.STATUS, "Running"))


def _best(labels: Mapping[str, str]) -> BestTrial | None:
    kept = labels.get(tags.BEST)
    return BestTrial(**json.loads(kept)) if kept else None


def children_of(source: Source | None, parent: Run) -> list[Run]:
    """The runs of a job's trials, half-written ones among them."""
    found = source.runs(tags.PARENT, parent.run_id) if source else []
    return [child for child in found if tags.TRIAL in child.tags]


def trial_rows(source: Source | None, parent: Run, served: bool = False) -> list[TrialRow]:
    """The leaderboard of a parent run; a trial that is being written now is not in it yet.

    Parameters
    ----------
    served: see `trial_row`.
    """
    children = children_of(source, parent)
    if parent.ended is None:
        children = [child for child in children if child.ended is not None]
    best = _best(parent.tags)
    return [
        replace(row, chosen=best is not None and row.id == best.id) for row in _ranked(children, parent.tags, served)
    ]


def _ranked(children: list[Run], job_tags: Mapping[str, str], served: bool = False) -> list[TrialRow]:
    metric = job_tags[tags.PRIMARY_METRIC]
    rows = (trial_row(child, metric, served) for child in children)
    return choice.ranked(((row, row.order) for row in rows), _higher(job_tags))


def _higher(job_tags: Mapping[str, str]) -> bool:
    return job_tags[tags.DIRECTION] == "maximize"


def trial_row(run: Run, metric: str, served: bool = False) -> TrialRow:
    """A trial's row, which has no rank yet.

    Parameters
    ----------
    served: whether its costs and rows are those of the model as it is served, fitted again perhaps; else of the one
        that was judged, by which the choice goes.
    """
    labels = run.tags
    costs = {name: run.metrics.get(AGAIN + name if served and tags.REFITTED in labels else name) for name in COSTS}
    rows = costs[TRAIN_ROWS]
    metrics = {name: value for name, value in run.metrics.items() if name not in NOT_AZURES}
    status, error = _status(run), labels.get(tags.ERROR)
    if status not in ENDED or run.ended is None:
        status, error = "Failed", INTERRUPTED
    duration = labels.get(tags.DURATION)
    return TrialRow(
        rank=0,
        id=labels[tags.TRIAL],
        run_id=run.run_id,
        algorithm=labels.get(tags.ALGORITHM, ""),
        preprocessor=labels.get(tags.PREPROCESSOR, ""),
        score=metrics.get(metric) if status == "Completed" else None,
        status=status,
        duration_seconds=float(duration) if duration else None,
        metrics=metrics,
        error=error if status == "Completed" else error or "no reason given",
        has_model=status == "Completed" and labels.get(tags.OUTPUTS) == "yes",
        score_std=run.metrics.get(SCORE_STD),
        score_se=run.metrics.get(SCORE_SE),
        train_score=run.metrics.get(TRAIN_SCORE),
        predict_ms=costs[PREDICT_MS],
        model_mb=costs[MODEL_MB],
        quality=_quality(run),
        rows=None if rows is None else int(rows),
        order=int(labels.get(tags.ORDER, 0)),
    )


def best_of(rows: list[TrialRow], parent: Run) -> BestTrial | None:
    """The trial that is the job's model, by what the job prefers; None where none has a score."""
    chosen = choice.choose(
        rows, parent.params.get(PREFER, choice.BALANCED), _higher(parent.tags), parent.tags.get(tags.TASK, "")
    )
    return chosen.as_best() if chosen else None


def job_and_trials(store: RunStore, given: str) -> tuple[JobRow, list[TrialRow]]:
    """See `RunStore.job_and_trials`."""
    parent = _parent(store, given)
    return _row(parent), trial_rows(store.source, parent, served=True)


def find_trial(store: RunStore, given: str, rank: int | None) -> tuple[JobRow, TrialRow]:
    """A job and its trial of that rank, None for the chosen one. Raises InputError naming the ranks there are."""
    found, rows = job_and_trials(store, given)
    if not rows:
        raise InputError(f"{found.job} has no trials", fix=f"forestay job show {found.job}")
    if rank is None:
        return found, next((row for row in rows if row.chosen), rows[0])
    if not 1 <= rank <= len(rows):
        raise InputError(
            f"{found.job} has no trial of rank {rank}: they go from 1 to {len(rows)}",
            where="--rank",
            fix=f"forestay job leaderboard {found.job}",
        )
    return found, rows[rank - 1]


def trial_run(store: RunStore, row: TrialRow) -> Run:
    """The run of a trial that was just read from this store."""
    run = store.source.run(row.run_id) if store.source else None
    if run is None:
        raise InputError("this trial was deleted while it was read", where=row.id)
    return run


def trial(store: RunStore, given: str, rank: int | None) -> TrialDetail:
    """See `RunStore.trial`."""
    found, row = find_trial(store, given, rank)
    run = trial_run(store, row)
    outputs = files.outputs(store, run) if row.has_model else None
    judged = files.outputs(store, run, files.FIRST) if row.has_model else None
    return TrialDetail(
        job=found.job,
        task=found.task,
        primary_metric=found.primary_metric,
        row=row,
        parameters=dict(sorted(run.params.items())),
        documents={name: files.document(store, run, name) for name in DOCUMENTS} | {REFIT: _refit(store, run)},
        files=files.listed(outputs) if outputs else (),
        outputs=outputs,
        judged=judged,
    )


def _refit(store: RunStore, run: Run) -> Any | None:
    """What came of fitting a trial's model again; None where that was cut short before its model was the trial's."""
    document = files.document(store, run, REFIT)
    return document if document is None or document["refitted"] == (tags.REFITTED in run.tags) else None


def download(store: RunStore, given: str, rank: int | None, to: Path) -> tuple[TrialDetail, tuple[str, ...]]:
    """See `RunStore.download`."""
    found = trial(store, given, rank)
    if found.outputs is None:
        raise no_model(job(store, found.job), found.row)
    return found, files.copy(found.outputs, to)


def no_model(found: JobRow, row: TrialRow) -> InputError:
    """The error for a trial that has nothing to register or download."""
    if found.env != LOCAL and row.status == "Completed":
        return InputError(
            f"the files of trial {row.rank} of {found.job} were not fetched from {found.env}",
            where="--rank",
            fix=f"forestay job download {found.job} --rank {row.rank} --env {found.env}",
        )
    return InputError(
        f"trial {row.rank} of {found.job} has no model: {row.error or 'none was kept'}",
        where="--rank",
        fix=f"choose a completed one: forestay job leaderboard {found.job}",
    )


def cancel(store: RunStore, given: str) -> tuple[JobDetail, bool]:
    """See `RunStore.cancel`."""
    found = job(store, given)
    if found.env != LOCAL:
        fix = f"forestay job cancel {found.job} --env {found.env}"
        raise InputError(f"{found.job} is a job of {found.env}", where="--env", fix=fix)
    if found.status in ENDED:
        return found, False
    if store.place.database is not None:
        project.write_atomic(cancel_file(store, found.job), "")
    else:
        store.client.set_tag(found.run_id, tags.CANCEL, "yes")
    return found, True
