"""Azure's jobs as rows of the run store: the same rows as those of local runs.

The leaderboard of the primary metric is in the job's own tags, written by AutoML as lists joined by semicolons; all
else of the trials comes from MLflow and the run history (trials).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from automl_jobs.azure import trials
from automl_jobs.azure.arm import Arm
from automl_jobs.runs import choice, names
from automl_jobs.runs.rows import BestTrial, JobDetail, JobRow, TrialRow, finite
from automl_jobs.spec import metrics
from forestay.documents.names import snake
from forestay.errors import InputError

JOBS, CANCEL = "2024-01-01-preview", "2023-04-01-preview"
LISTED = 100
"""How many jobs a list goes back."""
TABLES = ("classification", "regression", "forecasting")
"""The tasks whose trials are told in the job's own tags."""
BEST_CHILD = "automl_best_child_run_id"
FILE, COMMIT, DATA, SAME = (f"forestay.{word}" for word in ("file", "commit", "data", "same"))
"""Tags of a job that was submitted from here: its file, the commit, the data's marks, a mark of all that it asks."""
PART = re.compile(r"_\d{3}$")
"""How the names of AutoML's own lists in tags end."""
_LISTS = ("iteration", "score", "run_algorithm", "run_preprocessor")
_TASKS = {"TextNER": "text_ner"}
# Azure's run statuses are finer; https://learn.microsoft.com/rest/api/azureml/jobs/get (JobStatus)
_STATUS = {
    "NotStarted": "Queued",
    "Queued": "Queued",
    "Scheduled": "Queued",
    "Provisioning": "Preparing",
    "Preparing": "Preparing",
    "Starting": "Preparing",
    "Running": "Running",
    "Finalizing": "Running",
    "CancelRequested": "Running",
    "Paused": "Running",
    "NotResponding": "Running",
    "Unknown": "Running",
    "Completed": "Completed",
    "Failed": "Failed",
    "Canceled": "Canceled",
}


@dataclass(frozen=True)
class Seen:
    """A job as Azure tells it.

    Attributes
    ----------
    row: as `job list` has it. trials: ranked, best first. document: Azure's own. tags: all of them.
    """

    row: JobRow
    trials: tuple[TrialRow, ...]
    document: Mapping[str, Any]

    @property
    def properties(self) -> Mapping[str, Any]:
        return dict(self.document.get("properties") or {})

    @property
    def tags(self) -> Mapping[str, str]:
        return dict(self.properties.get("tags") or {})

    @property
    def target(self) -> str:
        return str((self.properties.get("taskDetails") or {}).get("targetColumnName") or "")


def read(arm: Arm, document: Mapping[str, Any]) -> Seen:
    """A job's document as rows."""
    properties = document["properties"]
    details, tags = properties.get("taskDetails") or {}, properties.get("tags") or {}
    task = task_name(str(details.get("taskType") or ""))
    metric = _metric(details, task)
    status = _STATUS.get(str(properties.get("status")), "Running")
    found = ranked(str(document["name"]), tags, metric)
    best = next((row for row in found if row.chosen), None)
    created = moment((document.get("systemData") or {}).get("createdAt")) or 0
    row = JobRow(
        job=str(document["name"]),
        run_id=str(document["name"]),
        experiment=str(properties.get("experimentName") or "Default"),
        env=arm.place.env,
        status=status,
        task=task,
        primary_metric=metric,
        trials=len(found),
        best=as_best(best),
        created=created,
        ended=None,
        duration_seconds=None,
        error=None,
    )
    return Seen(row, tuple(found), document)


def as_best(row: TrialRow | None) -> BestTrial | None:
    if row is None or row.score is None:
        return None
    reason = "" if row.rank == 1 else "Azure's own choice"
    return BestTrial(row.id, row.algorithm, row.preprocessor, row.score, row.run_id, row.rank, reason)


def task_name(task_type: str) -> str:
    """`TextClassification` -> `text_classification`."""
    return _TASKS.get(task_type) or snake(task_type)


def _metric(details: Mapping[str, Any], task: str) -> str:
    given = details.get("primaryMetric")
    return metrics.run_name(str(given) if given else metrics.PRIMARY_METRICS.get(task, ("accuracy",))[0])


def ranked(job: str, tags: Mapping[str, str], metric: str) -> list[TrialRow]:
    """The trials that a job's tags tell of, best first; the one that Azure chose is marked."""
    columns = {name: _joined(tags, name) for name in _LISTS}
    best = tags.get(BEST_CHILD)
    rows = []
    for order, number in enumerate(columns["iteration"], start=1):
        score = finite(_number(_at(columns["score"], order)))
        run_id = f"{job}_{number}"
        rows.append(
            TrialRow(
                rank=0,
                id=number,
                run_id=run_id,
                algorithm=_at(columns["run_algorithm"], order),
                preprocessor=_at(columns["run_preprocessor"], order),
                score=score,
                status="Failed" if score is None else "Completed",
                duration_seconds=None,
                metrics={} if score is None else {metric: score},
                error=trials.NO_SCORE if score is None else None,
                has_model=score is not None,
                chosen=run_id == best,
            )
        )
    return _ranked(rows, metric)


def _ranked(rows: Sequence[TrialRow], metric: str) -> list[TrialRow]:
    """The trials, in the order of their numbers, best first; without a choice of Azure's the first is chosen."""
    found = choice.ranked([(row, order) for order, row in enumerate(rows, 1)], metrics.higher_is_better(metric))
    if found and not any(row.chosen for row in found) and found[0].score is not None:
        found[0] = replace(found[0], chosen=True)
    return found


def _joined(tags: Mapping[str, str], name: str) -> list[str]:
    """A list that AutoML keeps in tags: `score_000`, and `score_001` where one tag was too short."""
    found: list[str] = []
    for number in itertools.count():
        part = tags.get(f"{name}_{number:03d}")
        if part is None:
            return found
        found += part.split(";")
    return found


def _at(values: list[str], order: int) -> str:
    return values[order - 1] if order <= len(values) else ""


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def moment(text: Any) -> int | None:
    """An ISO time as milliseconds since 1970; Azure writes seven digits of a second."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def newest_first(arm: Arm) -> Iterator[Seen]:
    """AutoML's jobs, the newest first."""
    for document in arm.pages(f"{arm.place.path}/jobs", JOBS, "the jobs", jobType="AutoML"):
        if (document.get("properties") or {}).get("jobType") == "AutoML":
            yield read(arm, document)


def listed(arm: Arm) -> list[JobRow]:
    """The newest jobs, LISTED at most."""
    return [seen.row for seen in itertools.islice(newest_first(arm), LISTED)]


def find(arm: Arm, given: str) -> Seen:
    """The job that a user means: its name, the beginning of only one name, or `latest`. Raises InputError."""
    if names.is_job_name(given):
        document = arm.find(f"{arm.place.path}/jobs/{given}", JOBS, f"the job {given}")
        if document is not None:
            if (document.get("properties") or {}).get("jobType") != "AutoML":
                raise InputError(f"{given} is no AutoML job", fix=f"forestay job list --env {arm.place.env}")
            return _with_sweep(arm, read(arm, document))
    found = list(itertools.islice(newest_first(arm), 1 if given == names.LATEST else LISTED))
    name = names.find_job(given, [seen.row.job for seen in found])
    return _with_sweep(arm, next(seen for seen in found if seen.row.job == name))


def _with_sweep(arm: Arm, seen: Seen) -> Seen:
    """A job on texts or images has no lists in its tags: its trials are those of the sweep below it."""
    if seen.trials or seen.row.task in TABLES or seen.row.status in ("Queued", "Preparing"):
        return seen
    rows = trials.swept(arm, seen.row.job, seen.row.primary_metric, seen.tags.get(BEST_CHILD))
    found = _ranked(rows, seen.row.primary_metric)
    best = as_best(next((row for row in found if row.chosen), None))
    return replace(seen, row=replace(seen.row, trials=len(found), best=best), trials=tuple(found))


def detail(arm: Arm, seen: Seen) -> JobDetail:
    """The whole job: times and the reason of a failure come from the run history."""
    history = arm.history(f"runs/{seen.row.job}/details", f"the run {seen.row.job}") or {}
    started, ended = moment(history.get("startTimeUtc")), moment(history.get("endTimeUtc"))
    until = ended or (None if seen.row.status in ("Queued", "Preparing") else _now())
    seconds = None if started is None or until is None else max(0.0, (until - started) / 1000)
    limits = (seen.properties.get("taskDetails") or {}).get("limitSettings") or {}
    compute = str(seen.properties.get("computeId") or "").rsplit("/", 1)[-1]
    row = replace(seen.row, ended=ended, duration_seconds=seconds, error=trials.error_of(history))
    return JobDetail(
        **{name: getattr(row, name) for name in JobRow.__dataclass_fields__},
        target=seen.target,
        path=seen.tags.get(FILE, ""),
        started=started,
        parameters={key: str(value) for key, value in {"compute": compute or "serverless", **limits}.items()},
        test_metrics=_tested(arm, seen),
        tags={key: value for key, value in seen.tags.items() if not PART.search(key)},
    )


def _tested(arm: Arm, seen: Seen) -> dict[str, float] | None:
    """Azure's own metrics on the job's test data, of the trial that it chose; None where there are none."""
    details = seen.properties.get("taskDetails") or {}
    if seen.row.status != "Completed" or seen.row.best is None:
        return None
    if not details.get("testData") and not details.get("testDataSize"):
        return None
    return trials.tested(arm, seen.row.best.run_id)


def _now() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def with_metrics(arm: Arm, seen: Seen) -> list[TrialRow]:
    """The leaderboard with all metrics, durations, and the reasons of failed trials."""
    return trials.measured(arm, seen.row.job, seen.trials)


def cancel(arm: Arm, given: str) -> tuple[JobRow, bool]:
    """Ask Azure to stop a job; the job, and whether there was anything to stop."""
    from automl_jobs.runs.rows import ENDED

    seen = find(arm, given)
    if seen.row.status in ENDED:
        return seen.row, False
    arm.post(f"{arm.place.path}/jobs/{seen.row.job}/cancel", CANCEL, f"the job {seen.row.job}")
    return seen.row, True


def delete(arm: Arm, seen: Seen) -> None:
    """Delete a job that has ended. Raises InputError while it runs; models registered from it stay."""
    from automl_jobs.runs.rows import ENDED

    if seen.row.status not in ENDED:
        raise InputError(
            f"{seen.row.job} has not ended: it is {seen.row.status}",
            where="JOB",
            fix=f"stop it first: forestay job cancel {seen.row.job} --env {arm.place.env}",
        )
    arm.delete(f"{arm.place.path}/jobs/{seen.row.job}", JOBS, f"the job {seen.row.job}")
