"""A job that ran elsewhere, as a job of this store: the same runs and tags that a local writer leaves.

Landing a job again adds what is new: trials that ended since, files that were fetched since.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.runs import tags, writer
from automl_jobs.runs.rows import ENDED, JobDetail, TrialRow
from forestay.errors import InputError

if TYPE_CHECKING:
    from automl_jobs.runs.source import Run
    from automl_jobs.runs.store import RunStore


@dataclass(frozen=True)
class Arrival:
    """A job of elsewhere.

    Attributes
    ----------
    detail, trials: as its own service tells them; the chosen trial is marked.
    spec_text: what was asked for, kept as the job file.
    outputs: folders of trials' files, by the trials' ids. documents: their JSON documents, by ids and names.
    """

    detail: JobDetail
    trials: Sequence[TrialRow]
    spec_text: str
    outputs: Mapping[str, Path] = field(default_factory=dict)
    documents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def land(store: RunStore, arrival: Arrival) -> None:
    """Write the job into the store. Raises InputError where another job has its name."""
    job = arrival.detail
    parent = _parent(store, job)
    source = store.source
    there = {run.tags[tags.TRIAL]: run for run in (source.runs(tags.PARENT, parent) if source else [])}
    run_ids = {
        row.id: _trial(store, job, parent, there.get(row.id), row, order)
        for order, row in enumerate(sorted(arrival.trials, key=_order), start=1)
    }
    for identity, folder in arrival.outputs.items():
        _files(store, run_ids[identity], folder, arrival.documents.get(identity, {}))
    _end(store, arrival, parent, run_ids)


def _order(row: TrialRow) -> tuple[int, str]:
    return (int(row.id), "") if row.id.isdigit() else (1 << 30, row.id)


def _parent(store: RunStore, job: JobDetail) -> str:
    """The id of the job's run, made if there is none."""
    from automl_jobs.spec.metrics import higher_is_better

    with store.writing() as client:
        found = store.source.runs(tags.JOB, job.job) if store.source else []
        if found and found[0].tags.get(tags.ENV) != job.env:
            raise InputError(
                f"a job of {found[0].tags.get(tags.ENV, 'local')!r} is called {job.job!r} here already",
                where=str(store.place.shown),
                fix="fetch it in another project folder",
            )
        if found:
            return found[0].run_id
        begun = job.started or job.created
        run = client.create_run(
            writer.experiment(store, job.experiment),
            start_time=job.created,
            run_name=job.job,
            tags={
                **writer.kept_tags(job.tags),
                tags.KIND: "job",
                tags.JOB: job.job,
                tags.TASK: job.task,
                tags.PRIMARY_METRIC: job.primary_metric,
                tags.DIRECTION: "maximize" if higher_is_better(job.primary_metric) else "minimize",
                tags.TARGET: job.target,
                tags.ENV: job.env,
                tags.PATH: job.path,
                tags.STATUS: job.status,
                tags.CREATED: str(job.created),
                tags.SESSION: str(begun),
                tags.STARTED: str(begun),
                tags.TRIALS: "0",
                **writer.origin(),
            },
        )
        writer.log(client, run.info.run_id, parameters={**job.parameters, writer.PREFER: "score"})
        return str(run.info.run_id)


def _trial(store: RunStore, job: JobDetail, parent: str, found: Run | None, row: TrialRow, order: int) -> str:
    """The id of a trial's run, made if there is none; what has ended does not change any more."""
    if found is not None and found.ended is not None:
        return found.run_id
    begun = job.started or job.created
    seconds = row.duration_seconds or 0.0
    labels = {tags.STATUS: row.status, tags.OUTPUTS: "no", **({tags.ERROR: row.error} if row.error else {})}
    with store.writing() as client:
        run = client.create_run(
            writer.experiment(store, job.experiment),
            start_time=begun,
            run_name=row.id,
            tags={
                tags.PARENT: parent,
                tags.KIND: "trial",
                tags.TRIAL: row.id,
                tags.OF_JOB: job.job,
                tags.ORDER: str(order),
                tags.ALGORITHM: row.algorithm,
                tags.PREPROCESSOR: row.preprocessor,
                tags.DURATION: f"{seconds:.3f}",
                tags.REMOTE: row.run_id,
                **writer.origin(),
            },
        )
        metrics = dict(row.metrics)
        if row.score is not None:
            metrics[job.primary_metric] = row.score
        writer.log(client, run.info.run_id, metrics=metrics, labels=labels)
        ended = begun + int(seconds * 1000)
        client.set_terminated(run.info.run_id, writer.MLFLOW_STATUS[row.status], end_time=ended)
    return str(run.info.run_id)


def _files(store: RunStore, run_id: str, folder: Path, documents: Mapping[str, Any]) -> None:
    client = store.client
    client.log_artifacts(run_id, str(folder), "outputs")
    for name, document in documents.items():
        client.log_text(run_id, json.dumps(document, allow_nan=False), name)
    with store.writing() as writing:
        writer.log(writing, run_id, labels={tags.OUTPUTS: "yes"})


def _end(store: RunStore, arrival: Arrival, parent: str, run_ids: Mapping[str, str]) -> None:
    job = arrival.detail
    best = None if job.best is None else replace(job.best, run_id=run_ids.get(job.best.id, job.best.run_id))
    chosen = next((row for row in arrival.trials if job.best and row.id == job.best.id), None)
    labels = {tags.STATUS: job.status, tags.TRIALS: str(len(arrival.trials)), **writer.best_tags(best)}
    if job.error:
        labels[tags.ERROR] = job.error
    metrics = dict(chosen.metrics) if chosen else {}
    if job.test_metrics is not None:
        labels[tags.TESTED] = "yes"
        metrics |= {writer.TEST + name: value for name, value in job.test_metrics.items()}
    with store.writing() as client:
        writer.log(client, parent, metrics=metrics, labels=labels, step=len(arrival.trials))
        if job.status in ENDED:
            client.set_terminated(parent, writer.MLFLOW_STATUS[job.status], end_time=job.ended or writer.now())
    store.client.log_text(parent, arrival.spec_text, writer.JOB_FILE)
