"""`forestay infra bootstrap|import`: where the state is kept, and what is taken over into it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from forestay.cli import Command, console
from forestay.commands.infra import env_option
from forestay.commands.infra_operate import agree, answerable, yes_option

if TYPE_CHECKING:
    from infra.adopt import Adoption
    from infra.bootstrap import Bootstrap


@click.command(cls=Command)
@env_option
@yes_option
@click.option("--plan", "planned", is_flag=True, help="Only say what would be made; no login.")
@click.option("--local", is_flag=True, help="For development alone: a folder on this machine, and a passphrase.")
@click.pass_context
def bootstrap(context: click.Context, env: str, yes: bool, planned: bool, local: bool) -> None:
    """Make the place where the team keeps an environment's state, and the key to its secrets.

    A storage account and a vault in a resource group of their own, roles for whoever is logged in and for
    `forestay:principals` deployers; then `backend:` in Pulumi.yaml and `secretsprovider:` in the stack files.
    Run again at any time: what is there stays.

    Example: forestay infra bootstrap --env dev --plan
    """
    from forestay import project
    from infra import arm, stackfile
    from infra import bootstrap as state

    root = project.root()
    stack = stackfile.load(root, env)
    found = state.plan_for(root, stack, local=local)
    if planned:
        console(context).emit(found.as_dict(), lambda: _bootstrap_view(found, env))
        return
    answerable(context, yes)
    if not yes:
        for line in _bootstrap_view(found, env):
            console(context).note(line)
        agree(context, f"Make the state of {env}?")
    states = state.carry_out(found, None if local else arm.connect(env), console(context).note)
    document = {**found.as_dict(), "states": states}
    console(context).emit(document, lambda: iter((f"{env}: state in {found.backend}", *found.notes, _next(env))))


def _bootstrap_view(found: Bootstrap, env: str) -> Iterator[str]:
    yield f"{env}: state in {found.backend}, secrets under {found.secrets_provider}"
    yield from (f"  {need.what} {need.id}" for need in found.needs)
    yield from (f"  {one.role[1]} for {one.principal} on {one.scope}: {one.reason}" for one in found.rights)
    yield from (f"  {edit.path}: {edit.key}: {edit.value}" for edit in found.files if edit.before != edit.after)
    yield from found.notes


def _next(env: str) -> str:
    return f"next: forestay infra up --env {env}"


@click.command("import", cls=Command)
@env_option
@yes_option
@click.option("--plan", "planned", is_flag=True, help="Only say what would be taken over.")
@click.option("--id", "given", multiple=True, metavar="NAME=ID", help="Only this resource, which has this id.")
@click.pass_context
def import_(context: click.Context, env: str, yes: bool, planned: bool, given: tuple[str, ...]) -> None:
    """Take over what is there already and should be this stack's: resources that the plan declares and Azure has.

    A resource with another name keeps it: `--id storage=/subscriptions/.../storageAccounts/contosoml` also writes
    `forestay:names`. What should stay someone else's belongs under `forestay:existing` instead.

    Example: forestay infra import --env dev --plan
    """
    from forestay import project
    from infra import adopt, arm, operate, stackfile
    from infra.plan import build, prices
    from infra.program import declare

    ids = adopt.parse_ids(given)
    if not planned:
        answerable(context, yes)
    root = project.root()
    stack = stackfile.load(root, env)
    price_list = prices.load()
    plan = build.plan(stack, price_list, declare)
    stack, files = adopt.with_names(root, stack, plan, ids)
    if files:
        plan = build.plan(stack, price_list, declare)
    held = operate.state(stack)
    found = adopt.find(stack, plan, held, arm.connect(env), ids, files)
    if not planned and found.resources:
        if not yes:
            for line in _adoption_view(found, "would be taken over"):
                console(context).note(line)
            agree(context, f"Take these over into the stack {env}?")
        entries, names = adopt.import_file(found, plan, held)
        adopt.carry_out(found, lambda: operate.adopt(stack, entries, names), console(context).note)
    words = "would be taken over" if planned else "taken over"
    console(context).emit(found.as_dict(), lambda: _adoption_view(found, words))


def _adoption_view(found: Adoption, words: str) -> Iterator[str]:
    yield from (f"{one.type.removeprefix('azure-native:')} {one.name}  {one.id}" for one in found.resources)
    yield from (f"{edit.path}: {edit.key}: {edit.value}" for edit in found.files)
    more = f"; {len(found.absent)} are not there, `up` makes them" if found.absent else ""
    yield f"{found.stack.name}: {len(found.resources)} {words}{more}"
    if found.resources:
        yield f"next: forestay infra preview --env {found.stack.name}, which says what differs from the settings"
