"""A job of Azure sent again, and deleted."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.azure.conftest import Azure, Cli
from tests.azure.standin.jobs import Script

pytestmark = pytest.mark.usefixtures("quick")
RERUN_OF = "rerun_of"


@pytest.fixture
def ended(azure: Azure, cli: Cli, job_file: Path) -> str:
    """A job that has completed."""
    azure.service.script = Script(trials=2)
    name: str = cli("job", "submit", job_file).json["job"]
    assert cli("job", "watch", name).json["status"] == "Completed"
    azure.service.script = Script(queued=3600)
    return name


def test_what_was_sent_is_sent_again(azure: Azure, cli: Cli, ended: str) -> None:
    uploads = len(azure.sent("PUT data/"))
    again = cli("job", "rerun", ended).json
    assert again["job"] != ended
    assert (again["status"], again["tags"][RERUN_OF]) == ("Queued", ended)
    one, other = azure.service.jobs[ended].properties, azure.service.jobs[again["job"]].properties
    for key in ("taskDetails", "computeId", "experimentName", "properties"):
        assert other.get(key) == one.get(key), key
    assert other["tags"] == {**one["tags"], RERUN_OF: ended}
    assert len(azure.sent("PUT data/")) == uploads
    assert azure.service.refusals == []


def test_what_azure_wrote_into_tags_is_left_out(azure: Azure, ended: str) -> None:
    from automl_jobs.azure.rerun import again

    document = azure.service.jobs[ended].document()["properties"]
    assert any(tag.startswith("score_") for tag in document["tags"])
    tags = again(ended, document)["tags"]
    assert set(tags) == {*azure.service.jobs[ended].properties["tags"], RERUN_OF}


def test_new_data_is_compared_uploaded_and_named(
    azure: Azure, cli: Cli, ended: str, job_file: Path, project: Path
) -> None:
    data = next((job_file.parent / "training-mltable-folder").glob("*.csv"))
    frame = pd.read_csv(data)
    frame.iloc[:40].to_csv(project / "march.csv", index=False)
    again = cli("job", "rerun", ended, "--data", project / "march.csv").json
    details = azure.service.jobs[again["job"]].properties["taskDetails"]
    before = azure.service.jobs[ended].properties["taskDetails"]
    assert details["trainingData"]["uri"] != before["trainingData"]["uri"]
    assert {**details, "trainingData": None} == {**before, "trainingData": None}
    tags = azure.service.jobs[again["job"]].properties["tags"]
    assert tags["forestay.data"].startswith("training_data=")
    assert "forestay.same" not in tags

    missing = frame.columns[1]
    frame.drop(columns=missing).to_csv(project / "april.csv", index=False)
    sent = len(azure.service.jobs)
    done = cli("job", "rerun", ended, "--data", project / "april.csv", code=2)
    assert f"'{missing}' missing" in done.err
    assert len(azure.service.jobs) == sent


def test_flags_that_have_no_place_are_refused(cli: Cli, ended: str) -> None:
    for words in (("--set", "limits.max_trials=3"), ("--time-budget", "30s"), ("--to", "again"), ("--seed", "3")):
        done = cli("job", "rerun", ended, *words, code=2)
        assert words[0] in done.err


def test_a_job_that_has_not_ended_is_left_alone(azure: Azure, cli: Cli, job_file: Path) -> None:
    azure.service.script = Script(queued=3600)
    name = cli("job", "submit", job_file).json["job"]
    for words in (("job", "rerun", name), ("job", "delete", name, "--yes")):
        assert f"{name} has not ended: it is Queued" in cli(*words, code=2).err
    assert cli("job", "rerun", name, "--force").json["job"] != name


def test_a_job_is_deleted_there(azure: Azure, cli: Cli, ended: str) -> None:
    assert "--yes" in cli("job", "delete", ended, code=2).err
    assert "--with-models" in cli("job", "delete", ended, "--with-models", "--yes", code=2).err
    assert cli("job", "delete", ended, "--yes").json == {"job": ended, "env": "dev", "deleted": True}
    assert ended not in azure.service.jobs
    assert "there is no job" in cli("job", "delete", ended, "--yes", code=2).err
