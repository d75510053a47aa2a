"""What a job can cost at most, and what quota it takes: nodes, hours and the price file, before anything is sent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from automl_jobs.azure.arm import Arm
from forestay.errors import ForestayError

if TYPE_CHECKING:
    from automl_jobs.spec.jobs import JobSpec

PROVIDER = "Microsoft.MachineLearningServices"
USAGES = {
    PROVIDER: "2023-08-01-preview",
    "Microsoft.Compute": "2024-07-01",
    "Microsoft.ContainerInstance": "2023-05-01",
}
"""Whose quotas can be asked for, and with which API version."""
_LOW_PRIORITY = "lowPriorityCores"


@dataclass(frozen=True)
class Machines:
    """Where a job runs.

    Attributes
    ----------
    compute_id: the cluster's ARM id, None for serverless. size: of each node, "" where Azure chooses.
    most: nodes of the cluster. low_priority: whether they are taken from the cheaper, preemptible ones.
    """

    compute_id: str | None
    size: str
    most: int
    low_priority: bool = False


@dataclass(frozen=True)
class Estimate:
    """The most that a job can take.

    Attributes
    ----------
    nodes: at a time. hours: its time limit. amount: in `currency`, None where the size has no price.
    family, cores: the quota, cores None where the size's name doesn't tell.
    """

    size: str
    nodes: int
    hours: float
    amount: float | None
    currency: str
    family: str
    cores: int | None
    source: str
    low_priority: bool

    def line(self) -> str:
        """For a person, before a submit."""
        time = f"{self.hours:g} h" if self.hours >= 1 else f"{self.hours * 60:g} min"
        nodes = f"{self.nodes} node{'s' * (self.nodes != 1)}"
        where = f"{nodes} of {self.size or 'a size that Azure chooses'} for {time}"
        if self.amount is None:
            return f"{where}: no price of that size is in {self.source}"
        cheaper = "; low-priority nodes cost less" if self.low_priority else ""
        return f"{where}: {self.amount:,.2f} {self.currency} at list prices ({self.source}){cheaper}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "size": self.size or None,
            "nodes": self.nodes,
            "hours": self.hours,
            "amount": self.amount,
            "currency": self.currency,
            "quota": {"family": self.family, "cores": self.cores},
        }


def estimate(spec: JobSpec, machines: Machines) -> Estimate:
    """What a job takes at most: as many nodes as its trials run at a time, for as long as its limit allows."""
    from infra.plan import prices
    from infra.plan.sizes import size_of

    asked = spec.limits.max_nodes or spec.limits.max_concurrent_trials
    if spec.resources is not None and spec.resources.instance_count:
        asked = max(asked, spec.resources.instance_count)
    nodes = max(1, min(asked, machines.most or asked))
    hours = spec.limits.timeout_minutes / 60
    table, size = prices.load(), size_of(machines.size)
    month = table.month(machines.size)
    amount = None if month is None else round(month / prices.HOURS * nodes * hours, 2)
    return Estimate(
        size=machines.size,
        nodes=nodes,
        hours=hours,
        amount=amount,
        currency=table.about.currency,
        family=_LOW_PRIORITY if machines.low_priority else size.family,
        cores=None if size.cores is None else size.cores * nodes,
        source=f"{table.about.path}, {table.about.date}",
        low_priority=machines.low_priority,
    )


def quota_warning(arm: Arm, wanted: Estimate) -> str | None:
    """A line where the region's quota is too small for the job; None where it is enough, or can't be asked for."""
    if wanted.cores is None or not wanted.family:
        return None
    left = free_cores(arm, wanted.family)
    if left is None or left >= wanted.cores:
        return None
    return (
        f"the job takes up to {wanted.cores} cores of {wanted.family} in {arm.place.region}, and {left} are "
        f"free: it waits, or trains on fewer nodes; more is asked for in the portal (Quotas)"
    )


def free_cores(arm: Arm, family: str) -> int | None:
    """What is left of the region's quota for Azure ML; None where it can't be asked for, or has no such family."""
    try:
        found = usage(arm, PROVIDER, family)
    except ForestayError:
        return None
    return None if found is None else found[1] - found[0]


def usage(arm: Arm, provider: str, family: str) -> tuple[int, int] | None:
    """Of one of a provider's quotas in the region what is used, and what may be; None where it has no such quota.

    Raises OutsideError and InputError where it can't be asked for.
    """
    path = f"/subscriptions/{arm.place.subscription}/providers/{provider}/locations/{arm.place.region}/usages"
    for one in arm.pages(path, USAGES[provider], f"the quota of {provider}"):
        if str((one.get("name") or {}).get("value") or "").lower() == family.lower():
            return math.ceil(float(one.get("currentValue") or 0)), math.floor(float(one.get("limit") or 0))
    return None
