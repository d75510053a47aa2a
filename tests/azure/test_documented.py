"""What the tutorial and the README say of Azure ML, block after block, against the stand-in."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scoring import environment
from scoring.targets import managed, managed_requests
from tests.azure.conftest import Azure
from tests.azure.standin.jobs import Script
from tests.azure.standin.service import Service
from tests.azure.test_generate import conda
from tests.conftest import ROOT, command
from tests.docs.blocks import AZURE_ML, HERE, TUTORIAL, WALKED, is_plain, shell_blocks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("quick", "registry")]
CLUSTER = "cpu-catego-jlmja"


@pytest.fixture
def ready(
    azure: Azure, project: Path, share_environments: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    """The workspace as `infra up` would leave it, and the job file that the tutorial wrote on this machine."""
    share_environments(project / ".forestay")
    (project / "examples").symlink_to(ROOT / "examples")
    azure.service.cluster(CLUSTER)
    azure.service.script = Script(trials=2, conda=conda(platform.python_version()))
    for module in (managed, managed_requests):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.1)
    [new] = [one for one in shell_blocks(TUTORIAL, HERE) if "forestay job new" in one.text]
    run(new.commands[0], project)
    yield azure.service
    azure.service.endpoints.reset()


def run(line: str, project: Path) -> None:
    assert is_plain(line), line
    done = command(*shlex.split(line)[1:], cwd=project, process=False)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr


def test_every_block_runs(ready: Service, project: Path) -> None:
    for page in WALKED:
        for block in shell_blocks(page, AZURE_ML):
            for line in block.commands:
                if "--target managed" in line:
                    ready.endpoints.python = proven_python(project)
                run(line, project)
    assert ready.refusals == []
    assert ready.endpoints.all == {}


def proven_python(project: Path) -> Path:
    """The interpreter of the environment that the proof was made in, as Azure would make it from the same lock."""
    folder = project / "categorize" / "scoring-azure"
    pins = environment.read_pins((folder / "conda_env.yaml").read_text(), "conda_env.yaml")
    lock = (folder / "requirements.lock").read_text()
    return environment.ensure(lock, pins.python, project / ".forestay", lambda _: None).python
