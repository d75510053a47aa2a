"""`forestay doctor`: is this machine, this project, an environment fit for work?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from forestay.cli import Command, console
from forestay.commands.azure import env_option

if TYPE_CHECKING:
    from rich.console import RenderableType

    from forestay.doctor import Finding


@click.command(cls=Command)
@env_option
@click.pass_context
def doctor(context: click.Context, env: str) -> None:
    """What is fit for work here and what is not: Python, disk, tools, the project; with --env an environment in Azure.

    Each line is ok, a warning or a problem, with the one thing to do. All looks run side by side, each for seconds at
    most, and change nothing. Without --env nothing is asked of the network. Exit code 1 for a problem, 3 where all of
    them lie outside of this machine: login, network, quota, roles.

    Example: forestay doctor --env dev
    """
    from forestay.doctor import checks_for, exit_code, run
    from forestay.watching import looks_for

    found = console(context)
    with looks_for(found) as watch:
        findings = run(checks_for(env), watch)
    found.emit([one.as_dict() for one in findings], lambda: _view(findings))
    context.exit(exit_code(findings))


def _view(findings: Sequence[Finding]) -> Iterator[RenderableType]:
    from rich.text import Text

    from forestay.doctor import OK, PROBLEM, WARNING

    styles = {OK: "green", WARNING: "yellow", PROBLEM: "bold red"}
    wide = max(len(one.check) for one in findings)
    for one in findings:
        head = (f"{one.status:<7}", styles[one.status])
        yield Text.assemble(head, f"  {one.check:<{wide}}  ", one.detail)
        if one.fix:
            yield Text(f"{'':<9}{'':<{wide}}  fix: {one.fix}")
    counts = {status: sum(one.status == status for one in findings) for status in styles}
    yield Text(f"{counts[OK]} ok, {counts[WARNING]} warnings, {counts[PROBLEM]} problems")
