"""`forestay job check` as a user starts it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

JOB = "type: automl\ntask: {task}\ntarget_column_name: {target}\ntraining_data:\n  path: ./data.csv\n  type: mltable\n"
Run = Callable[..., Any]


def write(folder: Path, task: str = "classification", target: str = "label", extra: str = "") -> Path:
    rows = [f"{n % 7},{n * 0.5},{'ab'[n % 2]}" for n in range(80)]
    (folder / "data.csv").write_text("\n".join(["kind,amount,label", *rows]) + "\n")
    path = folder / "job.yml"
    path.write_text(JOB.format(task=task, target=target) + extra)
    return path


def test_valid_job(forestay: Run, project: Path) -> None:
    path = write(project)
    result = forestay("job", "check", path, "--output", "json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["file"] == str(path)
    assert document["valid"] is True
    assert (document["task"], document["target"], document["rows"]) == ("classification", "label", 80)
    assert [(column["name"], column["type"], column["used"]) for column in document["columns"]] == [
        ("kind", "numeric", True),
        ("amount", "numeric", True),
        ("label", "categorical", False),
    ]
    assert (document["validation"]["kind"], document["validation"]["folds"]) == ("cross_validation", 10)
    assert document["problems"] == []
    view = forestay("job", "check", path)
    assert view.returncode == 0
    assert "a valid job" in view.stdout
    assert "the target" in view.stdout


def test_every_problem_is_printed_as_json_and_as_text(forestay: Run, project: Path) -> None:
    path = write(project, extra="limits:\n  max_trials: 0\nlimts: {}\n")
    result = forestay("job", "check", path, "--output", "json")
    assert result.returncode == 2
    document = json.loads(result.stdout)
    assert document["valid"] is False
    assert [problem["where"] for problem in document["problems"]] == [f"{path}:8", f"{path}:9"]
    assert all(problem["message"] and problem["fix"] for problem in document["problems"])
    text = forestay("job", "check", path)
    assert text.returncode == 2
    assert text.stdout == ""
    assert f"{path}:8" in text.stderr
    assert f"{path}:9" in text.stderr
    assert "Traceback" not in text.stderr


def test_problem_of_the_data(forestay: Run, project: Path) -> None:
    result = forestay("job", "check", write(project, target="lable"), "--output", "json")
    assert result.returncode == 2
    document = json.loads(result.stdout)
    assert (document["valid"], document["task"], document["target"]) == (False, "classification", "lable")
    assert "label" in document["problems"][0]["fix"]


def test_overrides(forestay: Run, project: Path) -> None:
    path = write(project)
    before = path.read_bytes()
    good = forestay(
        "job", "check", path, "--set", "n_cross_validations=4", "--set", "limits.max_trials=2", "-o", "json"
    )
    assert json.loads(good.stdout)["validation"]["folds"] == 4
    assert path.read_bytes() == before
    bad = forestay("job", "check", path, "--set", "limits.max_trails=2")
    assert bad.returncode == 2
    assert "--set limits.max_trails" in bad.stderr
    assert "max_trials" in bad.stderr
    assert forestay("job", "check", path, "--set", "limits").returncode == 2


@pytest.mark.parametrize(
    ("task", "extra"),
    [("text_ner", ""), ("image_object_detection", "")],
)
def test_task_that_only_azure_trains_is_valid_with_a_warning(
    forestay: Run, project: Path, task: str, extra: str
) -> None:
    result = forestay("job", "check", write(project, task=task, extra=extra), "-o", "json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["valid"] is True
    assert document["rows"] is None
    assert task in document["warnings"][-1]["message"]


def test_data_in_azure_is_valid_with_unknown_rows(forestay: Run, project: Path) -> None:
    result = forestay("job", "check", write(project), "--set", "training_data.path=azureml:bank:1", "-o", "json")
    assert result.returncode == 0
    document = json.loads(result.stdout)
    assert (document["valid"], document["rows"], document["columns"]) == (True, None, [])
    assert document["validation"]["kind"] is None


def test_missing_file(forestay: Run, project: Path) -> None:
    write(project)
    result = forestay("job", "check", "jobb.yml", "-o", "json")
    assert result.returncode == 2
    assert "job.yml" in json.loads(result.stdout)["problems"][0]["fix"]


def test_published_jobs(forestay: Run, shared: Path) -> None:
    folder = shared / "data/classification-task-bankmarketing"
    good = forestay("job", "check", folder / "cli-automl-classification-task-bankmarketing.yml", "-o", "json")
    assert good.returncode == 0
    assert json.loads(good.stdout)["validation"]["kind"] == "validation_data"
    bad = forestay("job", "check", folder / "cli-automl-classification-task-bankmarketing-serverless.yml")
    assert bad.returncode == 2
    assert "resources" in bad.stderr
