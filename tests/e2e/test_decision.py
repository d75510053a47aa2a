"""An imbalanced job from its file to a served answer: the decision is shown, served, and in the golden rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Run
from tests.unit.test_trial_decision import patients

JOB = """\
type: automl
task: classification
primary_metric: norm_macro_recall
target_column_name: outcome
positive_label: ill
training_data: {path: ./train.csv, type: mltable}
test_data: {path: ./test.csv, type: mltable}
n_cross_validations: 3
limits: {max_trials: 4, timeout_minutes: 1}
training: {allowed_training_algorithms: [LogisticRegression, LightGBM]}
"""


@pytest.fixture
def job(project: Path) -> Path:
    patients(500, 1).to_csv(project / "train.csv", index=False)
    patients(1_000, 2).to_csv(project / "test.csv", index=False)
    (project / "job.yml").write_text(JOB, encoding="utf-8")
    return project / "job.yml"


@pytest.mark.slow
def test_the_decision_is_shown_and_served(forestay: Run, job: Path) -> None:
    done = forestay("job", "submit", job, "--time-budget", "30s", "--output", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    decision = told["decision"]
    assert (decision["setting"], decision["rule"], decision["positive_label"]) == ("auto", "threshold", "ill")
    assert decision["threshold"] < 0.4
    assert told["minority_recall"] > 0.5
    assert told["test_metrics"]["norm_macro_recall"] > 0.4
    (balance,) = (row for row in told["guardrails"] if row["name"] == "Class balancing detection")
    assert balance["status"] == "Done"

    rank = str(told["best_trial"]["rank"])
    trial = json.loads(forestay("job", "trial", "latest", "--rank", rank, "--output", "json").stdout)
    assert trial["decision"] == decision
    assert {"minority_recall", "minority_average_precision", "expected_calibration_error", "brier_score"} <= set(trial)
    assert not {"minority_recall", "brier_score"} & set(trial["metrics"])
    shown = forestay("job", "trial", "latest", "--rank", rank).stdout
    assert "ill from a probability of" in " ".join(shown.split())
    assert "minority recall" in shown

    registered = forestay("model", "register", "latest", "--name", "Ill", "--output", "json")
    assert registered.returncode == 0, registered.stderr
    model = json.loads(forestay("model", "show", "Ill", "--output", "json").stdout)
    assert model["decision"] == decision
    golden = json.loads((Path(model["path"]) / "golden.json").read_text(encoding="utf-8"))
    positive = np.array(golden["probabilities"])[:, golden["classes"].index("ill")]
    assert golden["predictions"] == np.where(positive >= decision["threshold"], "ill", "healthy").tolist()
    assert golden["predictions"] != np.where(positive > 0.5, "ill", "healthy").tolist()


@pytest.mark.parametrize(
    ("setting", "words"),
    [("argmim", "--decision"), ("cost:FN=5", "cost:FN=5,FP=1"), ("2", "between 0 and 1"), ("cost:FN=0,FP=1", "range")],
)
def test_a_wrong_decision_names_its_flag(forestay: Run, job: Path, setting: str, words: str) -> None:
    done = forestay("job", "submit", job, "--decision", setting, process=False)
    assert done.returncode == 2
    assert "--decision" in done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
