"""The machines of a managed deployment: whether the quota has room, what they cost, and the request for them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from automl_jobs.azure import cost
from automl_jobs.azure.arm import Arm
from forestay.errors import InputError, OutsideError
from infra.plan import prices
from infra.plan.sizes import size_of
from scoring.folder import ScoringFolder
from scoring.targets.managed_assets import Assets
from scoring.targets.managed_requests import FOLDER, MODEL, VERSION

SIZE = "Standard_DS3_v2"
RESERVE = 1.2
"""Azure wants room for a fifth more instances, to upgrade them without an outage; see require_quota()."""


@dataclass(frozen=True)
class Machines:
    """Attributes: size, least and most instances; the number follows the load where these differ."""

    size: str
    least: int
    most: int

    def __str__(self) -> str:
        return f"{self.least if self.least == self.most else f'{self.least} to {self.most}'} x {self.size}"

    @property
    def scaled(self) -> tuple[int, int] | None:
        return None if self.least == self.most else (self.least, self.most)


def check_size(size: str) -> str:
    """`size`, if it reads like the name of a virtual machine's size. Raises InputError."""
    if size_of(size).cores is None:
        raise InputError(f"{size!r} is no size of virtual machines", where="--instance-type", fix=f"write it as {SIZE}")
    return size


def require_quota(arm: Arm, machines: Machines, has: int = 0) -> None:
    """Raise OutsideError where the region's quota has no room for the instances beside those that run.

    What runs already is counted by Azure; of the deployment itself that is `has` instances. Azure reserves
    ceil(1.2 x instances) x cores: https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas
    """
    size = size_of(machines.size)
    left = cost.free_cores(arm, size.family)
    if left is None or size.cores is None:
        return

    def needed(instances: int) -> int:
        return (math.ceil(RESERVE * instances) - math.ceil(RESERVE * has)) * (size.cores or 0)

    if needed(machines.most) <= left:
        return
    raise OutsideError(
        f"the quota is too small: {machines} need {needed(machines.most)} cores of {size.family} in "
        f"{arm.place.region}, Azure's reserve for upgrades and the deployment that runs beside it included, "
        f"and {left} are free",
        where=f"--env {arm.place.env}",
        fix="ask for more in the portal (Quotas), take another --instance-type or fewer --replicas, or remove what "
        "nobody reaches: forestay endpoint prune",
    )


def bills(machines: list[tuple[str, int]]) -> str | None:
    """What these sizes and numbers of instances cost while nobody asks; None where there are none."""
    if not machines:
        return None
    table = prices.load()
    months = [table.month(size) for size, _ in machines]
    counts = Counter[str]()
    for size, count in machines:
        counts[size] += count
    what = ", ".join(f"{count} x {size}" for size, count in counts.items())
    if any(month is None for month in months):
        return f"{what}, day and night"
    total = sum((month or 0) * count for month, (_, count) in zip(months, machines, strict=True))
    return f"{what}, day and night: about {total:,.0f} {table.about.currency} a month"


def body(arm: Arm, folder: ScoringFolder, folder_hash: str, assets: Assets, machines: Machines) -> dict[str, Any]:
    """A deployment as the REST API takes it: a worker a core, and requests that wait a while rather than get a 429."""
    workers = size_of(machines.size).cores or 1
    runs: dict[str, Any] = {
        # Azure checks who calls; the image, which does so by itself elsewhere, is told.
        "environmentVariables": {"FORESTAY_AUTH": "none", "WEB_CONCURRENCY": str(workers)},
    }
    if assets.code:
        runs = {
            "model": assets.model,
            "codeConfiguration": {"codeId": assets.code, "scoringScript": "score.py"},
            "environmentVariables": {"WORKER_COUNT": str(workers)},
        }
    return {
        "location": arm.place.region,
        "kind": "Managed",
        "tags": {MODEL: folder.model, VERSION: folder.version, FOLDER: folder_hash},
        "sku": {"name": "Default", "tier": "Standard", "capacity": machines.least},
        "properties": {
            "endpointComputeType": "Managed",
            "instanceType": machines.size,
            "environmentId": assets.environment,
            "appInsightsEnabled": True,
            "scaleSettings": {"scaleType": "Default"},
            "requestSettings": {
                "requestTimeout": "PT1M",
                "maxConcurrentRequestsPerInstance": workers,
                "maxQueueWait": "PT5S",
            },
            "description": f"{folder.model} {folder.version}",
            "properties": {},
            **runs,
        },
    }


def resized(document: dict[str, Any], instances: int) -> dict[str, Any]:
    """A deployment as it is, with another number of instances, as it can be sent back."""
    said_only = ("provisioningState", "endpointComputeType")
    properties = {key: value for key, value in document["properties"].items() if key not in said_only}
    return {
        "location": document["location"],
        "kind": document.get("kind") or "Managed",
        "tags": document.get("tags") or {},
        "sku": {**(document.get("sku") or {"name": "Default", "tier": "Standard"}), "capacity": instances},
        "properties": {
            "endpointComputeType": "Managed",
            **{key: value for key, value in properties.items() if value is not None},
        },
    }
