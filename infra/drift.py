"""Whose each differing field is: Azure's, which changes it by itself; this stack's, which declares it; or others'.

`preview` compares what the program declares with the state, `refresh` compares the state with Azure. A field that Azure
changes by itself is no change of anybody's: where Pulumi would show it, the components ignore it (`ignore_changes`) or
leave it out, and what is left of them in a refresh is told apart here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.plan.model import PlannedResource

AZURES, STACKS, OTHERS = "azure", "stack", "others"
WHOSE = {AZURES: "Azure's", STACKS: "this stack's", OTHERS: "others'"}


@dataclass(frozen=True)
class Known:
    """Fields that Azure, or a controller in a cluster, changes by itself.

    Attributes
    ----------
    type: the end of Pulumi's type, or empty for every type. path: of the field, `[*]` for any place of a list.
    reason: who changes it, and when.
    """

    type: str
    path: re.Pattern[str]
    reason: str


def _known(type_: str, path: str, reason: str) -> Known:
    return Known(type_, re.compile(path), reason)


KNOWN: tuple[Known, ...] = (
    _known(":ManagedCluster", r"agentPoolProfiles\[\*\]\.count", "the autoscaler counts nodes by load"),
    _known(
        ":ManagedCluster",
        r"agentPoolProfiles\[\*\]\.(current)?[oO]rchestratorVersion|(current)?[kK]ubernetesVersion",
        "the upgrade channel upgrades by itself",
    ),
    _known(":ManagedCluster", r"agentPoolProfiles\[\*\]\.nodeImageVersion", "images of nodes are renewed every week"),
    _known(
        ":ManagedCluster",
        r"agentPoolProfiles\[[1-9]\d*\](\..*)?",
        "Azure lists the pools that are resources of their own here, too",
    ),
    _known(
        ":ManagedCluster",
        r"addonProfiles\.\w+\.identity.*|windowsProfile.*|servicePrincipalProfile.*|azurePortalFQDN|maxAgentPools",
        "AKS fills it in",
    ),
    _known("containerservice:AgentPool", r"count", "the autoscaler counts nodes by load"),
    _known(
        "containerservice:AgentPool",
        r"(current)?[oO]rchestratorVersion|nodeImageVersion",
        "the upgrade channel upgrades by itself",
    ),
    _known("apps/v1:Deployment", r"spec\.replicas", "the HorizontalPodAutoscaler counts copies by load"),
    _known(
        "kubernetes:",
        r"status.*|metadata\.(resourceVersion|generation|managedFields.*|uid|annotations\[\"deployment\.kubernetes.*)",
        "the cluster keeps its books",
    ),
    _known(
        "machinelearningservices:Workspace",
        r"managedNetwork\.(outboundRules|status).*",
        "Azure ML adds the rules that it needs itself, and says when the network was provisioned",
    ),
    _known(
        "machinelearningservices:Compute",
        r"properties\.properties\.(currentNodeCount|targetNodeCount|nodeStateCounts.*|allocationState.*|errors.*)"
        r"|properties\.(modifiedOn|provisioningState|provisioningErrors.*)",
        "the cluster grows and shrinks with its jobs",
    ),
    _known(
        ":StorageAccount",
        r"encryption\.keyVaultProperties\.(current\w+|last\w+)|keyCreationTime.*",
        "the key in the vault was rotated",
    ),
    _known(
        "network:VirtualNetwork",
        r"subnets\[\*\]\.(privateEndpoints|ipConfigurations|serviceAssociationLinks|purpose).*|virtualNetworkPeerings.*",
        "it lists what lies in the subnets",
    ),
    _known("consumption:Budget", r"currentSpend.*|forecastSpend.*", "it is what was spent"),
    _known(
        "containerinstance:ContainerGroup",
        r"instanceView.*|containers\[\*\]\.instanceView.*|ipAddress\.(ip|fqdn)",
        "Azure restarted the group, which may give it another address",
    ),
    _known("", r".*userAssignedIdentities.*", "identities go in as a list and come out as a map"),
    _known("", r"(.*\.)?(etag|eTag|systemData(\..*)?|provisioningState)", "Azure's own bookkeeping"),
    _known("", r'tags(\.|\[")hidden-.*', "the portal links resources by such tags"),
)


@dataclass(frozen=True)
class Difference:
    """One differing field: whose it is (`azure`, `stack` or `others`), and why it may differ or what will be done."""

    path: str
    owner: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        return {"path": self.path, "owner": self.owner, "reason": self.reason}


def explain(
    type_: str, paths: Iterable[str], declared: PlannedResource | None, command: str, env: str
) -> tuple[Difference, ...]:
    """Whose the differing fields of one resource are.

    Parameters
    ----------
    type_: Pulumi's. paths: as the engine gives them, `tags.owner`, `agentPoolProfiles[0].count`.
    declared: the resource in the plan; None for one that the program no longer has.
    command: `preview` and `up` compare the program with the state, `refresh` the state with Azure.
    """
    return tuple(_difference(type_, path, declared, command, env) for path in paths)


def only_azures(differences: Iterable[Difference]) -> bool:
    """Whether there are differences, and all of them are Azure's own."""
    found = list(differences)
    return bool(found) and all(one.owner == AZURES for one in found)


def _difference(type_: str, path: str, declared: PlannedResource | None, command: str, env: str) -> Difference:
    given = declared is not None and _declares(declared.inputs, path)
    reason = known_reason(type_, path)
    # What the program gives and does not ignore, the engine sets: that is no difference to pass over.
    if reason and (command == "refresh" or not given):
        return Difference(path, AZURES, reason)
    if given:
        if command == "refresh":
            return Difference(
                path, STACKS, f"somebody changed it in Azure: `forestay infra up --env {env}` puts it back"
            )
        return Difference(path, STACKS, "the stack file or the program says otherwise than before, or than Azure has")
    if command == "refresh":
        return Difference(path, OTHERS, "this stack does not declare it: set by others, and left as it is")
    return Difference(path, STACKS, "the program no longer declares it")


def known_reason(type_: str, path: str) -> str:
    """Why Azure changes a field by itself; empty for a field that it leaves alone."""
    plain = re.sub(r"\[\d+\]", "[*]", path)
    for known in KNOWN:
        fits = type_.endswith(known.type) or (known.type.endswith(":") and type_.startswith(known.type))
        if fits and (known.path.fullmatch(plain) or known.path.fullmatch(path)):
            return known.reason
    return ""


def _declares(inputs: Any, path: str) -> bool:
    """Whether the program gives a field a value, or one of the fields in it."""
    found: Any = inputs
    for step in _steps(path):
        if isinstance(found, Mapping) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        else:
            return False
    return True


def _steps(path: str) -> Iterable[str]:
    """The steps of a path of the engine: `a.b[0]["c.d"]`."""
    for quoted, place, name in re.findall(r'\["([^"]*)"\]|\[(\d+)\]|([^.\[\]]+)', path):
        yield quoted or place or name
