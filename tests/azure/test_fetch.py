"""Trials of Azure's in the run store of this machine, and models in the workspace's registry."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.azure.conftest import Azure, Cli
from tests.azure.standin.jobs import Script
from tests.studio_support import Client

pytestmark = pytest.mark.usefixtures("quick")
FILES = {"model.pkl", "conda_env_v_1_0_0.yml", "scoring_file_v_2_0_0.py", "mlflow-model/MLmodel"}


@pytest.fixture
def job(azure: Azure, cli: Cli, job_file: Path) -> str:
    azure.service.script = Script(trials=3, failed=(1,))
    return str(cli("job", "submit", job_file, "--stream").json["job"])


def test_a_trial_lands_with_its_job(azure: Azure, cli: Cli, job: str, project: Path) -> None:
    there = cli("job", "leaderboard", job).json
    done = cli("job", "download", job, "--rank", "2", "--to", project / "model").json
    assert set(done["files"]) >= FILES
    assert (project / "model" / "model.pkl").stat().st_size > 100
    here = cli("job", "leaderboard", job, env="").json
    for row, other in zip(here["trials"], there["trials"], strict=True):
        assert row.keys() == other.keys()
        for key in ("rank", "id", "algorithm", "preprocessor", "score", "status", "chosen"):
            assert row[key] == other[key], key
        assert row["metrics"].keys() == other["metrics"].keys()
    assert here["primary_metric"] == there["primary_metric"]
    shown = cli("job", "show", job, env="").json
    assert (shown["env"], shown["status"], shown["trials"]) == ("dev", "Completed", 3)
    assert [row["job"] for row in cli("job", "list", env="").json] == [job]
    trial = cli("job", "trial", job, "--rank", "2", env="").json
    assert {file["path"] for file in trial["files"]} >= FILES


def test_fetched_once_and_others_later(azure: Azure, cli: Cli, job: str) -> None:
    cli("job", "download", job)
    connections = azure.proxy.blob_connections
    cli("job", "download", job)
    assert azure.proxy.blob_connections == connections
    assert "were not fetched from dev" in cli("job", "download", job, "--rank", "2", "--to", "x", code=2, env="").err
    cli("job", "trial", job, "--rank", "2")
    assert cli("job", "trial", job, "--rank", "2", env="").json["path"]
    assert len(cli("job", "list", env="").json) == 1
    assert "has no model" in cli("job", "download", job, "--rank", "3", code=2).err
    assert "from 1 to 3" in cli("job", "download", job, "--rank", "9", code=2).err


def test_registered_here_and_there(azure: Azure, cli: Cli, job: str) -> None:
    assert cli("model", "list").json == []
    made = cli("model", "register", job, "--name", "Hardware").json
    assert made["version"] == "1"
    assert made["path"].startswith(f"azureml://jobs/{job}_")
    assert azure.proxy.blob_connections >= 0
    assert not any("workspaceartifactstore" in one for one in azure.sent())
    assert cli("model", "register", job, "--name", "Hardware").json["existing"] is True
    assert cli("model", "register", job, "--rank", "2", "--name", "Hardware").json["version"] == "2"
    assert [one["version"] for one in cli("model", "list").json] == ["2", "1"]
    assert cli("model", "show", "Hardware:1").json["job"] == job
    assert set(cli("model", "download", "Hardware", "--to", "there").json["files"]) >= FILES
    assert "has no version 7" in cli("model", "show", "Hardware:7", code=2).err
    assert "nearest: Hardware" in cli("model", "show", "Hardwares", code=2).err
    tags = azure.service.things["models/Hardware/versions/1"]["properties"]["tags"]
    assert tags["forestay.job"] == job
    assert tags["forestay.file"] == "cli-automl-regression-task-hardware-perf.yml"
    assert tags["forestay.data"].startswith("training_data=")
    assert cli("model", "show", "Hardware:1").json["tags"] == tags
    assert "no job" in cli("model", "register", job, "--name", "Hardware", code=2, env="").err
    cli("job", "download", job)
    local = cli("model", "register", job, "--name", "Hardware", env="").json
    assert (local["version"], local["job"]) == ("1", job)


def test_aliases_are_tags_of_the_model_and_versions_are_deleted(azure: Azure, cli: Cli, job: str) -> None:
    cli("model", "register", job, "--name", "Hardware")
    made = cli("model", "alias", "Hardware:1", "champion").json
    assert (made["aliases"], made["previous"]) == (["champion"], None)
    cli("model", "register", job, "--rank", "2", "--name", "Hardware")
    assert cli("model", "show", "Hardware@champion").json["version"] == "1"
    card = cli("model", "show", "Hardware:1", "--card").json["card"]
    assert "# Model card: Hardware:1" in card
    assert "- data: training_data=" in card
    assert cli("model", "alias", "Hardware:2", "champion").json["previous"] == "1"
    assert azure.service.things["models/Hardware"]["properties"]["tags"] == {"forestay.alias.champion": "2"}
    assert [one["aliases"] for one in cli("model", "list").json] == [["champion"], []]
    assert "is champion" in cli("model", "delete", "Hardware:2", "--yes", code=2).err
    assert "nobody said yes" in cli("model", "delete", "Hardware:1", code=2).err
    assert cli("model", "delete", "Hardware:1", "--yes").json["deleted"] is True
    assert cli("model", "delete", "Hardware@champion", "--yes", "--force").json["version"] == "2"
    assert azure.service.things["models/Hardware"]["properties"]["tags"] == {}
    assert cli("model", "list").json == []


def test_a_job_of_azures_is_not_stopped_as_a_local_one(azure: Azure, cli: Cli, job: str) -> None:
    cli("job", "download", job)
    assert f"forestay job cancel {job} --env dev" in cli("job", "cancel", job, code=2, env="").err


def test_charts_of_a_classifier_and_its_columns(azure: Azure, cli: Cli, project: Path) -> None:
    from tests.tables import write_job

    name = cli(
        "job", "submit", write_job(project / "jobs", rows=160), "--set", "compute=azureml:cpu-cluster", "--stream"
    ).json["job"]
    trial = cli("job", "trial", name).json
    assert trial["confusion_matrix"]["data"]["class_labels"] == ["high", "low", "middle"]
    assert len(trial["accuracy_table"]["data"]["probability_tables"]) == 3
    schema = json.loads((Path(trial["path"]) / "model_schema.json").read_text(encoding="utf-8"))
    assert schema["classes"] == ["high", "low", "middle"]
    kinds = {column["name"]: column["type"] for column in schema["columns"]}
    assert kinds["size"] == "numeric"
    assert kinds["kind"] == "categorical"
    assert "label" not in kinds
    assert {file["path"] for file in trial["files"]} >= FILES


def test_scores_on_test_data_are_azures_own(azure: Azure, cli: Cli, project: Path) -> None:
    from tests.tables import write_job

    job = write_job(project / "jobs", rows=160)
    name = cli("job", "submit", job, "--set", "compute=azureml:cpu-cluster", "--stream").json["job"]
    shown = cli("job", "show", name).json
    assert shown["test_metrics"]["AUC_weighted"] == 0.8
    cli("job", "download", name)
    assert cli("job", "show", name, env="").json["test_metrics"] == shown["test_metrics"]


def test_a_fetched_job_is_compared_and_reported_beside_a_local_one(
    azure: Azure, cli: Cli, job: str, project: Path
) -> None:
    from automl_jobs.runs import RunStore
    from tests.runs_support import finished_job, outputs_folder

    cli("job", "download", job)
    charts = RunStore.open().trial(job).documents
    assert charts["residuals"]["schema_type"] == "residuals"
    assert charts["predicted_true"]["schema_type"] == "predictions"
    here = finished_job(RunStore.open(), outputs_folder(project / "made")).job
    both = cli("job", "compare", here, job, env="").json
    assert job in json.dumps(both)
    cli("job", "report", job, "--to", project / "report.html", env="")
    page = (project / "report.html").read_text(encoding="utf-8")
    assert job in page
    assert "ElasticNet" in page


def test_a_job_of_an_environment_is_reported_and_compared_as_it_is_there(
    azure: Azure, cli: Cli, job: str, job_file: Path, project: Path
) -> None:
    """The same as the studio's button gives: no trial is fetched for it."""
    told = cli("job", "report", "latest", "--to", project / "there.html").json
    assert told["job"] == job
    page = (project / "there.html").read_text(encoding="utf-8")
    assert "ElasticNet" in page
    studio = Client(project / ".forestay")
    saved = studio.get(f"/jobs/{job}/report?env=dev").text
    assert re.sub(r"[\d.]+ s<", "", saved) == re.sub(r"[\d.]+ s<", "", page)
    shown = studio.get(f"/jobs/{job}?env=dev").text
    assert f"forestay job report {job} --to {job}.html --env dev" in shown

    other = cli("job", "submit", job_file, "--stream", "--force").json["job"]
    both = cli("job", "compare", job, other).json
    assert {both["a"]["job"], both["b"]["job"]} == {job, other}
    assert both["scores"][0]["a"]["value"] is not None
    assert f"of the data of {job} nothing is known here" in both["remarks"]
    refused = cli("job", "compare", job, job, code=2)
    assert "both names mean" in refused.err


def test_schedules(azure: Azure, cli: Cli, job_file: Path) -> None:
    azure.service.things["data/sales"] = {"name": "sales", "properties": {"latestVersion": "7"}}
    done = cli("job", "schedule", job_file, "--cron", "0 3 * * 1", "--name", "weekly")
    assert "the same data is trained on each time" in done.err
    assert "the pipeline's part" in done.err
    assert done.json["cron"] == "0 3 * * 1"
    done = cli(
        *("job", "schedule", job_file, "--cron", "*/30 * * * *", "--name", "fresh"),
        *("--set", "training_data.path=azureml:sales@latest"),
    )
    assert done.json["latest_inputs"] == ["trainingData"]
    assert "same data" not in done.err
    assert [one["name"] for one in cli("job", "schedule", "--list").json] == ["fresh", "weekly"]
    assert cli("job", "schedule", "--delete", "weekly", "--yes").json["deleted"] is True
    assert "there is: fresh" in cli("job", "schedule", "--delete", "weekly", "--yes", code=2).err
    assert "was not removed" in cli("job", "schedule", "--delete", "fresh", code=2).err
    for cron, said in (("0 3 * *", "4 fields"), ("0 25 * * 1", "no hour"), ("0 3 1 * *", "ignores the day")):
        assert said in cli("job", "schedule", job_file, "--cron", cron, code=2).err
