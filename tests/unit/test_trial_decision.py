"""Trials of an imbalanced job, trained here: what is decided and calibrated is in the files that are served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

from automl_jobs.engine import ensemble, judging, trial
from automl_jobs.engine.problem import Problem, build
from automl_jobs.engine.stack import MetaLearner
from automl_jobs.engine.trial import Trainer, TrialOutcome, TrialPlan
from automl_jobs.prepare import prepare
from automl_jobs.spec import load_job
from tests.tables import MLTABLE

JOB = """\
type: automl
task: classification
primary_metric: norm_macro_recall
target_column_name: outcome
positive_label: ill
training_data: {path: ./train, type: mltable}
test_data: {path: ./test, type: mltable}
n_cross_validations: 3
"""


def patients(rows: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    ill = draw.random(rows) < 0.07
    return pd.DataFrame(
        {
            "x": (draw.normal(size=rows) + 1.6 * ill).round(3),
            "z": (draw.normal(size=rows) + 0.8 * ill).round(3),
            "outcome": np.where(ill, "ill", "healthy"),
        }
    )


def job(folder: Path, setting: str = "") -> Problem:
    for name, rows, seed in (("train", 600, 1), ("test", 1_500, 2)):
        (folder / name).mkdir(parents=True)
        patients(rows, seed).to_csv(folder / name / "data.csv", index=False)
        (folder / name / "MLTable").write_text(MLTABLE, encoding="utf-8")
    (folder / "job.yml").write_text(JOB + setting, encoding="utf-8")
    return build(prepare(load_job(folder / "job.yml")), 0)


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    return job(tmp_path_factory.mktemp("job"))


@pytest.fixture(scope="module")
def trials(problem: Problem, tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrialOutcome]:
    folder = tmp_path_factory.mktemp("trials")
    trainer = Trainer(problem, 1)
    plans = {
        "logistic": TrialPlan("logistic", "LogisticRegression", {"C": 1.0}),
        "weighted": TrialPlan("weighted", "LogisticRegression", {"C": 1.0, "class_weights": True}),
        "boosted": TrialPlan("boosted", "LightGBM", {"learning_rate": 0.1, "num_leaves": 4, "class_weights": True}),
        "histogram": TrialPlan("histogram", "GradientBoosting", {"max_leaf_nodes": 4, "class_weights": True}),
        "xgboost": TrialPlan("xgboost", "XGBoostClassifier", {"max_depth": 2, "class_weights": True}),
    }
    return {name: trainer.run(plan, folder / plan.id) for name, plan in plans.items()}


def schema_of(outcome: TrialOutcome) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((outcome.outputs / "model_schema.json").read_text(encoding="utf-8"))
    return found


def test_the_served_model_decides_as_its_schema_says(trials: dict[str, TrialOutcome], problem: Problem) -> None:
    assert problem.test is not None
    for outcome in trials.values():
        decision = schema_of(outcome)["decision"]
        assert decision == outcome.artifacts["decision"]
        assert (decision["setting"], decision["rule"], decision["positive_label"]) == ("auto", "threshold", "ill")
        model = joblib.load(outcome.outputs / "model.pkl")
        positive = model.predict_proba(problem.test[0])[:, 1]
        expected = np.where(positive >= decision["threshold"], "ill", "healthy")
        said = model.predict(problem.test[0])
        assert said.tolist() == expected.tolist()
        # The most probable class would have been another one in many rows.
        assert (said != np.where(positive > 0.5, "ill", "healthy")).sum() > 50


def test_golden_rows_are_decided_ones(trials: dict[str, TrialOutcome]) -> None:
    for outcome in trials.values():
        golden = json.loads((outcome.outputs / "golden.json").read_text(encoding="utf-8"))
        threshold = schema_of(outcome)["decision"]["threshold"]
        positive = np.array(golden["probabilities"])[:, 1]
        assert golden["predictions"] == np.where(positive >= threshold, "ill", "healthy").tolist()


def test_scores_are_those_of_decided_labels_and_hold_on_the_test_data(
    trials: dict[str, TrialOutcome], problem: Problem
) -> None:
    for outcome in trials.values():
        found = outcome.metrics
        matrix = np.array(outcome.artifacts["confusion_matrix"]["data"]["matrix"])
        assert found["minority_recall"] == pytest.approx(matrix[1, 1] / matrix[1].sum())
        tested = judging.test_metrics(problem, outcome.outputs)
        assert outcome.score > 0.4
        assert tested["norm_macro_recall"] == pytest.approx(outcome.score, abs=0.15)
        assert tested["minority_recall"] == pytest.approx(tested["recall_score_binary"])
        assert tested["minority_average_precision"] == pytest.approx(tested["average_precision_score_binary"])


def test_class_weights_change_the_fit_and_not_the_prior(trials: dict[str, TrialOutcome], problem: Problem) -> None:
    assert problem.test is not None
    frame, truth = problem.test
    for name, outcome in trials.items():
        probabilities = joblib.load(outcome.outputs / "model.pkl").predict_proba(frame)
        assert probabilities[:, 1].mean() == pytest.approx(truth.mean(), abs=0.03), name
        assert probabilities.sum(axis=1) == pytest.approx(1)
        assert outcome.metrics["expected_calibration_error"] < 0.04
    plain, weighted = (
        joblib.load(trials[name].outputs / "model.pkl").predict_proba(frame) for name in ("logistic", "weighted")
    )
    assert not np.allclose(plain, weighted, atol=1e-3)
    assert trials["weighted"].parameters["class_weights"] == "True"


@pytest.mark.parametrize("learner", [None, MetaLearner("logistic_regression")], ids=["voting", "stack"])
def test_an_ensemble_has_a_decision_of_its_own(
    trials: dict[str, TrialOutcome],
    problem: Problem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    learner: MetaLearner | None,
) -> None:
    # Whether a blend is worth it is not the question here.
    monkeypatch.setattr(ensemble, "compare", lambda *_: None)
    members = tuple(
        ensemble.Member(name, trials[name].outputs.parent, trials[name].preprocessor)
        for name in ("logistic", "boosted", "xgboost")
    )
    found = ensemble.run(problem, ensemble.EnsemblePlan("blend", members, learner), tmp_path / "blend")
    assert found.plan.algorithm == ("VotingEnsemble" if learner is None else "StackEnsemble")
    decision = schema_of(found)["decision"]
    model = joblib.load(found.outputs / "model.pkl")
    assert problem.test is not None
    positive = model.predict_proba(problem.test[0])[:, 1]
    assert (
        model.predict(problem.test[0]).tolist()
        == np.where(positive >= decision["threshold"], "ill", "healthy").tolist()
    )


@pytest.fixture(scope="module")
def bagged(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    return job(tmp_path_factory.mktemp("bagged"), "properties: {forestay.bagged_folds: true}\n")


def test_bagged_folds_serve_the_mean_of_the_very_models_that_were_scored(bagged: Problem, tmp_path: Path) -> None:
    plan = TrialPlan("1", "LightGBM", {"learning_rate": 0.1, "num_leaves": 4, "class_weights": True})
    outcome = Trainer(bagged, 1).run(plan, tmp_path / "1")
    assert outcome.parameters["bagged_folds"] == "3"
    pipeline = joblib.load(outcome.outputs / "model.pkl")
    model = pipeline.steps[-1][1]
    folds = [(transformer, one) for transformer, models in model.blocks for one, _ in models]
    assert len(folds) == 3
    read = pipeline.steps[0][1].transform

    def said(fold: tuple[Any, Any], frame: pd.DataFrame) -> np.ndarray:
        return np.asarray(fold[1].predict_proba(fold[0].transform(read(frame))))

    held = np.load(tmp_path / "1" / trial.HELD_OUT)
    parts = np.split(held, np.cumsum([len(valid) for _, valid in bagged.splits])[:-1])
    for fold, (_, valid), part in zip(folds, bagged.splits, parts, strict=True):
        assert said(fold, bagged.frame.iloc[valid]) == pytest.approx(part)
    assert bagged.test is not None
    frame = bagged.test[0]
    served = pipeline.predict_proba(frame)
    assert served == pytest.approx(np.mean([said(fold, frame) for fold in folds], axis=0))
    assert pipeline.predict_proba(frame.head(1)) == pytest.approx(served[:1])
    threshold = schema_of(outcome)["decision"]["threshold"]
    assert pipeline.predict(frame).tolist() == np.where(served[:, 1] >= threshold, "ill", "healthy").tolist()


def test_an_ensemble_of_bagged_folds_is_the_mean_of_its_members(
    bagged: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ensemble, "compare", lambda *_: None)
    monkeypatch.setattr(ensemble, "select", lambda *_: {0: 0.25, 1: 0.75})
    trainer = Trainer(bagged, 1)
    done = [
        trainer.run(TrialPlan("1", "LogisticRegression", {"C": 1.0}), tmp_path / "1"),
        trainer.run(TrialPlan("2", "XGBoostClassifier", {"max_depth": 2}), tmp_path / "2"),
    ]
    members = tuple(ensemble.Member(one.plan.id, one.outputs.parent, one.preprocessor) for one in done)
    found = ensemble.run(bagged, ensemble.EnsemblePlan("3", members), tmp_path / "3")
    assert bagged.test is not None
    frame = bagged.test[0]
    one, two, both = (joblib.load(made.outputs / "model.pkl").predict_proba(frame) for made in (*done, found))
    assert both == pytest.approx(0.25 * one + 0.75 * two)


def test_a_cost_is_the_decision_of_every_trial(tmp_path: Path) -> None:
    asked = job(tmp_path / "job", "properties: {forestay.decision: 'cost:FN=20,FP=1'}\n")
    outcome = Trainer(asked, 1).run(TrialPlan("1", "LogisticRegression", {"C": 1.0}), tmp_path / "1")
    assert schema_of(outcome)["decision"] == {
        "setting": "cost:FN=20,FP=1",
        "costs": {"FN": 20.0, "FP": 1.0},
        "rule": "threshold",
        "threshold": pytest.approx(1 / 21),
        "positive_label": "ill",
    }


def test_naive_bayes_is_set_right(tmp_path: Path) -> None:
    """It counts what two columns say twice, so that its probabilities are too sure."""
    folder = tmp_path / "job"
    for name, rows, seed in (("train", 600, 1), ("test", 1_500, 2)):
        (folder / name).mkdir(parents=True)
        table = patients(rows, seed)
        for number in range(4):
            table[f"copy{number}"] = table["x"]
        table.to_csv(folder / name / "data.csv", index=False)
        (folder / name / "MLTable").write_text(MLTABLE, encoding="utf-8")
    (folder / "job.yml").write_text(JOB, encoding="utf-8")
    problem = build(prepare(load_job(folder / "job.yml")), 0)
    outcome = Trainer(problem, 1).run(TrialPlan("1", "BernoulliNaiveBayes", {"alpha": 0.3}), tmp_path / "1")
    calibration = schema_of(outcome)["calibration"]
    assert calibration == outcome.artifacts["calibration"]
    assert calibration["kind"] == "sigmoid"
    assert calibration["slope"] < 0.8
    assert calibration["log_loss"] < 0.9 * calibration["log_loss_before"]
    assert problem.test is not None
    frame, truth = problem.test
    model = joblib.load(outcome.outputs / "model.pkl")
    right = model.predict_proba(frame)
    model.steps[-1][1].calibration = None
    raw = model.predict_proba(frame)
    assert (np.diff(right[np.argsort(raw[:, 1], kind="stable"), 1]) >= 0).all()
    loss = -np.log(right[np.arange(len(truth)), truth]).mean()
    assert loss < 0.9 * -np.log(np.maximum(raw[np.arange(len(truth)), truth], 1e-15)).mean()


def test_each_fit_of_a_trial_has_its_share_of_the_time(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments: list[float | None] = []
    fit = trial.fit

    def noted(*arguments: Any, **named: Any) -> Any:
        moments.append(named.get("until"))
        return fit(*arguments, **named)

    monkeypatch.setattr(trial, "fit", noted)
    settings = {"learning_rate": 0.1, "num_leaves": 4}
    Trainer(problem, 1).run(TrialPlan("1", "LightGBM", settings, seconds=450.0), tmp_path / "1")
    # Three folds of two thirds of the rows, and the final model of all rows, which takes as long as one and a half.
    first, second, third, final = moments
    assert final is None
    assert first is not None
    assert second == pytest.approx(first + 100.0)
    assert third == pytest.approx(first + 200.0)


def test_a_booster_without_time_ends_with_a_small_model(problem: Problem, tmp_path: Path) -> None:
    plan = TrialPlan("1", "LightGBM", {"learning_rate": 0.1, "num_leaves": 4}, seconds=0.0)
    outcome = Trainer(problem, 1).run(plan, tmp_path / "1")
    assert outcome.parameters["rounds"] == "1"
