"""Who gets which role where: the role assignments of a plan in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from infra.plan.arm import AZURE
from infra.plan.model import Grant, PlannedResource
from infra.policies.roles import name_of

ASSIGNMENT = f"{AZURE}authorization:RoleAssignment"


def grants_of(resources: Iterable[PlannedResource], principals: Mapping[str, str]) -> tuple[Grant, ...]:
    """The grants, by principal and scope.

    Parameters
    ----------
    principals: principal id -> the program's name of the identity that it belongs to; others are shown as they are.
    """
    every = list(resources)
    scopes = {one.id.lower(): one.name for one in every if one.id}
    found = [
        Grant(
            principal=principals.get(str(one.inputs.get("principalId")), str(one.inputs.get("principalId"))),
            role=name_of(str(one.inputs.get("roleDefinitionId"))),
            scope=scopes.get(str(one.inputs.get("scope")).lower(), str(one.inputs.get("scope"))),
            reason=str(one.inputs.get("description", "")),
            resource=one.urn,
        )
        for one in every
        if one.type == ASSIGNMENT
    ]
    return tuple(sorted(found, key=lambda grant: (grant.principal, grant.scope, grant.role)))
