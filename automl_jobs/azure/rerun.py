"""A job in Azure sent again as Azure keeps it: the same task, settings, compute and data, or new data in its place."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.azure import data, fetch, jobs, storage
from automl_jobs.azure.arm import Arm
from automl_jobs.azure.jobs import Seen
from automl_jobs.rerun import RERUN_OF, compared, read_new
from automl_jobs.runs import names
from automl_jobs.runs.rows import ENDED
from forestay.errors import ForestayError, InputError

if TYPE_CHECKING:
    from automl_jobs.azure.storage import Progress
    from automl_jobs.data import Table

SENT = (
    "jobType",
    "displayName",
    "description",
    "experimentName",
    "computeId",
    "environmentId",
    "environmentVariables",
    "outputs",
    "identity",
    "resources",
    "queueSettings",
    "taskDetails",
)
"""What of a job's document is what was asked for; all else is Azure's own."""
_AUTOML = (
    "automl_",
    "_aml_",
    "model_explain",
    "is_gpu",
    "pipeline_id",
    "fit_time",
    "training_percent",
    "predicted_cost",
)
"""How tags begin that AutoML writes."""


def send(
    arm: Arm,
    given: str,
    new: Path | None,
    force: bool,
    progress: Progress,
    say: Callable[[str], None],
    warn: Callable[[str], None],
) -> str:
    """Send a job again; the new one's name. Raises InputError, OutsideError.

    Parameters
    ----------
    new: a data file, or a folder with an MLTable, in place of the training data. force: also while the job still runs.
    """
    seen = jobs.find(arm, given)
    if seen.row.status not in ENDED and not force:
        raise InputError(
            f"{seen.row.job} has not ended: it is {seen.row.status}",
            where="JOB",
            fix=f"follow it: forestay job watch {seen.row.job} --env {arm.place.env}; or --force another one",
        )
    properties = again(seen.row.job, seen.properties)
    if new is not None:
        with tempfile.TemporaryDirectory(prefix="forestay-data-") as scratch:
            table, local = _local(new, Path(scratch))
            _compare(arm, seen, table, new, warn)
            uri = data.upload(arm, local, progress, say)
        properties["taskDetails"] = {
            **properties["taskDetails"],
            "trainingData": {**properties["taskDetails"]["trainingData"], "uri": uri},
        }
        properties["tags"][jobs.DATA] = f"training_data={local.mark}"
        properties["tags"].pop(jobs.SAME, None)
    name = names.new_job_name()
    arm.put(f"{arm.place.path}/jobs/{name}", jobs.JOBS, f"the job {name}", {"properties": properties})
    return name


def again(job: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """What to send so that Azure runs the same once more: what was asked for, without what Azure has added since."""
    found = {key: properties[key] for key in SENT if properties.get(key) is not None}
    ours = {key: value for key, value in (properties.get("properties") or {}).items() if key.startswith("forestay.")}
    tags = {key: value for key, value in (properties.get("tags") or {}).items() if not _added(key)}
    return {**found, "isArchived": False, "properties": ours, "tags": {**tags, RERUN_OF: job}}


def _added(tag: str) -> bool:
    return bool(jobs.PART.search(tag)) or tag.startswith(_AUTOML)


def _local(new: Path, scratch: Path) -> tuple[Table, data.Local]:
    """New data as it is uploaded: a folder with an MLTable; a plain file gets one."""
    table = read_new(new)
    folder = new
    if new.is_file():
        folder = data.wrapped(new, scratch / "data", data.mltable_of(new, table))
    files = storage.files_below(folder)
    return table, data.Local(
        "training_data", folder, tuple(files), data.asset_name(new), storage.content_mark(folder, files)
    )


def _compare(arm: Arm, seen: Seen, table: Table, new: Path, warn: Callable[[str], None]) -> None:
    """Tell what is other in the new data than in that of the job, where Azure still has it. Raises InputError."""
    now = {column.name: str(column.type) for column in table.columns}
    try:
        before = {column.name: str(column.type) for column in fetch.training_table(arm, seen).columns}
    except ForestayError as error:
        warn(f"the data of {seen.row.job} can't be read to compare columns ({error.problems[0].message})")
        before = {}
    needed = frozenset({*before, seen.target} - {""})
    for line in compared({seen.target: now.get(seen.target, "")} | before, needed, now, str(new)):
        warn(line)
