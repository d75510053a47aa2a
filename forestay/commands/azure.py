"""What the commands for Azure share: the option `--env`, the way in, and how a job there ends on the screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from forestay import LOCAL

if TYPE_CHECKING:
    from automl_jobs.azure.arm import Arm
    from automl_jobs.runs import JobDetail
    from forestay.console import Console


def env_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--env E`: this machine, or the stack of an environment in Azure."""
    return click.option(
        "--env", default=LOCAL, show_default=True, metavar="ENV", help="`local`, or a stack for Azure: `dev`."
    )(function)


def arm_of(env: str) -> Arm:
    """The way to an environment in Azure. Raises InputError for a stack, or packages, that are not there."""
    from automl_jobs.azure.arm import Arm

    return Arm.of(env)


def watched(screen: Console, arm: Arm, job: str) -> JobDetail:
    """Watch a job in Azure until it has ended."""
    from automl_jobs.azure.follow import follow
    from forestay.watching import watcher_for

    with watcher_for(screen) as watcher:
        return follow(arm, job, watcher)
