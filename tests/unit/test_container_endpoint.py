"""An endpoint on this machine as a container: an engine that only starts processes stands for docker."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from forestay.errors import InputError, OutsideError, RunFailed
from scoring.folder import open_folder
from scoring.images import builders
from scoring.targets import DeployOptions
from scoring.targets.local import LocalTarget
from tests import quick_server, served
from tests.callers import Callers
from tests.served import processes, wait_for

NAME = f"boxed-{os.getpid()}"
BODY = json.dumps({"data": [{"a": 1}]}).encode()
BOXED = DeployOptions(container=True)
# What docker does of what is asked of it: an image is a copy of its context, a container a process on the port.
ENGINE = """\
#!{python}
import hashlib, json, os, pathlib, shutil, signal, subprocess, sys

store, words = pathlib.Path("{store}"), sys.argv[1:]

def after(name):
    return words[words.index(name) + 1]

if words[0] == "info":
    print("up")
elif words[0] == "images":
    label = next(word for word in words if word.startswith("label=")).removeprefix("label=")
    print("\\n".join(path.parent.name for path in store.glob("*/labels") if label in path.read_text().split("\\n")))
elif words[0] == "build":
    assert after("--platform") == "{platform}"
    context = pathlib.Path(words[-1])
    labels = [words[place + 1] for place, word in enumerate(words) if word == "--label"]
    image = "sha256:" + hashlib.sha256("".join(labels).encode()).hexdigest()
    shutil.copytree(context, store / image, dirs_exist_ok=True)
    (store / image / "labels").write_text("\\n".join(labels))
    shutil.copyfile("{answers}", store / image / "answers.json")
    pathlib.Path(after("--iidfile")).write_text(image)
    print("built", image)
elif words[0] == "run":
    assert "--read-only" in words and after("--cap-drop") == "ALL"
    host, port, inner = after("--publish").split(":")
    assert (host, inner) == ("127.0.0.1", "5001")
    given = [words[place + 1] for place, word in enumerate(words) if word == "--env"]
    assert not any("=" in word for word in given), "a key on a command line"
    (store / after("--name")).write_text(" ".join(words))
    import socket
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, int(port)))
    os.set_inheritable(bound.fileno(), True)
    environment = {{name: os.environ[name] for name in given}}
    folder = store / words[-1]
    os.execve("{server}", ["{server}", str(folder), "gunicorn", "--bind", f"fd://{{bound.fileno()}}"], environment)
elif words[0] == "rm":
    (store / words[-1]).unlink(missing_ok=True)
"""


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalTarget]:
    quick = quick_server.install(tmp_path, monkeypatch)
    store, answers = tmp_path / "store", tmp_path / "answers.json"
    store.mkdir()
    answers.write_text(json.dumps(quick_server.GOLDEN))
    docker = tmp_path / "engine" / "docker"
    docker.parent.mkdir()
    given = {"store": store, "answers": answers, "server": quick, "platform": builders.own_platform()}
    docker.write_text(ENGINE.format(python=sys.executable, **given))
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker.parent}:/usr/bin:/bin")
    target = LocalTarget(tmp_path / "home", lambda _: None)
    yield target
    for name in target.names():
        target.delete(name)
    wait_for(lambda: processes(f"forestay:{NAME}") == processes(f"forestay:supervisor:{NAME}") == [])
    assert list(store.glob("forestay-*")) == []  # no container is left


def make(target: LocalTarget, version: str, *more: str) -> Path:
    path = quick_server.scoring_folder(target.home.parent / "-".join([version, *more]), version, *more)
    (path / "Dockerfile").write_text("FROM scratch\n")
    served.keep_proof(open_folder(path), target.home)
    return path


def test_containers_follow_each_other_without_a_lost_request(target: LocalTarget) -> None:
    first = target.deploy(NAME, make(target, "1"), BOXED)
    assert (first.status, target.invoke(NAME, BODY).status) == ("Healthy", 200)
    assert not target.deploy(NAME, target.home.parent / "1").changed
    with Callers(first.scoring_uri, BODY) as callers:
        second = target.deploy(NAME, make(target, "2"))  # a container, as the one before
        with pytest.raises(RunFailed, match="container ended"):
            target.deploy(NAME, make(target, "3", "broken"))
        back = target.rollback(NAME)
    assert (callers.problems, callers.statuses) == ([], {200})
    assert {version for _, version in callers.answers} == {"1", "2"}
    assert (second.version, back.version) == ("2", "1")
    store = target.home.parent / "store"
    wait_for(lambda: len(list(store.glob("forestay-*"))) == 1)  # once those before have answered what they took
    out = target.deploy(NAME, target.home.parent / "1", DeployOptions(container=False))
    assert out.changed
    assert target.invoke(NAME, BODY).status == 200


def test_a_container_that_ends_is_started_again_and_asks_for_keys(target: LocalTarget) -> None:
    target.deploy(NAME, make(target, "1"), DeployOptions(container=True, auth="keys"))
    [forwarder] = [one for one in processes(f"forestay:{NAME}") if "scoring.targets.forwarder" in one.cmdline()]
    for one in forwarder.children(recursive=True):
        one.kill()
    wait_for(lambda: not forwarder.is_running() or forwarder.status() == "zombie")
    assert target.invoke(NAME, BODY).status == 200
    lines = [" ".join(one.cmdline()) for one in processes("forestay:")]
    assert not any(key in line for key in target.keys(NAME).values() for line in lines)


def test_no_engine_is_told(target: LocalTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(target, "1")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(OutsideError, match="docker is not installed; podman is not installed"):
        target.deploy(NAME, folder, BOXED)
    assert target.names() == []
    with pytest.raises(InputError, match="tokens of Entra ID"):
        target.deploy(NAME, folder, DeployOptions(auth="token"))
