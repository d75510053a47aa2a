"""What others own, as a stack file names it under `forestay:existing`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic.alias_generators import to_camel

from forestay.documents.names import refuse
from forestay.documents.values import Name
from infra.values import RESOURCE_ID, Section, arm_id

if TYPE_CHECKING:
    from infra.settings import StackSettings

PUBLIC_ZONE, PRIVATE_ZONE = "Microsoft.Network/dnsZones", "Microsoft.Network/privateDnsZones"
SubnetId = Annotated[Name, arm_id("Microsoft.Network/virtualNetworks/subnets")]


class ExistingSubnets(Section):
    """Subnets of a network that others own: its owner delegates the one for ACI and gives them a way out."""

    endpoints: SubnetId | None = None
    aci: SubnetId | None = None
    gateway: SubnetId | None = None
    aks: SubnetId | None = None


class Existing(Section):
    """Resources that others own: referenced and granted on, never created, changed or destroyed.

    Attributes
    ----------
    dns_zones: the resource group of the private zones of Azure's services.
    serving_zone: a DNS zone, public or private, in which served models get records of their own.
    log_analytics: with a workspace of others, where alerts look; Application Insights is made on it.
    """

    resource_group: Annotated[Name, arm_id("Microsoft.Resources")] | None = None
    virtual_network: Annotated[Name, arm_id("Microsoft.Network/virtualNetworks")] | None = None
    subnets: ExistingSubnets = ExistingSubnets()
    dns_zones: Annotated[Name, arm_id("Microsoft.Resources")] | None = None
    log_analytics: Annotated[Name, arm_id("Microsoft.OperationalInsights/workspaces")] | None = None
    container_registry: Annotated[Name, arm_id("Microsoft.ContainerRegistry/registries")] | None = None
    serving_zone: Annotated[Name, arm_id(PUBLIC_ZONE, PRIVATE_ZONE)] | None = None
    aks: Annotated[Name, arm_id("Microsoft.ContainerService/managedClusters")] | None = None
    storage_account: Annotated[Name, arm_id("Microsoft.Storage/storageAccounts")] | None = None
    key_vault: Annotated[Name, arm_id("Microsoft.KeyVault/vaults")] | None = None
    workspace: Annotated[Name, arm_id("Microsoft.MachineLearningServices/workspaces")] | None = None


def check_existing(settings: StackSettings) -> None:
    """What others own must be there as a whole, since nothing is added to it. Raises the error of one value."""
    existing = settings.existing
    group = existing.resource_group
    if group and RESOURCE_ID.fullmatch(group)["subscription"].lower() != settings.subscription_id.lower():  # type: ignore[index]
        raise refuse(
            "lies in another subscription than azure-native:subscriptionId",
            "everything is made in the group: write its subscription there",
            ("existing", "resourceGroup"),
        )
    if existing.workspace:
        lacking = [
            name for name in ("storage_account", "key_vault", "container_registry") if not getattr(existing, name)
        ]
        if lacking:
            raise refuse(
                f"is named without existing.{to_camel(lacking[0])}, on which roles are granted",
                "name the storage account, key vault and registry that the workspace uses",
                ("existing", "workspace"),
            )
        watched = (
            "alertMails" if settings.alert_mails else "aks.defender" if settings.aks and settings.aks.defender else ""
        )
        if watched and not existing.log_analytics:
            raise refuse(
                f"is named without existing.logAnalytics, which forestay:{watched} needs",
                "name the Log Analytics workspace that it writes to, or one for these alone",
                ("existing", "workspace"),
            )
    if existing.virtual_network and settings.network.private:
        needed = {
            "endpoints": True,
            "aci": settings.aci,
            "gateway": settings.network.gateways,
            "aks": settings.aks is not None and existing.aks is None,
        }
        lacking = [name for name, needs in needed.items() if needs and not getattr(existing.subnets, name)]
        if lacking:
            raise refuse(
                f"is named without existing.subnets.{lacking[0]}",
                "subnets of a network of others are theirs to make: write the id of one",
                ("existing", "virtualNetwork"),
            )
