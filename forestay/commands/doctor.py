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
    found.emit(
        [one.as_dict() for one in findings], lambda: _view(findings, found.out.width if found.out.is_terminal else None)
    )
    context.exit(exit_code(findings))


def _view(findings: Sequence[Finding], width: int | None) -> Iterator[RenderableType]:
    """The findings: beside each other in columns, below each other in a narrow window, a line each off a terminal."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from forestay.doctor import OK, PROBLEM, WARNING
    from forestay.screen import NARROW

    styles = {OK: "green", WARNING: "yellow", PROBLEM: "bold red"}
    wide = max(len(one.check) for one in findings)
    grid = Table.grid(padding=(0, 2))
    for one in findings:
        style, fix = styles[one.status], f"fix: {one.fix}" if one.fix else ""
        if width is None:
            yield Text(f"{one.status:<7}  {one.check:<{wide}}  {one.detail}")
            if fix:
                yield Text(f"{'':<9}{'':<{wide}}  {fix}")
        elif width < NARROW:
            yield Text(f"{one.status}: {one.check}", style=style)
            yield Padding(Text(f"{one.detail}\n{fix}".rstrip(), overflow="fold"), (0, 0, 0, 2))
        else:
            grid.add_row(
                Text(one.status, style=style), one.check, Text(f"{one.detail}\n{fix}".rstrip(), overflow="fold")
            )
    if grid.row_count:
        yield grid
    counts = {status: sum(one.status == status for one in findings) for status in styles}
    warnings, problems = (f"{counts[status]} {status}{'s' * (counts[status] != 1)}" for status in (WARNING, PROBLEM))
    yield Text(f"{counts[OK]} ok, {warnings}, {problems}")
