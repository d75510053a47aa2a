"""Real validation rows in a proof: read from the job's data, predicted by its model, told to nobody."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from automl_jobs.engine import algorithms, explain, problem, trial
from automl_jobs.prepare import prepare
from automl_jobs.spec import load_job
from scoring import checks, real_rows, server
from scoring.schema import Golden
from tests.tables import write_job


def test_real_rows_are_the_validation_rows_as_a_request_holds_them(tmp_path: Path) -> None:
    made = problem.build(prepare(load_job(write_job(tmp_path, rows=120))), 0)
    parameters = algorithms.by_name("DecisionTree", True).portfolio[0].parameters
    outcome = trial.Trainer(made, 1).run(trial.TrialPlan("1", "DecisionTree", parameters), tmp_path / "trial")
    model = explain.load(outcome.outputs)
    found = real_rows.of_problem(made, model)
    valid = made.frame.iloc[made.splits[0][1]]
    assert len(found.rows) == len(valid)
    assert list(found.predictions) == model.predict(valid).tolist()
    assert found.probabilities is not None
    for name in found.rows[0]:
        assert [row[name] is None for row in found.rows] == valid[name].isna().tolist()
    assert all(type(row["size"]) in (int, float, type(None)) for row in found.rows)
    back = pd.Series([row["size"] for row in found.rows], dtype="float64")
    pd.testing.assert_series_equal(back, valid["size"].astype("float64").reset_index(drop=True), check_names=False)


def test_of_a_real_row_only_its_number_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Golden(rows=({"name": "Ada"}, {"name": "Grace"}), predictions=("no", "yes"))
    monkeypatch.setattr(server, "post", lambda *sent: server.Answer(200, b'{"Results": ["no", "no"]}'))
    found = checks.golden("http://127.0.0.1:1", "data", rows, real=True)
    assert (found.name, found.passed) == ("golden_real_data", False)
    assert 'row 1: the trained model has "yes", the server answers "no"' in found.detail
    monkeypatch.setattr(server, "post", lambda *_: server.Answer(400, b"Grace is no name"))
    refused = checks.golden("http://127.0.0.1:1", "data", rows, real=True)
    assert "400" in refused.detail
    assert "Grace" not in found.detail + refused.detail
