"""`forestay job schedule`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forestay.cli import Command, console
from forestay.commands.azure import arm_of
from forestay.console import table
from forestay.errors import InputError

if TYPE_CHECKING:
    from automl_jobs.azure.schedules import Schedule
    from forestay.console import Console

_REPEATS = (
    "Azure trains again each time, and does no more: comparing, registering and deploying what comes out is the "
    "pipeline's part (forestay ship)"
)


@click.command(cls=Command)
@click.argument("job_file", metavar="[JOB.yml]", required=False, type=click.Path(path_type=Path))
@click.option("--env", required=True, metavar="ENV", help="The stack: `prod`.")
@click.option("--cron", metavar="CRON", help="When: minute hour * * weekday, as in '0 3 * * 1'.")
@click.option(
    "--time-zone", default="UTC", show_default=True, help="Of the times, by Windows' names as Azure has them."
)
@click.option("--name", metavar="NAME", help="The schedule's; without it that of the job file.")
@click.option("--list", "listing", is_flag=True, help="Print the schedules there are.")
@click.option("--delete", metavar="NAME", help="Remove a schedule; jobs that it started go on.")
@click.option("--yes", is_flag=True, help="With --delete: don't ask.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Over the file; repeatable.")
@click.pass_context
def schedule(
    context: click.Context,
    job_file: Path | None,
    env: str,
    cron: str | None,
    time_zone: str,
    name: str | None,
    listing: bool,
    delete: str | None,
    yes: bool,
    overrides: tuple[str, ...],
) -> None:
    """Have Azure ML run a job again and again, list such schedules, or remove one.

    Azure runs the same data again unless an input is `azureml:NAME@latest`.

    Example: forestay job schedule job.yml --cron '0 3 * * 1' --env prod
    """
    screen = console(context)
    if sum((job_file is not None, listing, delete is not None)) != 1:
        raise InputError("name a job file, --list, or --delete NAME", fix="forestay job schedule --list --env prod")
    if listing:
        _list(screen, env)
    elif delete is not None:
        _delete(screen, env, delete, yes)
    else:
        assert job_file is not None
        if cron is None:
            raise InputError("is missing", where="--cron", fix="--cron '0 3 * * 1' is Mondays at three")
        _create(screen, env, job_file, cron, time_zone, name, overrides)


def _list(screen: Console, env: str) -> None:
    from automl_jobs.azure import schedules

    found = schedules.listed(arm_of(env))
    screen.emit([one.as_dict() for one in found], lambda: [_view(found)] if found else ["there is no schedule"])


def _delete(screen: Console, env: str, name: str, yes: bool) -> None:
    from automl_jobs.azure import schedules

    if not yes and not screen.confirm(f"Remove the schedule {name} of {env}?"):
        raise InputError("was not removed", where=f"--delete {name}", fix="say --yes")
    schedules.delete(arm_of(env), name)
    screen.emit({"name": name, "deleted": True}, lambda: [f"{name} is removed; jobs that it started go on"])


def _create(
    screen: Console,
    env: str,
    job_file: Path,
    cron: str,
    time_zone: str,
    name: str | None,
    overrides: tuple[str, ...],
) -> None:
    from automl_jobs.azure import schedules
    from automl_jobs.azure import submit as azure
    from automl_jobs.new import slug
    from automl_jobs.submit import parse_overrides
    from forestay.watching import progress_for

    when = schedules.check_cron(cron)
    arm = arm_of(env)
    with azure.checked(job_file, parse_overrides(overrides), screen.note, screen.warn) as (loaded, tables):
        ready = azure.look(arm, loaded, tables, create_compute=False, say=screen.note)
        screen.note(f"each time at most {ready.estimate.line()}")
        with progress_for(screen, "uploading") as progress:
            chosen = name or slug(loaded.path.absolute().stem)
            made = schedules.create(arm, ready, chosen, when, time_zone, progress, screen.note)
    if not made.latest:
        screen.warn("the same data is trained on each time: name an asset as azureml:NAME@latest for new data")
    screen.note(_REPEATS)
    screen.emit({**made.as_dict(), "estimate": ready.estimate.as_dict()}, lambda: [_view([made])])


def _view(found: Iterable[Schedule]) -> Any:
    return table(
        ("schedule", "cron", "time zone", "enabled", "experiment", "new data each time"),
        (
            (one.name, one.cron, one.time_zone, "yes" if one.enabled else "no", one.job, ", ".join(one.latest) or None)
            for one in found
        ),
    )
