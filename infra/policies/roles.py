"""The roles that may be given, and on what: nothing broader than this passes.

Azure's built-in roles have the same ids in every directory ("Azure built-in roles"). What each is for is said where it
is given, and printed by `infra plan`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

GROUP = "resourceGroups"
STORAGE = "Microsoft.Storage/storageAccounts"
VAULT = "Microsoft.KeyVault/vaults"
REGISTRY = "Microsoft.ContainerRegistry/registries"
WORKSPACE = "Microsoft.MachineLearningServices/workspaces"
INSIGHTS = "Microsoft.Insights/components"
IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
CLUSTER = "Microsoft.ContainerService/managedClusters"
NETWORK = "Microsoft.Network/virtualNetworks"
SUBNET = "Microsoft.Network/virtualNetworks/subnets"
ZONE = "Microsoft.Network/privateDnsZones"
PUBLIC_ZONE = "Microsoft.Network/dnsZones"


@dataclass(frozen=True)
class Role:
    """Attributes: name: Azure's. scopes: the types of what it may be given on, lower in the tree than a group."""

    name: str
    scopes: tuple[str, ...]


ROLES = {
    "b24988ac-6180-42a0-ab88-20f7382dd24c": Role("Contributor", (STORAGE, VAULT, REGISTRY, INSIGHTS, WORKSPACE)),
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": Role("Reader", (CLUSTER, REGISTRY, WORKSPACE)),
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": Role("Storage Blob Data Contributor", (STORAGE,)),
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": Role("Storage Blob Data Reader", (STORAGE,)),
    "69566ab7-960f-475b-8e7c-b3118f30c6bd": Role("Storage File Data Privileged Contributor", (STORAGE,)),
    "f25e0fa2-a7c8-4377-a976-54943a77a395": Role("Key Vault Contributor", (VAULT,)),
    "00482a5a-887f-4fb3-b363-3b7fe8e74483": Role("Key Vault Administrator", (VAULT,)),
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": Role("Key Vault Secrets Officer", (VAULT,)),
    "4633458b-17de-408a-b874-0445c86b69e6": Role("Key Vault Secrets User", (VAULT,)),
    "e147488a-f6f5-4113-8e2d-b22465e65bf6": Role("Key Vault Crypto Service Encryption User", (VAULT,)),
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": Role("AcrPull", (REGISTRY,)),
    "8311e382-0749-4cb8-b61a-304f252e45ec": Role("AcrPush", (REGISTRY,)),
    "fb382eab-e894-4461-af04-94435c366c3f": Role("Container Registry Tasks Contributor", (REGISTRY,)),
    "f6c7c914-8db3-469d-8ca1-694a8f32e121": Role("AzureML Data Scientist", (WORKSPACE,)),
    "635dd51f-9968-44d3-b7fb-6d9a6bd613ae": Role("AzureML Metrics Writer (preview)", (WORKSPACE,)),
    "b556d68e-0be0-4f35-a333-ad7ee1ce17ea": Role(
        "Azure AI Enterprise Network Connection Approver", (STORAGE, VAULT, REGISTRY)
    ),
    "f1a07417-d97a-45cb-824c-7a7467783830": Role("Managed Identity Operator", (IDENTITY,)),
    "4d97b98b-1d4f-4787-a291-c67834d212e7": Role("Network Contributor", (NETWORK, SUBNET, GROUP)),
    "b12aa53e-6015-4669-85d0-8515ebb3ae7f": Role("Private DNS Zone Contributor", (ZONE,)),
    "befefa01-2a29-4197-83a8-272ff33ce314": Role("DNS Zone Contributor", (PUBLIC_ZONE,)),
    "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b": Role("Azure Kubernetes Service RBAC Cluster Admin", (CLUSTER,)),
    "a7ffa36f-339b-4b5c-8bdf-e2c188b2c0eb": Role("Azure Kubernetes Service RBAC Writer", (CLUSTER,)),
    "4abbcc35-e782-43d8-92c5-2d3f1bd2253f": Role("Azure Kubernetes Service Cluster User Role", (CLUSTER,)),
    "5d977122-f97e-4b4d-a52f-6b43003ddb4d": Role("Azure Container Instances Contributor Role", (GROUP,)),
    "a4b10055-b0c7-44c2-b00f-c7b5b3550cf7": Role("Traffic Manager Contributor", (GROUP,)),
    "749f88d5-cbae-40b8-bcfc-e573ddc772fa": Role("Monitoring Contributor", (GROUP,)),
}
# Too broad for anything, and named so that a plan says what was tried.
BROAD = {
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
    "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9": "User Access Administrator",
    "f58310d9-a9f6-439a-9e8d-f62e7b41a168": "Role Based Access Control Administrator",
}


def guid_of(definition: str) -> str:
    """The role's GUID in the id of its definition."""
    return definition.rstrip("/").rpartition("/")[2].lower()


def name_of(definition: str) -> str:
    """A role's name; its GUID where the lists lack it."""
    guid = guid_of(definition)
    return ROLES[guid].name if guid in ROLES else BROAD.get(guid, guid)


def scope_type(scope: str) -> str:
    """The ARM type of what an id names: `Microsoft.Storage/storageAccounts`, `resourceGroups`, `subscriptions`."""
    provider = re.search(r"/providers/([^/]+)((?:/[^/]+/[^/]+)+)$", scope, re.IGNORECASE)
    if provider:
        return "/".join((provider[1], *provider[2].split("/")[1::2]))
    parts = scope.strip("/").split("/")
    return parts[2] if len(parts) == 4 else parts[0] if len(parts) == 2 else scope
