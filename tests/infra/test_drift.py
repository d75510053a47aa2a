"""Differences are told by whose they are: Azure's own, this stack's, or others'; and Azure's own do not show."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra import drift, stackfile
from infra.plan.build import plan
from infra.plan.model import Plan
from infra.plan.prices import load
from infra.program import declare
from infra.settings import StackSettings
from tests.infra.recording import ROOT
from tests.infra.test_operate import HISTORY, SUMMARY, Pulumi, happening, pulumi, run, stored
from tests.infra.test_serving import SERVICES, with_services

__all__ = ["pulumi"]
# Declared, and nobody's difference: a list that comes out as a map, and the tag that ties a web test to its component.
DECLARED = re.compile("userAssignedIdentities|tags.hidden-link:")


@pytest.fixture(scope="module")
def plans() -> list[Plan]:
    """The estate and the services with the most in them."""

    def of(name: str, settings: StackSettings | None = None) -> Plan:
        found = stackfile.load(ROOT, name)
        if settings is not None:
            found = stackfile.Stack(name, found.path, settings, found.document, found.file)
        return plan(found, load(), declare)

    return [of("prod"), *(of(name, with_services(name, SERVICES[name])) for name in SERVICES)]


def leaves(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from leaves(one, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for place, one in enumerate(value):
            yield from leaves(one, f"{path}[{place}]")
    else:
        yield path


def test_what_azure_changes_by_itself_is_ignored_or_left_out(plans: list[Plan]) -> None:
    seen = set()
    for one in (one for found in plans for one in found.resources):
        for path in leaves(dict(one.inputs)):
            if drift.known_reason(one.type, path) and not DECLARED.search(path):
                assert path in one.ignore_changes, (one.name, path)
                seen.add(path)
    assert {"count", "agentPoolProfiles[0].count"} <= seen


def test_every_known_field_has_a_reason() -> None:
    assert all(len(one.reason) > 10 for one in drift.KNOWN)


@pytest.mark.parametrize(
    ("type_", "path", "command", "owner"),
    [
        ("azure-native:containerservice:AgentPool", "count", "refresh", "azure"),
        ("azure-native:containerservice:ManagedCluster", "agentPoolProfiles[0].count", "refresh", "azure"),
        ("azure-native:containerservice:ManagedCluster", "agentPoolProfiles[1]", "refresh", "azure"),
        ("azure-native:containerservice:ManagedCluster", "agentPoolProfiles[0].maxCount", "refresh", "stack"),
        ("kubernetes:apps/v1:Deployment", "spec.replicas", "refresh", "azure"),
        ("azure-native:storage:StorageAccount", "tags.owner", "refresh", "stack"),
        ("azure-native:storage:StorageAccount", "tags.theirs", "refresh", "others"),
        ("azure-native:storage:StorageAccount", 'tags["hidden-link:x"]', "refresh", "azure"),
        ("azure-native:storage:StorageAccount", "minimumTlsVersion", "preview", "stack"),
        ("azure-native:storage:StorageAccount", "customDomain", "preview", "stack"),
        ("azure-native:machinelearningservices:Workspace", "identity.userAssignedIdentities", "preview", "stack"),
        ("azure-native:machinelearningservices:Workspace", "identity.userAssignedIdentities", "refresh", "azure"),
    ],
)
def test_whose_a_field_is(plans: list[Plan], type_: str, path: str, command: str, owner: str) -> None:
    declared = next((one for found in plans for one in found.resources if one.type == type_), None)
    assert declared is not None
    (found,) = drift.explain(type_, [path], declared, command, "prod")
    assert found.owner == owner, found
    assert found.reason


def test_a_refresh_says_whose_each_difference_is(pulumi: Pulumi, capsys: pytest.CaptureFixture[str]) -> None:
    pulumi.holds(stored())
    changed = {"diffs": ["tags"], "detailedDiff": {"tags.owner": {"diffKind": "update"}, "tags.x": {"diffKind": "add"}}}
    pulumi.put("refresh", events=[happening("refresh"), happening("update", done=True, **changed), SUMMARY])
    pulumi.put("stack history", out=HISTORY)
    code, out, err = run(capsys, "refresh", "--env", "dev", "--yes")
    assert code == 0, err
    assert "tags.owner (this stack's): somebody changed it in Azure: `forestay infra up --env dev` puts it back" in out
    assert "tags.x (others')" in out
    # What Azure alone changed is counted, not shown; what is as before is neither.
    link = {"detailedDiff": {'tags["hidden-link:a"]': {"diffKind": "add"}}}
    pulumi.put("refresh", events=[happening("refresh"), happening("update", done=True, **link), SUMMARY])
    _, out, _ = run(capsys, "refresh", "--env", "dev", "--yes")
    assert "dev: no change" in out
    assert "1 more differ in nothing but what Azure changes by itself" in out
    pulumi.put("refresh", events=[happening("refresh"), happening("same", done=True), SUMMARY])
    _, out, _ = run(capsys, "refresh", "--env", "dev", "--yes", "-o", "json")
    assert json.loads(out)["resources"] == []
    assert not Path("stacks/Pulumi.dev.yaml").read_text(encoding="utf-8").count("refresh")


def test_a_preview_says_whose_each_difference_is(pulumi: Pulumi, capsys: pytest.CaptureFixture[str]) -> None:
    events = [happening("update", detailedDiff={"sku.name": {"diffKind": "update"}}), SUMMARY]
    pulumi.put("preview", events=events)
    code, out, err = run(capsys, "preview", "--env", "dev", "-o", "json")
    assert code == 0, err
    (one,) = json.loads(out)["resources"]
    assert [(found["path"], found["owner"]) for found in one["differences"]] == [("sku.name", "stack")]
