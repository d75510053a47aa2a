"""Managed endpoints: a deployment a version, and no caller led to what has not passed its test; with a quick server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from automl_jobs.azure import network
from forestay.errors import InputError, OutsideError, RunFailed
from scoring.folder import open_folder
from scoring.images.builders import AZURES_PLATFORM
from scoring.images.context import BASES, SLIM, context
from scoring.images.registry import kept_tag
from scoring.targets import DeployOptions, managed, managed_call, managed_requests
from scoring.targets.managed import ManagedTarget
from tests import quick_server, served
from tests.azure.conftest import Azure, Cli
from tests.azure.standin.endpoints import Endpoint, Endpoints
from tests.azure.standin.jobs import Script
from tests.azure.standin.service import refused
from tests.azure.standin.wire import Fault, Response
from tests.conftest import ROOT

pytestmark = pytest.mark.usefixtures("quick")
NAME = "churn-api"
BODY = b'{"data": [{"a": 1}]}'
CANARY = DeployOptions(traffic=10)
Make = Callable[..., Path]


@pytest.fixture
def online(azure: Azure, project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoints]:
    """The endpoints of the stand-in, whose deployments are up at once."""
    found: Endpoints = azure.service.endpoints
    found.python, found.application = quick_server.install(project, monkeypatch), ""
    found.aside = lambda folder: (folder / "answers.json").write_text(json.dumps(quick_server.GOLDEN)) and None
    for module in (managed, managed_requests):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(managed_call, "PAUSES_SECONDS", (0.01, 0.01))
    yield found
    assert azure.service.refusals == []
    found.reset()


@pytest.fixture
def target(online: Endpoints, project: Path) -> ManagedTarget:
    said: list[str] = []
    target = ManagedTarget("dev", project / ".forestay", said.append)
    vars(target)["said"] = said
    return target


@pytest.fixture
def make(project: Path, target: ManagedTarget) -> Make:
    """A proven folder of a version: `make("2", "broken")` is one with that file in it."""

    def folder(version: str, *more: str, home: Path | None = None) -> Path:
        path = project / "-".join(["folder", version, *more])
        if not path.exists():
            quick_server.scoring_folder(path, version, *more)
        served.keep_proof(open_folder(path), home or target.home)
        return path

    return folder


def asked(target: ManagedTarget, online: Endpoints, times: int = 200) -> Counter[str]:
    """Which deployments answer so many callers."""
    online.all[NAME].asked.clear()
    for _ in range(times):
        assert target.invoke(NAME, BODY).status == 200
    return Counter(online.all[NAME].asked)


def test_traffic_follows_what_was_said_and_back(target: ManagedTarget, make: Make, online: Endpoints) -> None:
    first = target.deploy(NAME, make("1"))
    assert (first.status, first.traffic, first.previous, first.auth) == (
        "Healthy",
        {first.deployment: 100},
        None,
        "keys",
    )
    assert first.scoring_uri == f"https://{NAME}.westeurope.inference.ml.azure.com/score"
    canary = target.deploy(NAME, make("2"), CANARY)
    assert canary.traffic == {first.deployment: 90, canary.deployment: 10}
    assert 5 <= asked(target, online)[canary.deployment] <= 45
    whole = target.deploy(NAME, make("2"))
    assert (whole.deployment, whole.previous) == (canary.deployment, first.deployment)
    assert asked(target, online, 20) == {canary.deployment: 20}

    back = target.rollback(NAME)
    assert (back.deployment, back.previous, back.version) == (first.deployment, canary.deployment, "1")
    assert asked(target, online, 20) == {first.deployment: 20}
    assert target.rollback(NAME, "2").deployment == canary.deployment
    with pytest.raises(InputError, match="no deployment '7'"):
        target.rollback(NAME, "7")


def test_what_is_new_is_asked_alone_before_callers_are_led_to_it(
    azure: Azure, target: ManagedTarget, make: Make
) -> None:
    target.deploy(NAME, make("1"))
    azure.log.clear()
    made = target.deploy(NAME, make("2")).deployment
    steps = [
        f"{one.method} {one.headers.get('azureml-model-deployment') or one.path.rsplit('/', 1)[1]}"
        for one in azure.log
        if one.method in ("PUT", "POST") and ("onlineEndpoints" in one.path or one.host.startswith(NAME))
    ]
    assert steps == [f"PUT {made}", "POST listKeys", f"POST {made}", f"POST {made}", f"PUT {NAME}"]


def test_the_same_again_changes_nothing(azure: Azure, target: ManagedTarget, make: Make) -> None:
    before = target.deploy(NAME, make("1"))
    azure.log.clear()
    again = target.deploy(NAME, make("1"))
    assert {**again.as_dict(), "changed": True} == before.as_dict()
    assert not again.changed
    assert azure.sent("PUT") == azure.sent("DELETE") == []
    assert target.plan(NAME, make("1")).changes == ()
    plan = target.plan(NAME, make("2"), CANARY)
    assert [line.split()[0] for line in plan.changes] == ["make", "send", "traffic:"]
    assert azure.sent("PUT") == []


@pytest.mark.parametrize("fault", ["broken", "wrong"])
def test_what_fails_is_shown_and_removed_and_no_caller_met_it(
    azure: Azure, target: ManagedTarget, make: Make, online: Endpoints, fault: str
) -> None:
    with pytest.raises(RunFailed):
        target.deploy(NAME, make("0", fault))
    assert online.all == {}
    before = target.deploy(NAME, make("1"))
    azure.log.clear()
    vars(target)["said"].clear()
    with pytest.raises(RunFailed, match="smoke test failed" if fault == "wrong" else "crashed"):
        target.deploy(NAME, make("2", fault))
    assert f"PUT onlineEndpoints/{NAME}" not in azure.sent("PUT")  # no word of traffic
    assert any("  log | " in line for line in vars(target)["said"])
    assert list(online.all[NAME].deployments) == [before.deployment]
    assert {**target.status(NAME).as_dict(), "changed": True} == before.as_dict()
    assert target.deploy(NAME, make("3")).version == "3"


KILLED = """
import json, os, sys
from pathlib import Path
from scoring.targets import managed, managed_assets, managed_requests
import azure.storage.blob, requests

home, places = Path(sys.argv[1]), {
    "target": managed.ManagedTarget, "online": managed_requests.Online, "storehouse": managed_assets.Storehouse,
}
managed.POLL_SECONDS = managed_requests.POLL_SECONDS = 0.02
for line in sys.stdin:
    name, folder, place, method, when = json.loads(line)
    child = os.fork()
    if not child:
        real = getattr(places[place], method)
        def killed(*arguments, **named):
            found = real(*arguments, **named) if when == "after" else None
            os.kill(os.getpid(), 9)
        setattr(places[place], method, killed)
        managed.ManagedTarget("dev", home).deploy(name, Path(folder))
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""
STEPS = [
    ("storehouse", "_upload", "before"), ("storehouse", "_registered", "after"), ("storehouse", "ensure", "after"),
    ("online", "make", "after"), ("online", "deploy", "after"), ("target", "_smoke", "after"),
    ("online", "move", "before"), ("online", "move", "after"),
]  # fmt: skip


def test_a_deploy_that_is_killed_leaves_callers_where_they_were(
    target: ManagedTarget, make: Make, online: Endpoints
) -> None:
    """Between any two of its steps, of a first deploy and of a later one; the same command then goes on."""
    runner = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(target.home)], cwd=ROOT, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert runner.stdin is not None
    assert runner.stdout is not None
    try:
        before = None
        for number, (place, method, when) in enumerate(STEPS, 1):
            if method == "make" and before is not None:
                target.delete(NAME)
                before = None
            os.chdir(target.home.parent)
            runner.stdin.write(json.dumps([NAME, str(make(str(number))), place, method, when]) + "\n")
            runner.stdin.flush()
            assert int(runner.stdout.readline()) == signal.SIGKILL
            if before is None and method in ("make", "deploy", "_smoke"):
                with pytest.raises(InputError, match=r"only its first version.*which never passed its test"):
                    target.rollback(NAME)
                assert target.status(NAME).version == ("" if method == "make" else str(number))
            if before is not None:
                answering = asked(target, online, 3)
                moved = (method, when) == ("move", "after")
                assert (set(answering) == {before.deployment}) != moved
            done = target.deploy(NAME, make(str(number)))
            assert (done.version, done.status) == (str(number), "Healthy")
            assert asked(target, online, 3) == {done.deployment: 3}
            before = done
    finally:
        runner.kill()
        runner.wait()
        runner.stdin.close()
        runner.stdout.close()


def test_two_machines_deploy_at_once(target: ManagedTarget, make: Make, online: Endpoints, project: Path) -> None:
    target.deploy(NAME, make("1"))
    online.change_seconds = 0.15
    other = ManagedTarget("dev", project / "elsewhere")
    make("3", home=other.home)
    ended: list[str] = []
    folders = {"2": (target, make("2")), "3": (other, make("3", home=other.home))}
    threads = [
        threading.Thread(target=lambda one=one, folder=folder: ended.append(one.deploy(NAME, folder).version))
        for one, folder in folders.values()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(ended) == ["2", "3"]
    record = target.status(NAME)
    assert (record.status, sum(record.traffic.values())) == ("Healthy", 100)
    assert {record.version, str(record.previous).split("-")[1]} == {"2", "3"}


def test_a_busy_endpoint_is_asked_again(azure: Azure, target: ManagedTarget, make: Make) -> None:
    azure.fault(Fault(r"POST churn-api\..*/score", Response(429, {"message": "too many"}), times=2))
    assert target.deploy(NAME, make("1")).status == "Healthy"
    azure.fault(Fault(r"POST churn-api\..*/score", Response(429, {"message": "too many"}), times=9))
    assert target.invoke(NAME, BODY).status == 429


def test_a_quota_that_is_too_small_is_found_before_anything_is_made(
    azure: Azure, target: ManagedTarget, make: Make, online: Endpoints
) -> None:
    azure.service.quota["standardDSv2Family"] = (92, 99)  # one instance of 4 cores, and as many for Azure's reserve
    with pytest.raises(OutsideError, match=r"need 8 cores of standardDSv2Family .* 7 are free"):
        target.deploy(NAME, make("1"))
    assert azure.sent("PUT") == []
    azure.service.quota["standardDSv2Family"] = (92, 100)
    target.deploy(NAME, make("1"))
    azure.service.quota["standardDSv2Family"] = (100, 100)
    assert not target.deploy(NAME, make("1")).changed
    with pytest.raises(OutsideError, match="quota is too small"):
        target.deploy(NAME, make("2"))
    assert len(online.all[NAME].deployments) == 1


def test_from_outside_a_private_network_it_is_said_at_once(
    azure: Azure, target: ManagedTarget, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.deploy(NAME, make("1"))
    target.arm.place = replace(target.arm.place, private=True)
    monkeypatch.setattr(network, "_through_proxy", lambda _: False)
    monkeypatch.setattr(network, "addresses", lambda _: ("20.61.99.1",))
    del target.storehouse
    azure.log.clear()
    for what in (
        lambda: target.invoke(NAME, BODY),
        lambda: target.deploy(NAME, make("2")),
        lambda: target.assets(NAME),
    ):
        with pytest.raises(OutsideError, match="inside its private network only"):
            what()
    assert azure.sent("PUT") == []
    monkeypatch.setattr(network, "addresses", lambda _: ("10.20.1.5",))
    assert target.invoke(NAME, BODY).status == 200


def test_requests_are_copied_to_a_shadow(target: ManagedTarget, make: Make, online: Endpoints) -> None:
    first = target.deploy(NAME, make("1")).deployment
    shadow = target.deploy(NAME, make("2"), DeployOptions(traffic=0))
    assert (shadow.deployment, shadow.traffic[first]) == (first, 100)
    [second] = set(shadow.traffic) - {first}
    target.split(NAME, {}, {"2": 50})
    assert asked(target, online, 100) == {first: 100}
    assert 30 <= online.all[NAME].copied[second] <= 70
    assert target.unreached(NAME, everything=True) == []
    for wrong, where in (({"2": 60}, "at most 50 %"), ({"1": 10}, "has traffic"), ({"1": 5, "2": 5}, "has traffic")):
        with pytest.raises(InputError, match=where):
            target.split(NAME, {}, wrong)
    ended = target.split(NAME, {"2": 100})
    assert (ended.traffic[second], online.all[NAME].properties["mirrorTraffic"]) == (100, {})


def test_shares_are_checked_and_what_nobody_reaches_is_pruned(
    target: ManagedTarget, make: Make, online: Endpoints
) -> None:
    for version in ("1", "2", "3"):
        target.deploy(NAME, make(version))
    with pytest.raises(InputError, match="make 95, not 100"):
        target.split(NAME, {"1": 90, "2": 5})
    with pytest.raises(InputError, match="no deployment 'blue'"):
        target.split(NAME, {"blue": 100})
    shared = target.split(NAME, {"3": 90, "2": 10})
    assert sorted(shared.traffic.values()) == [0, 10, 90]
    assert [one.split("-")[1] for one in target.prune(NAME)] == ["1"]
    target.split(NAME, {"3": 100})
    assert target.prune(NAME) == []
    assert [one.split("-")[1] for one in target.prune(NAME, everything=True)] == ["2"]
    assert target.status(NAME).previous is None
    with pytest.raises(InputError, match="no earlier deployment"):
        target.rollback(NAME)
    target.delete(NAME)
    assert target.names() == []
    assert online.all == {}


def test_keys_turn_and_tokens_are_taken(target: ManagedTarget, make: Make, online: Endpoints) -> None:
    with pytest.raises(InputError, match="always asks"):
        target.deploy(NAME, make("1"), DeployOptions(auth="none"))
    target.deploy(NAME, make("1"))
    keys = target.keys(NAME)
    turned = target.rotate_keys(NAME, "primary")
    assert turned["secondary"] == keys["secondary"] != turned["primary"] != keys["primary"]
    assert turned == online.all[NAME].keys
    assert target.invoke(NAME, BODY).status == 200
    assert not any(key in line for key in (*keys.values(), *turned.values()) for line in vars(target)["said"])
    record = target.deploy("by-token", make("1"), DeployOptions(auth="token"))
    assert record.auth == "token"
    assert target.invoke("by-token", BODY).status == 200
    with pytest.raises(InputError, match="asks callers for no key"):
        target.keys("by-token")


def test_instances_follow_the_load(target: ManagedTarget, make: Make, online: Endpoints) -> None:
    record = target.deploy(NAME, make("1"), DeployOptions(replicas=(1, 3)))
    [scale] = online.scales.values()
    assert scale["properties"]["profiles"][0]["capacity"] == {"minimum": "1", "maximum": "3", "default": "1"}
    assert not target.deploy(NAME, make("1")).changed
    running = online.all[NAME].deployments[record.deployment].running
    fixed = target.deploy(NAME, make("1"), DeployOptions(replicas=(2, 2)))
    assert (fixed.changed, fixed.deployment) == (True, record.deployment)
    assert online.scales == {}
    deployment = online.all[NAME].deployments[record.deployment]
    assert (deployment.document["sku"]["capacity"], deployment.running) == (2, running)
    assert "2 x Standard_DS3_v2" in str(target.status(NAME).bills)
    larger = target.deploy(NAME, make("1"), DeployOptions(instance_type="Standard_F4s_v2"))
    assert larger.deployment != record.deployment
    assert larger.previous == record.deployment


def pushed(azure: Azure, target: ManagedTarget, folder: Path, base: str) -> str:
    """The image of a folder, in the registry."""
    proven = open_folder(folder)
    with context(proven, proven.hash(), base, AZURES_PLATFORM, target.home, target.say) as given:
        digest = azure.service.registry.put("quick", f"{proven.version}-{base}", given.labels)
    return f"crcategorize.azurecr.io/quick@{digest}"


@pytest.mark.parametrize("base", BASES)
def test_an_image_runs_instead_of_code(
    azure: Azure, target: ManagedTarget, make: Make, online: Endpoints, base: str
) -> None:
    image = pushed(azure, target, make("1"), base)
    online.images[image] = make("1")
    record = target.deploy(NAME, make("1"), DeployOptions(image=image))
    assert (record.status, target.invoke(NAME, BODY).status) == ("Healthy", 200)
    kept = kept_tag(image.partition("@")[2])
    assert azure.service.registry.tags["quick", kept] == image.partition("@")[2]
    assert azure.service.registry.locked == {kept}
    properties = online.all[NAME].deployments[record.deployment].document["properties"]
    assert "codeConfiguration" not in properties
    with pytest.raises(InputError, match="no image by digest"):
        target.deploy(NAME, make("1"), DeployOptions(image="quick:1"))


def test_an_image_of_another_folder_or_of_none_is_refused(
    azure: Azure, target: ManagedTarget, make: Make, online: Endpoints
) -> None:
    other = pushed(azure, target, make("2"), SLIM)
    foreign = f"crcategorize.azurecr.io/quick@{azure.service.registry.put('quick', 'latest', {})}"
    gone = f"crcategorize.azurecr.io/quick@sha256:{'0' * 64}"
    for image, told in ((other, "was not built of"), (foreign, "was not built of"), (gone, "the registry has no")):
        for act in (target.plan, target.deploy):
            with pytest.raises(InputError, match=told) as caught:
                act(NAME, make("1"), DeployOptions(image=image))
            assert caught.value.problems[0].where == "--image"
    assert (online.all, azure.service.registry.locked) == ({}, set())


def test_another_machine_finds_the_folder_in_the_storage_account(
    target: ManagedTarget, make: Make, project: Path
) -> None:
    target.deploy(NAME, make("1"))
    target.deploy(NAME, make("2"))
    other = ManagedTarget("dev", project / "elsewhere")
    assert (other.assets(NAME) / "sample_request.json").is_file()
    assert other.rollback(NAME).version == "1"
    assert list(other.logs(NAME, 5, False))


def test_what_others_made_is_left_alone(azure: Azure, target: ManagedTarget, make: Make, online: Endpoints) -> None:
    properties = {"authMode": "Key", "provisioningState": "Succeeded", "scoringUri": "https://x"}
    online.all["by-hand"] = Endpoint({"name": "by-hand", "location": "westeurope", "properties": properties})
    assert target.names() == []
    with pytest.raises(InputError, match="made by other means"):
        target.deploy("by-hand", make("1"))
    with pytest.raises(InputError, match="no managed endpoint 'other'"):
        target.status("other")
    azure.fault(Fault("PUT .*/deployments/", refused(403, "AuthorizationFailed", "no right to write"), times=9))
    with pytest.raises(OutsideError, match="may not do it"):
        target.deploy(NAME, make("1"))
    azure.proxy.faults.clear()
    assert target.status(NAME).status == "Stopped"
    assert target.deploy(NAME, make("1")).status == "Healthy"


def test_a_version_of_the_workspace_s_registry_is_kept_while_an_endpoint_has_it(
    azure: Azure, cli: Cli, make: Make, online: Endpoints, job_file: Path, project: Path
) -> None:
    """Pipelines deploy under the number that the workspace gave; no registry here knows it."""
    azure.service.script = Script(trials=2)
    job = cli("job", "submit", job_file, "--stream").json["job"]
    for rank in ("1", "2"):
        cli("model", "register", job, "--rank", rank, "--name", "Quick")
    for version in ("1", "2"):
        cli("endpoint", "deploy", NAME, "--model", f"Quick:{version}", "--from", make(version), "--target", "managed")
    for version in ("1", "2"):  # the first can be returned to
        assert f"by {NAME} (dev)" in cli("model", "delete", f"Quick:{version}", "--yes", code=2).err
    cli("endpoint", "prune", NAME, "--all", "--yes")
    shutil.copy(project / "stacks" / "Pulumi.dev.yaml", project / "stacks" / "Pulumi.prod.yaml")
    done = cli("model", "delete", "Quick:1", "--yes")
    assert done.json["deleted"] is True
    assert "whether managed endpoints of prod have it can't be told" in done.err
    assert f"by {NAME} (dev)" in cli("model", "delete", "Quick:2", "--yes", code=2).err
    cli("endpoint", "delete", NAME, "--yes")


def test_the_commands(cli: Cli, make: Make, online: Endpoints, project: Path) -> None:
    def run(*words: str | Path, code: int = 0) -> object:
        return cli("endpoint", *words, code=code).json if code == 0 else cli("endpoint", *words, code=code).err

    deploy = ("deploy", NAME, "--model", "Quick:1", "--from", make("1"), "--target", "managed")
    assert cli("endpoint", *deploy, "--plan").json["changes"][0].startswith("make the endpoint")
    assert online.all == {}
    record = cli("endpoint", *deploy).json
    assert record["target"] == "managed"
    cli("endpoint", "deploy", NAME, "--model", "Quick:2", "--from", make("2"), "--traffic", "10")
    [listed] = cli("endpoint", "list").json
    assert (listed["name"], listed["version"]) == (NAME, "2")
    shares = cli("endpoint", "traffic", NAME, "1=70", "2=30").json["traffic"]
    assert sorted(shares.values()) == [30, 70]
    assert "make 10, not 100" in cli("endpoint", "traffic", NAME, "1=10", code=2).err
    assert "is no share" in cli("endpoint", "traffic", NAME, "blue", code=2).err
    assert json.loads(cli("endpoint", "invoke", NAME).out) == {"Results": ["yes"]}
    assert cli("endpoint", "rollback", NAME).json["traffic"][record["deployment"]] == 100
    assert cli("endpoint", "prune", NAME, "--all", "--yes").json["removed"] != []
    assert set(cli("endpoint", "keys", "rotate", NAME).json) == {"name", "primary", "secondary"}
    assert cli("endpoint", "logs", NAME, "--tail", "3").json["lines"]
    assert "can't stop" in cli("endpoint", "stop", NAME, code=2).err
    assert "--cpu" in cli("endpoint", *deploy, "--cpu", "2", code=2).err
    assert cli("endpoint", "delete", NAME, "--yes").json["deleted"] is True
