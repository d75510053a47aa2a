"""Endpoints of the services stack with Pulumi's real engine: what test_services_target tries without one, where it
matters that it is the engine. The estate is not made: what the served models name lies in the cloud's file."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forestay.errors import InputError, RunFailed
from infra import stackfile, stackgit, upkeep
from infra.addresses import Addresses, names_of
from infra.services import Service, part_of, state_of
from infra.settings import StackSettings
from scoring import server
from scoring.targets import DeployOptions, inspect, smoke, trial
from scoring.targets.services import ServicesTarget
from tests.callers import Callers
from tests.image_support import Registry
from tests.infra.engine import binary, environment, serving
from tests.infra.providers.cloud import Cloud
from tests.infra.services_world import BODY, STACK, Watching, World, world
from tests.served import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

NAME, OTHER = "group-api", "pods-api"
PAUSE = 0.1  # of callers, whom a deploy with the engine takes half a minute to pass: they leave it the machine
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
        return Watching(found.machines, f"aks/{part_of(name, service)}")
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
    assert not list((group.folder / "state").rglob("*.attrs"))  # a kill between the two would make the state unreadable
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


@pytest.fixture(scope="module")
def pods(group: World) -> World:
    """An endpoint on AKS, without keys."""
    assert group.target("aks").deploy(OTHER, group.make("1"), options(group, auth="none")).status == "Healthy"
    return group


@pytest.mark.parametrize("fault", ["broken", "sick", "wrong"])
def test_the_old_pods_answer_while_a_new_version_fails(pods: World, fault: str) -> None:
    """It ends again and again, it is never healthy, or one label is wrong."""
    target, before, text = pods.target("aks"), pods.target("aks").status(OTHER), pods.file.read_bytes()
    with Callers(before.scoring_uri, BODY, pause=PAUSE) as callers, pytest.raises(RunFailed):
        target.deploy(OTHER, pods.make("2", fault), options(pods))
    assert callers.problems == []
    assert {*callers.answers} == {(200, "1")}
    assert (target.status(OTHER), pods.file.read_bytes()) == (before, text)
    assert len([one for one in Cloud(pods.folder / "cloud.json").resources if "apps/v1:deployment" in one]) == 1


def test_callers_are_led_to_other_pods(pods: World) -> None:
    """When those are up, and not before; a rollback leads them back, and the same again changes nothing."""
    target, cloud = pods.target("aks"), Cloud(pods.folder / "cloud.json")
    cloud.forget()
    with Callers(target.status(OTHER).scoring_uri, BODY, pause=PAUSE) as callers:
        assert target.deploy(OTHER, pods.make("3"), options(pods)).version == "3"
        wait_for(lambda: (200, "3") in callers.answers, 20)
        assert target.rollback(OTHER).version == "1"
    assert {number for status, number in callers.answers if status == 200} == {"1", "3"}
    assert not any(NAME in line for line in cloud.journal)  # of a service alone
    own = [line for line in cloud.journal if "Deployment" in line or line.endswith(f"{OTHER}-service")]
    words = [line.split("/v1:")[1] for line in own]
    assert [one.split()[0] for one in own] == ["create", "update", "delete"] * 2
    assert [one.split()[0] for one in words] == ["Deployment", "Service", "Deployment"] * 2
    assert words[0] == words[5] != words[2] == words[3]
    cloud.forget()
    assert target.deploy(OTHER, pods.make("1"), options(pods)).changed is False
    assert cloud.journal == []


def test_keys_roll_the_pods_that_are_there(pods: World) -> None:
    target = pods.target("aks")
    made = target.deploy(OTHER, pods.make("1"), options(pods, auth="keys"))
    before, url = target.keys(OTHER), made.scoring_uri.removesuffix("/score")
    after = target.rotate_keys(OTHER, "primary")
    shown = {key: server.post(url, {"data": [{"a": 1}]}, key=key).status for key in (*before.values(), *after.values())}
    assert shown == {before["primary"]: 401, before["secondary"]: 200, after["primary"]: 200}
    assert target.deploy(OTHER, pods.make("1"), options(pods, auth="none")).auth == "none"


def test_a_rollback_brings_back_the_keys_that_a_deploy_took_away(pods: World) -> None:
    target = pods.target("aks")
    target.deploy(OTHER, pods.make("1"), options(pods, auth="keys"))
    keys = target.keys(OTHER)
    url = target.deploy(OTHER, pods.make("3"), options(pods, auth="none")).scoring_uri.removesuffix("/score")
    assert server.post(url, {"data": [{"a": 1}]}).status == 200
    assert target.rollback(OTHER).auth == "keys"
    statuses = [server.post(url, {"data": [{"a": 1}]}, key=key).status for key in ("", *keys.values())]
    assert statuses == [401, 200, 200]
    assert target.deploy(OTHER, pods.make("1"), options(pods, auth="none")).auth == "none"


def test_behind_a_front_two_groups_stand_side_by_side(group: World) -> None:
    target = group.target("aci")
    group.front(NAME)
    moved = target.deploy(NAME, group.make("1"), options(group, auth="none"))
    cloud = Cloud(group.folder / "cloud.json")
    cloud.forget()
    with Callers(moved.scoring_uri, BODY, pause=PAUSE) as callers:
        second = target.deploy(NAME, group.make("2"), options(group))
    assert second.version == "2"
    assert {number for status, number in callers.answers if status == 200} == {"1"}
    # A profile of the stand-in has the address of its group, which the availability test follows; Azure's has its own.
    kinds = [line.rpartition(" ")[0] for line in cloud.journal if "WebTest" not in line]
    assert kinds == [
        "create containerinstance:ContainerGroup", "update trafficmanager:Profile",
        "delete containerinstance:ContainerGroup",
    ]  # fmt: skip


def test_what_another_checkout_deployed_meanwhile_stays(pods: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, older, text = pods.target("aks"), pods.folder / "older", pods.file.read_bytes()
    served = ours.status(OTHER)
    shutil.copytree(pods.project, older)
    theirs = ServicesTarget("aci", "test", older / ".forestay", pods.said.append)
    with monkeypatch.context() as patch:
        patch.chdir(older)
        assert theirs.rollout.root == older
    real = smoke.require_golden

    def require_golden(*given: Any) -> None:
        monkeypatch.setattr(smoke, "require_golden", real)
        theirs.deploy(NAME, pods.make("1"), options(pods, memory_gb=3.0))
        monkeypatch.setattr(smoke, "require_golden", lambda *_: None)  # their `up` took the pods away that are tried

    monkeypatch.setattr(smoke, "require_golden", require_golden)
    pods.said.clear()
    with pytest.raises(InputError, match=f"somebody else deployed since: {NAME} is Quick 1"):
        ours.deploy(OTHER, pods.make("4"), options(pods))
    assert pods.file.read_bytes() == text
    deployed = ours.rollout.outputs()["deployed"]
    assert deployed[NAME] == theirs.rollout.load().settings.services[NAME].state
    assert (ours.status(OTHER), ours.rollout.interrupted) == (served, None)
    assert not any("Traceback" in line for line in pods.said)
    pods.file.write_bytes(theirs.rollout.path.read_bytes())  # git pull


KILLED = """
import sys
from pathlib import Path
from scoring.targets import DeployOptions
from scoring.targets.services import ServicesTarget
name, home, folder, registry = sys.argv[1:]
ServicesTarget("aks", "test", Path(home)).deploy(name, Path(folder), DeployOptions(registry=registry))
"""


def test_a_deploy_that_is_killed_with_its_engine(pods: World) -> None:
    """While slow pods come up; the next one takes the lock away, and finds out what became of it."""
    group, target = pods, pods.target("aks")
    before = target.status(OTHER)
    cloud = Cloud(group.folder / "cloud.json")
    cloud.fail("create", "apps/v1:Deployment", "", seconds=4)
    words = [OTHER, str(group.home), str(group.make("4")), group.repository]
    with subprocess.Popen([sys.executable, "-c", KILLED, *words], start_new_session=True) as running:
        wait_for(lambda: not cloud.faults, 300)
        os.killpg(running.pid, signal.SIGKILL)
    assert server.ask(before.scoring_uri.removesuffix("/score"), "POST", "/score", BODY).status == 200
    done = target.deploy(OTHER, group.make("5"), options(group))
    assert (done.version, done.status) == ("5", "Healthy")
    assert done.previous == before.deployment
    assert len([one for one in cloud.resources if "apps/v1:deployment" in one]) == 1  # what was being made is gone


def test_delete_takes_everything_away(pods: World) -> None:
    group = pods
    for kind, name in (("aks", OTHER), ("aci", NAME)):
        group.target(kind).delete(name)
        assert group.target(kind).names() == []
    assert list((group.folder / "machines" / "running").glob("*.json")) == []
    assert "forestay:services" not in Path(group.file).read_text().partition("config:")[2]
