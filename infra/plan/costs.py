"""What bills while nobody uses it: each resource's standing meters, with amounts from a price file.

Storage, logs, transactions and traffic are billed by use and are not here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.plan.arm import AZURE
from infra.plan.model import IdleCost, PlannedResource
from infra.plan.prices import PriceList
from infra.plan.sizes import size_of

Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Standing:
    """One standing meter of a resource: `reason` in words, `meter` of the price file, how many of it."""

    reason: str
    meter: str
    count: float = 1


def idle_costs(resources: Iterable[PlannedResource], prices: PriceList) -> tuple[IdleCost, ...]:
    """What each resource of ours bills a month while idle, the dearest first."""
    found = [
        _priced(one, standing, prices)
        for one in resources
        if not one.external
        for standing in standing_of(one.type, one.inputs)
    ]
    return tuple(sorted(found, key=lambda cost: (-(cost.amount or 0), cost.resource, cost.reason)))


def standing_of(token: str, inputs: Inputs) -> list[Standing]:
    """The standing meters of one resource, from its type and inputs."""
    meters = _METERS.get(token.removeprefix(AZURE))
    return list(meters(inputs)) if meters else []


def _priced(one: PlannedResource, standing: Standing, prices: PriceList) -> IdleCost:
    price = prices.month(standing.meter)
    if price is None:
        reason = f"{standing.reason}; {prices.about.path} has no price for {standing.meter}"
        return IdleCost(one.urn, reason, None, prices.about.currency)
    return IdleCost(one.urn, standing.reason, round(price * standing.count, 2), prices.about.currency)


def _registry(inputs: Inputs) -> Iterable[Standing]:
    sku = str(_at(inputs, "sku.name", "Basic"))
    yield Standing(f"a {sku} registry bills by the day", f"registry{sku}")


def _compute(inputs: Inputs) -> Iterable[Standing]:
    """A training cluster: only nodes that never go away."""
    least = int(_at(inputs, "properties.properties.scaleSettings.minNodeCount", 0))
    size = str(_at(inputs, "properties.properties.vmSize", ""))
    if least:
        yield Standing(f"{least} node(s) of {size} stay on: minNodes is {least}", size, least)


def _cluster(inputs: Inputs) -> Iterable[Standing]:
    tier = str(_at(inputs, "sku.tier", "Free"))
    if tier != "Free":
        yield Standing(f"a {tier} cluster's control plane bills by the hour", f"aks{tier}")
    pools: Sequence[Inputs] = inputs.get("agentPoolProfiles") or ()
    for pool in pools:
        yield from _pool(pool)
    if _at(inputs, "networkProfile.outboundType", "loadBalancer") == "loadBalancer":
        yield Standing("the cluster's load balancer bills by the hour", "loadBalancer")
        yield Standing("its public address bills by the hour", "publicAddress")
    if _at(inputs, "securityProfile.defender.securityMonitoring.enabled", False):
        cores = sum((size_of(str(pool.get("vmSize"))).cores or 0) * _least(pool) for pool in pools)
        yield Standing(f"Defender for Containers on {cores} cores", "defenderContainersCore", cores)


def _pool(inputs: Inputs) -> Iterable[Standing]:
    least, size, name = _least(inputs), str(inputs.get("vmSize")), inputs.get("name") or inputs.get("agentPoolName")
    if least:
        yield Standing(f"pool {name}: {least} node(s) of {size} stay on", size, least)
    if least and inputs.get("osDiskType") != "Ephemeral":
        yield Standing(f"pool {name}: {least} managed disk(s) of nodes", "nodeDisk", least)


def _least(pool: Inputs) -> int:
    autoscaled = pool.get("enableAutoScaling")
    return int((pool.get("minCount") if autoscaled else pool.get("count")) or 0)


def _workspace(inputs: Inputs) -> Iterable[Standing]:
    """A managed network: host-name rules make a firewall; its private endpoints are Azure's own and billed to us."""
    rules: Mapping[str, Inputs] = _at(inputs, "managedNetwork.outboundRules", {}) or {}
    if any(rule.get("type") == "FQDN" for rule in rules.values()):
        yield Standing("rules by host name put a firewall into the managed network", "firewall")
    endpoints = sum(rule.get("type") == "PrivateEndpoint" for rule in rules.values())
    if endpoints:
        yield Standing(f"{endpoints} private endpoint(s) of the managed network", "privateEndpoint", endpoints)


def _network_rule(inputs: Inputs) -> Iterable[Standing]:
    if _at(inputs, "properties.type", "") == "FQDN":
        yield Standing("a rule by host name puts a firewall into the managed network", "firewall")


def _containers(inputs: Inputs) -> Iterable[Standing]:
    requests = [_at(one, "resources.requests", {}) for one in inputs.get("containers") or ()]
    cores, memory = (sum(float(one.get(key) or 0) for one in requests) for key in ("cpu", "memoryInGB"))
    yield Standing(f"the group runs all the time: {cores:g} core(s)", "containerCore", cores)
    yield Standing(f"the group runs all the time: {memory:g} GB of memory", "containerMemoryGb", memory)


def _gateway(inputs: Inputs) -> Iterable[Standing]:
    waf = "WAF" in str(_at(inputs, "sku.tier", ""))
    kind = "applicationGatewayFirewall" if waf else "applicationGateway"
    yield Standing("an application gateway bills by the hour", kind)


def _traffic_manager(inputs: Inputs) -> Iterable[Standing]:
    endpoints = len(inputs.get("endpoints") or ())
    if endpoints:
        yield Standing(
            f"health checks of {endpoints} endpoint(s) bill by the month", "trafficManagerEndpoint", endpoints
        )


def _web_test(inputs: Inputs) -> Iterable[Standing]:
    places = len(inputs.get("locations") or ())
    share = 300 / float(inputs.get("frequency") or 300)
    yield Standing(f"the test runs from {places} place(s) all the time", "webTest", places * share)


def _log_alert(inputs: Inputs) -> Iterable[Standing]:
    every = str(inputs.get("evaluationFrequency", "PT5M"))
    meter = {"PT5M": "logAlert5Minutes", "PT10M": "logAlert10Minutes"}.get(every, "logAlert15Minutes")
    yield Standing(f"the rule's query runs every {every[2:-1]} minutes", meter)


def _each(reason: str, meter: str) -> Callable[[Inputs], Iterable[Standing]]:
    return lambda _: [Standing(reason, meter)]


def _at(value: Any, path: str, default: Any) -> Any:
    """A nested input, `sku.name`; `default` where there is none."""
    for key in path.split("."):
        if not isinstance(value, Mapping) or value.get(key) is None:
            return default
        value = value[key]
    return value


_METERS: dict[str, Callable[[Inputs], Iterable[Standing]]] = {
    "containerregistry:Registry": _registry,
    "machinelearningservices:Compute": _compute,
    "machinelearningservices:Workspace": _workspace,
    "machinelearningservices:ManagedNetworkSettingsRule": _network_rule,
    "containerservice:ManagedCluster": _cluster,
    "containerservice:AgentPool": _pool,
    "containerinstance:ContainerGroup": _containers,
    "network:ApplicationGateway": _gateway,
    "network:NatGateway": _each("a NAT gateway bills by the hour", "natGateway"),
    "network:PublicIPAddress": _each("a public address bills by the hour", "publicAddress"),
    "network:PrivateEndpoint": _each("a private endpoint bills by the hour", "privateEndpoint"),
    "network:AzureFirewall": _each("a firewall bills by the hour", "firewall"),
    "network:LoadBalancer": _each("a load balancer bills by the hour", "loadBalancer"),
    "privatedns:PrivateZone": _each("a private zone bills by the month", "privateDnsZone"),
    "trafficmanager:Profile": _traffic_manager,
    "applicationinsights:WebTest": _web_test,
    "monitor:MetricAlert": _each("a metric alert bills by the month", "metricAlert"),
    "monitor:ScheduledQueryRule": _log_alert,
}
