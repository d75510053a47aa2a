"""Endpoints of the services stack with Pulumi's real engine: what test_services_target tries without one, where it
matters that it is the engine. The estate is not made: what the served models name lies in the cloud's file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from forestay.errors import RunFailed
from infra import stackfile, stackgit, upkeep
from infra.addresses import Addresses, names_of
from infra.components.aci import state_of
from infra.services import Service
from infra.settings import StackSettings
from scoring import server
from scoring.targets import DeployOptions, inspect, smoke, trial
from tests.callers import Callers
from tests.image_support import Registry
from tests.infra.engine import binary, environment, serving
from tests.infra.providers.cloud import Cloud
from tests.infra.services_world import BODY, STACK, Watching, World, world
from tests.served import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

NAME, OTHER = "group-api", "pods-api"
KINDS = {
    "resources:ResourceGroup": "group",
    "managedidentity:UserAssignedIdentity": "endpointIdentity",
    "keyvault:Vault": "keyVault",
    "containerservice:ManagedCluster": "aks",
    "insights:Component": "applicationInsights",
    "operationalinsights:Workspace": "logAnalytics",
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    engine = binary()
    if engine is None:
        pytest.skip("no engine in .tools: `make engine` builds it where Go and its modules are at hand")
    folder, registry = tmp_path_factory.mktemp("services"), Registry(tmp_path_factory.mktemp("registry"))
    with pytest.MonkeyPatch.context() as patch, world(folder, registry, patch) as found:
        for name in ("state", "pulumi"):
            (folder / name).mkdir()
        (folder / "bin" / "pulumi").symlink_to(engine)
        estate(found)
        with serving(folder) as providers:
            (folder / "home").mkdir()
            for key, value in environment(folder, providers).items():
                patch.setenv(key, value)
            patch.setattr(smoke, "LOOK_SECONDS", 0.05)
            patch.setattr(trial, "HOPELESS_SECONDS", 0.05)
            patch.setattr(inspect, "watcher", lambda _, settings, *one: watching(found, settings, *one))
            yield found
    registry.stop()


def watching(found: World, settings: StackSettings, name: str, service: Service) -> Watching:
    if service.target == "aks":
        return Watching(found.machines, f"aks/{name}")
    part = name if service.front == "none" else f"{name}-{state_of(service)}"
    own = names_of(settings).of("containerGroup", part)
    group = Addresses(settings).group.id
    return Watching(found.machines, f"{group}/providers/Microsoft.ContainerInstance/containerGroups/{own}".lower())


def estate(found: World) -> None:
    """What the services stack finds of the environment."""
    settings = stackfile.load(found.project, STACK).settings
    addresses = Addresses(settings)
    guid = "44444444-4444-4444-8444-444444444444"
    made = {"clientId": guid, "principalId": guid, "tenantId": guid, "location": "westeurope"}
    with Cloud(found.folder / "cloud.json").open() as content:
        for kind, name in KINDS.items():
            place = addresses.group if name == "group" else addresses.of(name)
            content["resources"][place.id.lower()] = {
                "id": place.id, "type": f"azure-native:{kind}", "name": name, "inputs": {}, "outputs": made,
            }  # fmt: skip


def options(here: World, **more: object) -> DeployOptions:
    return DeployOptions(**{"registry": here.repository, "wait_seconds": 60.0, **more})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def group(here: World) -> World:
    """An endpoint on ACI, with keys."""
    done = here.target("aci").deploy(NAME, here.make("1"), options(here))
    assert (done.status, done.auth) == ("Healthy", "keys")
    return here


def test_the_first_deploy_makes_the_stack_its_keys_and_its_group(group: World) -> None:
    target = group.target("aci")
    assert target.invoke(NAME, BODY).json == {"Results": ["yes"]}
    text = group.file.read_text()
    assert text.startswith("# The models served in test. `forestay endpoint deploy` writes forestay:services here.\n")
    assert "encryptionsalt: v1:" in text
    keys = target.keys(NAME)
    state = "".join(path.read_text() for path in (group.folder / "state").rglob("*.json"))
    assert not any(one in text + state + "".join(group.said) for one in keys.values())
    assert upkeep.tags(target.rollout.load()).get(stackgit.APPLIED, "") == ""  # no git here


def test_the_same_again_changes_nothing(group: World) -> None:
    cloud = Cloud(group.folder / "cloud.json")
    cloud.forget()
    text = group.file.read_bytes()
    assert group.target("aci").deploy(NAME, group.make("1"), options(group)).changed is False
    assert (cloud.journal, group.file.read_bytes()) == ([], text)


def test_one_label_wrong_is_put_back(group: World) -> None:
    target, text = group.target("aci"), group.file.read_bytes()
    with pytest.raises(RunFailed, match="smoke test"):
        target.deploy(NAME, group.make("2", "wrong"), options(group))
    assert group.file.read_bytes() == text
    assert target.invoke(NAME, BODY).json == {"Results": ["yes"]}
    assert any("answers again" in line for line in group.said)


def test_keys_turn(group: World) -> None:
    target = group.target("aci")
    before, url = target.keys(NAME), target.status(NAME).scoring_uri.removesuffix("/score")
    after = target.rotate_keys(NAME, "primary")
    shown = {which: server.post(url, {"data": [{"a": 1}]}, key=one).status for which, one in before.items()}
    assert shown == {"primary": 401, "secondary": 200}
    assert server.post(url, {"data": [{"a": 1}]}, key=after["primary"]).status == 200


def test_pods_are_rolled_and_what_never_becomes_ready_leaves_the_old_ones(group: World) -> None:
    target = group.target("aks")
    first = target.deploy(OTHER, group.make("1"), options(group, auth="none"))
    cloud = Cloud(group.folder / "cloud.json")
    cloud.forget()
    with Callers(first.scoring_uri, BODY) as callers, pytest.raises(RunFailed):
        target.deploy(OTHER, group.make("2", "sick"), options(group))
    assert callers.problems == []
    assert {number for _, number in callers.answers} == {"1"}
    assert target.deploy(OTHER, group.make("3"), options(group)).version == "3"
    assert target.rollback(OTHER).version == "1"
    assert not any(NAME in line for line in cloud.journal)  # of a service alone


def test_behind_a_front_two_groups_stand_side_by_side(group: World) -> None:
    target = group.target("aci")
    group.front(NAME)
    moved = target.deploy(NAME, group.make("1"), options(group, auth="none"))
    cloud = Cloud(group.folder / "cloud.json")
    cloud.forget()
    with Callers(moved.scoring_uri, BODY) as callers:
        second = target.deploy(NAME, group.make("2"), options(group))
    assert second.version == "2"
    assert {number for status, number in callers.answers if status == 200} == {"1"}
    # A profile of the stand-in has the address of its group, which the availability test follows; Azure's has its own.
    kinds = [line.rpartition(" ")[0] for line in cloud.journal if "WebTest" not in line]
    assert kinds == [
        "create containerinstance:ContainerGroup", "update trafficmanager:Profile",
        "delete containerinstance:ContainerGroup",
    ]  # fmt: skip


KILLED = """
import sys
from pathlib import Path
from scoring.targets import DeployOptions
from scoring.targets.services import ServicesTarget
name, home, folder, registry = sys.argv[1:]
ServicesTarget("aks", "test", Path(home)).deploy(name, Path(folder), DeployOptions(registry=registry))
"""


def test_a_deploy_that_is_killed_with_its_engine(group: World) -> None:
    """While a slow update is under way; the next one takes the lock away, and finds out what became of it."""
    target = group.target("aks")
    before = target.status(OTHER)
    cloud = Cloud(group.folder / "cloud.json")
    cloud.fail("update", OTHER, "", seconds=4)
    words = [OTHER, str(group.home), str(group.make("4")), group.repository]
    with subprocess.Popen([sys.executable, "-c", KILLED, *words], start_new_session=True) as running:
        wait_for(lambda: not cloud.faults, 300)
        os.killpg(running.pid, signal.SIGKILL)
    assert server.ask(before.scoring_uri.removesuffix("/score"), "POST", "/score", BODY).status == 200
    done = target.deploy(OTHER, group.make("5"), options(group))
    assert (done.version, done.status) == ("5", "Healthy")
    assert done.previous == before.deployment


def test_delete_takes_everything_away(group: World) -> None:
    for kind, name in (("aks", OTHER), ("aci", NAME)):
        group.target(kind).delete(name)
        assert group.target(kind).names() == []
    assert list((group.folder / "machines" / "running").glob("*.json")) == []
    assert "forestay:services" not in Path(group.file).read_text().partition("config:")[2]
