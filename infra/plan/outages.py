"""How long a served model is away when it changes: a container group without a front is stopped and started anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from infra.plan.arm import AZURE
from infra.plan.model import Outage, PlannedResource
from infra.services import Service

GROUP = f"{AZURE}containerinstance:ContainerGroup"
# Azure stops the group, pulls the image and starts it: an estimate, from an image of some hundred megabytes to one of
# two gigabytes. Azure promises no time.
START_SECONDS = (30, 120)


def outages_of(resources: Iterable[PlannedResource], services: Mapping[str, Service]) -> tuple[Outage, ...]:
    """The outage that each change of a model on ACI means, where no front lets a new group stand beside the old."""
    return tuple(
        _outage(one)
        for one in resources
        if one.type == GROUP and one.name in services and services[one.name].front == "none"
    )


def _outage(one: PlannedResource) -> Outage:
    soonest, latest = _loading(one.inputs["containers"][0].get("readinessProbe") or {})
    least, most = START_SECONDS[0] + soonest, START_SECONDS[1] + latest
    reason = (
        f"no front: a change stops it, and it is away for {least} s to {-(-most // 60)} minutes (estimated: "
        f"{START_SECONDS[0]} to {START_SECONDS[1]} s to pull the image and start, {soonest} to {latest} s until the "
        "model is loaded and the readiness probe holds)"
    )
    fix = "write front: dns, traffic_manager (public) or application_gateway (in a network), or target: aks"
    return Outage(one.urn, least, most, reason, fix)


def _loading(probe: Mapping[str, Any]) -> tuple[int, int]:
    """Seconds from the start of the container to the first answer: at the soonest, and when the probe gives up."""
    initial = int(probe.get("initialDelaySeconds", 0))
    return initial, initial + int(probe.get("periodSeconds", 10)) * int(probe.get("failureThreshold", 3))
