"""A managed endpoint whose deployments are Azure ML's real inference server, from the environment of the lock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scoring import environment
from scoring.targets import DeployOptions, managed, managed_requests
from scoring.targets.managed import ManagedTarget
from tests import served
from tests.azure.conftest import Azure
from tests.azure.standin.endpoints import Endpoints

pytestmark = pytest.mark.usefixtures("quick")
NAME = "bank-api"


@pytest.fixture(scope="module")
def python(bank: tuple[Path, Path]) -> Path:
    """The interpreter of the environment of Bank's lock; made before the stand-in hides the network."""
    home, first = bank
    pins = environment.read_pins((first / "conda_env.yaml").read_text(), "conda_env.yaml")
    return environment.ensure((first / "requirements.lock").read_text(), pins.python, home, lambda _: None).python


def test_versions_are_served_and_callers_are_shared(
    azure: Azure, python: Path, bank: tuple[Path, Path], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was uploaded runs without anything of this machine: score.py, its model, and the environment's packages."""
    home, first = bank
    for module in (managed, managed_requests):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.1)
    online: Endpoints = azure.service.endpoints
    online.python = python
    target = ManagedTarget("dev", home)
    one = target.deploy(NAME, first)
    two = target.deploy(NAME, served.version(first, "21", home), DeployOptions(traffic=25))
    assert two.traffic == {one.deployment: 75, two.deployment: 25}
    body = (first / "sample_request.json").read_bytes()
    answers = [target.invoke(NAME, body) for _ in range(80)]
    assert {answer.status for answer in answers} == {200}
    assert len(json.loads(answers[0].body)["Results"]) == len(json.loads(body)["data"])
    asked = online.all[NAME].asked
    assert 8 <= asked[two.deployment] - 2 <= 34  # two were its smoke test
    assert target.invoke(NAME, b'{"data": [{}]}').status == 400
    assert any("score" in line for line in target.logs(NAME, 50, False))
    assert target.rollback(NAME).traffic[one.deployment] == 100
    target.delete(NAME)
    assert azure.service.refusals == []
