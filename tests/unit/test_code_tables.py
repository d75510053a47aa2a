"""Training scripts of trials on tables whose settings go by the number of rows: trained here, told, and run alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import joblib
import numpy as np
import pytest

from automl_jobs.code.gather import Pipeline, Retold
from automl_jobs.code.write import fill
from automl_jobs.engine import calibrate, estimators, outputs
from automl_jobs.engine.decide import Decision
from automl_jobs.engine.problem import Problem, build
from automl_jobs.engine.trial import Trainer, TrialOutcome, TrialPlan
from automl_jobs.prepare import prepare
from automl_jobs.spec import load_job
from tests.scripts_support import scores_of
from tests.tables import MLTABLE, mixed

JOB = """\
type: automl
task: {task}
primary_metric: {metric}
target_column_name: {target}
training_data: {{path: ./train, type: mltable}}
n_cross_validations: 3
"""
ROWS = 240


def problem_of(folder: Path, target: str) -> Problem:
    """240 rows in three folds; one class of the label has two of them."""
    (folder / "train").mkdir(parents=True)
    frame = mixed(ROWS, 1).drop(columns="amount" if target == "label" else "label")
    if target == "label":
        frame.loc[[3, 150], "label"] = "none"
    frame.to_csv(folder / "train" / "data.csv", index=False)
    (folder / "train" / "MLTable").write_text(MLTABLE, encoding="utf-8")
    task, metric = ("classification", "AUC_weighted") if target == "label" else ("regression", "r2_score")
    (folder / "job.yml").write_text(JOB.format(task=task, metric=metric, target=target), encoding="utf-8")
    return build(prepare(load_job(folder / "job.yml")), 0)


def retold(problem: Problem, outcome: TrialOutcome, target: str) -> Retold:
    plan, schema = outcome.plan, outputs.read_schema(outcome.outputs)
    piece = Pipeline(
        trial=plan.id,
        algorithm=plan.algorithm,
        preprocessor=outcome.preprocessor,
        layout=plan.layout,
        parameters=plan.parameters,
        rows=None,
        rounds=None,
        weight=1.0,
        calibration=calibrate.Calibration.of(schema.get("calibration")).rule,
    )
    about = SimpleNamespace(job="calm_bay", primary_metric=problem.metric, target=target)
    found = SimpleNamespace(row=SimpleNamespace(id=plan.id, rank=1, algorithm=plan.algorithm))
    decision = Decision(None, None, {}) if problem.classification else None
    pieces, packages = (piece,), schema["packages"]
    return Retold(cast("Any", about), cast("Any", found), problem, pieces, outcome.score, decision, 1, packages)


@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
@pytest.mark.parametrize(
    ("target", "plans"),
    [
        (
            "amount",
            [
                TrialPlan("1", "RandomForest", {"min_samples_leaf": 4, "n_estimators": 20}, "tree"),
                TrialPlan("2", "LassoLars", {"alpha": 1e-2}, "linear"),
            ],
        ),
        ("amount", [TrialPlan("1", "KNN", {"n_neighbors": 200, "weights": "distance"}, "linear")]),
        ("label", [TrialPlan("1", "LinearSVM", {"C": 0.3}, "linear"), TrialPlan("2", "KNN", {}, "linear")]),
    ],
)
def test_a_script_s_model_of_all_rows_is_the_job_s(
    target: str, plans: list[TrialPlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimators, "FOREST_LEAVES", 10)
    monkeypatch.setattr(estimators, "FEWEST_DENSE", 1)
    monkeypatch.setattr(estimators, "MOST_DENSE_CELLS", 10 * ROWS)
    problem = problem_of(tmp_path / "job", target)
    trainer = Trainer(problem, 1)
    trained = [trainer.run(plan, tmp_path / plan.id) for plan in plans]
    folders = []
    for outcome in trained:
        folders.append(tmp_path / f"script-{outcome.plan.id}")
        folders[-1].mkdir()
        fill(retold(problem, outcome, target), folders[-1])
    assert scores_of(folders, problem.metric) == pytest.approx([outcome.score for outcome in trained], abs=1e-6)
    rows = mixed(60, 8)
    for outcome, folder in zip(trained, folders, strict=True):
        own, script = joblib.load(outcome.outputs / outputs.MODEL), joblib.load(folder / "model.pkl")
        says = "predict_proba" if problem.classification else "predict"
        np.testing.assert_allclose(getattr(script, says)(rows), getattr(own, says)(rows), atol=1e-9)
