"""The key vault of the workspace: secrets of connections, keys of served models."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import keyvault

from infra.components.base import Common, Component, Reference, Text
from infra.naming import VAULT_KEPT_DAYS


@dataclass(frozen=True)
class VaultArgs:
    """`tenant_id` is the directory whose identities may enter; `purge_protection` can't be taken back."""

    common: Common
    tenant_id: Text
    private: bool
    purge_protection: bool


class Vault(Component):
    """A vault that grants by role.

    Attributes
    ----------
    reference: the vault.
    """

    reference: Reference

    def __init__(self, name: str, args: VaultArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Vault", name, opts)
        common = args.common
        vault = keyvault.Vault(
            name,
            vault_name=common.names.of("keyVault"),
            resource_group_name=common.group,
            location=common.location,
            properties=keyvault.VaultPropertiesArgs(
                tenant_id=args.tenant_id,
                sku=keyvault.SkuArgs(family=keyvault.SkuFamily.A, name=keyvault.SkuName.STANDARD),
                enable_rbac_authorization=True,
                enable_soft_delete=True,
                soft_delete_retention_in_days=VAULT_KEPT_DAYS,
                # Azure refuses False: the vault either says True or doesn't say.
                enable_purge_protection=args.purge_protection or None,
                public_network_access="Disabled" if args.private else "Enabled",
                network_acls=keyvault.NetworkRuleSetArgs(
                    bypass=keyvault.NetworkRuleBypassOptions.AZURE_SERVICES,
                    default_action=(
                        keyvault.NetworkRuleAction.DENY if args.private else keyvault.NetworkRuleAction.ALLOW
                    ),
                ),
            ),
            tags=common.tags,
            opts=self.options(protect=common.protect),
        )
        self.reference = Reference(vault.id, vault.name)
        self.register_outputs({"id": vault.id, "name": vault.name})
