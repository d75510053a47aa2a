"""A job file to a job in the stand-in, by the product's own commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.azure.conftest import Azure
from tests.conftest import Run


@pytest.fixture
def job_file(project: Path, shared: Path) -> Path:
    """The published regression job beside its data."""
    folder = project / "hardware"
    shutil.copytree(shared / "data" / "regression-task-hardware-perf", folder)
    return folder / "cli-automl-regression-task-hardware-perf.yml"


def test_submit_watch_and_leaderboard(azure: Azure, forestay: Run, job_file: Path) -> None:
    done = forestay("job", "submit", job_file, "--env", "dev", "--stream", "--output", "json")
    print(done.stderr, azure.sent(), azure.service.refusals)
    assert done.returncode == 0, done.stderr
    job = json.loads(done.stdout)
    assert job["status"] == "Completed"
    for words in (["list"], ["show", job["job"]], ["leaderboard", "latest"], ["trial", "latest", "--rank", "2"]):
        azure.log.clear()
        done = forestay("job", *words, "--env", "dev", "--output", "json")
        print(words, done.stdout, done.stderr, azure.sent())
        assert done.returncode == 0, done.stderr
    assert False
