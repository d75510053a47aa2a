"""`forestay init`, as a user starts it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pexpect
import pytest
import yaml

from forestay import __version__
from tests.conftest import command

GUID = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
WORDS = ("--subscription", GUID, "--location", "westeurope", "--mail", "ml-team@contoso.com")


@pytest.fixture(autouse=True)
def nobody_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path_factory.mktemp("azure")))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the example and GitHub's pipelines; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("made")
    done = command("init", "churn", *WORDS, "--example", cwd=folder, process=False)
    assert done.returncode == 0, done.stderr
    return folder / "churn"


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "churn")
    return tmp_path / "churn"


def init(*words: str | Path, cwd: Path) -> Any:
    return command("init", *words, cwd=cwd, process=False)


def age(project: Path, path: str, now: str, then: str) -> None:
    """Make a project one of an older version, whose file had other words."""
    record = project / ".forestay-project.yml"
    for file in (record, project / path):
        text = file.read_text(encoding="utf-8")
        assert now in text
        file.write_text(text.replace(now, then), encoding="utf-8")
    record.write_text(record.read_text().replace(f"version: {__version__}", "version: 0.0.1"), encoding="utf-8")


def test_a_project_is_made_and_says_what_comes_next(tmp_path: Path) -> None:
    done = init("churn", *WORDS, "--subscription", f"prod={OTHER}", "--ci", "none", "-o", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["answers"]["stem"] == "churn"
    assert found["next"] == [
        "cd churn",
        "forestay infra plan --env dev",
        "forestay job new DATA.csv --target COLUMN --name churn",
        "forestay job submit jobs/churn/job.yml",
    ]
    folder = tmp_path / "churn"
    assert found["files"] == sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    stacks = {
        path.name: yaml.safe_load(path.read_text())["config"]["azure-native:subscriptionId"]
        for path in (folder / "stacks").iterdir()
    }
    assert {name for name, subscription in stacks.items() if subscription == OTHER} == {
        "Pulumi.prod.yaml", "Pulumi.prod-services.yaml",
    }  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["churn"]


def test_the_example_s_job_is_one(made: Path) -> None:
    done = command("job", "check", "jobs/categorize_transactions/job.yml", "-o", "json", cwd=made)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["rows"] == 3600


def test_the_example_s_test_rows_are_the_latest_and_no_training_sees_them(made: Path) -> None:
    """With them a new model is compared with what is served, without a word of the user's."""
    folder = made / "jobs" / "categorize_transactions"
    train, test = (
        pd.read_csv(folder / f"{side}-mltable-folder" / "transactions.csv").set_index("transaction_id")
        for side in ("training", "test")
    )
    assert (len(train), len(test)) == (3600, 400)
    assert not set(train.index) & set(test.index)
    assert train["date"].max() <= test["date"].min()
    assert set(test["category"]) == set(train["category"])
    [model] = yaml.safe_load((made / "pipelines.yml").read_text(encoding="utf-8"))["models"]
    assert model["test_data"] == "jobs/categorize_transactions/test-mltable-folder"
    assert "compare" not in model
    [deliver] = (made / ".github" / "workflows").glob("forestay-deliver-*.yml")
    text = deliver.read_text(encoding="utf-8")
    assert '--data "$TEST_DATA"' in text
    assert f'TEST_DATA: "{model["test_data"]}"' in text


def test_the_pipelines_are_those_of_its_settings(made: Path) -> None:
    done = command("pipeline", "render", "--check", cwd=made, process=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stderr
    assert sorted(path.name for path in (made / ".github" / "workflows").iterdir())


def test_a_job_that_is_made_as_it_says_fits_the_pipelines(tmp_path: Path) -> None:
    assert init("churn", *WORDS, cwd=tmp_path).returncode == 0
    folder = tmp_path / "churn"
    rows = "".join(f"{i},{i % 7},{'yes' if i % 3 else 'no'}\n" for i in range(60))
    (folder / "data.csv").write_text(f"a,b,y\n{rows}", encoding="utf-8")
    new = command("job", "new", "data.csv", "--target", "y", "--name", "churn", cwd=folder)
    assert new.returncode == 0, new.stderr
    done = command("pipeline", "render", "--check", cwd=folder, process=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_current_folder_may_hold_other_things(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "LICENSE").write_text("mine", encoding="utf-8")
    done = init(".", *WORDS, "--stem", "churn", "--ci", "none", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "cd " not in done.stdout
    assert (tmp_path / "LICENSE").read_text(encoding="utf-8") == "mine"
    assert (tmp_path / "Pulumi.yaml").is_file()


def test_nothing_is_overwritten_and_everything_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    for name in ("README.md", "stacks/Pulumi.dev.yaml"):
        (tmp_path / name).write_text("mine", encoding="utf-8")
    done = init(".", *WORDS, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "error: stacks/Pulumi.dev.yaml: is there already",
        "README.md: is there already",
        "  move them away, or choose another folder: nothing is overwritten",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "stacks"]


KILLED = """
import os, sys
link, left = os.link, iter(range(7))
def killed(source, target):
    link(source, target)
    if next(left) == 6:
        os.kill(os.getpid(), 9)
os.link = killed
from forestay.cli import main
main(sys.argv[1:])
"""


def test_killed_it_leaves_nothing_to_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("mine", encoding="utf-8")
    words = ("init", ".", *WORDS, "--stem", "churn", "--ci", "none")
    killed = subprocess.run([sys.executable, "-c", KILLED, *words], cwd=tmp_path, capture_output=True, check=False)
    assert killed.returncode == -9
    assert (tmp_path / "infra" / "__main__.py").is_file()
    assert not (tmp_path / "Pulumi.yaml").exists()
    done = init(*words[1:], "--stem", "other", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'forestay:stem: "other"' in (tmp_path / "stacks" / "Pulumi.dev.yaml").read_text()
    assert not (tmp_path / ".forestay-init").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "Missing argument 'DIR'"),
        (("new",), "Missing option '--subscription' '--location' '--mail'"),
        (("new", "--subscription", f"dev={GUID}"), "Missing option '--subscription'"),
        (("new", *WORDS[:2]), "Missing option '--location'"),
        (("new", *WORDS[:4]), "Missing option '--mail'"),
        (("new", *WORDS, "--location", "West Europe"), "--location: must be a region's short name"),
        (("new", *WORDS, "--ci", "jenkins"), "'jenkins'"),
        (("new", *WORDS, "--yes"), "--yes: there is nothing to agree to"),
        (("--update",), "not made by `forestay init`"),
        (("file", *WORDS), "file: is there already, and no folder"),
        (("file/below", *WORDS), "cannot"),
    ],
)
def test_wrong_input_is_told_and_nothing_is_made(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    (tmp_path / "file").touch()
    done = init(*words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_made_twice_is_told_how_to_update(project: Path) -> None:
    done = init(".", *WORDS, cwd=project)
    assert done.returncode == 2
    assert "`forestay init --update`" in done.stderr


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    done = init("/proc/new", *WORDS, cwd=tmp_path)  # where nobody may, root included
    assert done.returncode == 2
    assert "cannot write here" in done.stderr


def test_on_a_terminal_what_is_not_given_is_asked_for(tmp_path: Path) -> None:
    words = ["-m", "forestay", "init", "Card Fraud", "--target", "aci"]
    with pexpect.spawn(
        sys.executable, words, cwd=str(tmp_path), dimensions=(60, 120), encoding="utf-8", timeout=60
    ) as screen:
        for question, answer in (
            ("subscription of dev", "mine"),
            ("must be a GUID", GUID),
            (rf"subscription of test .*\({GUID}\)", ""),
            ("subscription of prod", OTHER),
            (r"region .*\(westeurope\)", "northeurope"),
            (r"begin with .*\(card-fraud\)", ""),
            ("mail", "nobody"),
            ("must be a mail address", "ml-team@contoso.com"),
            (r"pipelines.*\(github\)", "gitlab"),
            ("'gitlab' is not known", "azure-devops"),
            ("example's job", "yes"),
        ):
            screen.expect(question)
            screen.sendline(answer)
        screen.expect("forestay job submit")
        screen.expect(pexpect.EOF)
    assert screen.exitstatus == 0
    record = yaml.safe_load((tmp_path / "Card Fraud" / ".forestay-project.yml").read_text(encoding="utf-8"))
    assert record["answers"] == {
        "stem": "card-fraud",
        "location": "northeurope",
        "subscriptions": {"dev": GUID, "test": GUID, "prod": OTHER},
        "mail": "ml-team@contoso.com",
        "ci": "azure-devops",
        "target": "aci",
        "example": True,
        "since": record["answers"]["since"],
    }


def test_a_closed_terminal_makes_nothing(tmp_path: Path) -> None:
    with pexpect.spawn(
        sys.executable, ["-m", "forestay", "init", "new"], cwd=str(tmp_path), encoding="utf-8", timeout=60
    ) as screen:
        screen.expect("subscription of dev")
        screen.sendeof()
        screen.expect("interrupted")
        screen.expect(pexpect.EOF)
    assert screen.exitstatus == 130
    assert list(tmp_path.iterdir()) == []


def test_an_update_shows_a_diff_and_asks(project: Path) -> None:
    age(project, "jobs/README.md", "One folder a job", "A folder for each job")
    mine = project / "README.md"
    mine.write_text(mine.read_text() + "\n## Of ours\n", encoding="utf-8")
    before = (project / "jobs" / "README.md").read_text()

    refused = init("--update", cwd=project)
    assert refused.returncode == 2
    assert "-A folder for each job" in refused.stderr
    assert "+One folder a job" in refused.stderr
    assert "add --yes" in refused.stderr
    assert (project / "jobs" / "README.md").read_text() == before

    with pexpect.spawn(
        sys.executable, ["-m", "forestay", "init", "--update"], cwd=str(project), encoding="utf-8", timeout=60
    ) as screen:
        screen.expect("One folder a job")
        screen.expect("Change these files?")
        screen.sendline("n")
        screen.expect(pexpect.EOF)
    assert screen.exitstatus == 130
    assert (project / "jobs" / "README.md").read_text() == before

    done = init("--update", "--yes", "-o", "json", cwd=project)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["from"], found["to"], found["conflicts"]) == ("0.0.1", __version__, [])
    assert found["changes"] == [{"path": "jobs/README.md", "change": "changed", "why": ""}]
    assert "+One folder a job" in found["diff"]
    assert "Of ours" in mine.read_text()

    again = init("--update", cwd=project)
    assert again.returncode == 0
    assert "your own changes are yours" in again.stdout


def test_a_conflict_is_told_and_the_exit_code_says_so(project: Path) -> None:
    age(project, "jobs/README.md", "One folder a job", "A folder for each job")
    file = project / "jobs" / "README.md"
    file.write_text(file.read_text().replace("A folder for each job", "Our jobs"), encoding="utf-8")
    done = init("--update", "--yes", cwd=project)
    assert done.returncode == 1
    assert "conflict jobs/README.md" in done.stdout
    assert "<<<<<<< yours" in file.read_text()
    again = init("--update", cwd=project)
    assert again.returncode == 2
    assert "jobs/README.md:3: a conflict of the last update is still marked" in again.stderr


def test_pipelines_follow_their_settings_and_the_other_system_s_go(project: Path) -> None:
    workflows = project / ".github" / "workflows"
    names = sorted(path.name for path in workflows.iterdir())
    edited = workflows / "forestay-drift.yml"
    edited.write_text(edited.read_text() + "# ours\n", encoding="utf-8")
    settings = project / "pipelines.yml"
    settings.write_text(settings.read_text().replace("0 2 * * *", "0 4 * * *"), encoding="utf-8")
    done = init("--update", "--yes", "-o", "json", cwd=project)
    assert done.returncode == 0, done.stderr
    changes = {Path(one["path"]).name: one["change"] for one in json.loads(done.stdout)["changes"]}
    assert changes["forestay-drift.yml"] == "kept"
    assert changes["forestay-retrain.yml"] == "changed"
    assert "0 4 * * *" in (workflows / "forestay-retrain.yml").read_text()

    done = init("--update", "--yes", "--ci", "azure-devops", "-o", "json", cwd=project)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in workflows.iterdir()] == ["forestay-drift.yml"]
    assert sorted(path.name for path in (project / ".azure-pipelines").iterdir()) == names
    text = settings.read_text()
    assert "ci: azure-devops" in text
    assert "0 4 * * *" in text


def test_pipelines_go_with_their_settings_and_stay_where_those_were_removed(project: Path) -> None:
    workflows = project / ".github" / "workflows"
    count = len(list(workflows.iterdir()))
    settings = project / "pipelines.yml"
    text = settings.read_text()
    settings.unlink()
    assert init("--update", "--location", "northeurope", "--yes", cwd=project).returncode == 0
    assert len(list(workflows.iterdir())) == count
    settings.write_text(text, encoding="utf-8")
    done = init("--update", "--ci", "none", "--yes", cwd=project)
    assert done.returncode == 0, done.stderr
    assert not settings.exists()
    assert list(workflows.iterdir()) == []


def test_pipelines_wait_for_settings_that_can_be_read(project: Path) -> None:
    (project / "pipelines.yml").write_text("ci: github\nmodels: 3\n", encoding="utf-8")
    done = init("--update", "--location", "northeurope", "--yes", "-o", "json", cwd=project)
    assert done.returncode == 0, done.stderr
    (kept,) = [one for one in json.loads(done.stdout)["changes"] if one["change"] == "kept"]
    assert "pipelines.yml:2" in kept["why"]
    assert "northeurope" in (project / "stacks" / "Pulumi.dev.yaml").read_text()
