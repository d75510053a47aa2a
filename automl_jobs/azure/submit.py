"""A job file to a job in Azure: checked here, read by azure-ai-ml as well, its data uploaded, then sent.

Nothing is sent before all checks have passed; the job's name is chosen here, so that a request that is sent twice
because its answer was lost makes one job.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.azure import cost, data, jobs
from automl_jobs.azure.arm import Arm
from automl_jobs.azure.body import body
from automl_jobs.azure.cost import Estimate, Machines
from automl_jobs.runs import names
from forestay import project
from forestay.errors import InputError, Problem

if TYPE_CHECKING:
    from automl_jobs.azure.data import Local
    from automl_jobs.azure.storage import Progress
    from automl_jobs.data import Table
    from automl_jobs.prepare import Prepared
    from automl_jobs.runs import JobRow
    from automl_jobs.spec import LoadedJob
    from automl_jobs.spec.jobs import JobSpec

COMPUTES = "2023-08-01-preview"
LONGEST_TAG = 250
_SDK = "azure-ai-ml"


@dataclass(frozen=True)
class Ready:
    """A job that may be sent.

    Attributes
    ----------
    machines: where it will run. estimate: the most that it can take. quota: a warning, or None.
    twin: an equal job that runs or has completed, or None. same: the mark that tells equal jobs.
    """

    loaded: LoadedJob
    tables: list[Local]
    machines: Machines
    estimate: Estimate
    quota: str | None
    twin: JobRow | None
    same: str


def read_by_sdk(loaded: LoadedJob, overrides: Mapping[str, str]) -> None:
    """Have azure-ai-ml read the file too: what it refuses, Azure's other clients would not take. Raises InputError."""
    import yaml

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from azure.ai.ml import load_job

        over = [{key: yaml.safe_load(value)} for key, value in overrides.items() if yaml.safe_load(value) is not None]
        _hush()
        try:
            load_job(loaded.path, params_override=over)
        except Exception as error:  # it raises marshmallow's, its own, and KeyError
            raise InputError(
                f"{_SDK} does not take this job file: {_reason(error)}",
                where=str(loaded.path),
                fix="correct what it names",
            ) from error


def _hush() -> None:
    import logging

    logging.getLogger("azure.ai.ml").setLevel(logging.CRITICAL)


def _reason(error: Exception) -> str:
    """The one line of many that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    useful = [line for line in lines if not line.startswith(("Validation for", "{", "}", "If you", "The easiest"))]
    return " ".join(useful or lines)[:400] or type(error).__name__


def machines(arm: Arm, loaded: LoadedJob, create: bool, say: Callable[[str], None]) -> Machines:
    """Where the job runs: the cluster that it names, serverless compute, or the stack's own cluster.

    Parameters
    ----------
    create: make a cluster that is missing, from the stack's settings.

    Raises InputError for a cluster that is not there.
    """
    spec, place, training = loaded.spec, arm.place, arm.place.training
    name = (spec.compute or "").removeprefix("azureml:").rsplit("/", 1)[-1]
    if name == "serverless" or (not name and (spec.resources is not None or training.serverless)):
        size = (spec.resources.instance_type if spec.resources else None) or training.vm_size
        tier = (spec.queue_settings.job_tier if spec.queue_settings else None) or ""
        most = (spec.resources.instance_count if spec.resources else None) or 0
        return Machines(None, size, most, tier.lower() == "spot")
    name = name or place.cluster
    what = f"the cluster {name}"
    found = arm.find(place.compute_id(name), COMPUTES, what)
    if found is None and create:
        say(f"making {what}: {training.vm_size}, up to {training.max_nodes} nodes")
        found = arm.put(place.compute_id(name), COMPUTES, what, cluster_body(arm), wait=True)
    if found is None:
        where = loaded.where("compute") if spec.compute else place.stack_file
        raise InputError(
            f"there is no cluster {name!r} in {place.workspace}",
            where=where,
            fix=f"--create-compute makes it from {place.stack_file}; or --set compute=azureml:NAME",
        )
    properties = (found.get("properties") or {}).get("properties") or {}
    return Machines(
        place.compute_id(name),
        str(properties.get("vmSize") or ""),
        int((properties.get("scaleSettings") or {}).get("maxNodeCount") or 0),
        str(properties.get("vmPriority") or "").lower() == "lowpriority",
    )


def cluster_body(arm: Arm) -> dict[str, Any]:
    """The stack's training cluster, as the Pulumi program declares it (infra/components/compute.py)."""
    place, training = arm.place, arm.place.training
    return {
        "location": place.region,
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {place.trainer: {}}},
        "properties": {
            "computeType": "AmlCompute",
            "disableLocalAuth": True,
            "properties": {
                "osType": "Linux",
                "vmSize": training.vm_size,
                "vmPriority": "LowPriority" if training.priority == "low_priority" else "Dedicated",
                "enableNodePublicIp": not place.private,
                "remoteLoginPortPublicAccess": "Disabled",
                "scaleSettings": {
                    "minNodeCount": training.min_nodes,
                    "maxNodeCount": training.max_nodes,
                    "nodeIdleTimeBeforeScaleDown": f"PT{training.idle_seconds}S",
                },
            },
        },
    }


def look(arm: Arm, loaded: LoadedJob, tables: list[Local], create_compute: bool, say: Callable[[str], None]) -> Ready:
    """Everything that is to be known before a job is sent; only a cluster that was asked for is made. Raises errors."""
    found = machines(arm, loaded, create_compute, say)
    wanted = cost.estimate(loaded.spec, found)
    marks = data.marks(tables, loaded.spec.inputs())
    same = _same(loaded.spec, marks, found)
    return Ready(
        loaded=loaded,
        tables=tables,
        machines=found,
        estimate=wanted,
        quota=cost.quota_warning(arm, wanted),
        twin=_twin(arm, same),
        same=same,
    )


def _same(spec: JobSpec, marks: Mapping[str, str], found: Machines) -> str:
    """A mark of all that a job asks of Azure: equal for equal jobs on equal data, whatever they are called."""
    nameless = spec.model_copy(update={"name": None, "display_name": None, "description": None, "tags": {}})
    text = json.dumps(body(nameless, marks, found.compute_id), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _twin(arm: Arm, same: str) -> JobRow | None:
    """An equal job that has not failed, among the newest ones."""
    for _, seen in zip(range(jobs.LISTED), jobs.newest_first(arm), strict=False):
        if seen.tags.get(jobs.SAME) == same and seen.row.status not in ("Failed", "Canceled"):
            return seen.row
    return None


def send(arm: Arm, ready: Ready, progress: Progress, say: Callable[[str], None]) -> str:
    """Upload what Azure lacks of the data, and make the job; its name. Raises InputError, OutsideError."""
    loaded, spec = ready.loaded, ready.loaded.spec
    local = {table.key: table for table in ready.tables}
    uris = {
        key: data.upload(arm, local[key], progress, say)
        if key in local
        else data.address(arm, given, loaded.where(f"{key}.path"))
        for key, given in spec.inputs().items()
    }
    name = spec.name or names.new_job_name()
    names.check_job_name(name)
    document = document_of(ready, uris)
    path, what = f"{arm.place.path}/jobs/{name}", f"the job {name}"
    try:
        arm.put(path, jobs.JOBS, what, document)
    except InputError:
        # Was it the second try of a request whose answer was lost?
        found = None if spec.name else arm.find(path, jobs.JOBS, what)
        if found is None or (found["properties"].get("tags") or {}).get(jobs.SAME) != ready.same:
            raise
    return name


def document_of(ready: Ready, uris: Mapping[str, str]) -> dict[str, Any]:
    """The request's body. Serverless compute has the stack's size where the file names none."""
    found = body(ready.loaded.spec, uris, ready.machines.compute_id, _tags(ready))
    if ready.machines.compute_id is None:
        found["properties"].setdefault("resources", {"instanceType": ready.machines.size})
    return found


def _tags(ready: Ready) -> dict[str, str]:
    """Where a job came from: its file, the commit, the data."""
    loaded = ready.loaded
    marks = data.marks(ready.tables, loaded.spec.inputs())
    found = {
        jobs.FILE: loaded.path.name,
        jobs.COMMIT: project.commit(loaded.path.absolute().parent) or "",
        jobs.DATA: " ".join(f"{key}={mark}" for key, mark in marks.items()),
        jobs.SAME: ready.same,
    }
    return {key: value[:LONGEST_TAG] for key, value in found.items() if value}


@contextmanager
def checked(
    job_file: Path, overrides: Mapping[str, str], say: Callable[[str], None], warn: Callable[[str], None]
) -> Iterator[tuple[LoadedJob, list[Local]]]:
    """A job file that is right for us and for azure-ai-ml, and its tables that lie here; nothing is asked of Azure.

    Raises InputError with everything that is wrong.
    """
    from automl_jobs.prepare import prepare
    from automl_jobs.spec import load_job

    loaded = load_job(job_file, overrides)
    texts: dict[str, str] = {}

    def as_read(key: str, table: Table) -> None:
        path = loaded.spec.inputs()[key].local(loaded.folder)
        if path is not None and path.is_file():
            texts[key] = data.mltable_of(path, table)

    for warning in _meant_for_azure(prepare(loaded, say, as_read)):
        warn(f"{warning.where}: {warning.message}" if warning.where else warning.message)
    with data.local_tables(loaded, texts) as tables:
        read_by_sdk(loaded, overrides)
        yield loaded, tables


def _meant_for_azure(prepared: Prepared) -> list[Problem]:
    """The warnings of a prepared job without those that mean this machine.

    A plain file is wrapped, and a table that lies elsewhere is Azure's to read: no word about either is of use.
    """
    prepared.release()
    local = ("refused by Azure", "out of this machine's reach")
    return [one for one in prepared.warnings if not any(words in one.message for words in local)]
