"""What a run that was cut off was making counts as made, for a refresh to find out."""

from __future__ import annotations

from typing import Any

from infra import cutoff
from infra.plan.outputs import MadeUp

URN = "urn:pulumi:dev::forestay::azure-native:containerregistry:Registry::registry"
INPUTS = {"registryName": "crdev"}


def pending(kind: str, urn: str = URN) -> dict[str, Any]:
    return {"type": kind, "resource": {"urn": urn, "custom": True, "type": "t", "inputs": INPUTS}}


def test_what_was_being_made_gets_its_planned_id() -> None:
    before = {"manifest": {}, "resources": [{"urn": "urn:group"}], "pending_operations": [pending("creating")]}
    assert cutoff.doing(before) == ["creating registry"]
    after = cutoff.settled(before, {URN: "/registries/crdev"})
    assert not cutoff.doing(after)
    assert after["manifest"] == {}
    assert after["resources"][0] == {"urn": "urn:group"}
    assert after["resources"][1] == {
        "urn": URN,
        "custom": True,
        "type": "t",
        "inputs": INPUTS,
        "outputs": INPUTS,
        "id": "/registries/crdev",
    }
    assert cutoff.doing(before)  # as it was


def test_what_is_in_the_state_already_stays_as_it_is() -> None:
    resources = [{"urn": URN, "id": "/registries/crdev"}]
    before = {"resources": resources, "pending_operations": [pending("updating"), pending("deleting")]}
    assert cutoff.settled(before, {URN: "/registries/crdev"})["resources"] == resources


def test_what_was_being_replaced_is_the_old_one() -> None:
    before = {"resources": [{"urn": URN, "id": "/registries/old"}], "pending_operations": [pending("creating")]}
    old, new = cutoff.settled(before, {URN: "/registries/new"})["resources"]
    assert (old["id"], old["delete"]) == ("/registries/old", True)
    assert new["id"] == "/registries/new"


def test_what_is_in_the_program_no_more_is_found_by_what_it_was_made_of() -> None:
    group, pods = "azure-native:containerinstance:ContainerGroup", "kubernetes:apps/v1:Deployment"
    inputs = {
        group: {"resourceGroupName": "rg", "containerGroupName": "api-1"},
        pods: {"metadata": {"name": "api-2", "namespace": "n"}},
        "pulumi:providers:kubernetes": {},
    }
    doing = [
        {"type": "creating", "resource": {"urn": f"urn:pulumi:dev::forestay::{one}::x", "type": one, "inputs": given}}
        for one, given in inputs.items()
    ]
    found = cutoff.ids({"pending_operations": doing}, MadeUp("11111111-1111-4111-8111-111111111111", "westeurope"))
    assert {urn.split("::")[2]: id_.partition("/resourceGroups/")[2] or id_ for urn, id_ in found.items()} == {
        group: "rg/providers/Microsoft.ContainerInstance/containerGroups/api-1",
        pods: "n/api-2",
    }


def test_what_has_no_id_is_forgotten() -> None:
    assert not cutoff.settled({"pending_operations": [pending("creating")]}, {})["resources"]
    assert cutoff.doing({}) == []


def test_what_was_to_be_replaced_and_is_wanted_again_counts_again() -> None:
    """A new group was made, its front was not moved, and the old lines were put back."""
    old = {"urn": URN, "id": "/groups/a", "delete": True}
    new = {"urn": URN, "id": "/groups/b"}
    before = {"manifest": {}, "resources": [new, {"urn": "urn:front", "id": "/front"}, old]}
    assert cutoff.replaced(before)
    after = cutoff.put_back(before, {URN: "/Groups/A"})
    # What counts stands first: the engine takes no other order.
    assert after["resources"] == [{"urn": URN, "id": "/groups/a"}, before["resources"][1], {**new, "delete": True}]
    assert before["resources"][2] == old
    # Where the new one is still wanted, or a third, all stays as it was.
    assert cutoff.put_back(before, {URN: "/groups/b"}) == before
    assert cutoff.put_back(before, {URN: "/groups/c"}) == before
    assert not cutoff.replaced({"resources": [new]})
