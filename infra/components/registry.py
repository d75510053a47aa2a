"""The container registry: images of training environments and of served models."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import containerregistry

from infra.components.base import Common, Component, Reference
from infra.settings import Registry


@dataclass(frozen=True)
class RegistryArgs:
    """`zone_redundant` spreads a Premium registry over the region's zones."""

    common: Common
    settings: Registry
    private: bool
    zone_redundant: bool = False


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
            zone_redundancy="Enabled" if args.zone_redundant else "Disabled",
            policies=_policies(args.settings.retention_days) if premium else None,
            tags=common.tags,
            opts=self.options(protect=common.protect),
        )
        self.reference, self.server = Reference(registry.id, registry.name), registry.login_server
        self.register_outputs({"id": registry.id, "server": registry.login_server})


def _policies(retention_days: int) -> containerregistry.PoliciesArgs:
    """Premium's policies. Quarantine would keep Azure ML from pulling until a scanner releases each image."""
    return containerregistry.PoliciesArgs(
        quarantine_policy=containerregistry.QuarantinePolicyArgs(status=containerregistry.PolicyStatus.DISABLED),
        retention_policy=containerregistry.RetentionPolicyArgs(
            days=retention_days, status=containerregistry.PolicyStatus.ENABLED
        ),
    )
