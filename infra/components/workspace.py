"""The Azure Machine Learning workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import machinelearningservices as ml
from pulumi_azure_native import monitor

from infra.components.base import Common, Component, Reference, Text
from infra.components.storage import CustomerKey
from infra.settings import Network

# A managed network that is provisioned at once takes tens of minutes.
CREATE_MINUTES = "60m"


@dataclass(frozen=True)
class WorkspaceArgs:
    """What the workspace stands on.

    Attributes
    ----------
    identity_id: the user-assigned identity that it acts with.
    storage, vault, registry, insights, logs: their ids. shared_keys: whether its datastores use the account's key.
    build_compute: the name of the cluster that builds images, where the registry's own builders can't reach.
    customer_key: what encrypts its metadata; only at creation. after: the grants of the identity.
    """

    common: Common
    identity_id: Text
    storage: Text
    vault: Text
    registry: Text
    insights: Text
    logs: Text
    network: Network
    shared_keys: bool = False
    build_compute: str | None = None
    customer_key: CustomerKey | None = None
    after: Sequence[pulumi.Resource] = ()


class Workspace(Component):
    """The workspace, its outbound rules and its logs.

    Attributes
    ----------
    reference: the workspace. ready: what computes and endpoints of it wait for.
    """

    reference: Reference
    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: WorkspaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Workspace", name, opts)
        common = args.common
        private = args.network.private
        workspace = ml.Workspace(
            name,
            workspace_name=common.names.of("workspace"),
            resource_group_name=common.group,
            location=common.location,
            kind="Default",
            sku=ml.SkuArgs(name="Basic", tier=ml.SkuTier.BASIC),
            friendly_name=f"{common.names.stem} ({common.names.environment})",
            identity=ml.ManagedServiceIdentityArgs(
                type=ml.ManagedServiceIdentityType.USER_ASSIGNED, user_assigned_identities=[args.identity_id]
            ),
            primary_user_assigned_identity=args.identity_id,
            storage_account=args.storage,
            key_vault=args.vault,
            container_registry=args.registry,
            application_insights=args.insights,
            image_build_compute=args.build_compute,
            system_datastores_auth_mode="AccessKey" if args.shared_keys else "Identity",
            public_network_access="Disabled" if private else "Enabled",
            managed_network=_managed_network(args.network) if private else None,
            provision_network_now=args.network.provision if private else None,
            encryption=_encryption(args.customer_key),
            v1_legacy_mode=False,
            tags=common.tags,
            opts=self.options(
                protect=common.protect,
                after=args.after,
                fresh_grants=name,
                replace_on=["encryption"],
                timeouts=pulumi.CustomTimeouts(create=CREATE_MINUTES),
            ),
        )
        self.reference = Reference(workspace.id, workspace.name)
        self.ready = [workspace]
        before: list[pulumi.Resource] = []
        # One after the other: the workspace takes one change of its network at a time.
        for number, host in enumerate(args.network.approved_hosts if private else ()):
            rule = ml.ManagedNetworkSettingsRule(
                f"{name}-host-{host}",
                rule_name=f"host-{number}-{host.replace('*', 'any').replace('.', '-')}"[:63],
                workspace_name=workspace.name,
                resource_group_name=common.group,
                properties=ml.FqdnOutboundRuleArgs(
                    type="FQDN", category=ml.RuleCategory.USER_DEFINED, destination=host
                ),
                opts=self.options(after=before, delete_first=True),
            )
            before = [rule]
        self.ready += before
        monitor.DiagnosticSetting(
            f"{name}-logs",
            name="to-log-analytics",
            resource_uri=workspace.id,
            workspace_id=args.logs,
            logs=[monitor.DiagnosticsLogSettingsArgs(category_group="allLogs", enabled=True)],
            metrics=[monitor.DiagnosticsMetricSettingsArgs(category="AllMetrics", enabled=True)],
            opts=self.options(),
        )
        self.register_outputs({"id": workspace.id, "name": workspace.name})


def _managed_network(network: Network) -> ml.ManagedNetworkSettingsArgs:
    modes = {
        "internet": ml.IsolationMode.ALLOW_INTERNET_OUTBOUND,
        "approved": ml.IsolationMode.ALLOW_ONLY_APPROVED_OUTBOUND,
    }
    return ml.ManagedNetworkSettingsArgs(
        isolation_mode=modes[network.outbound],
        # Rules for host names need a firewall; Basic is the cheaper one.
        firewall_sku=ml.FirewallSku.BASIC if network.approved_hosts else None,
    )


def _encryption(key: CustomerKey | None) -> ml.EncryptionPropertyArgs | None:
    if key is None:
        return None
    return ml.EncryptionPropertyArgs(
        status=ml.EncryptionStatus.ENABLED,
        identity=ml.IdentityForCmkArgs(user_assigned_identity=key.identity_id),
        key_vault_properties=ml.KeyVaultPropertiesArgs(
            key_identifier=key.identifier,
            key_vault_arm_id=key.vault_id,
        ),
    )
