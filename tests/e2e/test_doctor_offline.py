"""`doctor` as a user starts it, on a machine without a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest

from tests.conftest import ROOT
from tests.runs_support import give_store

# Whoever asks for anything outside of this process finds no network.
WITHOUT_NETWORK = """
import socket, sys
def refuse(*_, **__):
    raise OSError(101, "Network is unreachable")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from forestay.cli import main
main(sys.argv[1:])
"""
LOGIN = {
    "AZURE_TENANT_ID": "22222222-2222-4222-8222-222222222222",
    "AZURE_CLIENT_ID": "33333333-3333-4333-8333-333333333333",
    "AZURE_CLIENT_SECRET": "a-secret-of-the-tests",
}


def doctor(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_NETWORK, "doctor", *words],
        cwd=cwd,
        env={**env, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_this_machine_without_a_network(project: Path) -> None:
    give_store(project / ".forestay")
    done = doctor("--output", "json", cwd=project)
    assert done.returncode == 0, done.stdout
    found = {one["check"]: one for one in json.loads(done.stdout)}
    assert {"python", "packages", "uv", "disk", "memory", "project", "run store", "locks", "login"} <= set(found)
    assert found["login"]["status"] == "ok"
    assert "skipped" not in found
    assert done.stderr == ""


def test_an_environment_without_a_network(tmp_path: Path) -> None:
    began = time.monotonic()
    done = doctor("--env", "dev", "--output", "json", cwd=ROOT, FORESTAY_HOME=str(tmp_path), **LOGIN)
    assert time.monotonic() - began < 60
    assert done.returncode == 3, done.stdout
    found = [(one["check"], one["status"]) for one in json.loads(done.stdout)]
    assert ("plan", "ok") in found
    assert ("stack", "ok") in found
    assert ("login", "problem") in found
    (skipped,) = (one for one in json.loads(done.stdout) if one["check"] == "skipped")
    assert "quota, " in skipped["detail"]
    assert LOGIN["AZURE_CLIENT_SECRET"] not in done.stdout + done.stderr


@pytest.mark.parametrize("plain", ["0", "1"])
def test_on_a_terminal(project: Path, plain: str) -> None:
    env = {**os.environ, "FORESTAY_PLAIN": plain, "TERM": "xterm", "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": ""}
    words = ["-m", "forestay", "doctor"]
    with pexpect.spawn(sys.executable, words, cwd=project, env=env, dimensions=(50, 100), encoding="utf-8") as screen:
        screen.expect(pexpect.EOF, timeout=60)
        drawn = screen.before or ""
    assert screen.exitstatus == 0
    assert "ok       python" in drawn
    assert " problems" in drawn
    assert ("looked at " in drawn) == (plain == "0")  # a line that redraws itself, or none for what ends at once
    assert ("\x1b[" in drawn) == (plain == "0")
