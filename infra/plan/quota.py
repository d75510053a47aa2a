"""What a stack may take of a region's quota at most, in cores by family of virtual machine.

Training clusters count against Azure Machine Learning's quota, low-priority nodes against one of their own; nodes of
Kubernetes count against Compute's; container groups against Container Instances'.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from infra.plan.arm import AZURE
from infra.plan.model import PlannedResource, Quota
from infra.plan.sizes import size_of

LEARNING = "Microsoft.MachineLearningServices"
COMPUTE = "Microsoft.Compute"
INSTANCES = "Microsoft.ContainerInstance"
LOW_PRIORITY = "lowPriorityCores"


def quota_of(resources: Iterable[PlannedResource]) -> tuple[Quota, ...]:
    """The most that the stack takes, by provider and family."""
    taken: dict[tuple[str, str], list[tuple[str, int | None]]] = {}
    for one in resources:
        if not one.external:
            for provider, family, cores in _uses(one.type.removeprefix(AZURE), one.inputs):
                taken.setdefault((provider, family), []).append((one.urn, cores))
    return tuple(
        Quota(provider, family, _sum(cores for _, cores in uses), tuple(sorted({urn for urn, _ in uses})))
        for (provider, family), uses in sorted(taken.items())
    )


def _sum(cores: Iterable[int | None]) -> int | None:
    """The sum; unknown when a part is."""
    known = list(cores)
    return None if None in known else sum(part or 0 for part in known)


def _uses(kind: str, inputs: Mapping[str, Any]) -> Iterator[tuple[str, str, int | None]]:
    if kind == "machinelearningservices:Compute":
        settings = (inputs.get("properties") or {}).get("properties") or {}
        size = size_of(str(settings.get("vmSize", "")))
        most = int((settings.get("scaleSettings") or {}).get("maxNodeCount") or 0)
        family = LOW_PRIORITY if settings.get("vmPriority") == "LowPriority" else size.family
        yield LEARNING, family, None if size.cores is None else size.cores * most
    elif kind == "containerservice:ManagedCluster":
        for pool in inputs.get("agentPoolProfiles") or ():
            yield _pool(pool)
    elif kind == "containerservice:AgentPool":
        yield _pool(inputs)
    elif kind == "containerinstance:ContainerGroup":
        requests = [(one.get("resources") or {}).get("requests") or {} for one in inputs.get("containers") or ()]
        yield INSTANCES, "StandardCores", math.ceil(sum(float(one.get("cpu") or 0) for one in requests))


def _pool(pool: Mapping[str, Any]) -> tuple[str, str, int | None]:
    size = size_of(str(pool.get("vmSize", "")))
    most = int((pool.get("maxCount") if pool.get("enableAutoScaling") else pool.get("count")) or 0)
    return COMPUTE, size.family, None if size.cores is None else size.cores * most
