"""The identities that act for the environment: each with rights of its own, none with a secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import pulumi
from pulumi_azure_native import managedidentity

from infra.components.base import Common, Component, Text

# Who acts, and the kind of its name.
KINDS = {
    "workspace": "workspaceIdentity",
    "compute": "computeIdentity",
    "endpoint": "endpointIdentity",
    "cluster": "clusterIdentity",
    "kubelet": "kubeletIdentity",
}


@dataclass(frozen=True)
class IdentitiesArgs:
    """Which of KINDS the stack needs."""

    common: Common
    principals: tuple[str, ...]


@dataclass(frozen=True)
class Identity:
    """One identity: its ARM id, and what Entra calls it."""

    id: pulumi.Output[str]
    name: pulumi.Output[str]
    principal_id: pulumi.Output[str]
    client_id: pulumi.Output[str]
    tenant_id: pulumi.Output[str]


@dataclass(frozen=True)
class IdentityFacts:
    """What pods must know of the identity that they act as."""

    client_id: Text
    tenant_id: Text


class IdentityIds(TypedDict):
    """The outputs of one identity."""

    id: pulumi.Output[str]
    clientId: pulumi.Output[str]


class Identities(Component):
    """User-assigned identities: they outlive what uses them, so that rights are granted before a resource needs them.

    Attributes
    ----------
    by_principal: the identities, by who acts with them.
    """

    by_principal: dict[str, Identity]

    def __init__(self, name: str, args: IdentitiesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Identities", name, opts)
        common = args.common
        self.by_principal = {}
        for principal in args.principals:
            made = managedidentity.UserAssignedIdentity(
                f"{name}-{principal}",
                resource_name_=common.names.of(KINDS[principal]),
                resource_group_name=common.group,
                location=common.location,
                tags=common.tags,
                opts=self.options(protect=common.protect),
            )
            self.by_principal[principal] = Identity(
                made.id, made.name, made.principal_id, made.client_id, made.tenant_id
            )
        outputs = {who: IdentityIds(id=one.id, clientId=one.client_id) for who, one in self.by_principal.items()}
        self.register_outputs({"identities": outputs})
