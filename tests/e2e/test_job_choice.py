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
from tests.tables import MLTABLE

JOB = """\
type: automl
task: regression
primary_metric: r2_score
target_column_name: amount
training_data: {path: ./data, type: mltable}
n_cross_validations: 3
limits: {timeout_minutes: 20, max_trials: 5}
training:
  allowed_training_algorithms: [elastic_net, light_gbm]
"""


def noisy() -> pd.DataFrame:
    """Rows of which a line tells nearly all that can be told: the blend is best, and a line within noise of it."""
    draw = np.random.default_rng(4)
    frame = pd.DataFrame(draw.normal(size=(240, 3)), columns=["wide", "long", "old"])
    frame["kind"] = draw.choice(["a", "b", "c"], len(frame))
    line = frame["wide"] + 0.5 * frame["long"] + (frame["kind"] == "a")
    frame["amount"] = line + 0.9 * frame["old"].abs() + draw.normal(0, 1, len(frame))
    return frame


@pytest.mark.slow
def test_bagged_folds_and_a_preference_for_speed(forestay: Run, project: Path) -> None:
    (project / "data").mkdir()
    noisy().to_csv(project / "data" / "data.csv", index=False)
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
    trials = board["trials"]
    first = trials[0]
    models = trials[: next(place for place, trial in enumerate(trials) if trial["algorithm"] == "Baseline")]
    # On a machine that does much else a model's milliseconds may be over the bound.
    close = [
        trial
        for trial in models
        if first["score"] - trial["score"] <= first["score_se"]
        and trial["predict_ms"] <= 20
        and trial["model_mb"] <= 50
    ]
    (milliseconds,) = [trial["predict_ms"] for trial in close if trial["id"] == chosen["id"]]
    # Times whose ratio is less than 1.25 are one.
    assert milliseconds <= 1.25 * max(0.1, min(trial["predict_ms"] for trial in close))
    assert first["algorithm"] == "VotingEnsemble"
    assert chosen["algorithm"] == "ElasticNet"
    assert "one standard error" in chosen["reason"]
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
