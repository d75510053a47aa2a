"""What the tutorial says of ACI and AKS, block after block: real commands, a real registry, and a quick server that
answers for the model."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from scoring import targets
from scoring.targets import smoke, trial
from tests.conftest import command
from tests.docs.blocks import SERVICES, WALKED, is_plain, shell_blocks
from tests.image_support import Registry, find
from tests.infra.services_world import Monitor, World, world

pytestmark = pytest.mark.slow
LINES = [line for page in WALKED for block in shell_blocks(page, SERVICES) for line in block.commands]
ENVIRONMENTS = ("dev", "test")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(smoke, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(trial, "HOPELESS_SECONDS", 0.05)
    if find("docker-registry") is None:
        pytest.skip("no registry: apt-get install docker-registry")
    for name in ("registry", "world"):
        (tmp_path / name).mkdir()
    registry = Registry(tmp_path / "registry")
    try:
        with world(tmp_path / "world", registry, monkeypatch) as found:
            Monitor(found.folder, found.machines).install(monkeypatch)
            monkeypatch.setattr(targets, "find_proven", lambda *_: found.make("1"))
            yield found
    finally:
        registry.stop()


def test_every_line_is_of_one_environment() -> None:
    assert LINES
    assert all(any(line.count(f"--env {env}") == 1 for env in ENVIRONMENTS) for line in LINES)


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_every_line_runs(here: World, env: str) -> None:
    for line in LINES:
        if f"--env {env}" not in line:
            continue
        assert is_plain(line), line
        # The environment's own registry is in Azure; this one is on this machine.
        more = ["--registry", here.repository] if "endpoint deploy" in line else []
        done = command(*shlex.split(line)[1:], *more, cwd=here.project, process=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
    assert "forestay:services" not in (here.project / "stacks" / f"Pulumi.{env}-services.yaml").read_text().replace(
        "writes forestay:services here", ""
    )
