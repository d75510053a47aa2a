"""The ids that Azure Resource Manager gives, made from a resource's inputs.

An id is the path of a resource: /subscriptions/S/resourceGroups/G/providers/Microsoft.X/kind/name/kind/name. Which
inputs hold the names is each type's own; the table says it for the types that the program declares, and a rule of thumb
for others.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

AZURE = "azure-native:"
# Resources whose id begins with that of the resource that they stand on: the input that holds it.
_ON_SCOPE = {
    "authorization:RoleAssignment": ("scope", "Microsoft.Authorization/roleAssignments", "roleAssignmentName"),
    "authorization:ManagementLockByScope": ("scope", "Microsoft.Authorization/locks", "lockName"),
    "monitor:DiagnosticSetting": ("resourceUri", "Microsoft.Insights/diagnosticSettings", "name"),
    "consumption:Budget": ("scope", "Microsoft.Consumption/budgets", "budgetName"),
}
# Type -> ARM type, and the inputs that hold its names from left to right; `=name` is a fixed one.
_IN_GROUP = {
    "applicationinsights:Component": ("Microsoft.Insights/components", "resourceName"),
    "applicationinsights:WebTest": ("Microsoft.Insights/webtests", "webTestName"),
    "authorization:ManagementLockAtResourceGroupLevel": ("Microsoft.Authorization/locks", "lockName"),
    "containerinstance:ContainerGroup": ("Microsoft.ContainerInstance/containerGroups", "containerGroupName"),
    "containerregistry:AgentPool": (
        "Microsoft.ContainerRegistry/registries/agentPools",
        "registryName",
        "agentPoolName",
    ),
    "containerregistry:Registry": ("Microsoft.ContainerRegistry/registries", "registryName"),
    "containerservice:AgentPool": (
        "Microsoft.ContainerService/managedClusters/agentPools",
        "resourceName",
        "agentPoolName",
    ),
    "containerservice:ManagedCluster": ("Microsoft.ContainerService/managedClusters", "resourceName"),
    "keyvault:Key": ("Microsoft.KeyVault/vaults/keys", "vaultName", "keyName"),
    "keyvault:Secret": ("Microsoft.KeyVault/vaults/secrets", "vaultName", "secretName"),
    "keyvault:Vault": ("Microsoft.KeyVault/vaults", "vaultName"),
    "machinelearningservices:Compute": (
        "Microsoft.MachineLearningServices/workspaces/computes",
        "workspaceName",
        "computeName",
    ),
    "machinelearningservices:ManagedNetworkSettingsRule": (
        "Microsoft.MachineLearningServices/workspaces/outboundRules",
        "workspaceName",
        "ruleName",
    ),
    "machinelearningservices:Workspace": ("Microsoft.MachineLearningServices/workspaces", "workspaceName"),
    "managedidentity:FederatedIdentityCredential": (
        "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials",
        "resourceName",
        "federatedIdentityCredentialResourceName",
    ),
    "managedidentity:UserAssignedIdentity": ("Microsoft.ManagedIdentity/userAssignedIdentities", "resourceName"),
    "monitor:ActionGroup": ("Microsoft.Insights/actionGroups", "actionGroupName"),
    "monitor:MetricAlert": ("Microsoft.Insights/metricAlerts", "ruleName"),
    "monitor:PrivateLinkScope": ("Microsoft.Insights/privateLinkScopes", "scopeName"),
    "monitor:PrivateLinkScopedResource": (
        "Microsoft.Insights/privateLinkScopes/scopedResources",
        "scopeName",
        "name",
    ),
    "monitor:ScheduledQueryRule": ("Microsoft.Insights/scheduledQueryRules", "ruleName"),
    "network:ApplicationGateway": ("Microsoft.Network/applicationGateways", "applicationGatewayName"),
    "network:NatGateway": ("Microsoft.Network/natGateways", "natGatewayName"),
    "network:NetworkSecurityGroup": ("Microsoft.Network/networkSecurityGroups", "networkSecurityGroupName"),
    "network:PrivateDnsZoneGroup": (
        "Microsoft.Network/privateEndpoints/privateDnsZoneGroups",
        "privateEndpointName",
        "privateDnsZoneGroupName",
    ),
    "network:PrivateEndpoint": ("Microsoft.Network/privateEndpoints", "privateEndpointName"),
    "network:PublicIPAddress": ("Microsoft.Network/publicIPAddresses", "publicIpAddressName"),
    "network:Subnet": ("Microsoft.Network/virtualNetworks/subnets", "virtualNetworkName", "subnetName"),
    "network:VirtualNetwork": ("Microsoft.Network/virtualNetworks", "virtualNetworkName"),
    "operationalinsights:Workspace": ("Microsoft.OperationalInsights/workspaces", "workspaceName"),
    # Records of the one kind that the program makes in each.
    "dns:RecordSet": ("Microsoft.Network/dnsZones/CNAME", "zoneName", "relativeRecordSetName"),
    "privatedns:PrivateRecordSet": ("Microsoft.Network/privateDnsZones/A", "privateZoneName", "relativeRecordSetName"),
    "privatedns:PrivateZone": ("Microsoft.Network/privateDnsZones", "privateZoneName"),
    "privatedns:VirtualNetworkLink": (
        "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
        "privateZoneName",
        "virtualNetworkLinkName",
    ),
    "storage:BlobContainer": (
        "Microsoft.Storage/storageAccounts/blobServices/containers",
        "accountName",
        "=default",
        "containerName",
    ),
    "storage:BlobServiceProperties": ("Microsoft.Storage/storageAccounts/blobServices", "accountName", "=default"),
    "storage:FileServiceProperties": ("Microsoft.Storage/storageAccounts/fileServices", "accountName", "=default"),
    "storage:FileShare": (
        "Microsoft.Storage/storageAccounts/fileServices/shares",
        "accountName",
        "=default",
        "shareName",
    ),
    "storage:ManagementPolicy": ("Microsoft.Storage/storageAccounts/managementPolicies", "accountName", "=default"),
    "storage:StorageAccount": ("Microsoft.Storage/storageAccounts", "accountName"),
    "trafficmanager:Profile": ("Microsoft.Network/trafficManagerProfiles", "profileName"),
}
_PROVIDERS = {"privatedns": "Network", "monitor": "Insights", "applicationinsights": "Insights"}


@dataclass(frozen=True)
class Identity:
    """How Azure will know a resource: its id, the last name in it, and its ARM type."""

    id: str
    name: str
    type: str


def identify(token: str, name: str, inputs: Mapping[str, Any], subscription: str) -> Identity:
    """The identity that a declared resource of azure-native will have.

    Parameters
    ----------
    token: Pulumi's type. name: the program's name of the resource, for what Azure's name is not given.
    inputs: as registered. subscription: its GUID.
    """
    kind = token.removeprefix(AZURE)
    root = f"/subscriptions/{subscription}"
    if kind == "resources:ResourceGroup":
        group = str(inputs.get("resourceGroupName", name))
        return Identity(f"{root}/resourceGroups/{group}", group, "Microsoft.Resources/resourceGroups")
    if kind in _ON_SCOPE:
        scope, arm_type, key = _ON_SCOPE[kind]
        own = str(inputs.get(key, name))
        base = str(inputs.get(scope, root)).rstrip("/")
        return Identity(f"{base}/providers/{arm_type}/{own}", own, arm_type)
    base = f"{root}/resourceGroups/{inputs['resourceGroupName']}" if "resourceGroupName" in inputs else root
    if kind == "kubernetesconfiguration:Extension":
        own = str(inputs.get("extensionName", name))
        cluster = f"{inputs.get('clusterRp')}/{inputs.get('clusterResourceName')}/{inputs.get('clusterName')}"
        arm_type = "Microsoft.KubernetesConfiguration/extensions"
        return Identity(f"{base}/providers/{cluster}/providers/{arm_type}/{own}", own, arm_type)
    arm_type, *keys = _IN_GROUP[kind] if kind in _IN_GROUP else _guess(kind, inputs)
    namespace, *kinds = arm_type.split("/")
    names = [key[1:] if key.startswith("=") else str(inputs.get(key, name)) for key in keys]
    path = "".join(f"/{part}/{value}" for part, value in zip(kinds, names, strict=True))
    return Identity(f"{base}/providers/{namespace}{path}", names[-1], arm_type)


def guid(*words: str) -> str:
    """A GUID made from words: the same words, the same GUID."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "forestay:" + "\n".join(words)))


def _guess(kind: str, inputs: Mapping[str, Any]) -> tuple[str, str]:
    """ARM type and name input of a type that the table lacks: `network:RouteTable` is Microsoft.Network/routeTables."""
    module, _, cls = kind.partition(":")
    words = [key for key in inputs if key.endswith("Name") and key != "resourceGroupName"]
    own = next((key for key in words if key.lower() == f"{cls.lower()}name"), words[-1] if words else "name")
    plural = re.sub(r"y$", "ie", cls[:1].lower() + cls[1:]) + "s"
    return f"Microsoft.{_PROVIDERS.get(module, module.capitalize())}/{plural}", own
