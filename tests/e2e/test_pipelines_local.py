"""The rendered pipelines, run to their end on one machine: every shell step of theirs, in order, as a runner would.

`local` trains and serves: what is submitted, compared, registered, proven, deployed, asked and rolled back is real.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest

from tests.ci import actions, devops
from tests.ci.shell import Machine, Run, commit, machine
from tests.conftest import command
from tests.runs_support import give_store
from tests.tables import write_job

pytestmark = pytest.mark.timeout(900)


@dataclass
class Team:
    """A project with its repository and the machine that runs its pipelines.

    Attributes
    ----------
    project: where its members edit. home: what stays on the machine. runs: of the story below, by what happened.
    """

    project: Path
    home: Path
    machine: Machine
    runs: dict[str, Run] = field(default_factory=dict)

    def forestay(self, *words: str, code: int = 0) -> str:
        done = command(*words, cwd=self.project, home=self.home, process=True)
        assert done.returncode == code, done.stderr
        return done.stdout

    def endpoint(self) -> dict[str, str]:
        return json.loads(self.forestay("endpoint", "show", "sizes-api", "--output", "json"))


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, share_environments: Callable[[Path], None]) -> Iterator[Team]:
    """The story: a model of shuffled answers, a better one, the same again, and a rollback."""
    folder = tmp_path_factory.mktemp("team")
    project, home = folder / "project", folder / "kept" / ".forestay"
    write_job(project / "jobs" / "sizes", trials=1, rows=240)
    rows = project / "jobs" / "sizes" / "train" / "data.csv"
    right = pd.read_csv(rows)
    right.assign(label=right["label"].sample(frac=1, random_state=1).to_numpy()).to_csv(rows, index=False)
    (project / "Pulumi.yaml").write_text("name: forestay\nruntime: python\n", encoding="utf-8")
    share_environments(home)
    give_store(home)
    words = ("--job", "jobs/sizes/job.yml", "--model", "Sizes", "--endpoint", "sizes-api", "--train", "local")
    compared = ("--test-data", "jobs/sizes/test", "--threshold", "0.05", "--metric", "accuracy")
    command("pipeline", "render", "--ci", "github", *words, *compared, cwd=project, process=True)
    settings = project / "pipelines.yml"
    settings.write_text(settings.read_text().replace("home: ~/.forestay", f"home: {home}"), encoding="utf-8")
    for system in ("github", "azure-devops"):
        command("pipeline", "render", "--ci", system, cwd=project, process=True)
    with machine(folder, project) as here:
        found = Team(project, home, here)
        try:
            found.runs["pull request"] = actions.run(here, "pull-request", github={"ref": "refs/pull/1/merge"})
            for name, runs in (("first", actions), ("better", devops)):
                found.runs[f"{name}: trained"] = runs.run(here, "main")
                found.runs[f"{name}: delivered"] = runs.run(here, "deliver-sizes")
                right.to_csv(rows, index=False)
                commit(project, "Answers that belong to their rows")
            found.runs["again: trained"] = actions.run(here, "retrain")
            found.runs["again: compared"] = actions.run(here, "deliver-sizes")
            found.runs["again: seen"] = actions.run(here, "deliver-sizes")
            chosen = {"environment": "local", "endpoint": "sizes-api", "version": ""}
            found.runs["rolled back"] = actions.run(here, "rollback", inputs=chosen)
            yield found
        finally:
            command("endpoint", "delete", "sizes-api", "--yes", cwd=project, home=home, process=True)


def test_a_pull_request_is_checked(team: Team) -> None:
    run = team.runs["pull request"]
    assert run.jobs == {"check": "success"}, run.whole
    assert "a valid job" in run.told("check")
    assert "the pipelines are as pipelines.yml says" in run.told("check")


def test_the_first_model_is_delivered(team: Team) -> None:
    assert team.runs["first: trained"].jobs == {"train-sizes": "success"}, team.runs["first: trained"].whole
    run = team.runs["first: delivered"]
    assert run.jobs == {"served": "success", "prove": "success", "deploy-local": "success"}, run.whole
    assert "serves nothing yet" in run.told("served")
    assert run.outputs["prove"]["version"] == "Sizes:1"
    assert "Sizes 1 is proven" in run.told("prove")
    assert "sizes-api serves Sizes:1" in run.told("deploy-local")


def test_a_better_one_replaces_it(team: Team) -> None:
    assert team.runs["better: trained"].jobs == {"train_sizes": "Succeeded"}, team.runs["better: trained"].whole
    run = team.runs["better: delivered"]
    assert run.jobs == {"served": "Succeeded", "prove": "Succeeded", "deploy_local": "Succeeded"}, run.whole
    assert "local serves Sizes:1" in run.told("served")
    assert '"better": true' in run.told("prove")
    assert "sizes-api serves Sizes:2" in run.told("deploy_local")


def test_what_is_no_better_is_not_registered(team: Team) -> None:
    assert team.runs["again: trained"].jobs == {"train-sizes": "success"}, team.runs["again: trained"].whole
    run = team.runs["again: compared"]
    assert run.jobs == {"served": "success", "prove": "success", "deploy-local": "skipped"}, run.whole
    assert '"better": false' in run.told("prove")
    versions = json.loads(team.forestay("model", "list", "--output", "json"))
    assert [one["version"] for one in versions if one["name"] == "Sizes"] == ["2", "1"]


def test_a_job_is_picked_up_once(team: Team) -> None:
    run = team.runs["again: seen"]
    assert [step.name for step in run.steps if step.job == "prove"] == ["Find the newest completed job"]


def test_a_rollback_serves_the_version_before(team: Team) -> None:
    run = team.runs["rolled back"]
    assert run.jobs == {"rollback-local": "success"}, run.whole
    assert "sizes-api serves Sizes:1" in run.told("rollback-local")
    assert team.endpoint()["version"] == "1"
