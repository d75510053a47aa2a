"""`forestay job delete` and `forestay gc`: what is not needed any more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from forestay import LOCAL
from forestay.asking import require_yes
from forestay.cli import Command, console
from forestay.commands.azure import arm_of, env_option
from forestay.commands.job import job_argument
from forestay.commands.score import keep_option
from forestay.errors import InputError
from forestay.words import size

if TYPE_CHECKING:
    from forestay.cleanup import Garbage
    from forestay.console import Console

SHOWN = 30


@click.command(cls=Command)
@job_argument
@click.option("--with-models", is_flag=True, help="Model versions registered from its trials go too.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@env_option
@click.pass_context
def delete(context: click.Context, job: str, with_models: bool, yes: bool, env: str) -> None:
    """Delete a job: its trials, their files and models.

    A running job is refused, and one whose trials were registered as models, unless --with-models says that these may
    go as well; an endpoint goes on with the copy that it has. Killed in the middle, forestay gc finishes it. With --env
    the job in Azure is deleted; what was registered from it stays.

    Example: forestay job delete calm_bay_x8k2m1 --yes
    """
    screen = console(context)
    if env != LOCAL:
        _delete_in_azure(screen, job, env, with_models, yes)
        return
    from forestay import cleanup, project

    home = project.home()
    found = cleanup.deletion(home, job, with_models)
    gone = found.removal
    what = f"{gone.trials} trials, {size(gone.size)}"
    if gone.versions:
        what += ", model " + ", ".join(f"{name}:{version}" for name, version in gone.versions)
    for one in found.deployed:
        screen.warn(f"{one} is served; the endpoint goes on with its own copy")
    require_yes(screen, yes, f"Delete job {gone.job} ({what})?", f"{gone.job} was not deleted")
    cleanup.delete(home, found)
    screen.emit({**found.as_dict(), "deleted": True}, f"{gone.job} is deleted: {what}")


def _delete_in_azure(screen: Console, job: str, env: str, with_models: bool, yes: bool) -> None:
    from automl_jobs.azure import jobs

    if with_models:
        raise InputError("is for jobs of this machine", where="--with-models", fix="leave it out")
    arm = arm_of(env)
    seen = jobs.find(arm, job)
    name = seen.row.job
    require_yes(screen, yes, f"Delete job {name} of {arm.place.workspace}?", f"{name} was not deleted")
    jobs.delete(arm, seen)
    screen.emit({"job": name, "env": env, "deleted": True}, f"{name} is deleted from {arm.place.workspace}")


@click.command(cls=Command)
@click.option("--dry-run", is_flag=True, help="Say what would go; remove nothing.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@keep_option
@click.pass_context
def gc(context: click.Context, dry_run: bool, yes: bool, keep: int) -> None:
    """Remove what nothing refers to any more, and say how many bytes that frees.

    That is what killed commands and deleted jobs left: partial files, rows and files of deleted runs, scoring folders
    and proofs of model versions that are not registered any more, environments that no proof and no endpoint uses.
    Jobs, registered models, endpoints, and what lies outside of .forestay are never touched.

    Example: forestay gc --dry-run
    """
    from forestay import cleanup, project

    screen, home = console(context), project.home()
    found = cleanup.garbage(home, keep)
    if dry_run or not (found.items or found.runs):
        screen.emit({**found.as_dict(), "removed": False}, lambda: _view(found, "would be removed"))
        return
    if not yes and not screen.json:
        for part in _view(found, "can be removed"):
            screen.err.print(part)
    require_yes(screen, yes, f"Remove {size(found.size)}?", "nothing was removed")
    cleanup.collect(home, found)
    screen.emit({**found.as_dict(), "removed": True}, lambda: _view(found, "removed"))


def _view(found: Garbage, verdict: str) -> Iterator[Any]:
    from forestay.console import table

    largest = sorted(found.items, key=lambda item: item.size, reverse=True)
    if largest:
        rows = [(item.kind, size(item.size), item.path, item.reason) for item in largest[:SHOWN]]
        yield table(("what", "size", "where", "because"), rows, right=("size",))
    if len(largest) > SHOWN:
        yield f"and {len(largest) - SHOWN} smaller ones; --output json has all"
    rows_gone = f", rows of {len(found.runs)} deleted runs" if found.runs else ""
    yield (
        f"{len(found.items)} things, {size(found.size)}{rows_gone}: {verdict}"
        if largest or found.runs
        else ("nothing to remove")
    )
