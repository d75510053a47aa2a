"""What the tutorial, the README and a new project's README say of Azure ML, line after line, against the stand-in."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forestay.scaffold.answers import ENVIRONMENTS, Answers
from forestay.scaffold.files import files
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
                    ready.endpoints.python = proven_python(project, project / "categorize" / "scoring-azure")
                run(line, project)
    assert ready.refusals == []
    assert ready.endpoints.all == {}


def test_a_new_project_s_readme_serves_what_azure_has_trained(ready: Service, project: Path) -> None:
    answers = Answers(
        stem="categorize",
        location="westeurope",
        mail="ml-team@contoso.com",
        subscriptions=dict.fromkeys(ENVIRONMENTS, "11111111-1111-4111-8111-111111111111"),
        since="2026-01-01",
        ci="none",
        target="managed",
        example=True,
    )
    for path, text in files(answers).items():
        if path.startswith("jobs/") or path == "README.md":
            (project / path).parent.mkdir(parents=True, exist_ok=True)
            (project / path).write_text(text, encoding="utf-8")
    [block] = [one for one in shell_blocks(project / "README.md") if "infra up" in one.text]
    up = block.commands.index("forestay infra up --env dev")
    for line in block.commands[up + 1 :]:
        if "endpoint deploy" in line:
            ready.endpoints.python = proven_python(project, project / "scoring")
        run(line, project)
    assert ready.refusals == []
    deployed = command("endpoint", "list", "--env", "dev", "--output", "json", cwd=project, process=False)
    assert [one["model"] for one in json.loads(deployed.stdout)] == [answers.model]
    assert command("model", "list", cwd=project, process=False).stdout.count(answers.model) == 0


def proven_python(project: Path, folder: Path) -> Path:
    """The interpreter of the environment that the proof was made in, as Azure would make it from the same lock."""
    pins = environment.read_pins((folder / "conda_env.yaml").read_text(), "conda_env.yaml")
    lock = (folder / "requirements.lock").read_text()
    return environment.ensure(lock, pins.python, project / ".forestay", lambda _: None).python
