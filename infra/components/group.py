"""The resource group, and locks on what holds data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import authorization, resources

from infra.components.base import Component, Text


@dataclass(frozen=True)
class GroupArgs:
    """The group's name and region."""

    name: str
    location: str
    tags: Mapping[str, str]
    protect: bool = False


class Group(Component):
    """The resource group of an environment.

    Attributes
    ----------
    id, name: of the group; a resource that takes the name waits for the group.
    """

    id: pulumi.Output[str]
    name: pulumi.Output[str]

    def __init__(self, name: str, args: GroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Group", name, opts)
        group = resources.ResourceGroup(
            name,
            resource_group_name=args.name,
            location=args.location,
            tags=args.tags,
            opts=self.options(protect=args.protect),
        )
        self.id, self.name = group.id, group.name
        self.register_outputs({"id": self.id, "name": self.name})


@dataclass(frozen=True)
class LocksArgs:
    """What is locked: a word for each, and its id.

    `after` holds what lies inside of it and must go before it does: a lock that is made last is removed first.
    """

    holders: Mapping[str, Text]
    after: Sequence[pulumi.Resource] = ()


class Locks(Component):
    """CanNotDelete locks on what holds data, each on the holder itself.

    One on the resource group would be inherited by everything in it, and block the removal of endpoints and every
    replacement; ReadOnly would block listKeys.
    """

    def __init__(self, name: str, args: LocksArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Locks", name, opts)
        for holder, scope in args.holders.items():
            authorization.ManagementLockByScope(
                f"{name}-{holder}",
                lock_name="forestay-keep",
                scope=scope,
                level=authorization.LockLevel.CAN_NOT_DELETE,
                notes="Holds data. Set forestay:lock to false and run the stack to remove this lock.",
                opts=self.options(after=args.after),
            )
        self.register_outputs({})
