"""Jobs that give a row several labels: problem, thresholds, trials, ensemble, and the model that is served."""

from __future__ import annotations

import json
import pickle
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from automl_jobs.engine import ensemble, explain, outputs
from automl_jobs.engine.multilabel import refit, thresholds
from automl_jobs.engine.multilabel.ensemble import run as blend
from automl_jobs.engine.multilabel.models import NAMES
from automl_jobs.engine.multilabel.problem import build
from automl_jobs.engine.multilabel.trial import LabelsTrainer
from automl_jobs.engine.problem import Problem
from automl_jobs.engine.refit import Refits
from automl_jobs.engine.trial import BASELINE, TrialOutcome, TrialPlan
from automl_jobs.prepare import prepare
from automl_jobs.prepare.plan import ValidationPlan
from automl_jobs.spec import load_job
from forestay_transformers import BlendedLabels, LinearLabels

WORDS = {
    "sports": ["goal", "match", "team", "coach", "league"],
    "real estate": ["house", "rent", "garden", "mortgage", "flat"],
    "food": ["bread", "soup", "kitchen", "taste", "chef"],
    "rare": ["quartz", "zirkon"],
}
ROWS = 160


def table(rows: int = ROWS, seed: int = 3, noise: float = 0.0) -> pd.DataFrame:
    draw = random.Random(seed)
    found: list[dict[str, Any]] = []
    for row in range(rows):
        labels = [label for label in WORDS if draw.random() < (0.05 if label == "rare" else 0.4)]
        words = [
            draw.choice(WORDS[label if draw.random() >= noise else draw.choice(list(WORDS))])
            for label in labels
            for _ in range(3)
        ]
        words += draw.choices("abcdefgh", k=4)
        draw.shuffle(words)
        found.append({"title": " ".join(words[:4]), "body": " ".join(words[4:]), "pages": row % 7, "tags": str(labels)})
    return pd.DataFrame(found)


def job(folder: Path, frame: pd.DataFrame, validation: pd.DataFrame | None = None) -> Path:
    frame.to_csv(folder / "train.csv", index=False)
    text = "type: automl\ntask: text_classification_multilabel\ntarget_column_name: tags\n"
    text += "training_data: {path: ./train.csv, type: mltable}\n"
    if validation is not None:
        validation.to_csv(folder / "valid.csv", index=False)
        text += "validation_data: {path: ./valid.csv, type: mltable}\n"
    path = folder / "job.yml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    path = job(tmp_path_factory.mktemp("job"), table(), table(80, seed=4))
    return build(prepare(load_job(path)), seed=0)


@pytest.fixture(scope="module")
def trials(problem: Problem, tmp_path_factory: pytest.TempPathFactory) -> list[TrialOutcome]:
    """One trial of every algorithm, after the baseline."""
    trainer = LabelsTrainer(problem, 1)
    folder = tmp_path_factory.mktemp("trials")
    return [
        trainer.run(TrialPlan(str(number), name), folder / str(number))
        for number, name in enumerate((BASELINE, *NAMES))
    ]


def test_the_target_is_an_indicator_of_all_labels(problem: Problem) -> None:
    assert problem.classes == ["food", "rare", "real estate", "sports"]
    assert problem.target.shape == (ROWS + 80, 4)
    assert problem.schema["classes"] == problem.classes
    assert problem.schema["task"] == "text_classification_multilabel"
    written = {f"{row.title} {row.body}".strip(): row.tags for row in table().itertuples()}
    for place in problem.splits[0][0][:20]:
        text = " ".join(problem.frame.loc[place, ["title", "body"]].dropna())
        assert [label for label in problem.classes if repr(label) in written[text]] == [
            label for label, there in zip(problem.classes, problem.target[place], strict=True) if there
        ]


def test_all_columns_beside_the_target_are_features(problem: Problem) -> None:
    assert problem.settings.columns == (("title", "text"), ("body", "text"), ("pages", "numeric"))


def test_validation_data_may_be_written_in_the_other_way(tmp_path: Path) -> None:
    plain = table(60, seed=9)
    plain["tags"] = ["sports,food", "new"] * 30
    found = build(prepare(load_job(job(tmp_path, table(), plain))), seed=0)
    assert found.classes == ["food", "new", "rare", "real estate", "sports"]
    assert found.target[ROWS:].sum(axis=0).tolist() == [30, 30, 0, 0, 30]


def test_labels_that_look_like_numbers_are_labels(tmp_path: Path) -> None:
    frame = table()
    frame["tags"] = [("1,2", "2", "1", "3,1")[row % 4] for row in range(len(frame))]
    assert build(prepare(load_job(job(tmp_path, frame))), seed=0).classes == ["1", "2", "3"]


def test_every_algorithm_beats_the_baseline(trials: list[TrialOutcome]) -> None:
    baseline, *others = trials
    assert baseline.score < 0.4
    for trial in others:
        assert trial.score > baseline.score + 0.3, trial.plan.algorithm
        assert trial.metrics["iou"] > 0.7
        assert trial.metrics["accuracy"] == trial.score


def test_a_score_is_what_the_model_itself_reaches_on_the_validation_rows(
    problem: Problem, trials: list[TrialOutcome]
) -> None:
    """But for what is learned of those rows out of fold: the calibration and the thresholds."""
    _, valid = problem.splits[0]
    frame, truth = problem.frame.iloc[valid], problem.target[valid]
    for trial in trials[1:]:
        model = joblib.load(trial.outputs / "model.pkl")
        said = model.predict(frame)
        assert all(isinstance(labels, list) for labels in said)
        found = np.array([[label in labels for label in model.classes_] for labels in said])
        assert thresholds.primary("accuracy", truth, found) == pytest.approx(trial.score, abs=0.08)
        probabilities = model.predict_proba(frame)
        assert probabilities.shape == truth.shape
        assert np.array_equal(found, probabilities > model.steps[-1][1].thresholds)
        # Calibrated: as many rows have a label as the probabilities promise.
        assert probabilities.mean(axis=0) == pytest.approx(truth.mean(axis=0), abs=0.06)


def test_golden_rows_hold_lists_and_a_probability_for_each_label(trials: list[TrialOutcome]) -> None:
    for trial in trials:
        golden = json.loads((trial.outputs / "golden.json").read_text())
        assert golden["classes"] == ["food", "rare", "real estate", "sports"]
        assert {type(labels) for labels in golden["predictions"]} == {list}
        assert {len(row) for row in golden["probabilities"]} == {4}
        assert set(trial.artifacts["confusion_matrix"]["data"]["class_labels"]) == set(golden["classes"])


def test_a_blend_is_served_as_it_was_scored(tmp_path: Path) -> None:
    hard = build(prepare(load_job(job(tmp_path, table(240, noise=0.45), table(240, seed=4, noise=0.45)))), seed=0)
    trainer = LabelsTrainer(hard, 1)
    plans = [TrialPlan("0", "LogisticRegression"), TrialPlan("1", "SGD"), TrialPlan("2", "BernoulliNaiveBayes")]
    done = [trainer.run(plan, tmp_path / plan.id) for plan in plans]
    outputs = {one.plan.id: one.outputs for one in done}
    members = tuple(ensemble.Member(one.plan.id, one.outputs.parent, one.preprocessor) for one in done)
    found = blend(hard, ensemble.EnsemblePlan("9", members), tmp_path / "9")
    model = pickle.loads(pickle.dumps(joblib.load(found.outputs / "model.pkl")))
    frame, truth = (part[hard.splits[0][1]] for part in (hard.frame.to_numpy(), hard.target))
    frame = pd.DataFrame(frame, columns=hard.frame.columns)
    shares = {key.split()[-1]: float(value) for key, value in found.parameters.items() if key.startswith("weight")}
    assert len(shares) > 1
    parts = [share * joblib.load(outputs[name] / "model.pkl").predict_proba(frame) for name, share in shares.items()]
    probabilities = model.predict_proba(frame)
    assert probabilities == pytest.approx(sum(parts), abs=0.01)
    said = probabilities > np.array(model.steps[-1][1].thresholds)
    assert thresholds.primary("accuracy", truth, said) == pytest.approx(found.score, abs=0.08)
    assert model.predict(frame).tolist() == [
        [label for label, there in zip(model.classes_, row, strict=True) if there] for row in said
    ]


@pytest.mark.parametrize("name", ["MultinomialNaiveBayes", "BernoulliNaiveBayes"])
def test_the_line_of_a_naive_bayes_is_its_log_odds(name: str) -> None:
    from sklearn.naive_bayes import BernoulliNB, MultinomialNB

    kind = {"MultinomialNaiveBayes": MultinomialNB, "BernoulliNaiveBayes": BernoulliNB}[name]
    draw = np.random.default_rng(0)
    rows, target = draw.integers(0, 2, (60, 9)).astype("float32"), draw.integers(0, 2, (60, 2))
    found = LinearLabels(kind(alpha=0.3), ["a", "b"]).fit(rows, target).predict_proba(rows)
    for label in range(2):
        expected = kind(alpha=0.3).fit(rows, target[:, label]).predict_proba(rows)[:, 1]
        assert found[:, label] == pytest.approx(expected, abs=1e-4)


def test_a_label_of_no_row_is_never_said() -> None:
    from sklearn.svm import LinearSVC

    rows = np.random.default_rng(0).random((40, 3))
    target = np.column_stack([np.zeros(40, dtype=int), np.ones(40, dtype=int), rows[:, 0] > 0.5]).astype(int)
    model = LinearLabels(LinearSVC(), ["never", "always", "some"]).fit(rows, target)
    assert all("never" not in labels and "always" in labels for labels in model.predict(rows))


def test_thresholds_are_those_that_serve_the_metric_best() -> None:
    """Against every combination of cuts on a few rows."""
    draw = np.random.default_rng(1)
    truth = (draw.random((30, 2)) < 0.3).astype(int)
    probabilities = np.clip(truth * 0.2 + draw.random((30, 2)) * 0.5, 0, 1)
    for metric in ("accuracy", "iou"):
        found = thresholds.primary(metric, truth, probabilities > thresholds.choose(probabilities, truth, metric))
        grid = np.linspace(0, 1, 60)
        best = max(
            thresholds.primary(metric, truth, probabilities > np.array([one, other])) for one in grid for other in grid
        )
        assert found >= thresholds.primary(metric, truth, probabilities > 0.5)
        assert found >= best - 0.04


def test_a_rule_is_judged_on_rows_that_did_not_choose_it() -> None:
    """Scores of noise: thresholds that fit the rows can't seem to help."""
    draw = np.random.default_rng(2)
    truth = (draw.random((200, 3)) < 0.5).astype(int)
    scores = draw.normal(size=truth.shape)
    judged = thresholds.judge(scores, truth, "accuracy", seed=0)
    fitted = thresholds.primary(
        "accuracy", truth, judged.probabilities > thresholds.choose(judged.probabilities, truth, "accuracy")
    )
    assert thresholds.primary("accuracy", truth, judged.said) < 0.22
    assert fitted >= thresholds.primary("accuracy", truth, judged.said)


def test_scores_of_any_scale_become_probabilities() -> None:
    draw = np.random.default_rng(3)
    truth = (draw.random((4000, 1)) < 0.2).astype(int)
    honest = draw.normal(size=truth.shape) + 1.5 * truth
    for scale in (0.001, 1.0, 1000.0):
        judged = thresholds.judge(honest * scale + 5 * scale, truth, "accuracy", seed=0)
        likely = judged.probabilities[:, 0] > 0.5
        assert truth[likely].mean() == pytest.approx(judged.probabilities[likely].mean(), abs=0.08)
        assert truth.mean() == pytest.approx(judged.probabilities.mean(), abs=0.02)


def test_a_model_and_its_blend_learn_from_a_hold_out_of_ours_in_the_end(tmp_path: Path) -> None:
    loaded = prepare(load_job(job(tmp_path, table(noise=0.3))))
    # As it is from 20,000 rows on.
    found = build(replace(loaded, plan=ValidationPlan("holdout", fraction=0.2)), seed=0)
    assert (found.hold_out, found.rows, found.training_rows) == (True, ROWS, 128)
    trainer, refits = LabelsTrainer(found, 1), Refits(found.rows / found.training_rows)
    plans = [TrialPlan("1", "LogisticRegression"), TrialPlan("2", "BernoulliNaiveBayes")]
    files: dict[str, Path] = {}
    for plan in plans:
        outcome = trainer.run(plan, tmp_path / plan.id)
        assert outcome.metrics["train_rows"] == 128
        refits.note(plan, outcome.parameters, 1.0)
        files[plan.id] = outcome.outputs
    again = refit.run(found, refits.request("1", plans[0].algorithm, files.__getitem__), 1, tmp_path / "again")
    assert (again.document["refitted"], again.document["rows"], again.document["judged_rows"]) == (True, ROWS, 128)
    before, after = (joblib.load(one / "model.pkl") for one in (files["1"], again.outputs))
    assert after.steps[-1][1].thresholds == before.steps[-1][1].thresholds
    # As a model that is calibrated by the same rule after it was fitted on all rows.
    rule = json.loads((files["1"] / "model_schema.json").read_text(encoding="utf-8"))["sigmoids"]
    rows = after.steps[1][1].transform(after.steps[0][1].transform(found.frame))
    bare = trainer.learn(plans[0], rows, found.target).decision_function(rows)
    expected = 1 / (1 + np.exp(-(bare * np.array(rule["slopes"]) + np.array(rule["offsets"]))))
    assert np.allclose(after.predict_proba(found.frame), expected, atol=1e-5)
    assert not np.allclose(before.predict_proba(found.frame), expected, atol=1e-3)

    weights = {"1": 0.75, "2": 0.25}
    blocks = ensemble.blocks(
        ["a", "b"], [joblib.load(files[one] / "model.pkl") for one in weights], [*weights.values()]
    )
    blend_of = Pipeline([before.steps[0], ("model", BlendedLabels(blocks, [0.4] * 4))])
    files["3"] = outputs.write(tmp_path / "3" / "outputs", found, blend_of, "VotingEnsemble", "a, b", ()).folder
    refits.note(TrialPlan("3", "VotingEnsemble", {ensemble.MEMBERS: weights}), {}, 1.0)
    blended = refit.run(found, refits.request("3", "VotingEnsemble", files.__getitem__), 1, tmp_path / "blended")
    model = joblib.load(blended.outputs / "model.pkl")
    assert model.steps[-1][1].thresholds == [0.4] * 4
    second = refit.run(found, refits.request("2", plans[1].algorithm, files.__getitem__), 1, tmp_path / "second")
    alone = joblib.load(second.outputs / "model.pkl").predict_proba(found.frame)
    assert np.allclose(model.predict_proba(found.frame), 0.75 * expected + 0.25 * alone, atol=1e-5)


def test_importances_are_those_on_rows_that_a_fold_did_not_see(tmp_path: Path) -> None:
    found = build(prepare(load_job(job(tmp_path, table(noise=0.3)))), seed=0)
    assert found.refit
    trainer = LabelsTrainer(found, 1)
    plans = [TrialPlan("1", "LogisticRegression"), TrialPlan("2", "SGD")]
    done = [trainer.run(plan, tmp_path / plan.id) for plan in plans]
    members = tuple(ensemble.Member(one.plan.id, one.outputs.parent, one.preprocessor) for one in done)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "compare", lambda *_: None)
        patch.setattr(ensemble, "select", lambda *_: {0: 0.5, 1: 0.5})
        blend(found, ensemble.EnsemblePlan("9", members), tmp_path / "9")
    for trial in ("1", "9"):
        model = explain.load(tmp_path / trial / "outputs")
        told = explain.explain(found, model, 5.0, explain.load_last_fold(tmp_path / trial))
        assert (told.data, told.rows) == ("validation", len(found.splits[-1][1]))
        assert told.score < explain.explain(found, model, 5.0).score
