"""Where jobs train, and where images are built when the registry is private. Serverless compute needs nothing here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import machinelearningservices as ml

from infra.components.base import Common, Component, Text
from infra.settings import Training

BUILDER = Training.model_validate({"vmSize": "Standard_DS3_v2", "minNodes": 0, "maxNodes": 2, "idleSeconds": 600})
# Azure changes none of these in place; the new cluster has the old one's name, so the old one goes first.
FIXED = ("properties.properties.vmSize", "properties.properties.vmPriority", "properties.properties.subnet")


@dataclass(frozen=True)
class ComputeArgs:
    """One cluster.

    Attributes
    ----------
    kind: of its name. group, workspace: where it lies. identity_id: what its nodes act as.
    private: nodes have no public address. provider: another subscription's, for a workspace of someone else.
    """

    common: Common
    kind: str
    group: Text
    workspace: Text
    identity_id: Text
    training: Training
    private: bool
    after: Sequence[pulumi.Resource] = ()
    provider: pulumi.ProviderResource | None = None


class Compute(Component):
    """A cluster that shrinks to `minNodes` when nothing runs.

    Attributes
    ----------
    name: what jobs call it.
    """

    name: pulumi.Output[str]

    def __init__(self, name: str, args: ComputeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Compute", name, opts)
        training = args.training
        cluster = ml.Compute(
            name,
            compute_name=args.common.names.of(args.kind),
            workspace_name=args.workspace,
            resource_group_name=args.group,
            location=args.common.location,
            identity=ml.ManagedServiceIdentityArgs(
                type=ml.ManagedServiceIdentityType.USER_ASSIGNED, user_assigned_identities=[args.identity_id]
            ),
            properties=ml.AmlComputeArgs(
                compute_type="AmlCompute",
                disable_local_auth=True,
                properties=ml.AmlComputePropertiesArgs(
                    os_type=ml.OsType.LINUX,
                    vm_size=training.vm_size,
                    vm_priority=(
                        ml.VmPriority.LOW_PRIORITY if training.priority == "low_priority" else ml.VmPriority.DEDICATED
                    ),
                    enable_node_public_ip=not args.private,
                    remote_login_port_public_access=ml.RemoteLoginPortPublicAccess.DISABLED,
                    scale_settings=ml.ScaleSettingsArgs(
                        min_node_count=training.min_nodes,
                        max_node_count=training.max_nodes,
                        node_idle_time_before_scale_down=f"PT{training.idle_seconds}S",
                    ),
                ),
            ),
            tags=args.common.tags,
            opts=self.options(
                after=args.after, fresh_grants=name, replace_on=FIXED, delete_first=True, provider=args.provider
            ),
        )
        self.name = cluster.name
        self.register_outputs({"name": self.name})
