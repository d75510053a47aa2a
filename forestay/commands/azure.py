"""What the commands for Azure share: the option `--env`, and the way in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from forestay import LOCAL

if TYPE_CHECKING:
    from automl_jobs.azure.arm import Arm


def env_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--env E`: this machine, or the stack of an environment in Azure."""
    return click.option(
        "--env", default=LOCAL, show_default=True, metavar="ENV", help="`local`, or a stack for Azure: `dev`."
    )(function)


def arm_of(env: str) -> Arm:
    """The way to an environment in Azure. Raises InputError for a stack, or packages, that are not there."""
    from automl_jobs.azure.arm import Arm

    return Arm.of(env)
