"""Azure's schedules of a job: the same job again, by a cron expression.

Azure runs the same data again, unless an input is `@latest`; it compares, registers and deploys nothing.
https://learn.microsoft.com/azure/machine-learning/how-to-schedule-pipeline-job
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from automl_jobs.azure import data
from automl_jobs.azure.arm import Arm
from automl_jobs.azure.submit import Ready, document_of
from forestay.errors import InputError

if TYPE_CHECKING:
    from automl_jobs.azure.storage import Progress

SCHEDULES = "2023-06-01-preview"
# Minute, hour, day, month, weekday: numbers, ranges, lists, steps. Azure wants the first and `*` for days and months.
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 6))
_PART = re.compile(r"(\*|\d+(-\d+)?)(/\d+)?")


@dataclass(frozen=True)
class Schedule:
    """Attributes: job: the experiment that it runs in; latest: inputs that are new each time."""

    name: str
    cron: str
    time_zone: str
    enabled: bool
    job: str
    latest: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "cron": self.cron,
            "time_zone": self.time_zone,
            "enabled": self.enabled,
            "experiment": self.job,
            "latest_inputs": list(self.latest),
        }


def check_cron(text: str) -> str:
    """A cron expression that Azure takes. Raises InputError naming the field that is wrong."""
    parts = text.split()
    fix = "minute hour day month weekday, as in --cron '0 3 * * 1': Mondays at three"
    if len(parts) != len(_FIELDS):
        raise InputError(f"{text!r} has {len(parts)} fields, not 5", where="--cron", fix=fix)
    for part, (name, low, high) in zip(parts, _FIELDS, strict=True):
        for one in part.split(","):
            numbers = [int(number) for number in re.findall(r"\d+", one.partition("/")[0])]
            if not _PART.fullmatch(one) or any(not low <= number <= high for number in numbers):
                raise InputError(f"{part!r} is no {name} ({low} to {high})", where="--cron", fix=fix)
    for part, name in ((parts[2], "day"), (parts[3], "month")):
        if part != "*":
            raise InputError(
                f"Azure ML ignores the {name} of a cron expression", where="--cron", fix=f"write * for it: {fix}"
            )
    return " ".join(parts)


def create(
    arm: Arm,
    ready: Ready,
    name: str,
    cron: str,
    time_zone: str,
    progress: Progress,
    say: Callable[[str], None],
) -> Schedule:
    """Make or replace a schedule of the job. Data that lies here is uploaded now, and repeated at each run."""
    loaded, spec = ready.loaded, ready.loaded.spec
    local = {table.key: table for table in ready.tables}
    uris = {
        key: data.upload(arm, local[key], progress, say)
        if key in local
        else data.address(arm, given, loaded.where(f"{key}.path"), keep_latest=True)
        for key, given in spec.inputs().items()
    }
    job = document_of(ready, uris)["properties"]
    document = {
        "properties": {
            "displayName": name,
            "isEnabled": True,
            "trigger": {"triggerType": "Cron", "expression": cron, "timeZone": time_zone},
            "action": {"actionType": "CreateJob", "jobDefinition": job},
            "tags": {"forestay.file": loaded.path.name},
            "properties": {},
        }
    }
    made = arm.put(f"{arm.place.path}/schedules/{name}", SCHEDULES, f"the schedule {name}", document, wait=True)
    return _read(made)


def listed(arm: Arm) -> list[Schedule]:
    """The workspace's schedules of jobs, by name."""
    found = arm.pages(f"{arm.place.path}/schedules", SCHEDULES, "the schedules")
    return sorted((_read(document) for document in found), key=lambda one: one.name)


def delete(arm: Arm, name: str) -> None:
    """Remove a schedule; jobs that it started go on. Raises InputError when there is none."""
    path, what = f"{arm.place.path}/schedules/{name}", f"the schedule {name}"
    if arm.find(path, SCHEDULES, what) is None:
        there = ", ".join(one.name for one in listed(arm))
        raise InputError(
            f"there is no schedule {name!r}", where="--delete", fix=f"there is: {there}" if there else "there is none"
        )
    arm.delete(path, SCHEDULES, what)


def _read(document: dict[str, Any]) -> Schedule:
    properties = document.get("properties") or {}
    trigger, job = properties.get("trigger") or {}, (properties.get("action") or {}).get("jobDefinition") or {}
    details = job.get("taskDetails") or {}
    latest = tuple(
        key
        for key in ("trainingData", "validationData", "testData")
        if str((details.get(key) or {}).get("uri") or "").endswith("@latest")
    )
    return Schedule(
        name=str(document["name"]),
        cron=str(trigger.get("expression") or trigger.get("frequency") or ""),
        time_zone=str(trigger.get("timeZone") or "UTC"),
        enabled=bool(properties.get("isEnabled", True)),
        job=str(job.get("experimentName") or "Default"),
        latest=latest,
    )
