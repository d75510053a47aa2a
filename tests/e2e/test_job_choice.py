"""What a submit's options of choice do: the fastest good trial is chosen, and a model is the mean of its folds'."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

from tests.conftest import Run
from tests.tables import MLTABLE, mixed

JOB = """\
type: automl
task: regression
primary_metric: r2_score
target_column_name: amount
training_data: {path: ./data, type: mltable}
n_cross_validations: 3
limits: {timeout_minutes: 20, max_trials: 5}
training:
  allowed_training_algorithms: [elastic_net, decision_tree, light_gbm]
"""


@pytest.mark.slow
def test_bagged_folds_and_a_preference_for_speed(forestay: Run, project: Path) -> None:
    (project / "data").mkdir()
    mixed(240, 1).drop(columns=["label", "words"]).to_csv(project / "data" / "data.csv", index=False)
    (project / "data" / "MLTable").write_text(MLTABLE, encoding="utf-8")
    (project / "job.yml").write_text(JOB, encoding="utf-8")

    def answer(*arguments: str) -> dict[str, Any]:
        done = forestay(*arguments, "--output", "json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    submitted = answer("job", "submit", "job.yml", "--prefer", "speed", "--bagged-folds", "--seed", "0")
    board = answer("job", "leaderboard", "latest")
    chosen = board["chosen"]
    assert chosen["id"] == submitted["best_trial"]["id"]
    models = [trial for trial in board["trials"] if trial["algorithm"] != "Baseline"]
    close = [trial for trial in models if models[0]["score"] - trial["score"] <= models[0]["score_se"]]
    assert chosen["id"] in {trial["id"] for trial in close}
    # Times whose ratio is less than 1.25 are one.
    (milliseconds,) = [trial["predict_ms"] for trial in close if trial["id"] == chosen["id"]]
    assert milliseconds <= 1.25 * max(0.1, min(trial["predict_ms"] for trial in close))
    shown = forestay("job", "leaderboard", "latest").stdout
    assert f"* {chosen['rank']}" in shown

    parameters = {
        trial["algorithm"]: answer("job", "trial", "latest", "--rank", str(trial["rank"]))["parameters"]
        for trial in board["trials"]
        if trial["algorithm"] in ("ElasticNet", "LightGBM")
    }
    assert len(parameters) == 2
    assert {one["bagged_folds"] for one in parameters.values()} == {"3"}

    outputs = Path(answer("model", "register", "latest", "--name", "Amounts")["path"])
    golden = json.loads((outputs / "golden.json").read_text(encoding="utf-8"))
    model = joblib.load(outputs / "model.pkl")
    assert len(model.steps[-1][1].blocks) >= 1
    predicted = model.predict(pd.DataFrame(golden["rows"]))
    assert np.allclose(predicted, golden["predictions"])
