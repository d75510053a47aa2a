"""Reading jobs and trials. A list of jobs is one query; a leaderboard another."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from automl_jobs.runs import files, liveness, names, tags
from automl_jobs.runs.rows import ENDED, INTERRUPTED, BestTrial, JobDetail, JobRow, TrialDetail, TrialRow
from automl_jobs.runs.writer import MLFLOW_STATUS, best_tags, cancel_file, log, now
from automl_jobs.spec.metrics import higher_is_better
from forestay import project
from forestay.errors import ForestayError, InputError

if TYPE_CHECKING:
    from automl_jobs.runs.store import RunStore

PAGE = 1000
DOCUMENTS = ("confusion_matrix", "accuracy_table")
_ENDED = {"FINISHED": "Completed", "FAILED": "Failed", "KILLED": "Canceled"}


def _search(client: Any, experiments: list[str], query: str) -> list[Any]:
    """All runs that fit, over as many pages as it takes, newest first."""
    found: list[Any] = []
    token: str | None = None
    while experiments:
        page = client.search_runs(experiments, query, max_results=PAGE, page_token=token)
        found.extend(page)
        token = page.token
        if not token:
            break
    return found


def _parents(store: RunStore, job: str | None = None) -> list[Any]:
    """The parent runs of all jobs, or of the one with exactly this name; newest first."""
    if store.empty:
        return []
    client = store.client
    query = f"tags.`{tags.KIND}` = 'job'"
    if job is not None:
        query += f" and tags.`{tags.JOB}` = '{job}'"
    runs = _search(client, experiment_ids(client), query)
    return sorted(runs, key=lambda run: int(run.data.tags[tags.CREATED]), reverse=True)


def experiment_ids(client: Any) -> list[str]:
    """The ids of all experiments."""
    found: list[str] = []
    token: str | None = None
    while True:
        page = client.search_experiments(max_results=PAGE, page_token=token)
        found.extend(str(experiment.experiment_id) for experiment in page)
        token = page.token
        if not token:
            return found


def _parent(store: RunStore, given: str) -> Any:
    """The parent run that a user means. Raises InputError."""
    if names.is_job_name(given):
        exact = _parents(store, given)
        if exact:
            return exact[0]
    runs = _parents(store)
    found = names.find_job(given, [run.data.tags[tags.JOB] for run in runs])
    return next(run for run in runs if run.data.tags[tags.JOB] == found)


def jobs(store: RunStore) -> list[JobRow]:
    """See `RunStore.jobs`."""
    experiments = _Experiments(store)
    return [_row(store, run, experiments) for run in _parents(store)]


def job(store: RunStore, given: str) -> JobDetail:
    """See `RunStore.job`."""
    run = _parent(store, given)
    row = _row(store, run, _Experiments(store))
    labels, data = run.data.tags, run.data
    tested = labels.get(tags.TEST_METRICS)
    started = labels.get(tags.STARTED)
    return JobDetail(
        **{field.name: getattr(row, field.name) for field in fields(row)},
        target=labels.get(tags.TARGET, ""),
        path=labels.get(tags.PATH, ""),
        started=int(started) if started else None,
        parameters=dict(data.params),
        metrics=finite_metrics(data.metrics),
        test_metrics=json.loads(tested) if tested else None,
        tags={key: value for key, value in labels.items() if not key.startswith(("mlflow.", "forestay."))},
    )


class _Experiments:
    """The names of experiments by their id, looked up at the first use and all at once."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._names: dict[str, str] = {}

    def name(self, identity: str) -> str:
        if identity not in self._names:
            self._names[identity] = str(self._store.client.get_experiment(identity).name)
        return self._names[identity]


def _row(store: RunStore, run: Any, experiments: _Experiments) -> JobRow:
    labels = run.data.tags
    created = int(labels[tags.CREATED])
    status, error, ended = _status(run), labels.get(tags.ERROR), run.info.end_time
    count, best = int(labels.get(tags.TRIALS, 0)), _best(labels)
    if ended is None and liveness.is_dead(labels):
        rows, ended = _record_end(store, run, status)
        count, best = len(rows), best_of(rows)
        if status not in ENDED:
            status, error = "Failed", INTERRUPTED
    return JobRow(
        job=labels[tags.JOB],
        run_id=run.info.run_id,
        experiment=experiments.name(run.info.experiment_id),
        env=labels.get(tags.ENV, "local"),
        status=status,
        task=labels.get(tags.TASK, ""),
        primary_metric=labels[tags.PRIMARY_METRIC],
        trials=count,
        best=best,
        created=created,
        ended=ended,
        duration_seconds=round(((ended or now()) - created) / 1000, 3),
        error=error,
    )


def _status(run: Any) -> str:
    """MLflow's word for a run that has ended, else the writer's."""
    return _ENDED.get(run.info.status) or str(run.data.tags.get(tags.STATUS, "Running"))


def _best(labels: Mapping[str, str]) -> BestTrial | None:
    kept = labels.get(tags.BEST)
    return BestTrial(**json.loads(kept)) if kept else None


def _record_end(store: RunStore, run: Any, status: str) -> tuple[list[TrialRow], int]:
    """Close a job whose process is gone, and what it left open: the leaderboard, and when the job was last heard of.

    A store that can't be written now is read all the same: the next reader comes to the same rows.
    """
    labels = run.data.tags
    children = _children(store, run)
    ended = max([int(labels[tags.CREATED]), *(child.info.end_time or 0 for child in children)])
    rows = _ranked(children, labels[tags.PRIMARY_METRIC])
    with contextlib.suppress(ForestayError), store.writing() as client:
        current = client.get_run(run.info.run_id)
        if current.info.end_time is not None:
            return rows, current.info.end_time
        for child in children:
            if child.info.end_time is None:
                log(client, child.info.run_id, labels={tags.STATUS: "Failed", tags.ERROR: INTERRUPTED})
                client.set_terminated(child.info.run_id, "FAILED", end_time=ended)
        summary = {tags.TRIALS: str(len(rows)), **best_tags(best_of(rows))}
        if status not in ENDED:
            summary |= {tags.STATUS: "Failed", tags.ERROR: INTERRUPTED}
        log(client, run.info.run_id, labels=summary)
        client.set_terminated(run.info.run_id, MLFLOW_STATUS.get(status, "FAILED"), end_time=ended)
    return rows, ended


def _children(store: RunStore, run: Any) -> list[Any]:
    return _search(store.client, [run.info.experiment_id], f"tags.`{tags.PARENT}` = '{run.info.run_id}'")


def trial_rows(store: RunStore, parent: Any) -> list[TrialRow]:
    """The leaderboard of a parent run; a trial that is being written now is not in it yet."""
    children = _children(store, parent)
    if parent.info.end_time is None and not liveness.is_dead(parent.data.tags):
        children = [child for child in children if child.info.end_time is not None]
    return _ranked(children, parent.data.tags[tags.PRIMARY_METRIC])


def _ranked(children: list[Any], metric: str) -> list[TrialRow]:
    """Best first: by score, then the quicker, then the earlier one. Failed ones last, in the order they came."""
    direction = -1.0 if higher_is_better(metric) else 1.0
    rows = sorted(
        ((_trial_row(child, metric), int(child.data.tags.get(tags.ORDER, 0))) for child in children),
        key=lambda pair: _place(pair[0], pair[1], direction),
    )
    return [replace(row, rank=rank) for rank, (row, _) in enumerate(rows, start=1)]


def _place(row: TrialRow, order: int, direction: float) -> tuple[bool, float, float, int]:
    if row.score is None or row.status != "Completed":
        return (True, 0.0, 0.0, order)
    return (False, direction * row.score, row.duration_seconds or 0.0, order)


def _trial_row(run: Any, metric: str) -> TrialRow:
    labels = run.data.tags
    metrics = finite_metrics(run.data.metrics)
    status, error = _status(run), labels.get(tags.ERROR)
    if status not in ENDED or run.info.end_time is None:
        status, error = "Failed", INTERRUPTED
    duration = labels.get(tags.DURATION)
    return TrialRow(
        rank=0,
        id=labels[tags.TRIAL],
        run_id=run.info.run_id,
        algorithm=labels.get(tags.ALGORITHM, ""),
        preprocessor=labels.get(tags.PREPROCESSOR, ""),
        score=metrics.get(metric) if status == "Completed" else None,
        status=status,
        duration_seconds=float(duration) if duration else None,
        metrics=metrics,
        error=error if status == "Completed" else error or "no reason given",
        has_model=status == "Completed" and labels.get(tags.OUTPUTS) == "yes",
    )


def finite_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics without what JSON can't say; by name."""
    return {name: value for name, value in sorted(metrics.items()) if math.isfinite(value)}


def best_of(rows: list[TrialRow]) -> BestTrial | None:
    """The first row, if it has a score."""
    if not rows or rows[0].score is None:
        return None
    first = rows[0]
    return BestTrial(first.id, first.algorithm, first.preprocessor, rows[0].score, first.run_id)


def leaderboard(store: RunStore, given: str) -> tuple[JobRow, list[TrialRow]]:
    """A job and its trials; see `RunStore.leaderboard`."""
    parent = _parent(store, given)
    return _row(store, parent, _Experiments(store)), trial_rows(store, parent)


def find_trial(store: RunStore, given: str, rank: int) -> tuple[JobRow, TrialRow]:
    """A job and its trial of that rank. Raises InputError naming the ranks there are."""
    found, rows = leaderboard(store, given)
    if not rows:
        raise InputError(f"{found.job} has no trials", fix=f"forestay job show {found.job}")
    if not 1 <= rank <= len(rows):
        raise InputError(
            f"{found.job} has no trial of rank {rank}: they go from 1 to {len(rows)}",
            where="--rank",
            fix=f"forestay job leaderboard {found.job}",
        )
    return found, rows[rank - 1]


def trial(store: RunStore, given: str, rank: int) -> TrialDetail:
    """See `RunStore.trial`."""
    found, row = find_trial(store, given, rank)
    run = store.client.get_run(row.run_id)
    outputs = files.outputs(store, run) if row.has_model else None
    return TrialDetail(
        job=found.job,
        task=found.task,
        primary_metric=found.primary_metric,
        row=row,
        parameters=dict(sorted(run.data.params.items())),
        documents={name: files.document(store, run, name) for name in DOCUMENTS},
        files=files.listed(outputs) if outputs else (),
        outputs=outputs,
    )


def cancel(store: RunStore, given: str) -> tuple[JobDetail, bool]:
    """See `RunStore.cancel`."""
    found = job(store, given)
    if found.status in ENDED:
        return found, False
    if store.place.database is not None:
        project.write_atomic(cancel_file(store, found.job), "")
    else:
        store.client.set_tag(found.run_id, tags.CANCEL, "yes")
    return found, True
