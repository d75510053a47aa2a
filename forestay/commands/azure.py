"""What the commands for Azure share: the option `--env`, the way in, and how a job there ends on the screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from forestay import LOCAL
from forestay.errors import InputError, RunFailed

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
    from importlib.util import find_spec

    from automl_jobs.azure import place
    from automl_jobs.azure.arm import Arm

    if find_spec("azure") is None or find_spec("azure.identity") is None:
        fix = "pip install 'forestay[azure]', or make setup-dev"
        raise InputError("Azure's packages are not installed", where=f"--env {env}", fix=fix)
    return Arm(place.of(env))


def watched(screen: Console, arm: Arm, job: str) -> JobDetail:
    """Watch a job in Azure until it has ended."""
    from automl_jobs import watch
    from automl_jobs.azure import jobs
    from forestay.watching import watcher_for

    seen = jobs.find(arm, job)

    def look() -> tuple[Any, Any]:
        nonlocal seen
        seen = jobs.find(arm, seen.row.job)
        return seen.row, seen.trials

    with watcher_for(screen) as watcher:
        watch.watch(look, watcher)
    return jobs.detail(arm, seen)


def require_completed(screen: Console, arm: Arm, found: JobDetail) -> None:
    """Raise RunFailed, after what is known of it, for a job in Azure that did not complete."""
    from automl_jobs.azure import failures, jobs

    if found.status == "Canceled":
        raise RunFailed(f"{found.job} was canceled", fix=f"its trials stay: forestay job leaderboard {found.job}")
    if found.status != "Failed":
        return
    failure = failures.of(arm, jobs.find(arm, found.job))
    if failure.tail:
        screen.note(f"the end of {failure.log}, {failure.run}:")
        for line in failure.tail:
            screen.note(f"  {line}")
    raise RunFailed(f"{found.job} failed: {failure.message}", fix=failure.suggestion)
