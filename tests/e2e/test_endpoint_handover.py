"""Endpoints on this machine while they change: no request is lost, whatever ends, and whenever."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from forestay.errors import InputError, RunFailed
from scoring import server
from scoring.targets import records, supervisor
from scoring.targets.local import LocalTarget
from tests import served
from tests.served import processes, wait_for

NAME = "handed"


@dataclass
class Callers:
    """Threads that ask an endpoint all the time, and count what they get by status and version."""

    url: str
    body: bytes
    key: str = ""
    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def __enter__(self) -> Callers:
        self.ends = threading.Event()
        self.threads = [threading.Thread(target=self.ask) for _ in range(3)]
        for one in self.threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ends.set()
        for one in self.threads:
            one.join()

    def ask(self) -> None:
        host, port = self.url.removeprefix("http://").removesuffix("/score").split(":")
        while not self.ends.is_set():
            connection = http.client.HTTPConnection(host, int(port), timeout=60)
            try:
                connection.request("POST", "/score", self.body, server.json_headers(self.key))
                answer = connection.getresponse()
                answer.read()
                self.answers[answer.status, answer.headers["x-model-version"] or ""] += 1
            except (OSError, http.client.HTTPException) as error:
                self.problems.append(repr(error))
            finally:
                connection.close()


@pytest.fixture(scope="module")
def versions(bank: tuple[Path, Path]) -> list[Path]:
    home, first = bank
    return [first, *(served.version(first, number, home) for number in ("2", "3"))]


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def target(bank: tuple[Path, Path], versions: list[Path], said: list[str]) -> Iterator[LocalTarget]:
    """The endpoint `handed` that serves version 1 at first."""
    target = LocalTarget(bank[0], said.append)
    target.deploy(NAME, versions[0])
    yield target
    target.delete(NAME)
    assert processes(f"forestay:{NAME}") == processes(f"forestay:supervisor:{NAME}") == []


@pytest.fixture
def body(versions: list[Path]) -> bytes:
    return (versions[0] / "sample_request.json").read_bytes()


def test_no_request_is_lost_while_versions_follow_each_other(
    target: LocalTarget, versions: list[Path], body: bytes
) -> None:
    first = target.status(NAME)
    with Callers(first.scoring_uri, body) as callers:
        second = target.deploy(NAME, versions[1])
        wait_for(lambda: (200, "2") in callers.answers)
        back = target.rollback(NAME)
    assert (second.scoring_uri, second.version, second.previous) == (first.scoring_uri, "2", first.deployment)
    assert (back.version, back.previous) == ("1", second.deployment)
    assert callers.problems == []
    assert callers.answers.keys() == {(200, "1"), (200, "2")}


def test_a_deployment_that_fails_in_its_place_loses_no_request_either(
    target: LocalTarget, versions: list[Path], body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new version passes beside the old one, and does not when it has taken over."""
    before, real, calls = target.status(NAME), LocalTarget._smoke, []

    def smoke(self: LocalTarget, *arguments: object) -> None:
        real(self, *arguments)  # type: ignore[arg-type]
        calls.append(1)
        if len(calls) == 2:
            raise RunFailed("made to fail")

    monkeypatch.setattr(LocalTarget, "_smoke", smoke)
    with Callers(before.scoring_uri, body) as callers, pytest.raises(RunFailed, match="made to fail"):
        target.deploy(NAME, versions[1])
    assert target.status(NAME) == before
    assert callers.problems == []
    assert {status for status, _ in callers.answers} == {200}


KILLED = """
import os, sys
from pathlib import Path
from scoring.targets import supervision
from scoring.targets.local import LocalTarget

home, folder, name, method, call = sys.argv[1:]
place = LocalTarget if method == "_smoke" else supervision
real, calls = getattr(place, method), []

def killed(*arguments):
    calls.append(1)
    if len(calls) == int(call):
        os.kill(os.getpid(), 9)
    return real(*arguments)

setattr(place, method, killed)
LocalTarget(Path(home)).deploy(name, Path(folder))
"""


@pytest.mark.parametrize(
    ("method", "call"), [("_smoke", 1), ("serve", 1), ("_smoke", 2)], ids=["tried", "named", "served"]
)
def test_a_deploy_that_is_killed_leaves_the_endpoint_answering(
    target: LocalTarget, versions: list[Path], body: bytes, method: str, call: int
) -> None:
    target.deploy(NAME, versions[0])
    url = target.status(NAME).scoring_uri
    with Callers(url, body) as callers:
        words = [sys.executable, "-c", KILLED, target.home, versions[2], NAME, method, str(call)]
        assert subprocess.run(list(map(str, words)), check=False).returncode == -signal.SIGKILL
        wait_for(lambda: target.status(NAME).status == "Healthy")
        done = target.deploy(NAME, versions[2])
    assert (done.version, done.status, done.scoring_uri) == ("3", "Healthy", url)
    assert callers.problems == []
    assert {status for status, _ in callers.answers} == {200}
    # Of the servers that were started, one is left: its master and its worker.
    wait_for(lambda: len(processes(f"forestay:{NAME}")) == 2)


def test_two_deploys_at_once(target: LocalTarget, versions: list[Path]) -> None:
    environ = {**os.environ, "FORESTAY_HOME": str(target.home)}
    words = [sys.executable, "-m", "scoring_deploys"]
    code = "import sys; from pathlib import Path; from scoring.targets.local import LocalTarget as T; "
    code += "T(Path(sys.argv[1])).deploy(sys.argv[2], Path(sys.argv[3]))"
    words = [sys.executable, "-c", code, str(target.home), NAME]
    both = [subprocess.Popen([*words, str(folder)], env=environ) for folder in versions[:2]]
    assert [one.wait(240) for one in both] == [0, 0]
    found = target.status(NAME)
    assert found.status == "Healthy"
    assert {found.version, str(found.previous).split("-")[1]} == {"1", "2"}
    wait_for(lambda: len(processes(f"forestay:{NAME}")) == 2)


def test_what_crashes_is_started_again_and_a_killed_supervisor_is_replaced(
    target: LocalTarget, versions: list[Path], body: bytes
) -> None:
    target.deploy(NAME, versions[0])
    gone = processes(f"forestay:{NAME}")
    for one in gone:
        one.kill()
    # The port is held all the time: this waits for the new server instead of failing.
    assert target.invoke(NAME, body).status == 200
    wait_for(lambda: target.status(NAME).status == "Healthy")
    assert not {one.pid for one in gone} & {one.pid for one in processes(f"forestay:{NAME}")}

    [held] = processes(f"forestay:supervisor:{NAME}")
    held.kill()
    held.wait()
    assert target.invoke(NAME, body).status == 200  # servers outlive it
    url = target.status(NAME).scoring_uri
    done = target.deploy(NAME, versions[0])
    assert (done.changed, done.status, done.scoring_uri) == (True, "Healthy", url)
    assert len(processes(f"forestay:supervisor:{NAME}")) == 1
    wait_for(lambda: len(processes(f"forestay:{NAME}")) == 2)
    assert target.invoke(NAME, body).status == 200


def test_rollback_to_any_version_that_is_kept(target: LocalTarget, versions: list[Path]) -> None:
    for folder in versions:
        target.deploy(NAME, folder)
    assert target.rollback(NAME, "1").version == "1"
    with pytest.raises(InputError, match="keeps no earlier deployment 1"):
        target.rollback(NAME, "1")
    found = records.read_wanted(target.home / "endpoints" / NAME)
    assert found is not None
    assert [one.split("-")[1] for one in found.earlier] == ["3", "2"]


def test_keys_turn_without_a_refused_call(
    target: LocalTarget, versions: list[Path], body: bytes, said: list[str]
) -> None:
    with pytest.raises(InputError, match="asks callers for no key"):
        target.keys(NAME)
    record = target.deploy(NAME, versions[0], auth="keys")
    keys = target.keys(NAME)
    folder = target.home / "endpoints" / NAME
    url = record.scoring_uri.removesuffix("/score")
    assert record.auth == "keys"
    assert server.ask(url, "POST", "/score", body, headers=server.json_headers()).status == 401
    assert server.is_healthy(url)
    with Callers(record.scoring_uri, body, keys["secondary"]) as callers:
        turned = target.rotate_keys(NAME, "primary")
    assert callers.problems == []
    assert {status for status, _ in callers.answers} == {200}
    assert turned["secondary"] == keys["secondary"] != turned["primary"] != keys["primary"]
    assert [server.post(url, json.loads(body), key=key).status for key in (keys["primary"], turned["primary"])] == [
        401,
        200,
    ]
    assert target.invoke(NAME, body).status == 200
    assert target.rollback(NAME).auth == "keys"  # an earlier version is as closed

    every = {*keys.values(), *turned.values()}
    [kept] = folder.glob("keys-*.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    texts = [path.read_text() for path in folder.rglob("*") if path.is_file() and path != kept]
    lines = [" ".join(one.cmdline()) for one in processes("forestay:")]
    assert not any(key in text for key in every for text in (*texts, *lines, *said))
    assert target.deploy(NAME, versions[0], auth="none").auth == "none"
    assert list(folder.glob("keys-*.json")) == []


def test_long_logs_are_put_aside(target: LocalTarget, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = target.home / "endpoints" / NAME
    log = folder / "logs" / f"{target.status(NAME).deployment}.log"
    with log.open("ab") as stream:
        stream.write(b"x" * supervisor.LOG_BYTES)
    wait_for(lambda: log.with_name(f"{log.name}.1").is_file() and log.stat().st_size < supervisor.LOG_BYTES)
    assert target.invoke(NAME, body).status == 200
    wait_for(lambda: "POST /score 200" in log.read_text())
