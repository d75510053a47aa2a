"""Going on with a job that has ended: its writer again, and the trials that it has.

Whether a job may go on is decided and marked under the store's write lock, so that of two commands one is refused.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.runs import files, liveness, read, tags
from automl_jobs.runs.choice import BALANCED
from automl_jobs.runs.rows import INTERRUPTED, TrialResult
from automl_jobs.runs.writer import PREFER, JobWriter, log, now
from forestay.errors import InputError, OutsideError

if TYPE_CHECKING:
    from automl_jobs.runs.source import Run, Source
    from automl_jobs.runs.store import RunStore

PLAN = "plan.json"
"""The artifact of a trial that says what was tried, for the search that goes on."""

HELD_OUT_FILES = "held_out.*"
"""The artifacts of a trial with its predictions on the validation rows, for ensembles, and with the model that made the
last of them, for its explanation; their endings tell which."""


@dataclass(frozen=True)
class EarlierTrial:
    """A trial of an earlier session.

    Attributes
    ----------
    plan: its document PLAN.
    folder: where `outputs/` lies, and HELD_OUT_FILES where the trial has one; None where it has no model.
    """

    result: TrialResult
    plan: Mapping[str, Any]
    folder: Path | None


@dataclass(frozen=True)
class Reopened:
    """A job that goes on.

    Attributes
    ----------
    trials: those that have ended, in the order in which they did.
    used_seconds: of its earlier sessions.
    """

    writer: JobWriter
    trials: tuple[EarlierTrial, ...]
    used_seconds: float


def reopen(store: RunStore, job: str) -> Reopened:
    """Go on with the job of this very name, which shows as Preparing again.

    Raises OutsideError when another process runs it, InputError when one of its trials can't be read.
    """
    source = store.source
    if source is None:
        raise InputError(f"there is no job {job!r}")
    with store.writing() as client:
        found = source.runs(tags.JOB, job)
        if not found:
            raise InputError(f"there is no job {job!r}")
        parent = found[0]
        _check_free(parent.tags, parent.ended)
        used = read.used_seconds(parent)
        own = liveness.own_tags()
        begun = {tags.STATUS: "Preparing", tags.SESSION: str(now()), tags.USED: f"{used:.3f}"}
        log(client, parent.run_id, labels={**begun, **own})
        client.update_run(parent.run_id, status="RUNNING")
        for tag in (tags.ERROR, tags.TESTED, tags.CANCEL):
            if tag in parent.tags:
                client.delete_tag(parent.run_id, tag)
        for child in read.children_of(source, parent):
            if half_written(child):
                client.delete_run(child.run_id)
    _check_ours(source, parent.run_id, own)
    children = _in_order(source, parent)
    metric, orders = parent.tags[tags.PRIMARY_METRIC], [int(child.tags.get(tags.ORDER, 0)) for child in children]
    writer = JobWriter(
        store,
        job,
        parent.run_id,
        parent.experiment_id,
        metric,
        parent.tags[tags.DIRECTION] == "maximize",
        prefer=parent.params.get(PREFER, BALANCED),
        task=parent.tags.get(tags.TASK, ""),
        earlier=[(read.trial_row(child, metric), order) for child, order in zip(children, orders, strict=True)],
    )
    writer.forget_cancel()
    return Reopened(writer, tuple(_earlier(store, child, parent) for child in children), used)


def earlier_trials(store: RunStore, job: str) -> tuple[EarlierTrial, ...]:
    """The trials of the job of this very name, in the order in which they ended; those that were cut short left out.

    Raises InputError when what one has tried was not kept.
    """
    source = store.source
    found = source.runs(tags.JOB, job) if source is not None else []
    if source is None or not found:
        raise InputError(f"there is no job {job!r}")
    whole = (child for child in _in_order(source, found[0]) if not half_written(child))
    return tuple(_earlier(store, child, found[0]) for child in whole)


def _in_order(source: Source, parent: Run) -> list[Run]:
    return sorted(read.children_of(source, parent), key=lambda child: int(child.tags.get(tags.ORDER, 0)))


def require_ended(store: RunStore, job: str) -> None:
    """Raise OutsideError when the job is running."""
    for run in store.source.runs(tags.JOB, job) if store.source else []:
        _check_free(run.tags, run.ended)


def _check_free(labels: Mapping[str, str], ended: int | None) -> None:
    if ended is None and not liveness.is_dead(labels):
        holder, host = labels.get(tags.WRITER_PID, "unknown"), labels.get(tags.WRITER_HOST, "unknown")
        elsewhere = "" if host == socket.gethostname() else f" on {host}"
        raise OutsideError(
            f"job {labels[tags.JOB]} is running (process {holder}{elsewhere})",
            fix=f"wait for it to end, or stop it: forestay job cancel {labels[tags.JOB]}",
        )


def _check_ours(source: Source, run_id: str, own: Mapping[str, str]) -> None:
    """A server has no lock of ours: of two that marked the job at once the later one has it."""
    run = source.run(run_id)
    if run is None or any(run.tags.get(tag) != value for tag, value in own.items()):
        raise OutsideError("another command has just taken this job", fix="forestay job list says what runs")


def half_written(child: Run) -> bool:
    """Whether a trial's writer was killed before it had all of it."""
    return child.ended is None or (child.status == "FAILED" and child.tags.get(tags.ERROR) == INTERRUPTED)


def _earlier(store: RunStore, run: Run, parent: Run) -> EarlierTrial:
    row = read.trial_row(run, parent.tags[tags.PRIMARY_METRIC])
    plan = files.document(store, run, PLAN)
    if plan is None and row.status != "Completed":
        # Its files could not be kept; that it was tried is known all the same.
        plan = {"id": row.id, "algorithm": row.algorithm}
    if not isinstance(plan, dict):
        raise InputError(
            f"what trial {row.id} has tried was not kept, so {parent.tags[tags.JOB]} can't go on",
            fix="train again: forestay job submit",
        )
    result = TrialResult(
        id=row.id,
        algorithm=row.algorithm,
        preprocessor=row.preprocessor,
        status=row.status,
        score=row.score,
        duration_seconds=row.duration_seconds or 0.0,
        metrics=run.metrics,
        parameters=dict(run.params),
        error=row.error,
    )
    return EarlierTrial(result, plan, files.trial_folder(store, run, HELD_OUT_FILES) if row.has_model else None)
