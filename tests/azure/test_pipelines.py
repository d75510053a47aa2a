"""The rendered pipelines against Azure's stand-in, each job on a runner that knows nothing of the others.

A training is sent and picked up later, its model compared, registered, proven, and deployed to a managed endpoint.
"""

from __future__ import annotations

import json
import pickle
import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from scoring import environment
from tests.azure.conftest import _BEFORE
from tests.azure.standin.jobs import Script
from tests.azure.standin.run import LOGIN, Azure
from tests.azure.test_generate import conda
from tests.ci import actions
from tests.ci.platform import TOKEN, Platform
from tests.ci.platform import platform as serving_platform
from tests.ci.shell import Machine, Run, commit, machine
from tests.conftest import ROOT, command
from tests.tables import write_job

pytestmark = pytest.mark.timeout(900)
SETTINGS = """\
train: dev
deploy: [dev]
models:
  - name: Sizes
    job: jobs/sizes/job.yml
    endpoint: sizes-api
    test_data: jobs/sizes/test/data.csv
    metric: accuracy
    threshold: 0.05
"""
Standin = tuple[Azure, dict[str, str]]


@dataclass
class Team:
    """Attributes: runs: of the story below, by what happened."""

    azure: Azure
    machine: Machine
    platform: Platform
    runs: dict[str, Run] = field(default_factory=dict)

    def run(self, name: str, workflow: str, **inputs: str) -> None:
        """Run a workflow, logged in by an assertion of GitHub's."""
        self.runs[name] = actions.run(
            self.machine,
            workflow,
            inputs=inputs,
            vars={"AZURE_CLIENT_ID": LOGIN["AZURE_CLIENT_ID"], "AZURE_TENANT_ID": LOGIN["AZURE_TENANT_ID"]},
            identity={
                "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.platform.address}assertion?run=1",
                "ACTIONS_ID_TOKEN_REQUEST_TOKEN": TOKEN,
            },
        )


@pytest.fixture(scope="module")
def team(
    tmp_path_factory: pytest.TempPathFactory,
    standin: Standin,
    bank: tuple[Path, Path],
    share_environments: Callable[[Path], None],
) -> Iterator[Team]:
    """The story: a model that knows nothing is delivered, nothing is new, a better one replaces it, and a rollback."""
    azure, given = standin
    folder = tmp_path_factory.mktemp("team")
    project = folder / "project"
    Azure.write_project(project)
    (project / "Pulumi.yaml").write_bytes((ROOT / "Pulumi.yaml").read_bytes())
    job = write_job(project / "jobs" / "sizes", rows=160)
    job.write_text(job.read_text() + "compute: azureml:cpu-cluster\n", encoding="utf-8")
    (project / "pipelines.yml").write_text(SETTINGS, encoding="utf-8")
    done = command("pipeline", "render", cwd=project, process=False)
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(project / "jobs" / "sizes" / "train" / "data.csv")
    knows_nothing = DummyClassifier(strategy="prior").fit(rows.drop(columns="label"), rows["label"])
    azure.service.reset()
    azure.service.endpoints.python = _python(bank)
    shared = folder / "shared"
    share_environments(shared)
    led = {key: value for key, value in given.items() if key not in LOGIN}
    led |= {"FORESTAY_TESTS_BEFORE": json.dumps(_BEFORE), "FORESTAY_TESTS_ENVIRONMENTS": str(shared)}
    here = machine(folder, project, led, "tests.ci.beside_standin")
    with here as found, serving_platform(folder / "bin") as served:
        team = Team(azure, found, served)
        azure.service.script = Script(
            trials=1, conda=conda(platform.python_version()), model=pickle.dumps(knows_nothing)
        )
        team.run("sent", "retrain")
        team.run("sent again", "retrain")
        team.run("delivered", "deliver-sizes")
        azure.service.script = Script(trials=2, conda=conda(platform.python_version()))
        job.write_text(job.read_text().replace("max_trials: 4", "max_trials: 5"), encoding="utf-8")
        commit(project, "More trials")
        team.run("better: sent", "retrain")
        team.run("better: delivered", "deliver-sizes")
        team.run("rolled back", "rollback", environment="dev", endpoint="sizes-api", version="")
        yield team
    azure.service.reset()


def _python(bank: tuple[Path, Path]) -> Path:
    """What serves in the stand-in: the interpreter of the environment of Bank's lock."""
    home, first = bank
    pins = environment.read_pins((first / "conda_env.yaml").read_text(), "conda_env.yaml")
    return environment.ensure((first / "requirements.lock").read_text(), pins.python, home, lambda _: None).python


def test_a_training_is_sent_once_and_not_waited_for(team: Team) -> None:
    assert team.runs["sent"].jobs == {"train-sizes": "success"}, team.runs["sent"].whole
    assert re.search("is (Queued|Preparing|Running)", team.runs["sent"].told("train-sizes"))
    again = team.runs["sent again"]
    assert again.jobs == {"train-sizes": "success"}, again.whole
    assert "nothing is new: the equal job" in again.told("train-sizes")
    assert len(team.azure.service.jobs) == 2


def test_what_has_completed_is_registered_proven_and_served(team: Team) -> None:
    run = team.runs["delivered"]
    assert run.jobs == {"served": "success", "prove": "success", "deploy-dev": "success"}, run.whole
    assert "dev serves nothing yet" in run.told("served")
    assert run.outputs["prove"] == {"version": "Sizes:1"}
    assert "Sizes 1 is proven" in run.told("prove")
    assert "sizes-api serves Sizes:1" in run.told("deploy-dev")


def test_a_better_one_has_the_next_version_of_the_workspace(team: Team) -> None:
    assert team.runs["better: sent"].jobs == {"train-sizes": "success"}, team.runs["better: sent"].whole
    run = team.runs["better: delivered"]
    assert run.jobs == {"served": "success", "prove": "success", "deploy-dev": "success"}, run.whole
    assert "dev serves Sizes:1" in run.told("served")
    assert '"better": true' in run.told("prove")
    assert run.outputs["prove"] == {"version": "Sizes:2"}
    assert "sizes-api serves Sizes:2" in run.told("deploy-dev")


def test_a_rollback_moves_the_traffic_back(team: Team) -> None:
    run = team.runs["rolled back"]
    assert run.jobs == {"rollback-dev": "success"}, run.whole
    assert "sizes-api serves Sizes:1" in run.told("rollback-dev")


def test_every_login_was_an_assertion_of_the_runs_own(team: Team) -> None:
    asked = [line for line in team.platform.asked if line.startswith("GET /assertion")]
    assert len(asked) > 10
    assert set(team.platform.asked) == {"GET /assertion?run=1&audience=api://AzureADTokenExchange"}
    assert team.azure.service.refusals == []
    assert team.azure.proxy.stray == []
