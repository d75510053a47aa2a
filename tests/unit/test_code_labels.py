"""Training scripts of trials that give a row several labels: trained here, told, and run without Forestay."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import joblib
import numpy as np
import pytest

from automl_jobs.code.gather import Pipeline, Retold
from automl_jobs.code.write import fill
from automl_jobs.engine import ensemble, outputs
from automl_jobs.engine.ensemble import MEMBERS, EnsemblePlan, Member
from automl_jobs.engine.multilabel.ensemble import run as blend
from automl_jobs.engine.multilabel.problem import build
from automl_jobs.engine.multilabel.trial import LabelsTrainer, layout_of
from automl_jobs.engine.problem import Problem
from automl_jobs.engine.trial import BASELINE, TrialOutcome, TrialPlan
from automl_jobs.prepare import prepare
from automl_jobs.spec import load_job
from tests.scripts_support import scores_of
from tests.unit.test_multilabel import job, table

PLANS = (
    TrialPlan("1", BASELINE, {}),
    TrialPlan("2", "LogisticRegression", {"C": 5.0}),
    TrialPlan("3", "MultinomialNaiveBayes", {"alpha": 0.3}),
    TrialPlan("4", "LinearSVM", {"C": 1.0}, "chars"),
)


def retold(
    problem: Problem, outcome: TrialOutcome, parts: dict[str, float], trained: dict[str, TrialOutcome]
) -> Retold:
    row = SimpleNamespace(id=outcome.plan.id, rank=1, algorithm=outcome.plan.algorithm)
    about = SimpleNamespace(job="calm_bay", primary_metric=problem.metric, target="tags")
    pieces = tuple(
        Pipeline(
            trial=trial,
            algorithm=trained[trial].plan.algorithm,
            preprocessor=trained[trial].preprocessor,
            layout=layout_of(trained[trial].plan),
            parameters=trained[trial].plan.parameters,
            rows=None,
            rounds=None,
            weight=weight,
            calibration=None,
        )
        for trial, weight in parts.items()
    )
    packages = outputs.read_schema(outcome.outputs)["packages"]
    found = SimpleNamespace(row=row)
    return Retold(cast("Any", about), cast("Any", found), problem, pieces, outcome.score, None, 1, packages)


@pytest.mark.parametrize("validated", [False, True], ids=["folds", "validation data"])
def test_a_script_scores_and_says_as_its_trial(
    validated: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ensemble, "compare", lambda *_: None)  # how good the blend is is not what is tried
    frame = table(noise=0.3)
    path = job(tmp_path, frame.iloc[:120], frame.iloc[120:]) if validated else job(tmp_path, frame)
    problem = build(prepare(load_job(path)), 0)
    trainer = LabelsTrainer(problem, 1)
    trained = {plan.id: trainer.run(plan, tmp_path / plan.id) for plan in PLANS}
    told = [(one, {plan: 1.0}) for plan, one in trained.items()]
    ranked = sorted((trial for trial in trained if trial != "1"), key=lambda trial: -trained[trial].score)
    members = tuple(Member(trial, tmp_path / trial, layout_of(trained[trial].plan)) for trial in ranked)
    blended = blend(problem, EnsemblePlan("9", members), tmp_path / "9")
    told.append((blended, blended.plan.parameters[MEMBERS]))
    folders = []
    for outcome, parts in told:
        folders.append(tmp_path / f"script-{outcome.plan.id}")
        folders[-1].mkdir()
        fill(retold(problem, outcome, parts, trained), folders[-1])
        assert "sports" not in (folders[-1] / "train.py").read_text(encoding="utf-8")
    assert scores_of(folders, problem.metric) == pytest.approx([outcome.score for outcome, _ in told], abs=1e-6)
    rows = table(40, seed=8)
    for (outcome, _), folder in zip(told, folders, strict=True):
        own, script = joblib.load(outcome.outputs / outputs.MODEL), joblib.load(folder / "model.pkl")
        np.testing.assert_allclose(script.predict_proba(rows), own.predict_proba(rows), atol=1e-6)
        assert script.predict(rows).tolist() == own.predict(rows).tolist()
