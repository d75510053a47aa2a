"""The steps of the rendered pipelines that are about estates, run as a runner would.

Plans and their comment need nothing else. What brings estates up and looks for drift runs with Pulumi's engine and the
providers of tests, logged in as the systems log in.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra import arm
from tests.ci import actions, devops
from tests.ci.platform import TOKEN, Platform, platform
from tests.ci.shell import Machine, commit, git, machine
from tests.conftest import ROOT, command
from tests.docs.blocks import ESTATE, WALKED, is_plain, shell_blocks
from tests.infra.arm_standin import serve
from tests.infra.engine import Lab, binary, lab
from tests.tables import write_job

pytestmark = pytest.mark.timeout(900)
SETTINGS = """\
train: dev
deploy: [dev]
requirements: requirements.lock
models:
  - {name: Sizes, job: jobs/sizes/job.yml, endpoint: sizes-api, compare: false}
"""


def make(project: Path) -> None:
    """A project with the stack `dev` alone, and its pipelines for both systems."""
    write_job(project / "jobs" / "sizes", rows=40)
    (project / "requirements.lock").write_text(f"forestay==1.0 --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    (project / "pipelines.yml").write_text(SETTINGS, encoding="utf-8")
    for system in ("github", "azure-devops"):
        done = command("pipeline", "render", "--ci", system, cwd=project, process=False)
        assert done.returncode == 0, done.stderr


@dataclass
class Review:
    """A pull request: the branch that it goes to, and its head."""

    machine: Machine
    platform: Platform
    base: str
    head: str


@pytest.fixture(scope="module")
def review(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Review]:
    """A pull request that makes the cluster larger."""
    folder = tmp_path_factory.mktemp("review")
    project = folder / "project"
    (project / "stacks").mkdir(parents=True)
    (project / "Pulumi.yaml").write_bytes((ROOT / "Pulumi.yaml").read_bytes())
    stack = project / "stacks" / "Pulumi.dev.yaml"
    stack.write_bytes((ROOT / "stacks" / "Pulumi.dev.yaml").read_bytes())
    make(project)
    with machine(folder, project) as here, platform(folder / "bin") as served:
        base = commit(project, "Before")
        stack.write_text(stack.read_text().replace("maxNodes: 2", "maxNodes: 7"), encoding="utf-8")
        yield Review(here, served, base, commit(project, "More nodes"))


def test_a_comment_below_a_pull_request_on_github_says_what_changes(review: Review) -> None:
    review.platform.comments.clear()
    event = {
        "pull_request": {"number": 7, "base": {"sha": review.base}, "head": {"repo": {"full_name": "contoso/models"}}}
    }
    about = {"ref": "refs/pull/7/merge", "repository": "contoso/models", "token": "a token", "event": event}
    for _ in range(2):  # the same comment is written over
        run = actions.run(review.machine, "pull-request", github=about)
        assert run.jobs == {"check": "success", "plan": "success", "comment": "success"}, run.whole
    [comment] = review.platform.comments.values()
    assert "### dev" in comment
    assert "maxNodeCount" in comment
    assert "    " in comment.partition("### dev")[2].splitlines()[2][:4]  # text, whatever names it holds


def test_and_on_azure_devops(review: Review) -> None:
    review.platform.comments.clear()
    given = {
        "System.CollectionUri": review.platform.address,
        "System.TeamProjectId": "models",
        "Build.Repository.ID": "one",
        "System.PullRequest.PullRequestId": "7",
        "System.PullRequest.TargetBranch": "refs/heads/main",
        "System.AccessToken": TOKEN,
    }
    # Here main is the branch that it goes to: the head lies on a commit that is not of it.
    git("update-ref", "refs/heads/work", review.head, cwd=review.machine.origin)
    git("update-ref", "refs/heads/main", review.base, cwd=review.machine.origin)
    try:
        for _ in range(2):
            run = devops.run(review.machine, "pull-request", given, ref=review.head)
            assert run.jobs == {"check": "Succeeded", "plan": "Succeeded", "comment": "Succeeded"}, run.whole
    finally:
        git("update-ref", "refs/heads/main", review.head, cwd=review.machine.origin)
    [comment] = review.platform.comments.values()
    assert "maxNodeCount" in comment


@dataclass
class Estate:
    """A lab of Pulumi's whose project has pipelines."""

    lab: Lab
    machine: Machine
    platform: Platform

    @property
    def github(self) -> dict[str, dict[str, str]]:
        """What GitHub gives a job that may log in, and the environment's variables."""
        return {
            "identity": {
                "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.platform.address}assertion?run=1",
                "ACTIONS_ID_TOKEN_REQUEST_TOKEN": TOKEN,
            },
            "vars": {"AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "tenant", "AZURE_SUBSCRIPTION_ID": "subscription"},
        }

    @property
    def devops(self) -> dict[str, str]:
        """What the task AzureCLI@2 gives a step."""
        return {
            "System.AccessToken": TOKEN,
            "SYSTEM_OIDCREQUESTURI": f"{self.platform.address}oidc",
            "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID": "connection",
            "AZURESUBSCRIPTION_CLIENT_ID": "client",
            "AZURESUBSCRIPTION_TENANT_ID": "tenant",
        }


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    engine = binary()
    if engine is None:
        pytest.skip("no engine in .tools: `make engine` builds it where Go and its modules are at hand")
    folder = tmp_path_factory.mktemp("estate")
    with lab(folder, engine) as found:
        make(found.folder)
        with machine(folder, found.folder, found.environment) as here, platform(folder / "bin") as served:
            yield Estate(found, here, served)


@pytest.mark.engine
def test_the_branch_brings_the_estate_up_and_drift_is_found(estate: Estate) -> None:
    run = actions.run(estate.machine, "main", only=["estate-dev"], **estate.github)
    assert run.jobs == {"estate-dev": "success"}, run.whole
    assert [step.name for step in run.steps] == ["Log in for Pulumi", "Bring up dev"]
    assert estate.lab.cloud.resources
    assert "GET /assertion?run=1&audience=api://AzureADTokenExchange" in estate.platform.asked
    assertion = estate.machine.temp / "azure-assertion"
    assert assertion.read_text().startswith("assertion-")
    assert assertion.stat().st_mode & 0o077 == 0
    assert TOKEN not in run.whole

    run = devops.run(estate.machine, "drift", estate.devops)
    assert run.jobs == {"drift_dev": "Succeeded"}, run.whole
    assert "dev is what its stack says" in run.told("drift_dev")

    with estate.lab.cloud.open() as content:
        account = next(one for one in content["resources"].values() if one["type"].endswith(":StorageAccount"))
        for side in ("inputs", "outputs"):
            account[side]["minimumTlsVersion"] = "TLS1_0"
    for run, job, failed in (
        (devops.run(estate.machine, "drift", estate.devops), "drift_dev", "Failed"),
        (actions.run(estate.machine, "drift", **estate.github), "drift-dev", "failure"),
    ):
        assert run.jobs == {job: failed}, run.whole
        assert "minimumTlsVersion" in run.told(job)

    run = devops.run(estate.machine, "main", estate.devops, only=["estate_dev"])
    assert run.jobs == {"estate_dev": "Succeeded"}, run.whole
    assert "TLS1_0" not in json.dumps(estate.lab.cloud.resources)


@pytest.mark.engine
def test_what_the_tutorial_says_of_the_estate(estate: Estate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The last of the file: in the end the estate is gone. What a reader is asked for is answered by --yes."""
    lines = [line for page in WALKED for block in shell_blocks(page, ESTATE) for line in block.commands]
    assert [line.split()[2] for line in lines] == ["bootstrap", "preview", "up", "destroy"]
    # The state of the others lies here: where the first one would put it, an engine of tests can't go.
    shutil.copy(ROOT / "Pulumi.yaml", tmp_path)
    shutil.copytree(ROOT / "stacks", tmp_path / "stacks")
    with serve() as azure:
        monkeypatch.setattr(arm, "connect", lambda env: azure.connect(env))
        done = command(*shlex.split(lines[0])[1:], "--yes", cwd=tmp_path, process=False)
    assert done.returncode == 0, done.stderr
    assert "azurekeyvault://" in (tmp_path / "stacks" / "Pulumi.dev.yaml").read_text(encoding="utf-8")
    for line in lines[1:]:
        assert is_plain(line), line
        answer = [] if "preview" in line else ["--yes"]
        ended = estate.lab.run(sys.executable, "-m", *shlex.split(line), *answer)
        assert ended.code == 0, f"{line}\n{ended.err}"
        assert bool(estate.lab.cloud.resources) == ("destroy" not in line)
