"""What stands on another resource waits for it: Azure refuses a budget of a group that is not there yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from infra import stackfile
from infra.plan.build import plan
from infra.plan.model import PlannedResource
from infra.plan.prices import load
from infra.program import declare
from tests.infra.recording import ROOT


@pytest.mark.parametrize("stack", ["dev", "test", "prod"])
def test_a_resource_waits_for_all_that_it_names(stack: str) -> None:
    resources = plan(stackfile.load(ROOT, stack), load(), declare).resources
    made = {one.urn: one for one in resources}
    by_id = {one.id.lower(): one.urn for one in resources if one.id and not one.component}

    def before(urn: str, seen: set[str]) -> set[str]:
        for other in made[urn].depends_on:
            if other in made and other not in seen:
                seen.add(other)
                before(other, seen)
        return seen

    early = [
        f"{one.name} does not wait for {made[by_id[id_]].name}"
        for one in resources
        if not one.component
        for id_ in named(one)
        if id_ in by_id and by_id[id_] != one.urn and by_id[id_] not in before(one.urn, set())
    ]
    assert not early
    assert any(id_ in by_id for one in resources for id_ in named(one))


def named(one: PlannedResource) -> Iterator[str]:
    """The ids of what a resource is inside of, and of what its inputs name, in small letters."""
    parts = one.id.lower().split("/")
    yield from ("/".join(parts[:length]) for length in range(5, len(parts), 2))
    yield from (text.lower() for text in texts(dict(one.inputs)) if text.startswith("/subscriptions/"))


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from (key, *texts(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value
