"""The storage account of the workspace: data assets, artifacts of jobs, models."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import storage

from infra.components.base import Common, Component, Reference, Text
from infra.settings import Storage

OLD_VERSIONS_DAYS = 90  # a version that was replaced this long ago is removed


@dataclass(frozen=True)
class CustomerKey:
    """A customer-managed key of a vault.

    Attributes
    ----------
    vault_id: the vault's ARM id. vault_uri, name, version: where the key is.
    identity_id, client_id: who may use it, as ARM and as Entra call it.
    """

    vault_id: str
    vault_uri: str
    name: str
    version: str
    identity_id: Text
    client_id: Text

    @property
    def identifier(self) -> str:
        return f"{self.vault_uri}/keys/{self.name}/{self.version}"


@dataclass(frozen=True)
class StorageArgs:
    """The settings of the account; `customer_key` encrypts it with a key of the customer's, `after` must be there."""

    common: Common
    settings: Storage
    private: bool
    customer_key: CustomerKey | None = None
    after: tuple[pulumi.Resource, ...] = ()


class StorageAccount(Component):
    """A storage account without public blobs, with versions, soft delete and a lifecycle.

    Attributes
    ----------
    reference: the account.
    """

    reference: Reference

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Storage", name, opts)
        common, settings = args.common, args.settings
        key = args.customer_key
        account = storage.StorageAccount(
            name,
            account_name=common.names.of("storageAccount"),
            resource_group_name=common.group,
            location=common.location,
            kind=storage.Kind.STORAGE_V2,
            sku=storage.SkuArgs(name=f"Standard_{settings.redundancy.upper()}"),
            access_tier=storage.AccessTier.HOT,
            allow_blob_public_access=False,
            allow_cross_tenant_replication=False,
            allow_shared_key_access=settings.shared_keys,
            default_to_o_auth_authentication=True,
            enable_https_traffic_only=True,
            minimum_tls_version=storage.MinimumTlsVersion.TLS1_2,
            identity=_identity(key),
            encryption=_encryption(key),
            public_network_access="Disabled" if args.private else "Enabled",
            network_rule_set=storage.NetworkRuleSetArgs(
                # Azure ML writes through the trusted services' door when the public one is shut.
                bypass=storage.Bypass.AZURE_SERVICES,
                default_action=storage.DefaultAction.DENY if args.private else storage.DefaultAction.ALLOW,
            ),
            tags=common.tags,
            opts=self.options(protect=common.protect, after=args.after, fresh_grants=name if key else ""),
        )
        days = storage.DeleteRetentionPolicyArgs(enabled=True, days=settings.soft_delete_days)
        blobs = storage.BlobServiceProperties(
            f"{name}-blobs",
            account_name=account.name,
            resource_group_name=common.group,
            blob_services_name="default",
            is_versioning_enabled=True,
            delete_retention_policy=days,
            container_delete_retention_policy=days,
            opts=self.options(),
        )
        storage.FileServiceProperties(
            f"{name}-files",
            account_name=account.name,
            resource_group_name=common.group,
            file_services_name="default",
            share_delete_retention_policy=days,
            opts=self.options(),
        )
        storage.ManagementPolicy(
            f"{name}-lifecycle",
            account_name=account.name,
            resource_group_name=common.group,
            management_policy_name="default",
            policy=storage.ManagementPolicySchemaArgs(rules=_lifecycle(settings.cool_after_days)),
            opts=self.options(after=[blobs]),  # a rule on versions is refused while versioning is off
        )
        self.reference = Reference(account.id, account.name)
        self.register_outputs({"id": account.id, "name": account.name})


def _identity(key: CustomerKey | None) -> storage.IdentityArgs | None:
    if key is None:
        return None
    return storage.IdentityArgs(
        type=storage.IdentityType.USER_ASSIGNED,
        user_assigned_identities=[key.identity_id],
    )


def _encryption(key: CustomerKey | None) -> storage.EncryptionArgs | None:
    if key is None:
        return None
    return storage.EncryptionArgs(
        key_source=storage.KeySource.MICROSOFT_KEYVAULT,
        # No version: the account follows the key when it is rotated.
        key_vault_properties=storage.KeyVaultPropertiesArgs(key_name=key.name, key_vault_uri=key.vault_uri),
        encryption_identity=storage.EncryptionIdentityArgs(encryption_user_assigned_identity=key.identity_id),
        services=storage.EncryptionServicesArgs(
            blob=storage.EncryptionServiceArgs(enabled=True, key_type=storage.KeyType.ACCOUNT),
            file=storage.EncryptionServiceArgs(enabled=True, key_type=storage.KeyType.ACCOUNT),
        ),
    )


def _lifecycle(cool_after_days: int) -> list[storage.ManagementPolicyRuleArgs]:
    blobs = storage.ManagementPolicyFilterArgs(blob_types=["blockBlob"])
    cool = storage.ManagementPolicyActionArgs(
        base_blob=storage.ManagementPolicyBaseBlobArgs(
            tier_to_cool=storage.DateAfterModificationArgs(days_after_modification_greater_than=cool_after_days)
        ),
        version=storage.ManagementPolicyVersionArgs(
            delete=storage.DateAfterCreationArgs(days_after_creation_greater_than=OLD_VERSIONS_DAYS)
        ),
    )
    return [
        storage.ManagementPolicyRuleArgs(
            name="cool-and-clean",
            type=storage.RuleType.LIFECYCLE,
            enabled=True,
            definition=storage.ManagementPolicyDefinitionArgs(filters=blobs, actions=cool),
        )
    ]
