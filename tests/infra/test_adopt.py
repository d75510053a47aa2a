"""`forestay infra import`: what is there already is found by its id, named as it is, and handed to Pulumi."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import adopt, arm, operate, stackfile
from infra.components.roles import DEFINITIONS, assignment_name
from infra.plan.build import plan
from infra.plan.model import Plan
from infra.plan.prices import load
from infra.program import declare
from tests.infra.arm_standin import StandIn, serve
from tests.infra.recording import ROOT
from tests.infra.test_operate import HISTORY, Pulumi, pulumi, run

__all__ = ["pulumi"]
PRINCIPAL = "77777777-7777-4777-8777-777777777777"
GROUP = "rg-categorize-dev-jlmja"
IN_GROUP = f"/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/{GROUP}"
ACCOUNT = f"{IN_GROUP}/providers/Microsoft.Storage/storageAccounts"


@pytest.fixture(scope="module")
def planned() -> Plan:
    return plan(stackfile.load(ROOT, "dev"), load(), declare)


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with serve() as found:
        monkeypatch.setattr(arm, "connect", lambda env: found.connect(env))
        yield found


def test_what_is_there_is_taken_over_with_its_components(
    azure: StandIn, planned: Plan, pulumi: Pulumi, capsys: pytest.CaptureFixture[str]
) -> None:
    store = next(one for one in planned.resources if one.type.endswith("storage:StorageAccount"))
    blobs = next(one for one in planned.resources if one.name == "storage-blobs")
    for one in (store, blobs):
        azure.there[one.id.lower()] = {"id": one.id}
    pulumi.put("stack history", out=HISTORY)
    code, out, err = run(capsys, "import", "--env", "dev", "--plan", "-o", "json")
    assert code == 0, err
    assert {one["name"] for one in json.loads(out)["adopted"]} == {"storage", "storage-blobs"}
    assert not [call for call in pulumi.calls if call.startswith("import")]
    assert azure.puts == []
    code, out, err = run(capsys, "import", "--env", "dev", "--yes")
    assert code == 0, err
    assert "2 taken over" in out
    assert [call for call in pulumi.calls if call.startswith("import")]


def test_a_grant_is_found_by_the_principal_of_its_identity(
    azure: StandIn, planned: Plan, pulumi: Pulumi, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its GUID comes from a principal that only Azure knows; one that somebody else made has another."""
    by_name = {one.name: one for one in planned.resources}
    identity, pull = by_name["identities-compute"], by_name["compute-acrpull-on-registry"]
    azure.there[identity.id.lower()] = {"id": identity.id, "properties": {"principalId": PRINCIPAL}}
    scope = str(pull.inputs["scope"])
    own = assignment_name(scope, PRINCIPAL, DEFINITIONS["AcrPull"])
    given = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{own}"
    azure.there[given.lower()] = {"id": given}
    azure.there[by_name["compute-storage-blob-data-contributor-on-storage"].id.lower()] = {"id": "of a plan"}
    pulumi.put("stack history", out=HISTORY)
    code, out, err = run(capsys, "import", "--env", "dev", "--plan", "-o", "json")
    assert code == 0, err
    adopted = {one["name"]: one["id"] for one in json.loads(out)["adopted"]}
    assert adopted == {identity.name: identity.id, pull.name: given}


def test_the_file_for_pulumi_names_parents_before_children(planned: Plan) -> None:
    taken = [one for one in planned.resources if one.name in ("storage", "storage-blobs") and not one.component]
    found = adopt.Adoption(stackfile.load(ROOT, "dev"), tuple(taken), ())
    entries, names = adopt.import_file(found, planned, ())
    assert names == {}
    component, *own = entries
    assert (component["component"], component["logicalName"]) == (True, "storage")
    assert {one["parent"] for one in own} == {component["name"]}
    assert {one["logicalName"] for one in own} == {"storage", "storage-blobs"}
    assert all(one["id"].startswith("/subscriptions/") and one["version"] for one in own)
    # A component that the state has is referred to.
    parent = str(taken[0].parent)
    held = operate.Held(parent, "forestay:infra:Storage", "", False, False)
    entries, names = adopt.import_file(found, planned, [held])
    assert list(names.values()) == [parent]
    assert {one["parent"] for one in entries} == set(names)


def test_another_name_is_kept_and_written(azure: StandIn, pulumi: Pulumi, capsys: pytest.CaptureFixture[str]) -> None:
    id_ = f"{ACCOUNT}/contosoml"
    azure.there[id_.lower()] = {"id": id_}
    pulumi.put("stack history", out=HISTORY)
    code, out, err = run(capsys, "import", "--env", "dev", "--yes", "--id", f"storage={id_}", "-o", "json")
    assert code == 0, err
    assert [one["id"] for one in json.loads(out)["adopted"]] == [id_]
    for name in ("dev", "dev-services"):
        text = Path(f"stacks/Pulumi.{name}.yaml").read_text(encoding="utf-8")
        assert text.startswith((ROOT / f"stacks/Pulumi.{name}.yaml").read_text(encoding="utf-8"))
        assert stackfile.load(Path.cwd(), name).names.of("storageAccount") == "contosoml"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("storage", "is not NAME=ID"),
        (f"storge={ACCOUNT}/a", "did you mean storage"),
        (f"vault={ACCOUNT}/a", "another type than vault's"),
        (f"storage={ACCOUNT.replace(GROUP, 'theirs')}/a", "lies in group theirs"),
        (f"storage={ACCOUNT}/Big-One", "Azure does not take 'Big-One'"),
        (f"storage={ACCOUNT}/nobodys", "Azure has no"),
        (f"workspace-acrpull-on-registry={ACCOUNT}/a", "is a grant"),
        (f"storage-blobs={ACCOUNT}/other/blobServices/default", "storage-blobs lies in"),
    ],
)
def test_a_wrong_id_is_told_and_changes_nothing(
    azure: StandIn, pulumi: Pulumi, capsys: pytest.CaptureFixture[str], given: str, told: str
) -> None:
    before = Path("stacks/Pulumi.dev.yaml").read_bytes()
    code, out, err = run(capsys, "import", "--env", "dev", "--yes", "--id", given)
    assert (code, out) == (2, ""), err
    assert told in err
    assert Path("stacks/Pulumi.dev.yaml").read_bytes() == before
    assert not [call for call in pulumi.calls if call.startswith(("import", "up"))]
