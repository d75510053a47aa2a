"""A job file to a job in Azure's stand-in, by the product's own commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.azure.conftest import Azure, Cli
from tests.azure.standin.blobs import DATA
from tests.azure.standin.jobs import Script
from tests.conftest import Run
from tests.tables import mixed, write_job


@pytest.fixture(autouse=True)
def waiting(azure: Azure) -> None:
    """Jobs wait for a cluster: nothing is trained where only what was sent is looked at."""
    azure.service.script = Script(queued=3600)


def test_the_commands_as_processes_from_submit_to_download(azure: Azure, forestay: Run, job_file: Path) -> None:
    azure.service.script = Script(trials=2)
    done = forestay("job", "submit", job_file, "--env", "dev", "--stream", "--output", "json")
    assert done.returncode == 0, done.stderr + str(azure.service.refusals)
    job = json.loads(done.stdout)
    assert (job["status"], job["env"], job["trials"]) == ("Completed", "dev", 2)
    assert job["best_trial"]["algorithm"] == "ElasticNet"
    assert "trial   0  r2_score" in done.stderr
    assert "USD at list prices" in done.stderr
    done = forestay("job", "download", job["job"], "--env", "dev", "--to", "model", "--output", "json")
    assert done.returncode == 0, done.stderr
    assert "model.pkl" in json.loads(done.stdout)["files"]
    for words in (
        ("job", "list"),
        ("job", "leaderboard", job["job"]),
        ("model", "register", job["job"], "--name", "Hardware"),
        ("job", "schedule", job_file, "--cron", "0 3 * * 1"),
    ):
        done = forestay(*words, "--env", "dev", "--output", "json", process=True)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)
    assert azure.service.refusals == []


def test_what_is_sent(azure: Azure, cli: Cli, job_file: Path) -> None:
    job = cli("job", "submit", job_file).json
    assert job["status"] == "Queued"
    body = azure.service.jobs[job["job"]].properties
    assert body["computeId"].endswith("/computes/cpu-cluster")
    assert body["taskDetails"]["limitSettings"] == {
        "enableEarlyTermination": True,
        "maxConcurrentTrials": 4,
        "maxTrials": 10,
        "timeout": "PT3H",
        "trialTimeout": "PT20M",
    } or body["taskDetails"]["limitSettings"]["timeout"].startswith("PT")
    assert body["tags"]["forestay.file"] == job_file.name
    assert body["tags"]["forestay.data"].startswith("training_data=")
    uri = body["taskDetails"]["trainingData"]["uri"].removeprefix(azure.service.root + "/")
    asset = azure.service.things[uri]["properties"]
    assert asset["dataType"] == "mltable"
    prefix = asset["dataUri"].partition("/paths/")[2]
    there = {name.removeprefix(prefix) for name in azure.service.blobs().names(DATA, prefix)}
    assert there == {"MLTable", "training-machine-dataset.csv"}
    assert job["estimate"]["nodes"] >= 1
    assert job["estimate"]["currency"] == "USD"


def test_unchanged_data_is_not_sent_twice_and_an_equal_job_is_noticed(azure: Azure, cli: Cli, job_file: Path) -> None:
    first = cli("job", "submit", job_file).json["job"]
    connections = azure.proxy.blob_connections
    refused = cli("job", "submit", job_file, code=2)
    assert first in refused.err
    assert "--force" in refused.err
    left = cli("job", "submit", job_file, "--if-new")
    assert (left.json["job"], left.json["existing"]) == (first, True)
    assert "nothing is new" in left.err
    assert "opposites" in cli("job", "submit", job_file, "--if-new", "--force", code=2).err
    again = cli("job", "submit", job_file, "--force")
    assert again.json["job"] != first
    assert "nothing to upload" in again.err
    assert azure.proxy.blob_connections == connections
    other = cli("job", "submit", job_file, "--set", "limits.max_trials=3").json
    assert other["job"] not in (first, again.json["job"])
    assert len(azure.service.jobs) == 3


def test_a_plain_file_is_wrapped_and_what_was_left_out_stays_out(azure: Azure, cli: Cli, project: Path) -> None:
    job = write_job(project / "jobs", rows=120)
    mixed(80, 9).drop(columns="amount").to_csv(project / "jobs" / "plain.csv", index=False)
    table = project / "jobs" / "train" / "MLTable"
    table.write_text(table.read_text() + "  - drop_columns: [words]\n", encoding="utf-8")
    text = job.read_text().replace("./valid", "./plain.csv")
    job.write_text(text, encoding="utf-8")
    name = cli(
        "job", "submit", job, "--set", "compute=azureml:cpu-cluster", "--set", "validation_data.path=./train"
    ).json["job"]
    details = azure.service.jobs[name].task
    frame = azure.service.jobs[name]._table()
    assert "words" not in frame.columns
    assert details["validationData"]["uri"] == details["trainingData"]["uri"]
    table.write_text(table.read_text().replace("  - drop_columns: [words]\n", ""), encoding="utf-8")
    name = cli("job", "submit", job, "--set", "compute=azureml:cpu-cluster").json["job"]
    uri = azure.service.jobs[name].task["validationData"]["uri"].removeprefix(azure.service.root + "/")
    prefix = azure.service.things[uri]["properties"]["dataUri"].partition("/paths/")[2]
    text = azure.service.blobs().get(DATA, f"{prefix}MLTable").decode()
    assert "read_delimited" in text
    assert "plain.csv" in text


@pytest.mark.parametrize(
    "path",
    [
        "azureml://datastores/workspaceblobstore/paths/tables/train/",
        "wasbs://data@account.blob.core.windows.net/train/",
        "https://account.blob.core.windows.net/data/train/",
    ],
)
def test_addresses_pass_through(azure: Azure, cli: Cli, job_file: Path, path: str) -> None:
    name = cli("job", "submit", job_file, "--set", f"training_data.path={path}").json["job"]
    assert azure.service.jobs[name].task["trainingData"]["uri"] == path
    assert not any(one.startswith("PUT data") or "datastores" in one for one in azure.sent())


def test_assets_and_their_latest_version(azure: Azure, cli: Cli, job_file: Path) -> None:
    azure.service.things["data/sales"] = {"name": "sales", "properties": {"latestVersion": "7"}}
    for given, version in (("azureml:sales:3", "3"), ("azureml:sales@latest", "7")):
        name = cli("job", "submit", job_file, "--set", f"training_data.path={given}").json["job"]
        uri = azure.service.jobs[name].task["trainingData"]["uri"]
        assert uri == f"{azure.service.root}/data/sales/versions/{version}"


def test_compute_named_missing_created_and_serverless(azure: Azure, cli: Cli, job_file: Path) -> None:
    refused = cli("job", "submit", job_file, "--set", "compute=azureml:big", code=2)
    assert "no cluster 'big'" in refused.err
    assert "--create-compute" in refused.err
    assert not azure.service.jobs
    name = cli("job", "submit", job_file, "--set", "compute=azureml:big", "--create-compute").json["job"]
    made = azure.service.things["computes/big"]["properties"]["properties"]
    assert (made["vmSize"], made["scaleSettings"]["maxNodeCount"]) == ("Standard_DS3_v2", 2)
    assert azure.service.jobs[name].properties["computeId"].endswith("/big")
    serverless = ("--set", "compute=null", "--set", "resources={instance_type: Standard_E4s_v3, instance_count: 5}")
    job = cli("job", "submit", job_file, *serverless).json
    body = azure.service.jobs[job["job"]].properties
    assert "computeId" not in body
    assert body["resources"] == {"instanceType": "Standard_E4s_v3", "instanceCount": 5}
    assert job["estimate"]["nodes"] == 5


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ("limits.timeout_minutes=-5", "timeout_minutes"),
        ("limits.max_trials=0", "max_trials"),
        ("featurization={mode: fancy}", "mode"),
        ("target_column_name=nowhere", "nowhere"),
        ("primary_metric=accuracy", "primary_metric"),
        ("training={allowed_training_algorithms: [light_gbm], blocked_training_algorithms: [light_gbm]}", "light_gbm"),
    ],
)
def test_what_azures_client_does_not_check_is_refused_before_anything_is_sent(
    azure: Azure, cli: Cli, job_file: Path, over: str, said: str
) -> None:
    assert said in cli("job", "submit", job_file, "--set", over, code=2).err
    assert azure.log == []


def test_what_only_azures_client_refuses_is_refused_too(azure: Azure, cli: Cli, job_file: Path) -> None:
    job_file.write_text(job_file.read_text() + "properties: {forestay.seed: 5}\n", encoding="utf-8")
    assert "azure-ai-ml does not take" in cli("job", "submit", job_file, code=2).err
    assert azure.log == []


def test_local_flags_do_not_go_to_azure_and_the_other_way_round(azure: Azure, cli: Cli, job_file: Path) -> None:
    assert "--seed" in cli("job", "submit", job_file, "--seed", "3", code=2).err
    assert "--stream" in cli("job", "submit", job_file, "--stream", code=2, env="").err
    assert "--if-new" in cli("job", "submit", job_file, "--if-new", code=2, env="").err
    assert azure.log == []


def test_too_little_quota_is_told(azure: Azure, cli: Cli, job_file: Path) -> None:
    azure.service.quota["standardDSv2Family"] = (96, 100)
    assert "4 are free" in cli("job", "submit", job_file).err


@pytest.mark.parametrize("secrets", ["AccountKey", "None"])
def test_datastores_by_key_and_by_identity(azure: Azure, cli: Cli, project: Path, secrets: str) -> None:
    azure.service.secrets = secrets
    job = write_job(project / "jobs", rows=100 + len(secrets))
    cli("job", "submit", job, "--set", "compute=azureml:cpu-cluster")
    assert len(azure.service.jobs) == 1
    assert not any("listSecrets" in one for one in azure.sent()) or secrets != "None"


def test_the_standin_refuses_a_wrong_body(azure: Azure, cli: Cli, job_file: Path) -> None:
    """What Azure would refuse, the stand-in refuses: an unknown field, a wrong word, another version of the API."""
    from automl_jobs.azure import jobs, place
    from automl_jobs.azure.arm import Arm
    from automl_jobs.azure.body import body
    from automl_jobs.spec import load_job
    from forestay.errors import InputError

    arm = Arm(place.of("dev"))
    spec = load_job(job_file).spec
    right = body(spec, {"training_data": "azureml:sales:1"}, None)
    for change, said in (
        (lambda task: task.update(primaryMetric="Guess"), "primaryMetric"),
        (lambda task: task.update(primary_metric="R2Score"), "primary_metric"),
        (lambda task: task.pop("trainingData"), "trainingData"),
    ):
        wrong = json.loads(json.dumps(right))
        change(wrong["properties"]["taskDetails"])
        with pytest.raises(InputError) as refused:
            arm.put(f"{arm.place.path}/jobs/wrong", jobs.JOBS, "the job wrong", wrong)
        assert said in str(refused.value) or "taskDetails" in str(refused.value)
    with pytest.raises(InputError, match="none for PUT"):
        arm.put(f"{arm.place.path}/jobs/wrong", "2025-12-01", "the job wrong", right)
    assert azure.service.jobs == {}
