"""A plan for a person: a tree of resources, then what follows from them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from rich.text import Text

from forestay.console import table, visible
from forestay.words import some
from infra.plan.changes import Change
from infra.plan.graph import direct_needs
from infra.plan.model import Plan, PlannedResource

SIGNS = {"added": "+", "removed": "-", "changed": "~"}
LONGEST = 100  # characters of a value
MOST = 4  # names in a line


def view(plan: Plan) -> Iterator[Any]:
    """The parts of a plan, one after the other."""
    names = {one.urn: one.name for one in plan.resources}
    yield from _tree(plan, names)
    yield from _costs(plan, names)
    yield from _roles(plan)
    yield from _quota(plan, names)
    yield from _outages(plan, names)
    yield from _policy(plan, names)
    own = sum(not one.component and not one.external for one in plan.resources)
    yield f"{plan.env}: {own} resources in {plan.location}, {len(plan.roles)} grants, {_verdict(plan)}"


def changes_view(changes: Sequence[Change], old: str, new: str) -> Iterator[Any]:
    """What differs between two plans: `+` added, `-` removed, `~` changed, with the inputs that differ."""
    by_resource: dict[tuple[str, str], list[Change]] = {}
    for change in changes:
        by_resource.setdefault((change.kind, change.resource), []).append(change)
    for (kind, resource), found in by_resource.items():
        types, _, name = resource.rpartition("::")
        yield f"{SIGNS[kind]} {types.rpartition('$')[2].removeprefix('azure-native:')} {name}"
        if kind == "changed":
            yield from (f"    {change.path}: {_value(change.old)} -> {_value(change.new)}" for change in found)
    counts = {kind: sum(key[0] == kind for key in by_resource) for kind in SIGNS}
    yield f"{old} -> {new}: " + ", ".join(f"{count} {kind}" for kind, count in counts.items())


def _value(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _tree(plan: Plan, names: dict[str, str]) -> Iterator[Text]:
    """Lines of their own instead of a rich tree, which cuts them at the width of the terminal."""
    children: dict[str | None, list[PlannedResource]] = {}
    for one in plan.resources:
        children.setdefault(one.parent, []).append(one)
    needs = {urn: [names[other] for other in others] for urn, others in direct_needs(plan).items()}
    yield Text(visible(plan.env), style="bold")
    yield from _branch(None, "", children, needs)


def _branch(
    parent: str | None,
    indent: str,
    children: dict[str | None, list[PlannedResource]],
    needs: dict[str, list[str]],
) -> Iterator[Text]:
    below = children.get(parent, [])
    for one in below:
        last = one is below[-1]
        yield Text(indent + ("└── " if last else "├── "), style="dim").append_text(_line(one, needs.get(one.urn, [])))
        yield from _branch(one.urn, indent + ("    " if last else "│   "), children, needs)


def _line(one: PlannedResource, needs: Sequence[str]) -> Text:
    """One resource: type, name, its name in Azure, what is special, what it waits for."""
    if one.component:
        return Text(visible(one.name), style="bold not dim")
    line = Text(style="not dim").append(visible(f"{one.type.removeprefix('azure-native:')} {one.name}"))
    own = one.id.rpartition("/")[2]
    if own != one.name:
        line.append(visible(f"  {own}"), style="cyan")
    marks = [word for word, there in (("protected", one.protect), ("of others", one.external)) if there]
    if marks:
        line.append(f"  {', '.join(marks)}", style="yellow")
    if needs:
        line.append(visible(f"  after {some(needs, MOST)}"), style="dim")
    return line


def _costs(plan: Plan, names: dict[str, str]) -> Iterator[Any]:
    if not plan.idle_cost:
        yield "Nothing bills while idle."
        return
    currency = plan.idle_cost[0].currency
    yield table(
        ["bills while idle", f"{currency} a month", "because"],
        [
            [names[cost.resource], None if cost.amount is None else f"{cost.amount:,.2f}", cost.reason]
            for cost in plan.idle_cost
        ],
        right=[f"{currency} a month"],
    )
    total = sum(cost.amount or 0 for cost in plan.idle_cost)
    unknown = sum(cost.amount is None for cost in plan.idle_cost)
    more = f", and {unknown} without a price" if unknown else ""
    yield f"While idle {total:,.2f} {currency} a month{more}"
    if plan.prices:
        about = plan.prices
        elsewhere = f"; they are of {about.region}, not {plan.location}" if about.region != plan.location else ""
        look_up = f"; look them up at {about.look_up}" if about.look_up else ""
        yield Text(visible(f"prices of {about.date}: {about.source}{elsewhere}{look_up}"), style="dim")


def _roles(plan: Plan) -> Iterator[Any]:
    if plan.roles:
        yield table(
            ["principal", "role", "on", "because"],
            [[grant.principal, grant.role, grant.scope, grant.reason] for grant in plan.roles],
        )


def _quota(plan: Plan, names: dict[str, str]) -> Iterator[Any]:
    if plan.quota:
        yield table(
            ["quota of", "family", "cores at most", "for"],
            [
                [one.provider, one.family, one.cores, ", ".join(names[urn] for urn in one.resources)]
                for one in plan.quota
            ],
            right=["cores at most"],
        )


def _outages(plan: Plan, names: dict[str, str]) -> Iterator[Any]:
    if plan.outages:
        yield table(
            ["away while it changes", "because", "to do"],
            [[names[one.resource], one.reason, one.fix] for one in plan.outages],
        )


def _policy(plan: Plan, names: dict[str, str]) -> Iterator[Any]:
    if plan.policy:
        yield table(
            ["rule", "level", "resource", "found", "to do"],
            [[one.rule, one.level, names.get(one.resource, one.resource), one.message, one.fix] for one in plan.policy],
        )


def _verdict(plan: Plan) -> str:
    mandatory = sum(one.level == "mandatory" for one in plan.policy)
    advisory = len(plan.policy) - mandatory
    told = f", {advisory} advisory finding{'s' * (advisory != 1)}" if advisory else ""
    return f"{mandatory} mandatory rule{'s' * (mandatory != 1)} VIOLATED{told}" if mandatory else f"policies hold{told}"
