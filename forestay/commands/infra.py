"""`forestay infra`: plan an environment's stack, and change it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forestay.cli import Command, console
from forestay.errors import ForestayError, InputError

if TYPE_CHECKING:
    from infra.plan.model import Plan


def env_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--env E`: which stack."""
    return click.option("--env", "env", required=True, metavar="E", help="The stack: `dev` is stacks/Pulumi.dev.yaml.")(
        command
    )


@click.command(cls=Command)
@env_option
@click.option("--graph", type=click.Choice(["mermaid", "dot"]), help="Print the resources as a graph instead.")
@click.option("--diff", "other", metavar="E2", help="Print what differs in another stack instead.")
@click.option("--save", type=click.Path(path_type=Path), metavar="FILE", help="Also write the plan to a file, as JSON.")
@click.option(
    "--against", type=click.Path(path_type=Path), metavar="FILE", help="Print what changed since a saved plan instead."
)
@click.option(
    "--prices", type=click.Path(path_type=Path), metavar="FILE", help="Prices of your own, like infra/prices.yaml."
)
@click.pass_context
def plan(
    context: click.Context,
    env: str,
    graph: str | None,
    other: str | None,
    save: Path | None,
    against: Path | None,
    prices: Path | None,
) -> None:
    """What a stack would make: resources and their order, what bills while idle, roles, quota, policy findings.

    The real program runs here; there is no login, no network and no pulumi. Exit code 1 when a mandatory policy is
    violated.

    Example: forestay infra plan --env dev --save plan.json
    """
    from forestay import project
    from infra import stackfile
    from infra.plan import changes, view
    from infra.plan import graph as drawing
    from infra.plan import prices as pricing

    if sum(option is not None for option in (graph, other, against)) > 1:
        raise InputError("only one of --diff, --against and --graph can be printed", fix="run the command for each")
    root = project.root()
    stacks = [stackfile.load(root, name) for name in ((env, other) if other else (env,))]
    amounts = pricing.load(prices or pricing.SHIPPED)
    saved = changes.read(against) if against else None
    plans = [_plan(stack, amounts) for stack in stacks]
    first = plans[0]
    if save:
        project.write_json(save, first.as_dict())
        console(context).note(f"written to {save}")
    if graph:
        text = drawing.draw(first, graph)
        console(context).emit({"env": env, "format": graph, "graph": text}, text.rstrip("\n"))
    elif other or saved is not None:
        old, new = (saved, first.as_dict()) if saved is not None else (first.as_dict(), plans[1].as_dict())
        found = changes.compare(old, new)
        names = (str(against), env) if saved is not None else (env, str(other))
        document = {"env": names[1], "against": names[0], "changes": [change.as_dict() for change in found]}
        console(context).emit(document, lambda: view.changes_view(found, *names))
    else:
        console(context).emit(first.as_dict(), lambda: view.view(first))
    if any(one.violated for one in plans):
        for one in plans:
            _say_violated(context, one, printed=not (graph or other or saved))
        context.exit(ForestayError.exit_code)


def _plan(stack: Any, prices: Any) -> Plan:
    from infra.plan.build import plan as make
    from infra.program import declare

    return make(stack, prices, declare)


def _say_violated(context: click.Context, one: Plan, *, printed: bool) -> None:
    """Mandatory findings on stderr, where the plan itself was not printed."""
    if printed:
        return
    for finding in one.policy:
        if finding.level == "mandatory":
            name = finding.resource.rpartition("::")[2]
            console(context).warn(f"{one.env}: {finding.rule}: {name} {finding.message}")
