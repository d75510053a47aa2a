"""`pipeline render`: what pipelines.yml may say, what is written, and what is left alone."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from forestay.errors import InputError
from forestay.pipelines import FOLDERS, render
from forestay.pipelines.settings import PipelineSettings, begin, load
from tests.conftest import command

JOB = """\
type: automl
experiment_name: {name}
task: classification
target_column_name: y
training_data: {{path: ., type: mltable}}
"""
FIRST = ("--ci", "github", "--job", "jobs/churn/job.yml", "--model", "Churn", "--endpoint", "churn-api")
SETTINGS = """\
ci: github
models:
  - name: Churn
    job: jobs/churn/job.yml
    endpoint: churn-api
    test_data: data/test.csv
"""
WORKFLOWS = Path(FOLDERS["github"])
Render = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def here(project: Path) -> Path:
    (project / "Pulumi.yaml").write_text("name: forestay\nruntime: python\n", encoding="utf-8")
    for name in ("churn", "sales"):
        (project / "jobs" / name).mkdir(parents=True)
        (project / "jobs" / name / "job.yml").write_text(JOB.format(name=name), encoding="utf-8")
    (project / "data").mkdir()
    (project / "data" / "test.csv").write_text("a,y\n1,0\n", encoding="utf-8")
    return project


@pytest.fixture
def rendered(here: Path) -> Render:
    def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = command("pipeline", "render", *words, cwd=here, process=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


def written(here: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in (here / WORKFLOWS).glob("*")}


def test_the_first_time_it_says_what_it_needs_and_begins_the_settings(here: Path, rendered: Render) -> None:
    assert "--job" in rendered("--ci", "github", code=2).stderr
    done = rendered(
        *FIRST, "--test-data", "data/test.csv", "--threshold", "0.01", "--deploy", "test", "--output", "json"
    )
    document = json.loads(done.stdout)
    assert document["ci"] == "github"
    assert {one["state"] for one in document["files"]} == {"new"}
    assert {Path(one["path"]).name for one in document["files"]} == set(written(here))
    found = load(here)
    assert (found.models[0].experiment, found.models[0].threshold, found.deploy) == ("churn", 0.01, ("test",))
    assert render(found) == {str(WORKFLOWS / name): text for name, text in written(here).items()}
    assert "first time only" in rendered("--model", "Other", code=2).stderr


def test_it_is_repeatable_and_says_when_files_are_outdated(here: Path, rendered: Render) -> None:
    rendered(*FIRST)
    before = written(here)
    assert "as pipelines.yml says" in rendered("--check").stdout
    settings = here / "pipelines.yml"
    settings.write_text(settings.read_text().replace("0 2 * * *", "30 1 * * *"), encoding="utf-8")
    told = rendered("--check", code=1).stdout
    assert "forestay-retrain.yml: outdated" in told
    assert '+    - cron: "30 1 * * *"' in told
    assert written(here) == before
    rendered()
    assert "30 1 * * *" in written(here)["forestay-retrain.yml"]
    rendered("--check")


def test_what_was_edited_by_hand_is_kept(here: Path, rendered: Render) -> None:
    rendered(*FIRST)
    path = here / WORKFLOWS / "forestay-main.yml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "# mine\n", encoding="utf-8")
    done = rendered(code=2)
    assert "-# mine" in done.stderr
    assert "--yes" in done.stderr
    assert path.read_text(encoding="utf-8").endswith("# mine\n")
    assert "forestay-main.yml: edited" in rendered("--check", code=1).stdout
    rendered("--yes")
    assert path.read_text(encoding="utf-8") == text
    path.write_bytes(text.replace("\n", "\r\n").encode())  # as git may check it out
    rendered("--check")


def test_somebody_elses_file_of_that_name_is_kept(here: Path, rendered: Render) -> None:
    (here / WORKFLOWS).mkdir(parents=True)
    (here / WORKFLOWS / "forestay-main.yml").write_text("name: ours\n", encoding="utf-8")
    rendered(*FIRST, code=2)
    assert written(here) == {"forestay-main.yml": "name: ours\n"}
    assert not (here / "pipelines.yml").exists()


def test_what_no_model_has_any_more_goes(here: Path, rendered: Render) -> None:
    (here / "pipelines.yml").write_text(
        SETTINGS + "  - {name: Sales, job: jobs/sales/job.yml, endpoint: sales-api, compare: false}\n", encoding="utf-8"
    )
    assert "Sales is compared with nothing" in rendered().stderr
    (here / WORKFLOWS / "forestay-notes.yml").write_text("name: not ours\n", encoding="utf-8")
    assert "forestay-deliver-sales.yml" in written(here)
    (here / "pipelines.yml").write_text(SETTINGS, encoding="utf-8")
    assert "forestay-deliver-sales.yml: left over" in rendered("--check", code=1).stdout
    assert "forestay-deliver-sales.yml: removed" in rendered().stdout
    assert "forestay-deliver-sales.yml" not in written(here)
    assert "forestay-notes.yml" in written(here)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("ci: github", "ci: jenkins", "pipelines.yml:1: `ci` 'jenkins' is not known"),
        ("ci: github", "branches: main", "pipelines.yml:1: unknown key `branches`"),
        ("churn-api", "CHURN", "pipelines.yml:5: `models[0].endpoint` must be 3 to 32 lower-case letters"),
        ("jobs/churn/job.yml", "jobs/nowhere/job.yml", "pipelines.yml:4: `job`: there is no jobs/nowhere/job.yml"),
        ("jobs/churn/job.yml", "../job.yml", "pipelines.yml:4: `models[0].job` must be a path inside the project"),
        ("    test_data: data/test.csv\n", "", "pipelines.yml:3: `test_data` is missing"),
        ("data/test.csv", "data/none.csv", "pipelines.yml:6: `test_data`: there is no data/none.csv"),
        ("name: Churn", "name: ${{ secrets.TOKEN }}", "pipelines.yml:3: `models[0].name` must be letters"),
        ("name: Churn", "name: $(id)", "pipelines.yml:3: `models[0].name` must be letters"),
        ("ci: github", "deploy: [prod, prod]", "pipelines.yml:1: `deploy` names an environment twice"),
        ("ci: github", "environments: {stage: {}}", "pipelines.yml:1: `environments.stage` tells of 'stage'"),
        ("ci: github", "train: local", "trains on a runner without a folder that stays there"),
        ("ci: github", "schedules: {retrain: daily}", "`schedules.retrain` must be five fields of cron"),
        ("ci: github", "schedules: {retrain: 99 2 * * *}", "`schedules.retrain` has '99' as its minute"),
        ("ci: github", "schedules: {drift: 0 2-1 * * *}", "`schedules.drift` has '2-1' as its hour"),
        ("ci: github", "schedules: {drift: 0 2 0 * *}", "`schedules.drift` has '0' as its day, which goes from 1"),
        ("ci: github", "schedules: {drift: '0 2 * 1,13 *'}", "`schedules.drift` has '13' as its month"),
        ("ci: github", "schedules: {drift: '*/0 2 * * 7'}", "`schedules.drift` has '*/0' as its minute"),
        ("ci: github", "install: forestay; rm -rf /", "`install` must be what pip installs"),
        ("ci: github", "install: forestay @ ${{ secrets.URL }}", "`install` must be what pip installs"),
        ("ci: github", "install: forestay @ https://me:word@x.org/f.whl", "`install` has a login in its address"),
        ("ci: github", "install: ./../f.whl", "`install` must be what pip installs"),
        ("ci: github", "install: wheels/none.whl[azure]", "`install`: there is no wheels/none.whl"),
        ("ci: github", "requirements: jobs/churn/job.yml", "`requirements`: jobs/churn/job.yml has no hashes"),
        ("ci: github", "minutes: {infra: 600}", "pipelines.yml:1: `minutes.infra` must be from 1 to 360"),
        ("endpoint: churn-api", "endpoint: churn-api\n    target: local", "can't be served in test"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(here: Path, rendered: Render, old: str, new: str, told: str) -> None:
    assert old in SETTINGS
    (here / "pipelines.yml").write_text(SETTINGS.replace(old, new), encoding="utf-8")
    assert told in rendered(code=2).stderr
    assert not (here / ".github").exists()


def test_two_models_share_no_experiment(here: Path, rendered: Render) -> None:
    more = "  - {name: Other, job: jobs/churn/job.yml, endpoint: other-api, compare: false}\n"
    (here / "pipelines.yml").write_text(SETTINGS + more, encoding="utf-8")
    assert "two models share the experiment churn" in rendered(code=2).stderr
    (here / "pipelines.yml").write_text(SETTINGS + more.replace("}", ", experiment: other}"), encoding="utf-8")
    rendered()
    assert 'EXPERIMENT: "other"' in written(here)["forestay-deliver-other.yml"]


def test_a_job_without_an_experiment_is_refused(here: Path, rendered: Render) -> None:
    job = here / "jobs" / "churn" / "job.yml"
    job.write_text(re.sub("experiment_name.*\n", "", job.read_text()), encoding="utf-8")
    assert "the job has no experiment_name" in rendered(*FIRST, code=2).stderr


@pytest.mark.parametrize("ci", ["github", "azure-devops"])
def test_every_value_reaches_the_file_as_it_is(here: Path, ci: str) -> None:
    """What begin() writes says the same as what it gives."""
    settings, text = begin(
        here, ci=ci, job="jobs/churn/job.yml", model="Churn", endpoint="churn-api", target="aks", deploy=["qa"],
        test_data="data/test.csv", metric="AUC_weighted", threshold=0.02,
    )  # fmt: skip
    (here / "pipelines.yml").write_text(text, encoding="utf-8")
    assert load(here) == settings
    assert settings.stacks == ("dev", "qa", "qa-services")
    for path, rendered in render(settings).items():
        assert path.startswith(FOLDERS[ci])
        assert yaml.safe_load(rendered)


def test_names_become_names_of_files(here: Path) -> None:
    job = {"job": "j.yml", "endpoint": "abc"}
    for name, slug in (("CategorizeTransactions", "categorize-transactions"), ("M_2.x", "m-2-x"), ("AUC", "auc")):
        found = PipelineSettings.model_validate({"models": [{"name": name, **job}]})
        assert found.models[0].slug == slug
    twice = "models:\n- {name: A_b, job: j.yml, endpoint: one}\n- {name: a-b, job: j.yml, endpoint: two}\n"
    (here / "pipelines.yml").write_text(twice, encoding="utf-8")
    with pytest.raises(InputError, match="two models called"):
        load(here)


def test_what_must_be_there_once_is_told(here: Path, rendered: Render) -> None:
    private = "environments:\n  prod: {runner: [self-hosted, vnet-prod], reader: prod-reader}\n"
    (here / "pipelines.yml").write_text(SETTINGS + private, encoding="utf-8")
    told = "\n".join(json.loads(rendered("--output", "json").stdout)["setup"])
    for name in ("dev", "test", "prod", "prod-reader"):
        assert f"subject repo:OWNER/NAME:environment:{name}\n" in f"{told}\n"
    assert "environment prod: reviewers" in told
    assert "a runner with self-hosted, vnet-prod for prod: Linux on x64, git, jq, curl, Python 3.11\n" in told
    assert "secret" not in told.lower()
    told = "\n".join(json.loads(rendered("--ci", "azure-devops", "--output", "json").stdout)["setup"])
    assert "service connection forestay-prod: workload identity federation" in told
    assert "environment prod: checks (approvals" in told


def test_what_a_runner_of_one_s_own_must_have_is_told(here: Path, rendered: Render) -> None:
    """What hosted ones have and the steps use; what they lack is installed by a step."""
    own = "runner: own\nenvironments:\n  prod: {runner: inside}\n"
    text = SETTINGS.replace("endpoint: churn-api", "endpoint: churn-api\n    target: aks")
    (here / "pipelines.yml").write_text(text + own, encoding="utf-8")
    plain = "Linux on x64, git, jq, curl, Python 3.11"
    for ci, more, writes in (("github", "", ", gh"), ("azure-devops", ", az", "")):
        told = json.loads(rendered("--ci", ci, "--output", "json").stdout)["setup"]
        assert f"a runner with own for pull requests: {plain}{more}{writes}" in told
        assert f"a runner with inside for prod: {plain}{more}, docker, podman or buildah" in told


@pytest.mark.parametrize(
    "install",
    [
        "forestay[azure,infra]==0.1.0",
        "forestay[azure,infra] @ git+https://git.contoso.com/tools/forestay@v0.1.0#subdirectory=python",
        "forestay[azure,infra] @ git+ssh://git@git.contoso.com/tools/forestay@0a1b2c3",
        "forestay[azure] @ https://files.contoso.com/a%20b/forestay-0.1.0-py3-none-any.whl#sha256=0a1b&x=1",
        "wheels/forestay-0.1.0-py3-none-any.whl[azure,infra]",
        "./wheels/forestay-0.1.0-py3-none-any.whl",
    ],
)
@pytest.mark.parametrize("ci", ["github", "azure-devops"])
def test_forestay_comes_from_where_a_team_has_it(here: Path, rendered: Render, install: str, ci: str) -> None:
    (here / "wheels").mkdir()
    (here / "wheels" / "forestay-0.1.0-py3-none-any.whl").touch()
    (here / "pipelines.yml").write_text(SETTINGS + f"install: {json.dumps(install)}\n", encoding="utf-8")
    told = json.loads(rendered("--ci", ci, "--output", "json").stdout)["setup"]
    assert any("an index with" in line for line in told) is (install == "forestay[azure,infra]==0.1.0")
    steps = []
    for path in (here / FOLDERS[ci]).iterdir():
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        jobs = document["jobs"].items() if ci == "github" else [
            (one["stage"], job) for one in document["stages"] for job in one["jobs"]
        ]  # fmt: skip
        for name, job in jobs:
            found = job.get("steps") or job["strategy"]["runOnce"]["deploy"]["steps"]
            steps += [(name, step) for step in found if "Install Forestay" in step.values()]
    assert len(steps) > 5
    for name, step in steps:
        # Where pull requests are planned, GitHub lays the project into a folder of its own.
        where = "head/" if (ci, name) == ("github", "plan") and ".whl" in install and "//" not in install else ""
        assert step["env"]["FORESTAY"] == where + install
        if ci == "github":
            assert step["env"]["INDEX"] == "${{ vars.PIP_INDEX_URL }}"  # Azure DevOps' variables are there anyway


@pytest.mark.parametrize("cron", ["*/15 0-6,18-23/2 1,31 */3 1-5", "59 23 31 12 6", "0 0 * * 0", "5/10 * * * *"])
def test_a_schedule_is_what_both_systems_read(here: Path, cron: str) -> None:
    (here / "pipelines.yml").write_text(f"{SETTINGS}schedules: {{retrain: {json.dumps(cron)}}}\n", encoding="utf-8")
    assert load(here).schedules.retrain == cron
