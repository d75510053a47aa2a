"""`forestay infra preview|up|outputs|refresh|destroy`: change a stack through Pulumi."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from forestay.cli import Command, console
from forestay.commands.infra import env_option
from forestay.errors import InputError, Interrupted, RunFailed

if TYPE_CHECKING:
    from infra.drift import Difference
    from infra.operate import Held, Outcome
    from infra.plan.model import Plan
    from infra.stackfile import Stack


def yes_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--yes`: don't ask; needed where there is no terminal."""
    return click.option("--yes", "-y", is_flag=True, help="Don't ask; needed off a terminal.")(command)


@click.command(cls=Command)
@env_option
@click.pass_context
def preview(context: click.Context, env: str) -> None:
    """What `up` would make, change and delete, against what the stack holds; changes nothing.

    Policies are those of `infra plan`; exit code 1 when a mandatory one is violated.

    Example: forestay infra preview --env dev
    """
    from infra import operate
    from infra.program import declare

    stack, plan = _allowed(context, env)
    found = operate.preview(stack, declare, console(context).note)
    whose = _whose(found, plan)
    console(context).emit(_document(found, whose), lambda: _outcome_view(found, "would be", whose))


@click.command(cls=Command)
@env_option
@yes_option
@click.pass_context
def up(context: click.Context, env: str, yes: bool) -> None:
    """Make the stack what its file says, with live progress. Run again after a failure: it goes on where it stopped.

    Refused when a mandatory policy is violated, or when a changed name would make data anew.

    Example: forestay infra up --env dev --yes
    """
    from infra import operate, upkeep
    from infra.program import declare

    answerable(context, yes)
    stack, plan = _allowed(context, env)
    say = console(context).note
    if not yes:
        before = operate.preview(stack, declare, say)
        for line in _outcome_view(before, "would be", _whose(before, plan)):
            say(line)
        if before.steps:
            agree(context, f"Change the stack {env}?")
    found = operate.up(stack, declare, say)
    upkeep.keep_commit(stack, say)
    console(context).emit(found.as_dict(), lambda: _outcome_view(found, ""))


@click.command(cls=Command)
@env_option
@click.option("--show-secrets", is_flag=True, help="Print secret outputs too.")
@click.pass_context
def outputs(context: click.Context, env: str, show_secrets: bool) -> None:
    """The stack's outputs; secret ones are masked.

    Example: forestay infra outputs --env dev
    """
    from infra import operate

    found = operate.outputs(_stack(env), secrets=show_secrets)
    lines = [f"{name} = {value}" for name, value in found.items()]
    console(context).emit(found, lambda: iter(lines or [f"{env}: no outputs"]))


@click.command(cls=Command)
@env_option
@yes_option
@click.pass_context
def refresh(context: click.Context, env: str, yes: bool) -> None:
    """Look at what is there in Azure and write it into the state; nothing in Azure changes.

    Says whose each differing field is: one that Azure changes by itself, one of this stack that somebody else changed
    (`up` puts it back), or one that the stack does not declare.

    Example: forestay infra refresh --env dev --yes
    """
    from infra import operate
    from infra.plan import build, prices
    from infra.program import declare

    answerable(context, yes)
    if not yes:
        agree(context, f"Write what is there in Azure into the state of {env}?")
    stack = _stack(env)
    plan = build.plan(stack, prices.load(), declare)
    found = operate.refresh(stack, declare, console(context).note)
    whose = _whose(found, plan)
    console(context).emit(_document(found, whose), lambda: _outcome_view(found, "", whose))


@click.command(cls=Command)
@env_option
@yes_option
@click.pass_context
def destroy(context: click.Context, env: str, yes: bool) -> None:
    """Delete everything that the stack owns, after saying what will be lost. Refused while anything is protected.

    What others own (`forestay:existing`) stays.

    Example: forestay infra destroy --env dev --yes
    """
    from infra import operate
    from infra.program import declare

    answerable(context, yes)
    stack = _stack(env)
    held = [one for one in operate.state(stack) if one.id and not one.external]
    operate.refuse_protected(held, env)
    for line in _losses(held, env):
        console(context).note(line)
    if not yes:
        agree(context, f"Destroy the stack {env}?")
    found = operate.destroy(stack, declare, console(context).note)
    kept = operate.names_kept(held, stack)
    lost = [one.as_dict() for one in held if one.loss]
    document = {**found.as_dict(), "lost": lost, "names_kept": list(kept)}
    console(context).emit(document, lambda: iter((*_outcome_view(found, ""), *kept)))


def _stack(env: str) -> Stack:
    from forestay import project
    from infra import stackfile

    return stackfile.load(project.root(), env)


def _allowed(context: click.Context, env: str) -> tuple[Stack, Plan]:
    """The stack and its plan. Raises RunFailed for a violated policy, InputError where a new name would lose data."""
    from infra import operate
    from infra.plan import build, prices
    from infra.program import declare

    stack = _stack(env)
    held = operate.state(stack)
    plan = build.plan(stack, prices.load(), declare)
    operate.refuse_renamed(held, plan, env)
    mandatory = [one for one in plan.policy if one.level == "mandatory"]
    for finding in mandatory:
        name = finding.resource.rpartition("::")[2]
        console(context).warn(f"{finding.rule}: {name} {finding.message}; {finding.fix}")
    if mandatory:
        count = len(mandatory)
        raise RunFailed(
            f"{count} mandatory polic{'ies are' if count > 1 else 'y is'} violated", where=env, fix="see above"
        )
    return stack, plan


def answerable(context: click.Context, yes: bool) -> None:
    """Before anything is asked or done: without a terminal only `--yes` is an answer. Raises InputError."""
    import sys

    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InputError("this changes a stack, and nobody can be asked", where="--yes", fix="add --yes")


def agree(context: click.Context, question: str) -> None:
    if not console(context).confirm(question):
        raise Interrupted("nothing was done")


def _losses(held: Sequence[Held], env: str) -> Iterator[str]:
    yield f"{env}: {len(held)} resources will be deleted"
    yield from (f"  {one.name} ({one.id.rpartition('/')[2]}): {one.loss}" for one in held if one.loss)


def _whose(found: Outcome, plan: Plan) -> dict[str, tuple[Difference, ...]]:
    """By URN, whose the differing fields are."""
    from infra import drift

    declared = {one.urn: one for one in plan.resources}
    return {
        step.urn: drift.explain(step.type, step.diffs, declared.get(step.urn), found.command, found.env)
        for step in found.steps
    }


def _document(found: Outcome, whose: Mapping[str, Sequence[Difference]]) -> dict[str, Any]:
    document = found.as_dict()
    for one in document["resources"]:
        one["differences"] = [difference.as_dict() for difference in whose.get(one["urn"], ())]
    return document


def _outcome_view(found: Outcome, would: str, whose: Mapping[str, Sequence[Difference]] | None = None) -> Iterator[str]:
    """The steps with the fields that differ and whose they are; of what only Azure changed, the count."""
    from infra.drift import WHOSE, only_azures

    explained = whose or {}
    own = [step for step in found.steps if not only_azures(explained.get(step.urn, ()))]
    for step in own:
        differences = explained.get(step.urn, ())
        differing = f": {', '.join(step.diffs)}" if step.diffs and not differences else ""
        yield f"{step.op} {step.type.removeprefix('azure-native:')} {step.name}{differing}"
        yield from (f"    {one.path} ({WHOSE[one.owner]}): {one.reason}" for one in differences)
    changes = {op: sum(step.op == op for step in own) for op in found.changes}
    counts = ", ".join(f"{count} {op}" for op, count in changes.items() if count)
    yield f"{found.env}: {f'{would} {counts}'.strip() if counts else 'no change'}"
    rest = len(found.steps) - len(own)
    if rest:
        yield f"  {rest} more differ in nothing but what Azure changes by itself"
    yield from (f"  {name} = {value}" for name, value in found.outputs.items())
