"""What the state of an environment needs in Azure: resources and roles, from the settings alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.naming import VAULT_KEPT_DAYS
from infra.stackfile import Stack

PART, KEY = "state", "pulumi"
SOFT_DELETE_DAYS = 30
STORAGE_API, VAULT_API, GROUP_API = "2024-01-01", "2024-11-01", "2024-03-01"
WRITES_STATE = ("ba92f5b4-2d11-453d-a403-e96b0029c9fe", "Storage Blob Data Contributor")
USES_KEY = ("12338af0-0e69-4776-bea7-57ae8d297424", "Key Vault Crypto User")
CALLER = "the caller"
LOCK_API = "2020-05-01"


@dataclass(frozen=True)
class Need:
    """One resource that must be there.

    Attributes
    ----------
    what: in words. id: in ARM. api: the version that it is asked with. body: as ARM takes it.
    """

    what: str
    id: str
    api: str
    body: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        return {"what": self.what, "id": self.id}


@dataclass(frozen=True)
class Right:
    """A role that somebody needs; `principal` is an object id, or CALLER."""

    principal: str
    kind: str
    role: tuple[str, str]
    scope: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        return {"principal": self.principal, "role": self.role[1], "scope": self.scope, "reason": self.reason}


def _group_id(stack: Stack) -> str:
    name = stack.names.of("resourceGroup", PART)
    return f"/subscriptions/{stack.settings.subscription_id}/resourceGroups/{name}"


def group(stack: Stack) -> Need:
    body = {"location": stack.settings.location, "tags": dict(stack.settings.tags)}
    return Need("resource group", _group_id(stack), GROUP_API, body)


def storage(stack: Stack, account: str, container: str) -> Iterable[Need]:
    settings = stack.settings
    own = f"{_group_id(stack)}/providers/Microsoft.Storage/storageAccounts/{account}"
    days = {"enabled": True, "days": SOFT_DELETE_DAYS}
    yield Need(
        "storage account",
        own,
        STORAGE_API,
        {
            "location": settings.location,
            "kind": "StorageV2",
            "sku": {"name": f"Standard_{settings.storage.redundancy.upper()}"},
            "tags": dict(settings.tags),
            "properties": {
                "allowSharedKeyAccess": False,
                "allowBlobPublicAccess": False,
                "allowCrossTenantReplication": False,
                "defaultToOAuthAuthentication": True,
                "minimumTlsVersion": "TLS1_2",
                "supportsHttpsTrafficOnly": True,
                # Whoever runs Pulumi must reach it, hosted runners too: it opens to roles alone.
                "publicNetworkAccess": "Enabled",
            },
        },
    )
    yield Need(
        "versions and soft delete of blobs",
        f"{own}/blobServices/default",
        STORAGE_API,
        {
            "properties": {
                "isVersioningEnabled": True,
                "deleteRetentionPolicy": days,
                "containerDeleteRetentionPolicy": days,
            }
        },
    )
    yield Need(
        "container",
        f"{own}/blobServices/default/containers/{container}",
        STORAGE_API,
        {"properties": {"publicAccess": "None"}},
    )
    yield _lock(own)


def vault_and_key(stack: Stack, vault: str) -> Iterable[Need]:
    settings = stack.settings
    own = f"{_group_id(stack)}/providers/Microsoft.KeyVault/vaults/{vault}"
    yield Need(
        "key vault",
        own,
        VAULT_API,
        {
            "location": settings.location,
            "tags": dict(settings.tags),
            "properties": {
                "tenantId": CALLER,  # known once somebody is logged in
                "sku": {"family": "A", "name": "standard"},
                "enableRbacAuthorization": True,
                "enableSoftDelete": True,
                "softDeleteRetentionInDays": VAULT_KEPT_DAYS,
                # Without the key no secret of any earlier state can be read.
                "enablePurgeProtection": True,
                "publicNetworkAccess": "enabled",
            },
        },
    )
    yield Need(
        "key",
        f"{own}/keys/{KEY}",
        VAULT_API,
        {"properties": {"kty": "RSA", "keySize": 3072, "keyOps": ["encrypt", "decrypt", "wrapKey", "unwrapKey"]}},
    )
    yield _lock(own)


def _lock(holder: str) -> Need:
    body = {"properties": {"level": "CanNotDelete", "notes": "Holds the state of Pulumi, or the key to its secrets."}}
    return Need("lock", f"{holder}/providers/Microsoft.Authorization/locks/forestay-keep", LOCK_API, body)


def rights(stack: Stack, account: str | None, container: str, vault: str) -> Iterable[Right]:
    providers = f"{_group_id(stack)}/providers"
    people = [(CALLER, ""), *((one.id, one.kind) for one in stack.settings.principals.deployers)]
    for principal, kind in people:
        if account:
            scope = (
                f"{providers}/Microsoft.Storage/storageAccounts/{account}/blobServices/default/containers/{container}"
            )
            yield Right(principal, kind, WRITES_STATE, scope, "reads and writes the state")
        scope = f"{providers}/Microsoft.KeyVault/vaults/{vault}"
        yield Right(principal, kind, USES_KEY, scope, "encrypts and decrypts the secrets in it")
