"""A job on a large table: early trials on a sample, the best settings on all rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROWS, SAMPLE = 12_500, 5_000
TRAINING = 11_250  # without the hold-out
JOB = """\
type: automl
task: classification
primary_metric: auc_weighted
target_column_name: y
validation_data_size: 0.1
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


class _Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def __getattr__(self, name: str) -> object:
        return lambda *_, **__: None


@pytest.mark.slow
def test_a_large_table_is_searched_on_a_sample_and_won_on_all_rows(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time is no limit here, so that it goes the same way each time; how long a fit takes decides only where it is."""
    from automl_jobs.engine import staged
    from automl_jobs.runs import RunStore
    from automl_jobs.submit import SubmitOptions, prepare_job, submit

    monkeypatch.setattr(staged, "CELLS_A_SECOND", 0)
    monkeypatch.setattr(staged, "LEAST_RATIO", 2)
    monkeypatch.setattr(staged, "FEWEST_ROWS", SAMPLE)
    draw = np.random.default_rng(0)
    columns = {f"x{number}": draw.normal(size=ROWS) for number in range(4)}
    y = columns["x0"] * columns["x1"] + columns["x2"] + draw.normal(size=ROWS) > 0
    pd.DataFrame({**columns, "y": np.where(y, "yes", "no")}).to_parquet(project / "data.parquet")
    (project / "job.yml").write_text(JOB)
    options, listener = SubmitOptions(time_budget=900.0, seed=1), _Listener()
    prepared = prepare_job(project / "job.yml", options)
    job = submit(prepared, options, listener)  # type: ignore[arg-type]
    assert prepared.train is not None
    assert len(prepared.train.frame) == 0
    store = RunStore.open()
    trials = store.leaderboard(job)
    # The job's model has been fitted again on all rows.
    full = [trial for trial in trials if trial.rows in (TRAINING, ROWS) and trial.algorithm != "Baseline"]
    sampled = [trial for trial in trials if trial.rows == SAMPLE]
    assert (len(trials), len(full), len(sampled)) == (8, 2, 5)
    # The settings fitted on all rows are the best two of the sample, and the best of them is the job's model.
    settings = {trial.id: store.trial(job, trial.rank).parameters for trial in trials}
    for one, other in zip(sampled, sorted(full, key=lambda trial: int(trial.id)), strict=False):
        same = {name: value for name, value in settings[one.id].items() if name not in ("rows", "rounds")}
        assert same.items() <= settings[other.id].items()
    assert trials[0].rows in (TRAINING, ROWS)
    assert trials[0].chosen
    assert settings[trials[0].id]["rows"] == str(TRAINING)
    assert any("5,000 of the 11,250 training rows" in note for note in listener.notes)
    assert sum("is fitted on all 11,250 training rows" in note for note in listener.notes) == 2
