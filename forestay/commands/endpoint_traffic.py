"""`forestay endpoint traffic` and `prune`: who is served by which deployment of a managed endpoint, and what may go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from forestay import LOCAL
from forestay.asking import require_yes
from forestay.cli import Command, console
from forestay.commands.azure import env_option
from forestay.errors import InputError

if TYPE_CHECKING:
    from scoring.targets.managed import ManagedTarget


def _managed(context: click.Context, env: str) -> ManagedTarget:
    from forestay import project
    from scoring.targets.managed import ManagedTarget

    if env == LOCAL:
        fix = "name the environment of a managed endpoint: --env dev"
        raise InputError("an endpoint on this machine serves one deployment", where="--env", fix=fix)
    return ManagedTarget(env, project.home(), console(context).note)


def _percents(_: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    """`blue=90 green=10`."""
    found: dict[str, int] = {}
    for value in values:
        name, _sign, percent = value.rpartition("=")
        if not name or not percent.isdigit() or int(percent) > 100 or name in found:
            raise click.BadParameter(f"{value!r} is no share; write DEPLOYMENT=PERCENT, as in blue=90, each once")
        found[name] = int(percent)
    return found


@click.command(cls=Command)
@click.argument("name")
@click.argument("shares", nargs=-1, callback=_percents, metavar="[DEPLOYMENT=PERCENT]...")
@click.option(
    "--mirror",
    multiple=True,
    callback=_percents,
    metavar="DEPLOYMENT=PERCENT",
    help="Copy so many of the requests to it; callers get none of its answers. PERCENT 0 ends that.",
)
@env_option
@click.pass_context
def traffic(context: click.Context, name: str, shares: dict[str, int], mirror: dict[str, int], env: str) -> None:
    """Share the callers of a managed endpoint among its deployments; without shares, show how they are shared.

    A deployment is named by itself or by its model's version. What is left out gets nothing; together they make 100.

    Example: forestay endpoint traffic churn-api blue=90 green=10 --env prod
    """
    target = _managed(context, env)
    record = target.split(name, shares, mirror or None) if shares or mirror else target.status(name)
    rows = [f"{deployment:<32} {percent:>3} %" for deployment, percent in record.traffic.items()]
    console(context).emit(record.as_dict(), lambda: rows or ["no deployment"])


@click.command(cls=Command)
@click.argument("name")
@click.option("--all", "everything", is_flag=True, help="Also the one to which a rollback returns.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@env_option
@click.pass_context
def prune(context: click.Context, name: str, everything: bool, yes: bool, env: str) -> None:
    """Remove the deployments of a managed endpoint that no caller reaches: they bill as long as they are there.

    The one to which a rollback returns stays, unless --all is said.

    Example: forestay endpoint prune churn-api --env prod --yes
    """
    found, target = console(context), _managed(context, env)
    gone = target.unreached(name, everything)
    if gone:
        fix = "say --yes to remove them without being asked"
        require_yes(found, yes, f"Remove {', '.join(gone)} of {name}?", "nothing was removed", fix)
    removed = target.prune(name, everything) if gone else []
    lines = [f"{deployment} is removed" for deployment in removed] or ["nothing to remove: callers reach all there is"]
    found.emit({"name": name, "removed": removed}, lambda: lines)
