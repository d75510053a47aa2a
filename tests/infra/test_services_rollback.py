"""A rollback of an endpoint on ACI and AKS writes back what deploys set since; a retired key stays retired."""
# ruff: noqa: F811 - fixtures of another file are arguments here

from __future__ import annotations

import pytest

from scoring import server
from scoring.targets.services import ServicesTarget
from tests.infra.services_world import Monitor, World
from tests.infra.test_services_target import NAME, deployed, engine, here, options  # noqa: F401


@pytest.mark.parametrize("kind", ["aci", "aks"])
def test_a_rollback_undoes_all_that_the_deploy_set(here: World, engine: Monitor, kind: str) -> None:
    copies = {"replicas": (3, 5)} if kind == "aks" else {}
    target = deployed(here, kind, cpu=2.0)
    before, keys = entry(target), target.keys(NAME)
    open_ = {"auth": "none", "cpu": 4.0, "memory_gb": 8.0, "public": True, **copies}
    target.deploy(NAME, here.make("2"), options(here, **open_))
    back = target.rollback(NAME)
    assert (back.version, back.auth, target.keys(NAME)) == ("1", "keys", keys)
    assert status_for(target) == 401
    assert entry(target) == before
    forth = target.rollback(NAME)
    there = target.rollout.load().settings.services[NAME]
    assert (forth.version, forth.auth, there.cpu, there.memory_gb, there.public) == ("2", "none", 4, 8, True)
    assert (there.replicas.min, there.replicas.max) == copies.get("replicas", (2, 4))


def test_a_rotated_key_stays_rotated_however_one_goes_back(here: World, engine: Monitor) -> None:
    target = deployed(here, "aks")
    first = target.keys(NAME)["primary"]
    target.deploy(NAME, here.make("2"), options(here))
    second = target.rotate_keys(NAME, "primary")["primary"]
    target.rollback(NAME)
    assert [status_for(target, key) for key in (first, second)] == [401, 200]
    target.deploy(NAME, here.make("3"), options(here, auth="none"))
    target.rollback(NAME, "2")  # it had the first key when it was served; the second one was there last
    assert [status_for(target, key) for key in (first, second)] == [401, 200]
    target.deploy(NAME, here.make("3"), options(here, auth="none"))
    target.deploy(NAME, here.make("1"), options(here, auth="keys"))
    target.deploy(NAME, here.make("3"), options(here, auth="none"))
    target.rollback(NAME, "2")
    assert [status_for(target, key) for key in (first, second)] == [401, 401]


def test_a_rollback_leaves_what_was_written_by_hand(here: World, engine: Monitor) -> None:
    target = deployed(here, "aci", auth="none")
    target.deploy(NAME, here.make("2"), options(here))
    here.front(NAME)
    assert target.deploy(NAME, here.make("2"), options(here)).version == "2"
    assert target.rollback(NAME).version == "1"
    there = target.rollout.load().settings.services[NAME]
    assert (there.front, there.public) == ("traffic_manager", True)


def entry(target: ServicesTarget) -> dict[str, object]:
    """What the service is, but for what it was before, and since when its keys are."""
    return target.rollout.load().settings.services[NAME].model_dump(exclude={"earlier", "keys_since"})


def status_for(target: ServicesTarget, key: str = "") -> int:
    """What a caller of the endpoint gets."""
    return server.post(target.status(NAME).scoring_uri.removesuffix("/score"), {"data": [{"a": 1}]}, key=key).status
