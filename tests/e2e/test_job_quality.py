"""Guardrails, explanations, splits and how sure scores are, as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Run
from tests.tables import write_job


def answer(forestay: Run, *arguments: str | Path) -> dict[str, Any]:
    done = forestay(*arguments, "--output", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def visits(folder: Path) -> Path:
    """Eight visits of each of 60 patients, who are ill or not; a column that gives it away, and one that says when."""
    draw = np.random.default_rng(0)
    who = np.repeat(np.arange(60), 8)
    ill = draw.random(60)[who] > 0.5
    frame = pd.DataFrame(
        {
            "patient_id": [f"P{number:03}" for number in who],
            "seen": pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.permutation(480), unit="D"),
            "pulse": (draw.normal(70, 8, 480) + 6 * ill).round(1),
            "[red]weight": draw.normal(75, 10, 60)[who].round(1),
            "bill": np.where(ill, draw.integers(200, 900, 480), 0),
            "ill": np.where(ill, "yes", "no"),
        }
    )
    frame.to_csv(folder / "visits.csv", index=False)
    job = folder / "job.yml"
    job.write_text(
        "# kept\ntype: automl\nexperiment_name: visits\ntask: classification\nprimary_metric: accuracy\n"
        "target_column_name: ill\nn_cross_validations: 3\ntest_data_size: 0.2\n"
        "training_data: {path: ./visits.csv, type: mltable}\nlimits: {max_trials: 4, timeout_minutes: 2}\n"
        "training: {allowed_training_algorithms: [logistic_regression, light_gbm]}\n",
        encoding="utf-8",
    )
    return job


def test_a_run_keeps_what_the_guardrails_found_and_what_the_score_rests_on(forestay: Run, project: Path) -> None:
    job = visits(project)
    done = forestay("job", "submit", job, "--time-budget", "40s", "--output", "json")
    assert done.returncode == 0, done.stderr
    assert "data guardrail: bill alone tells" in " ".join(done.stderr.split())
    found = answer(forestay, "job", "show", "latest")
    states = {one["name"]: one["status"] for one in found["guardrails"]}
    alerted = {name for name, state in states.items() if state == "Alerted"}
    assert alerted == {"Target leakage detection", "Repeated entity detection", "Time order detection"}
    summary = {row["RawFeatureName"]: row for row in found["featurization_summary"]}
    assert set(summary) == {"patient_id", "seen", "pulse", "[red]weight", "bill"}
    assert all(row["EngineeredFeatureCount"] > 0 for row in summary.values() if row["Dropped"] == "No")
    explained = found["explanation"]
    assert explained["importances"][0]["column"] == "bill"
    assert (explained["metric"], explained["data"], explained["rows"]) == ("accuracy", "test", 96)
    interval = found["test_metrics_interval"]["accuracy"]
    assert interval["low"] <= found["test_metrics"]["accuracy"] <= interval["high"]
    assert interval["resamples"] == 1000

    board = answer(forestay, "job", "leaderboard", "latest")["trials"]
    assert all(row["score_std"] >= 0 and row["train_score"] > 0 for row in board if row["algorithm"] == "LightGBM")
    assert "score_std" not in board[0]["metrics"]
    shown = forestay("job", "leaderboard", "latest").stdout
    assert "±" in shown
    text = forestay("job", "show", "latest", "--verbose").stdout
    for words in (
        "validation scores is an optimistic one",
        "on the test data accuracy is",
        "[red]weight",
        "transformations",
    ):
        assert words in text, words

    # Any trial on request, on the same rows; what is kept is not computed again.
    again = answer(forestay, "job", "explain", "latest")
    assert again["importances"] == explained["importances"]
    assert (again["job"], again["rank"]) == (found["job"], 1)
    boosted = next(row for row in board if row["algorithm"] == "LightGBM")
    other = answer(forestay, "job", "explain", "latest", "--rank", str(boosted["rank"]), "--seconds", "5")
    assert (other["rank"], other["rows"], other["data"]) == (boosted["rank"], 96, "test")
    assert "bill" in {one["column"] for one in other["importances"]}

    rows = project / "rows.csv"
    pd.read_csv(project / "visits.csv").head(3).to_csv(rows, index=False)
    told = answer(forestay, "job", "explain", "latest", "--rank", str(boosted["rank"]), "--rows", rows)
    assert len(told["contributions"]) == 3
    assert next(iter(told["contributions"][0]["contributions"])) == "bill"
    pd.read_csv(rows).drop(columns="pulse").to_csv(rows, index=False)
    wrong = forestay("job", "explain", "latest", "--rank", str(boosted["rank"]), "--rows", rows)
    assert (wrong.returncode, "pulse" in wrong.stderr) == (2, True)
    beyond = forestay("job", "explain", "latest", "--rank", "99")
    assert (beyond.returncode, "Traceback" in beyond.stderr) == (2, False)


def test_a_changed_job_file_is_not_taken_for_the_one_that_ran(forestay: Run, project: Path) -> None:
    job = write_job(project, trials=2, rows=200)
    made = answer(forestay, "job", "submit", job, "--set", "training.enable_model_explainability=false")
    assert made["explanation"] is None
    assert made["featurization_summary"]
    explained = answer(forestay, "job", "explain", "latest", "--seconds", "2")
    assert (explained["data"], explained["rows"]) == ("validation", 100)
    job.write_text(job.read_text(encoding="utf-8").replace("accuracy", "AUC_weighted"), encoding="utf-8")
    changed = forestay("job", "explain", "latest")
    assert (changed.returncode, "the primary metric is AUC_weighted, was accuracy" in changed.stderr) == (2, True)
    job.unlink()
    gone = forestay("job", "explain", "latest")
    assert (gone.returncode, "is gone" in gone.stderr) == (2, True)


@pytest.mark.parametrize(("flag", "column"), [("--group", "patient_id"), ("--time", "seen")])
def test_the_split_that_is_offered_is_the_one_that_passes(forestay: Run, project: Path, flag: str, column: str) -> None:
    job = visits(project)
    before = answer(forestay, "job", "check", job)
    name = {"--group": "Repeated entity detection", "--time": "Time order detection"}[flag]
    offer = next(one for one in before["guardrails"] if one["name"] == name)["fix"]
    assert f"{flag} {column}" in offer
    made = answer(forestay, "job", "split", job, flag, column, "--to", project / "apart")
    assert len(made["folds"]) == (3 if flag == "--group" else 1)
    assert made["replaced"] == ["n_cross_validations"]
    assert Path(made["job"]).read_text(encoding="utf-8").startswith("# kept\n")
    after = answer(forestay, "job", "check", made["job"])
    assert after["validation"] == {"kind": "cross_validation", "folds": len(made["folds"]), "fraction": None}
    assert next(one for one in after["guardrails"] if one["name"] == name)["status"] == "Passed"
    data = pd.read_parquet(Path(made["data"]) / "data.parquet")
    for fold in made["folds"]:
        train, valid = data[data[fold["column"]] == 1], data[data[fold["column"]] == 0]
        assert (len(train), len(valid)) == (fold["training_rows"], fold["validation_rows"])
        if flag == "--group":
            assert not set(train[column]) & set(valid[column])
        else:
            assert train[column].max() < valid[column].min()
    again = forestay("job", "split", job, flag, column, "--to", project / "apart")
    assert (again.returncode, "something here already" in again.stderr) == (2, True)


def test_a_split_that_can_not_be_made_says_why(forestay: Run, project: Path) -> None:
    job = visits(project)
    for arguments, words in (
        (("--group", "patientid"), "patient_id"),
        (("--group", "ill", "--folds", "9"), "too few for 9 folds"),
        (("--time", "patient_id"), "holds no dates"),
        ((), "name one column"),
    ):
        done = forestay("job", "split", job, *arguments, "--to", project / "apart")
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
        assert not (project / "apart").exists()
