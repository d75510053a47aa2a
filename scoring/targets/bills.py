"""What an endpoint on ACI or AKS bills while nobody asks, by the list prices that `infra plan` uses."""

from __future__ import annotations

from infra.plan import costs, prices
from infra.services import Service
from scoring.targets import ACI

GROUP = "azure-native:containerinstance:ContainerGroup"


def of(service: Service, status: str) -> str | None:
    """In words, with an amount a month where there is a price; None where it costs nothing, stopped."""
    if service.target != ACI:
        least = service.replicas.min
        copies = f"at least {least} cop{'ies' if least > 1 else 'y'}"
        return f"{copies} of {service.cpu:g} cores on the cluster's nodes, which are what bills"
    if status == "Stopped":
        return None
    amounts = {"requests": {"cpu": service.cpu, "memoryInGB": service.memory_gb}}
    known = prices.load()
    meters = costs.standing_of(GROUP, {"containers": [{"resources": amounts}]})
    found = [(known.month(one.meter) or 0.0) * one.count for one in meters]
    size = f"{service.cpu:g} cores and {service.memory_gb:g} GB by the second"
    return f"{size}, about {sum(found):.0f} {known.about.currency} a month" if sum(found) else size
