"""An environment in Azure, as far as the looks have come: what one has found, those that need it take from here."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from forestay import project

if TYPE_CHECKING:
    from automl_jobs.azure.arm import Arm
    from infra.arm import Caller
    from infra.plan.model import Plan, PlannedResource
    from infra.stackfile import Stack


class Environment:
    """The estate of a stack.

    Attributes
    ----------
    name: of the stack. root: the project's folder.
    stack, caller: set by the looks at the stack file and the login.
    plans: of the estate, and of the served models where there are any; set by the look at the plan.
    made: whether the workspace is there; set by the look at it.
    """

    stack: Stack
    caller: Caller

    def __init__(self, name: str) -> None:
        self.name = name
        self.root: Path = project.root()
        self.made = False
        self.plans: tuple[Plan, ...] = ()

    @cached_property
    def arm(self) -> Arm:
        """Requests to its part of Azure. Raises InputError for packages that are not installed."""
        from automl_jobs.azure.arm import Arm

        return Arm.of(self.name)

    @property
    def resources(self) -> Iterator[PlannedResource]:
        """What the environment's stacks declare."""
        return (one for plan in self.plans for one in plan.resources)

    @property
    def subscription(self) -> str:
        """The subscription's ARM id."""
        return f"/subscriptions/{self.stack.settings.subscription_id}"
