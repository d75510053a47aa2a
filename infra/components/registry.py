"""The container registry: images of training environments and of served models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import containerregistry

from infra.components.base import Common, Component, Reference
from infra.components.storage import CustomerKey
from infra.settings import Registry

# Azure sets neither on a registry that exists; a new one has the old one's name.
FIXED = ("zoneRedundancy", "encryption")


@dataclass(frozen=True)
class RegistryArgs:
    """`customer_key` encrypts the images with a key of the customer's; `after` must be there."""

    common: Common
    settings: Registry
    private: bool
    customer_key: CustomerKey | None = None
    after: Sequence[pulumi.Resource] = ()


class ContainerRegistry(Component):
    """A registry without an admin user and without anonymous pulls.

    Attributes
    ----------
    reference: the registry. server: the host name that images are pulled from.
    """

    reference: Reference
    server: pulumi.Output[str]

    def __init__(self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Registry", name, opts)
        common = args.common
        premium = args.settings.sku == "premium"
        registry = containerregistry.Registry(
            name,
            registry_name=common.names.of("containerRegistry"),
            resource_group_name=common.group,
            location=common.location,
            sku=containerregistry.SkuArgs(name=args.settings.sku.capitalize()),
            admin_user_enabled=False,
            anonymous_pull_enabled=False,
            data_endpoint_enabled=args.private,
            public_network_access="Disabled" if args.private else "Enabled",
            network_rule_bypass_options=containerregistry.NetworkRuleBypassOptions.AZURE_SERVICES,
            zone_redundancy="Enabled" if args.settings.zone_redundant else "Disabled",
            policies=_policies(args.settings.retention_days) if premium else None,
            identity=_identity(args.customer_key),
            encryption=_encryption(args.customer_key),
            tags=common.tags,
            opts=self.options(
                protect=common.protect,
                after=args.after,
                fresh_grants=name if args.customer_key else "",
                replace_on=FIXED,
                delete_first=True,
            ),
        )
        self.reference, self.server = Reference(registry.id, registry.name), registry.login_server
        self.register_outputs({"id": registry.id, "server": registry.login_server})


def _identity(key: CustomerKey | None) -> containerregistry.IdentityPropertiesArgs | None:
    if key is None:
        return None
    users = pulumi.Output.from_input(key.identity_id).apply(
        lambda found: {found: containerregistry.UserIdentityPropertiesArgs()}
    )
    return containerregistry.IdentityPropertiesArgs(
        type=containerregistry.ResourceIdentityType.USER_ASSIGNED, user_assigned_identities=users
    )


def _encryption(key: CustomerKey | None) -> containerregistry.EncryptionPropertyArgs | None:
    if key is None:
        return None
    return containerregistry.EncryptionPropertyArgs(
        status=containerregistry.EncryptionStatus.ENABLED,
        # The identifier without a version: the registry follows the key when it is rotated. The identity is told by
        # what Entra calls it, not by its ARM id.
        key_vault_properties=containerregistry.KeyVaultPropertiesArgs(
            identity=key.client_id, key_identifier=key.identifier.rpartition("/")[0]
        ),
    )


def _policies(retention_days: int) -> containerregistry.PoliciesArgs:
    """Premium's policies. Quarantine would keep Azure ML from pulling until a scanner releases each image."""
    return containerregistry.PoliciesArgs(
        quarantine_policy=containerregistry.QuarantinePolicyArgs(status=containerregistry.PolicyStatus.DISABLED),
        retention_policy=containerregistry.RetentionPolicyArgs(
            days=retention_days, status=containerregistry.PolicyStatus.ENABLED
        ),
    )
