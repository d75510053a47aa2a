"""What a plan is made of: frozen records, and the JSON that scripts rely on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

COMPONENT_ROOT = "pulumi:pulumi:Stack"


@dataclass(frozen=True)
class PlannedResource:
    """One resource as the program declares it.

    Attributes
    ----------
    urn: as Pulumi's engine makes it; the same in every environment but for the stack's name.
    type: Pulumi's token, `azure-native:storage:StorageAccount`. name: the program's own name of it.
    id: the id it will have in Azure, made from names; empty for a component.
    parent: URN of what it belongs to; None right under the stack.
    depends_on: URNs of the resources that are made before it.
    inputs: plain camelCase JSON, all known, secrets masked.
    sources: input -> URNs of the resources that its value comes from.
    secret_paths: where in `inputs` a secret was masked, as `secureSettings.key`.
    external: others own it; it is read and granted on, never made.
    """

    urn: str
    type: str
    name: str
    id: str
    parent: str | None
    depends_on: tuple[str, ...]
    inputs: Mapping[str, Any]
    protect: bool = False
    aliases: tuple[str, ...] = ()
    provider: str = ""
    ignore_changes: tuple[str, ...] = ()
    secret_paths: tuple[str, ...] = ()
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    external: bool = False
    component: bool = False

    @property
    def place(self) -> str:
        """The URN without the stack's name: what stays the same between environments."""
        return self.urn.split("::", 2)[-1]

    def as_dict(self) -> dict[str, Any]:
        return {
            "urn": self.urn,
            "type": self.type,
            "name": self.name,
            "id": self.id or None,
            "parent": self.parent,
            "depends_on": list(self.depends_on),
            "inputs": dict(self.inputs),
            "protect": self.protect,
            "aliases": list(self.aliases),
            "provider": self.provider or None,
            "ignore_changes": list(self.ignore_changes),
            "secrets": list(self.secret_paths),
            "sources": {key: list(urns) for key, urns in self.sources.items()},
            "external": self.external,
            "component": self.component,
        }


@dataclass(frozen=True)
class Finding:
    """What a policy found: `level` is `mandatory` or `advisory`, `resource` a URN."""

    rule: str
    level: str
    resource: str
    message: str
    fix: str

    def as_dict(self) -> dict[str, str]:
        return {
            "rule": self.rule,
            "level": self.level,
            "resource": self.resource,
            "message": self.message,
            "fix": self.fix,
        }


@dataclass(frozen=True)
class IdleCost:
    """What one resource bills a month of 730 hours though nobody uses it.

    Attributes
    ----------
    amount: in `currency`; None where the price file has no price for it, which the reason says.
    """

    resource: str
    reason: str
    amount: float | None
    currency: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "resource": self.resource,
            "reason": self.reason,
            "amount": self.amount,
            "currency": self.currency,
            "per": "month",
        }


@dataclass(frozen=True)
class Grant:
    """A role given to a principal on a scope, with the program's reason; names where the plan knows them, else ids."""

    principal: str
    role: str
    scope: str
    reason: str
    resource: str

    def as_dict(self) -> dict[str, str]:
        return {
            "principal": self.principal,
            "role": self.role,
            "scope": self.scope,
            "reason": self.reason,
            "resource": self.resource,
        }


@dataclass(frozen=True)
class Quota:
    """Cores that the stack may take at most, of one provider's quota in the region.

    Attributes
    ----------
    provider: whose quota, such as Microsoft.Compute. family: the quota's name there.
    cores: None where the size's name does not tell.
    """

    provider: str
    family: str
    cores: int | None
    resources: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "family": self.family,
            "cores": self.cores,
            "resources": list(self.resources),
        }


@dataclass(frozen=True)
class Outage:
    """How long a served model is away with each change of it: seconds, at least and at most; an estimate."""

    resource: str
    at_least: int
    at_most: int
    reason: str
    fix: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "resource": self.resource,
            "seconds": [self.at_least, self.at_most],
            "reason": self.reason,
            "fix": self.fix,
        }


@dataclass(frozen=True)
class Prices:
    """Where the amounts of a plan come from, and where they can be looked up."""

    source: str
    date: str
    currency: str
    region: str
    path: str
    look_up: str = ""

    def as_dict(self) -> dict[str, str]:
        return {
            "source": self.source,
            "date": self.date,
            "currency": self.currency,
            "region": self.region,
            "file": self.path,
            "look_up": self.look_up,
        }


@dataclass(frozen=True)
class Plan:
    """Everything that `forestay infra plan` says of one stack.

    Attributes
    ----------
    resources: each right after its parent. principals: made-up object id -> name of the identity that will have one.
    outputs: the stack's.
    """

    env: str
    location: str
    resources: tuple[PlannedResource, ...]
    policy: tuple[Finding, ...] = ()
    idle_cost: tuple[IdleCost, ...] = ()
    roles: tuple[Grant, ...] = ()
    quota: tuple[Quota, ...] = ()
    outages: tuple[Outage, ...] = ()
    prices: Prices | None = None
    principals: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def violated(self) -> bool:
        """Whether a mandatory rule is violated."""
        return any(finding.level == "mandatory" for finding in self.policy)

    def as_dict(self) -> dict[str, Any]:
        return {
            "env": self.env,
            "location": self.location,
            "resources": [one.as_dict() for one in self.resources],
            "policy": [one.as_dict() for one in self.policy],
            "idle_cost": [one.as_dict() for one in self.idle_cost],
            "roles": [one.as_dict() for one in self.roles],
            "quota": [one.as_dict() for one in self.quota],
            "outages": [one.as_dict() for one in self.outages],
            "prices": self.prices.as_dict() if self.prices else None,
            "principals": dict(self.principals),
            "outputs": dict(self.outputs),
        }
