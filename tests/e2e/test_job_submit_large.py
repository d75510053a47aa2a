"""`job submit` on a large table: early trials on a sample, the best settings on all rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Run

ROWS, COLUMNS = 60_000, 40
JOB = """\
type: automl
task: classification
primary_metric: auc_weighted
target_column_name: y
training_data:
  type: mltable
  path: data.parquet
limits:
  max_trials: 8
  enable_early_termination: false
training:
  allowed_training_algorithms: [logistic_regression, light_gbm]
  enable_vote_ensemble: false
  enable_stack_ensemble: false
"""


@pytest.mark.slow
def test_a_large_table_is_searched_on_a_sample_and_won_on_all_rows(forestay: Run, project: Path) -> None:
    draw = np.random.default_rng(0)
    columns = {f"x{number}": draw.normal(size=ROWS) for number in range(COLUMNS)}
    y = columns["x0"] * columns["x1"] + columns["x2"] + draw.normal(size=ROWS) > 0
    pd.DataFrame({**columns, "y": np.where(y, "yes", "no")}).to_parquet(project / "data.parquet")
    (project / "job.yml").write_text(JOB)
    done = forestay("job", "submit", "job.yml", "--time-budget", "50s", "--output", "json")
    assert done.returncode == 0, done.stderr
    job = json.loads(done.stdout)
    trials = json.loads(forestay("job", "leaderboard", job["job"], "--output", "json").stdout)["trials"]
    rows = [trial["rows"] for trial in trials if trial["rows"] is not None and trial["algorithm"] != "Baseline"]
    sample = min(rows)
    assert 20_000 <= sample <= 27_000
    assert set(rows) == {sample, 54_000}
    assert rows.count(sample) > rows.count(54_000)
    assert trials[0]["rows"] == 54_000
    best = json.loads(forestay("job", "trial", job["job"], "--output", "json").stdout)
    assert best["parameters"]["rows"] == "54000"
    # A person sees on how many rows each was trained.
    assert "54,000" in forestay("job", "leaderboard", job["job"]).stdout
