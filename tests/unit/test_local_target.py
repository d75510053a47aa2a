"""Endpoints on this machine while they change, with a server that is up at once: whatever ends, and whenever."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forestay.errors import InputError, OutsideError, RunFailed
from scoring import server
from scoring.folder import open_folder
from scoring.targets import DeployOptions, records, supervisor
from scoring.targets.local import LocalTarget
from tests import quick_server, served
from tests.callers import Callers
from tests.conftest import ROOT
from tests.served import processes, wait_for

NAME = f"quick-{os.getpid()}"
BODY = json.dumps({"data": [{"a": 1}]}).encode()


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalTarget]:
    quick_server.install(tmp_path, monkeypatch)
    said: list[str] = []
    target = LocalTarget(tmp_path / "home", said.append)
    vars(target)["said"] = said
    yield target
    for name in target.names():
        target.delete(name)
    assert processes(f"forestay:{NAME}") == processes(f"forestay:supervisor:{NAME}") == []


Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, target: LocalTarget) -> Make:
    """A proven folder of a version: `make("2", "broken")` is one with that file in it."""

    def folder(version: str, *more: str) -> Path:
        path = quick_server.scoring_folder(tmp_path / "-".join([version, *more]), version, *more)
        served.keep_proof(open_folder(path), target.home)
        return path

    return folder


def test_versions_follow_each_other_and_back_without_a_lost_request(target: LocalTarget, make: Make) -> None:
    folders = [make(str(number)) for number in range(1, 8)]
    first = target.deploy(NAME, folders[0])
    with Callers(first.scoring_uri, BODY) as callers:
        for folder in folders[1:]:
            last = target.deploy(NAME, folder)
        back = target.rollback(NAME)
        far = target.rollback(NAME, "4")
    assert callers.problems == []
    assert callers.answers.keys() >= {(200, number) for number in "1234567"}
    assert {status for status, _ in callers.answers} == {200}
    assert (last.version, back.version, far.version) == ("7", "6", "4")
    assert {one.scoring_uri for one in (last, back, far)} == {first.scoring_uri}
    assert [one.split("-")[1] for one in found(target).earlier] == ["6", "7", "5", "3"]
    kept = {path.name.split("-")[1] for path in (folder_of(target) / "deployments").iterdir()}
    assert kept == {"3", "4", "5", "6", "7"}
    with pytest.raises(InputError, match="keeps no earlier deployment 1"):
        target.rollback(NAME, "1")
    assert target.deploy(NAME, folders[3]).changed is False


def found(target: LocalTarget) -> records.Endpoint:
    wanted = records.read_wanted(folder_of(target))
    assert wanted is not None
    return wanted


def folder_of(target: LocalTarget) -> Path:
    return target.home / "endpoints" / NAME


@pytest.mark.parametrize("fault", ["broken", "wrong"])
def test_what_does_not_work_is_never_reached(target: LocalTarget, make: Make, fault: str) -> None:
    with pytest.raises(RunFailed):
        target.deploy(NAME, make("0", fault))
    assert target.names() == []
    before = target.deploy(NAME, make("1"))
    with Callers(before.scoring_uri, BODY) as callers, pytest.raises(RunFailed) as caught:
        target.deploy(NAME, make("2", fault))
    assert ("broken" in str(caught.value)) == (fault == "broken")
    assert (callers.problems, callers.answers.keys()) == ([], {(200, "1")})
    assert {**target.status(NAME).as_dict(), "changed": True} == before.as_dict()
    assert target.deploy(NAME, make("3")).version == "3"


@pytest.mark.parametrize("fault", ["broken", "wrong"])
def test_what_fails_in_its_place_only_gives_way_again(
    target: LocalTarget, make: Make, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """It passes beside the one that runs, and not when it takes over."""
    before, folder = target.deploy(NAME, make("1")), make("2")
    real = LocalTarget._try

    def then_break(self: LocalTarget, wanted: records.Endpoint) -> None:
        real(self, wanted)
        (folder_of(target) / "deployments" / wanted.deployment / fault).write_text("")

    monkeypatch.setattr(LocalTarget, "_try", then_break)
    with Callers(before.scoring_uri, BODY) as callers, pytest.raises(RunFailed):
        target.deploy(NAME, folder)
    assert callers.problems == []
    assert callers.statuses == {200}
    assert {**target.status(NAME).as_dict(), "changed": True} == before.as_dict()
    monkeypatch.undo()
    assert [one.info["cmdline"] for one in processes(f"forestay:supervisor:{NAME}")]


KILLED = """
import os, sys
from pathlib import Path
from scoring import environment
from scoring.targets import records, supervision
from scoring.targets.local import LocalTarget

root, python, home, folder, name, place, method, call = sys.argv[1:]
environment.ensure = lambda *_: environment.Environment(Path(python), built=False)
where = {"target": LocalTarget, "supervision": supervision, "records": records}[place]
real, calls = getattr(where, method), []

def killed(*arguments, **named):
    calls.append(1)
    if len(calls) == int(call):
        os.kill(os.getpid(), 9)
    return real(*arguments, **named)

setattr(where, method, killed)
LocalTarget(Path(home)).deploy(name, Path(folder))
"""
STEPS = {
    "copied": ("target", "_switch", 1),
    "tried": ("target", "_smoke", 1),
    "not yet named": ("records", "write_wanted", 1),
    "named": ("supervision", "serve", 1),
    "served": ("target", "_smoke", 2),
    "tested": ("records", "write_wanted", 2),
    "written": ("target", "_prune", 1),
}


def killed(target: LocalTarget, python: Path, folder: Path, step: str) -> None:
    words = [sys.executable, "-c", KILLED, ROOT, python, target.home, folder, NAME, *STEPS[step]]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_deploy_that_is_killed_leaves_the_endpoint_answering(target: LocalTarget, make: Make, tmp_path: Path) -> None:
    """Between any two of its steps; each deploy finds what the one before has left."""
    before = target.deploy(NAME, make("1"))
    with Callers(before.scoring_uri, BODY) as callers:
        for number, step in enumerate(STEPS, 2):
            killed(target, tmp_path / "bin" / "python", make(str(number)), step)
            assert target.status(NAME).status == "Healthy", step
        done = target.deploy(NAME, make("10"))
    assert (callers.problems, callers.statuses) == ([], {200})
    assert (done.version, done.status, done.scoring_uri) == ("10", "Healthy", before.scoring_uri)
    wait_for(lambda: len(processes(f"forestay:{NAME}")) == 1)
    assert len(processes(f"forestay:supervisor:{NAME}")) == 1


def test_a_first_deploy_that_is_killed_is_taken_up_by_the_next(target: LocalTarget, make: Make, tmp_path: Path) -> None:
    folder = make("1")
    killed(target, tmp_path / "bin" / "python", folder, "copied")
    with pytest.raises(InputError, match="its first deploy ended before anything was served"):
        target.rollback(NAME)
    for step in ("named", "tested"):
        killed(target, tmp_path / "bin" / "python", folder, step)
        assert found(target).tested is False
    with pytest.raises(InputError, match="only its first version, Quick 1, which never passed its test") as caught:
        target.rollback(NAME)
    assert f"forestay endpoint delete {NAME}" in str(caught.value.problems[0].fix)
    assert target.status(NAME).version == "1"
    done = target.deploy(NAME, folder)
    assert (done.status, done.changed, found(target).tested) == ("Healthy", True, True)
    wait_for(lambda: len(processes(f"forestay:{NAME}")) == 1)


def test_two_deploys_at_once(target: LocalTarget, make: Make, tmp_path: Path) -> None:
    target.deploy(NAME, make("1"))
    words = [sys.executable, "-c", KILLED, ROOT, tmp_path / "bin" / "python", target.home]
    more = [NAME, "target", "_smoke", "0"]  # never killed
    both = [subprocess.Popen(list(map(str, [*words, make(version), *more]))) for version in ("2", "3")]
    assert [one.wait(120) for one in both] == [0, 0]
    record = target.status(NAME)
    assert record.status == "Healthy"
    assert {record.version, str(record.previous).split("-")[1]} == {"2", "3"}
    wait_for(lambda: len(processes(f"forestay:{NAME}")) == 1)


def test_what_crashes_is_started_again(target: LocalTarget, make: Make) -> None:
    target.deploy(NAME, make("1"))
    [gone] = processes(f"forestay:{NAME}")
    gone.kill()
    # The port is held all the time: this waits for the next server.
    assert target.invoke(NAME, BODY).status == 200
    [now] = processes(f"forestay:{NAME}")
    assert now.pid != gone.pid
    # One that does not come up again is Unhealthy, and the next deploy helps.
    (folder_of(target) / "deployments" / target.status(NAME).deployment / "broken").write_text("")
    now.kill()
    wait_for(lambda: not processes(f"forestay:{NAME}"))
    assert target.status(NAME).status == "Unhealthy"
    assert target.deploy(NAME, make("2")).status == "Healthy"


def test_servers_outlive_a_killed_supervisor_and_the_next_takes_them_over(target: LocalTarget, make: Make) -> None:
    before = target.deploy(NAME, make("1"))
    [held] = processes(f"forestay:supervisor:{NAME}")
    held.kill()
    held.wait()
    assert target.status(NAME).status == "Healthy"
    assert target.invoke(NAME, BODY).status == 200
    done = target.deploy(NAME, make("2"))
    assert (done.status, done.scoring_uri, done.version) == ("Healthy", before.scoring_uri, "2")
    wait_for(lambda: len(processes(f"forestay:{NAME}")) == 1)
    assert len(processes(f"forestay:supervisor:{NAME}")) == 1
    for one in (*processes(f"forestay:supervisor:{NAME}"), *processes(f"forestay:{NAME}")):
        one.kill()
    wait_for(lambda: target.status(NAME).status == "Stopped")
    with pytest.raises(OutsideError, match="is stopped"):
        target.invoke(NAME, BODY)
    assert target.rollback(NAME).status == "Healthy"


def test_a_new_endpoint_on_a_port_that_is_taken_leaves_nothing(target: LocalTarget, make: Make) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        with pytest.raises(InputError, match="can't be used"):
            target.deploy(NAME, make("1"), DeployOptions(port=held.getsockname()[1]))
    assert not folder_of(target).exists()


def test_another_port_and_one_that_is_taken(target: LocalTarget, make: Make) -> None:
    folder = make("1")
    before = target.deploy(NAME, folder)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        with pytest.raises(InputError, match="can't be used"):
            target.deploy(NAME, folder, DeployOptions(port=held.getsockname()[1]))
        assert {**target.status(NAME).as_dict(), "changed": True} == before.as_dict()
        port = held.getsockname()[1]
    moved = target.deploy(NAME, folder, DeployOptions(port=port))
    assert moved.scoring_uri == f"http://127.0.0.1:{port}/score"
    assert target.invoke(NAME, BODY).status == 200
    assert not server.is_healthy(before.scoring_uri.removesuffix("/score"))


def test_keys_turn_without_a_refused_call(target: LocalTarget, make: Make) -> None:
    folder = make("1")
    target.deploy(NAME, folder)
    with pytest.raises(InputError, match="asks callers for no key"):
        target.keys(NAME)
    record = target.deploy(NAME, folder, DeployOptions(auth="keys"))
    keys, url = target.keys(NAME), record.scoring_uri.removesuffix("/score")
    assert record.auth == "keys"
    assert server.ask(url, "POST", "/score", BODY, headers=server.json_headers()).status == 401
    with Callers(record.scoring_uri, BODY, keys["secondary"]) as callers:
        turned = target.rotate_keys(NAME, "primary")
    assert (callers.problems, callers.statuses) == ([], {200})
    assert turned["secondary"] == keys["secondary"] != turned["primary"] != keys["primary"]
    asked = [server.post(url, json.loads(BODY), key=key).status for key in (keys["primary"], turned["primary"])]
    assert asked == [401, 200]
    assert target.invoke(NAME, BODY).status == 200
    assert target.deploy(NAME, make("2")).auth == "keys"
    assert target.rollback(NAME).auth == "keys"
    assert target.keys(NAME) == turned

    [kept] = folder_of(target).glob("keys-*.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    texts = [path.read_text() for path in folder_of(target).rglob("*") if path.is_file() and path != kept]
    lines = [" ".join(one.info["cmdline"]) for one in processes("forestay:")]
    every = {*keys.values(), *turned.values()}
    assert not any(key in text for key in every for text in (*texts, *lines, *vars(target)["said"]))
    assert target.deploy(NAME, make("3"), DeployOptions(auth="none")).auth == "none"
    assert list(folder_of(target).glob("keys-*.json")) == []


def test_long_logs_are_put_aside(target: LocalTarget, make: Make) -> None:
    log = folder_of(target) / "logs" / f"{target.deploy(NAME, make('1')).deployment}.log"
    for _ in range(2):
        with log.open("ab") as stream:
            stream.write(b"x" * supervisor.LOG_BYTES)
        wait_for(lambda: log.stat().st_size < supervisor.LOG_BYTES)
        target.invoke(NAME, BODY)
        wait_for(lambda: "POST /score" in log.read_text())
    assert {path.name for path in log.parent.glob(f"{log.name}.*")} == {f"{log.name}.1", f"{log.name}.2"}
    assert "POST /score" in list(target.logs(NAME, 5, False))


def test_records_that_are_none_are_told(target: LocalTarget, make: Make) -> None:
    target.deploy(NAME, make("1"))
    path = folder_of(target) / "endpoint.json"
    good = path.read_text()
    for bad in ("", "[]", "{}", '{"name": "x"}'):
        path.write_text(bad)
        with pytest.raises(InputError, match="not an endpoint's record"):
            target.status(NAME)
    path.write_text(good)
    assert target.status(NAME).status == "Healthy"
    shutil.rmtree(folder_of(target) / "deployments")
    with pytest.raises(InputError, match="the deployed folder is gone"):
        target.assets(NAME)
