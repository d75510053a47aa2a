"""What every component is given, and the options that its resources share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from infra.components.fresh_grants import retrying
from infra.naming import Names

Text = pulumi.Input[str]


@dataclass(frozen=True)
class Common:
    """What every component of a stack is given.

    Attributes
    ----------
    names: of everything in the environment. location: the region.
    group: the name of the resource group that all of it lies in.
    tags: of every resource that takes tags. protect: whether Pulumi refuses to delete what can't be made again.
    """

    names: Names
    location: str
    group: Text
    tags: Mapping[str, str]
    protect: bool = False


@dataclass(frozen=True)
class Reference:
    """A resource that others need: ours, or someone else's named under `existing:`.

    Attributes
    ----------
    id: its ARM id. name: its last part. owned: whether this stack made it.
    """

    id: Text
    name: Text
    owned: bool = True


class Component(pulumi.ComponentResource):
    """A group of resources with one subject; its children carry its URN as their parent."""

    def __init__(self, kind: str, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"forestay:infra:{kind}", name, None, opts)

    def options(
        self,
        *,
        protect: bool = False,
        after: Sequence[pulumi.Resource] = (),
        replace_on: Sequence[str] = (),
        delete_first: bool = False,
        ignore: Sequence[str] = (),
        provider: pulumi.ProviderResource | None = None,
        timeouts: pulumi.CustomTimeouts | None = None,
        fresh_grants: str = "",
        hooks: pulumi.ResourceHookBinding | None = None,
    ) -> pulumi.ResourceOptions:
        """The options of a child.

        Parameters
        ----------
        protect: Pulumi refuses to delete or replace it.
        after: what must be there first. replace_on: inputs that Azure doesn't change in place.
        delete_first: the old one goes before the new one comes, since both would have one name.
        ignore: inputs that Azure changes by itself.
        fresh_grants: the resource's name, where it needs rights that were given a moment ago (see fresh_grants.py).
        hooks: other hooks, for a resource that needs no fresh grants.
        """
        given: dict[str, Any] = {
            "protect": protect or None,
            "depends_on": list(after) or None,
            "replace_on_changes": list(replace_on) or None,
            "delete_before_replace": delete_first or None,
            "ignore_changes": list(ignore) or None,
            "provider": provider,
            "custom_timeouts": timeouts,
            "hooks": retrying(fresh_grants) if fresh_grants else hooks,
        }
        return pulumi.ResourceOptions(parent=self, **{key: value for key, value in given.items() if value is not None})
