"""`job resume`: a killed job goes on as if nothing had been, and the same job run twice is the same."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest

from tests.conftest import Run
from tests.forecasting_support import JOB as FORECAST
from tests.forecasting_support import stores
from tests.resume_support import stopped
from tests.tables import MLTABLE, mixed

JOB = """\
type: automl
experiment_name: tests
task: classification
primary_metric: AUC_weighted
target_column_name: label
training_data: {path: ./data, type: mltable}
n_cross_validations: 3
limits: {timeout_minutes: 20, max_trials: 9}
training:
  allowed_training_algorithms: [logistic_regression, bernoulli_naive_bayes, linear_svm, knn]
"""


@pytest.fixture
def job(project: Path) -> Path:
    """A job of nine trials: a baseline, a portfolio, draws of Optuna, an ensemble."""
    (project / "data").mkdir()
    mixed(240, 4).drop(columns="amount").to_csv(project / "data" / "data.csv", index=False)
    (project / "data" / "MLTable").write_text(MLTABLE, encoding="utf-8")
    path = project / "job.yml"
    path.write_text(JOB, encoding="utf-8")
    return path


def board(forestay: Run, job: str) -> list[tuple[Any, ...]]:
    """What two runs of a job must have in common: ids, ranks, algorithms, features, scores, parameters."""
    found = json.loads(forestay("job", "leaderboard", job, "--output", "json").stdout)
    rows = []
    for trial in found["trials"]:
        detail = json.loads(forestay("job", "trial", job, "--rank", str(trial["rank"]), "--output", "json").stdout)
        parameters = json.dumps(detail["parameters"], sort_keys=True)
        key = (trial["rank"], trial["id"], trial["algorithm"], trial["preprocessor"], trial["score"], parameters)
        rows.append((*key, trial["status"], trial.get("error")))
    return rows


def whole(forestay: Run, job: Path, name: str) -> str:
    done = forestay("job", "submit", job, "--seed", "3", "--set", f"name={name}", "--output", "json")
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["job"])


@pytest.mark.slow
def test_an_interrupted_job_ends_as_one_that_was_not(forestay: Run, project: Path, job: Path) -> None:
    """Killed, resumed, stopped by Ctrl-C, resumed: the trials, their parameters and scores are those of one run."""
    first = whole(forestay, job, "whole")
    expected = board(forestay, first)
    assert len(expected) == 9
    assert {"VotingEnsemble", "Baseline"} < {row[2] for row in expected}
    assert board(forestay, whole(forestay, job, "again")) == expected

    options = ("--seed", "3", "--set", "name=cut")
    assert stopped(project, 2, signal.SIGKILL, "submit", str(job), *options) == -signal.SIGKILL
    shown = json.loads(forestay("job", "show", "cut", "--output", "json").stdout)
    assert (shown["status"], shown["error"]) == ("Failed", "interrupted")
    assert stopped(project, 5, signal.SIGINT, "resume", "cut") == 130
    assert json.loads(forestay("job", "show", "cut", "--output", "json").stdout)["status"] == "Canceled"
    done = forestay("job", "resume", "cut", "--output", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["job"], found["status"], found["error"], found["trials"]) == ("cut", "Completed", None, 9)
    started = [int(number) for number in re.findall(r"^trial +(\d+) ", done.stderr, re.MULTILINE)]
    assert started == [6, 7, 8] or started == [7, 8]
    assert board(forestay, "cut") == expected

    done = forestay("job", "resume", "cut", "--output", "json")
    assert done.returncode == 0
    assert "nothing is left" in done.stderr
    done = forestay("job", "resume", "cut", "--max-trials", "11", "--output", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["trials"] in (10, 11)
    kept = [row[1:] for row in board(forestay, "cut") if int(row[1]) < 9]
    assert sorted(kept) == sorted(row[1:] for row in expected)
    refused = forestay("job", "resume", "cut", "--max-trials", "5", process=False)
    assert refused.returncode == 2
    assert "--max-trials" in refused.stderr


@pytest.mark.slow
def test_what_has_changed_meanwhile_and_who_runs_it_is_told(forestay: Run, project: Path, job: Path) -> None:
    arguments = ("submit", str(job), "--set", "limits.max_trials=500", "--set", "limits.enable_early_termination=false")
    assert stopped(project, 20, signal.SIGINT, *arguments) == 130  # after more than a second
    data = project / "data" / "data.csv"
    before, text = data.read_bytes(), job.read_text(encoding="utf-8")
    data.write_bytes(before.replace(b"red", b"rad", 1))
    refused = forestay("job", "resume", process=False)
    assert refused.returncode == 2
    assert "training_data has other values in its 240 rows" in refused.stderr
    data.write_bytes(b"\n".join(before.splitlines()[:-3]) + b"\n")
    assert "training_data has 237 rows, had 240" in forestay("job", "resume", process=False).stderr
    data.write_bytes(before)
    job.write_text(text.replace("n_cross_validations: 3", "n_cross_validations: 4"), encoding="utf-8")
    refused = forestay("job", "resume", process=False)
    assert refused.returncode == 2
    assert "job.yml:7: n_cross_validations has changed" in refused.stderr
    job.write_text(text + "# a comment is no change\n", encoding="utf-8")
    refused = forestay("job", "resume", "--time-budget", "1s", process=False)
    assert refused.returncode == 2
    assert "--time-budget" in refused.stderr
    with subprocess.Popen(
        [sys.executable, "-m", "forestay", "job", "resume"], cwd=project, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert any(re.search(r"trial +\d+ ", line) for line in process.stderr)
        second = forestay("job", "resume", process=False)
        assert second.returncode == 3
        assert f"process {process.pid}" in second.stderr
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        process.wait(timeout=60)
    assert "forestay job resume" in rest
    board_now = json.loads(forestay("job", "leaderboard", "latest", "--output", "json").stdout)
    ids = [trial["id"] for trial in board_now["trials"]]
    assert len(ids) == len(set(ids)) >= 3


@pytest.mark.slow
def test_a_killed_forecast_ends_as_one_that_was_not(forestay: Run, project: Path) -> None:
    stores(60).to_csv(project / "train.csv", index=False)
    job = project / "job.yml"
    job.write_text(
        FORECAST.format(extra="  time_series_id_column_names: store\n")
        + "limits: {timeout_minutes: 20, max_trials: 6}\ntraining:\n"
        "  allowed_training_algorithms: [naive, seasonal_naive, elastic_net]\n",
        encoding="utf-8",
    )

    def ranked(name: str) -> list[tuple[Any, ...]]:
        found = json.loads(forestay("job", "leaderboard", name, "--output", "json").stdout)["trials"]
        keys = ("rank", "id", "algorithm", "preprocessor", "score", "status", "error")
        return [tuple(trial.get(key) for key in keys) for trial in found]

    expected = ranked(whole(forestay, job, "whole"))
    # The baseline, the portfolio, and draws of Optuna; no blend, where one model is far ahead.
    assert len(expected) == 5
    assert {"Baseline", "SeasonalNaive", "ElasticNet"} <= {row[2] for row in expected}
    options = ("--seed", "3", "--set", "name=cut")
    assert stopped(project, 2, signal.SIGKILL, "submit", str(job), *options) == -signal.SIGKILL
    done = forestay("job", "resume", "cut", "--output", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "Completed"
    started = [int(number) for number in re.findall(r"^trial +(\d+) ", done.stderr, re.MULTILINE)]
    assert started
    assert min(started) > 2
    assert len(started) == len(set(started))
    assert ranked("cut") == expected


HELD_OUT = JOB.replace("n_cross_validations: 3", "validation_data_size: 0.2").replace("max_trials: 9", "max_trials: 4")


@pytest.mark.slow
def test_a_job_killed_before_and_while_its_model_is_fitted_again_ends_with_it(
    forestay: Run, project: Path, job: Path
) -> None:
    job.write_text(HELD_OUT, encoding="utf-8")

    def answer(*words: str) -> Any:
        done = forestay(*words, "--output", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert stopped(project, 3, signal.SIGKILL, "submit", str(job), "--set", "name=cut") == -signal.SIGKILL
    assert stopped(project, "again on all", signal.SIGKILL, "resume", "cut") == -signal.SIGKILL
    before = answer("job", "leaderboard", "cut")["trials"]
    assert [trial["rows"] for trial in before] == [192] * 4
    assert answer("job", "trial", "cut")["refit"] is None
    done = forestay("job", "resume", "cut")
    assert done.returncode == 0, done.stderr
    assert not re.search(r"^trial +\d+ ", done.stderr, re.MULTILINE)
    assert answer("job", "show", "cut")["status"] == "Completed"
    after = answer("job", "leaderboard", "cut")["trials"]
    keys = ("rank", "id", "algorithm", "score", "status", "chosen")
    assert [[trial[key] for key in keys] for trial in after] == [[trial[key] for key in keys] for trial in before]
    assert [trial["rows"] for trial in after] == [240 if trial["chosen"] else 192 for trial in after]
    told = answer("job", "trial", "cut")
    assert (told["refit"]["refitted"], told["refit"]["rows"], told["refit"]["judged_rows"]) == (True, 240, 192)
    outputs = Path(answer("model", "register", "cut", "--name", "M")["path"])
    assert outputs == Path(told["path"])
    golden = json.loads((outputs / "golden.json").read_text(encoding="utf-8"))
    assert joblib.load(outputs / "model.pkl").predict(pd.DataFrame(golden["rows"])).tolist() == golden["predictions"]
    assert not list((project / ".forestay" / "tmp").iterdir())


def test_a_job_that_is_not_there_can_not_go_on(forestay: Run, project: Path) -> None:
    done = forestay("job", "resume", process=False)
    assert done.returncode == 2
    assert "no job has run here" in done.stderr
    assert not (project / ".forestay").exists()
