"""Microsoft's published jobs, unchanged: trained here, registered, proven, deployed, answering over HTTP."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.conftest import Run

CLASSIFICATION = "classification-task-bankmarketing/cli-automl-classification-task-bankmarketing"
REGRESSION = "regression-task-hardware-perf/cli-automl-regression-task-hardware-perf"
BANK_ROWS = "validation-mltable-folder/bank_marketing_validation_data.csv"
FORECASTING = "forecasting-bike-share/cli-automl-forecasting-task-bike-share"


def _rows(path: Path, target: str, count: int) -> list[dict[str, str]]:
    with path.open(encoding="ascii", newline="") as stream:
        rows = [row for row, _ in zip(csv.DictReader(stream), range(count), strict=False)]
    return [{name: value for name, value in row.items() if name != target} for row in rows]


@pytest.mark.parametrize(
    ("job", "algorithms", "table", "target"),
    [
        (CLASSIFICATION, {"GradientBoosting", "LogisticRegression"}, BANK_ROWS, "y"),
        (REGRESSION, {"LightGBM", "XGBoostRegressor"}, "training-mltable-folder/training-machine-dataset.csv", "ERP"),
    ],
)  # fmt: skip
def test_from_its_own_yaml_to_an_answer(
    clean: Run, project: Path, shared: Path, job: str, algorithms: set[str], table: str, target: str
) -> None:
    file = shared / "data" / f"{job}.yml"
    done = clean(
        "ship",
        file,
        "--model",
        "Published",
        "--endpoint",
        "published",
        "--set",
        "limits.timeout_minutes=2",
        "-o",
        "json",
    )
    assert done.returncode == 0, done.stderr
    shipped = json.loads(done.stdout)
    assert shipped["verified"] is True
    board = json.loads(clean("job", "leaderboard", shipped["job"], "-o", "json").stdout)
    assert {trial["algorithm"] for trial in board["trials"]} - {"VotingEnsemble"} == {"Baseline", *algorithms}
    assert board["trials"][0]["score"] > 0.85
    assert len(board["trials"]) <= 40
    rows = project / "rows.csv"
    asked = _rows(file.parent / table, target, 5)
    with rows.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(asked[0]))
        writer.writeheader()
        writer.writerows(asked)
    answer = clean("endpoint", "invoke", "published", "--data", rows)
    assert answer.returncode == 0, answer.stderr
    results = json.loads(answer.stdout)["Results"]
    assert len(results) == 5
    assert all(value in ("yes", "no") if target == "y" else isinstance(value, float) for value in results)


@pytest.mark.slow
def test_the_forecasting_job_trains_from_its_own_yaml(forestay: Run, shared: Path) -> None:
    file = shared / "data" / f"{FORECASTING}.yml"
    done = forestay("job", "submit", file, "--set", "limits.timeout_minutes=2", "-o", "json")
    assert done.returncode == 0, done.stderr
    job = json.loads(done.stdout)
    assert (job["status"], job["task"], job["trials"]) == ("Completed", "forecasting", 10)
    board = json.loads(forestay("job", "leaderboard", job["job"], "-o", "json").stdout)["trials"]
    (baseline,) = [trial for trial in board if trial["algorithm"] == "Baseline"]
    assert board[0]["score"] < 0.9 * baseline["score"]
    assert "ExtremeRandomTrees" not in {trial["algorithm"] for trial in board}
    # A seasonal naive forecast of the test data has 1.5.
    assert job["test_metrics"]["mean_absolute_scaled_error"] < 1.2
    assert {one["column"] for one in job["explanation"]["importances"]} >= {"weathersit", "temp", "hum"}
    assert job["forecast"]["holidays"] > 100


def test_the_malformed_file_is_refused_with_the_line_of_its_key(forestay: Run, shared: Path) -> None:
    file = shared / "data" / f"{CLASSIFICATION}-serverless.yml"
    line = 1 + file.read_text(encoding="utf-8").splitlines().index("resources:")
    done = forestay("job", "submit", file, process=False)
    assert done.returncode == 2
    assert f".yml:{line}" in done.stderr
    assert "resources" in done.stderr
