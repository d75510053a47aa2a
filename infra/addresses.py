"""Resource ids of an environment, from its settings alone: no login, no outputs of another stack.

What `existing:` names keeps its own id, with its own subscription; everything else lies in the environment's resource
group under the name that infra/naming.py gives it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from infra.naming import Names
from infra.settings import StackSettings
from infra.values import RESOURCE_ID

NETWORK = "Microsoft.Network"
ARM_TYPES = {
    "workspace": "Microsoft.MachineLearningServices/workspaces",
    "storageAccount": "Microsoft.Storage/storageAccounts",
    "keyVault": "Microsoft.KeyVault/vaults",
    "containerRegistry": "Microsoft.ContainerRegistry/registries",
    "logAnalytics": "Microsoft.OperationalInsights/workspaces",
    "applicationInsights": "Microsoft.Insights/components",
    "endpointIdentity": "Microsoft.ManagedIdentity/userAssignedIdentities",
    "aks": "Microsoft.ContainerService/managedClusters",
    "virtualNetwork": f"{NETWORK}/virtualNetworks",
}
# What may be someone else's, by the field of `existing:`.
EXISTING = {
    "workspace": "workspace",
    "storageAccount": "storage_account",
    "keyVault": "key_vault",
    "containerRegistry": "container_registry",
    "logAnalytics": "log_analytics",
    "aks": "aks",
    "virtualNetwork": "virtual_network",
}


@dataclass(frozen=True)
class Address:
    """A resource id and its parts."""

    id: str
    subscription: str
    group: str
    name: str


def address(resource_id: str) -> Address:
    """The parts of an id that settings.py has checked."""
    match = RESOURCE_ID.fullmatch(resource_id)
    if match is None:
        raise ValueError(f"not a resource id: {resource_id}")
    return Address(resource_id, match["subscription"], match["group"], resource_id.rsplit("/", 1)[1])


def names_of(settings: StackSettings) -> Names:
    return Names(settings.stem, settings.environment, settings.subscription_id, settings.names)


@dataclass(frozen=True)
class Addresses:
    """Where everything of an environment lies."""

    settings: StackSettings

    @property
    def group(self) -> Address:
        existing = self.settings.existing.resource_group
        name = names_of(self.settings).of("resourceGroup")
        return address(existing or f"/subscriptions/{self.settings.subscription_id}/resourceGroups/{name}")

    def existing(self, kind: str) -> Address | None:
        """Someone else's resource of a kind, where the settings name one."""
        found = cast("str | None", getattr(self.settings.existing, EXISTING[kind]))
        return address(found) if found else None

    def of(self, kind: str) -> Address:
        """The resource of a kind, someone else's or ours."""
        found = self.existing(kind) if kind in EXISTING else None
        name = names_of(self.settings).of(kind)
        return found or address(f"{self.group.id}/providers/{ARM_TYPES[kind]}/{name}")

    @property
    def serving_zone(self) -> Address | None:
        """The DNS zone in which served models have their names."""
        found = self.settings.existing.serving_zone
        return address(found) if found else None

    def subnet(self, name: str) -> str:
        """The id of one of the subnets of `forestay:network`."""
        given = cast("str | None", getattr(self.settings.existing.subnets, name, None))
        return given or f"{self.of('virtualNetwork').id}/subnets/{name}"
