"""Importances, contributions, and how sure a score is."""

from __future__ import annotations

import copy
import dataclasses
import functools
import tempfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

from automl_jobs.data import ColumnType
from automl_jobs.engine import after, algorithms, ensemble, explain, metrics, problem, spread, stack, trial
from automl_jobs.prepare import ColumnUse, prepare
from automl_jobs.spec import load_job
from forestay.commands.job_explain import _rows_view
from tests.tables import write_job

FOLDED = """\
type: automl
task: classification
primary_metric: AUC_weighted
target_column_name: label
training_data: {path: ./train.csv, type: mltable}
n_cross_validations: 3
"""


@functools.cache
def trained(target: str, algorithm: str, classes: int = 3) -> tuple[problem.Problem, Any]:
    """A small problem of tests.tables, where kind, size, flag and words matter and day does not, and a model of it."""
    folder = Path(tempfile.mkdtemp())
    job = write_job(folder, target, "accuracy" if target == "label" else "r2_score", rows=300)
    if classes == 2:
        for part in ("train", "valid", "test"):
            table = pd.read_csv(folder / part / "data.csv")
            table["label"] = table["label"].replace("middle", "low")
            table.to_csv(folder / part / "data.csv", index=False)
    made = problem.build(prepare(load_job(job)), 0)
    parameters = algorithms.by_name(algorithm, target == "label").portfolio[0].parameters
    outcome = trial.Trainer(made, 1).run(trial.TrialPlan("1", algorithm, parameters), folder / "trial")
    return made, explain.load(outcome.outputs)


def test_the_columns_that_matter_come_first() -> None:
    made, model = trained("label", "LightGBM")
    found = explain.explain(made, model, 20)
    order = [one.column for one in found.importances]
    assert set(order) == {"kind", "size", "flag", "words", "day"}
    assert order[-1] == "day"
    assert found.data == "validation"
    assert found.repeats == 5
    assert found.rows == 150
    assert found.importances[0].mean > 0.05
    assert all(one.std >= 0 for one in found.importances)
    assert found.score == pytest.approx(float((model.predict(made.frame.iloc[300:]) == _labels(made)).mean()))
    assert explain.explain(made, model, 20) == found


@functools.cache
def folded(bagged: bool = False) -> tuple[problem.Problem, Path]:
    """Three folds of a table of one signal and one column of pure noise, and the folders of two trees' trials of it."""
    folder = Path(tempfile.mkdtemp())
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"signal": draw.normal(size=600), "noise": draw.normal(size=600)})
    frame["label"] = np.where(frame["signal"] + 2 * draw.normal(size=600) > 0, "yes", "no")
    frame.to_csv(folder / "train.csv", index=False)
    job = folder / "job.yml"
    job.write_text(FOLDED, encoding="utf-8")
    made = dataclasses.replace(problem.build(prepare(load_job(job)), 0), bagged=bagged)
    for name in ("RandomForest", "ExtremeRandomTrees"):
        plan = trial.TrialPlan(name, name, {"min_samples_leaf": 2})
        trial.Trainer(made, 1).run(plan, folder / name)
    return made, folder


def importances(made: problem.Problem, folder: Path) -> tuple[explain.Explanation, dict[str, float]]:
    found = explain.explain(made, explain.load(folder / "outputs"), 20, explain.load_last_fold(folder))
    return found, {one.column: one.mean for one in found.importances}


@pytest.mark.parametrize("bagged", [False, True])
def test_importances_of_a_cross_validated_trial_are_those_on_rows_its_fold_did_not_see(bagged: bool) -> None:
    made, folder = folded(bagged)
    seen = explain.explain(made, explain.load(folder / "RandomForest" / "outputs"), 20)
    found, means = importances(made, folder / "RandomForest")
    assert (seen.data, found.data, found.rows) == ("training", "validation", 200)
    rows = made.splits[-1][1]
    held = np.load(folder / "RandomForest" / "held_out.npy")[-200:]
    assert found.score == pytest.approx(metrics.classification(made.target[rows], held)["AUC_weighted"], abs=1e-6)
    assert found.score < seen.score - 0.1
    assert means["signal"] > 0.1
    assert means["noise"] < 0.04


@pytest.mark.parametrize("learner", [None, stack.MetaLearner("logistic_regression")])
def test_importances_of_an_ensemble_of_such_trials_are_measured_there_too(
    learner: stack.MetaLearner | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, folder = folded()
    monkeypatch.setattr(ensemble, "compare", lambda *_: None)
    monkeypatch.setattr(ensemble, "select", lambda *_: {0: 0.5, 1: 0.5})
    members = tuple(ensemble.Member(name, folder / name, "tree") for name in ("RandomForest", "ExtremeRandomTrees"))
    ensemble.run(made, ensemble.EnsemblePlan("9", members, learner), tmp_path / "9")
    found, means = importances(made, tmp_path / "9")
    assert (found.data, found.rows) == ("validation", 200)
    assert found.score < 0.8
    assert means["noise"] < 0.04 < means["signal"]


def test_with_test_data_importances_are_measured_there_and_no_fold_is_kept(tmp_path: Path) -> None:
    made, _ = folded()
    tested = dataclasses.replace(made, test=(made.frame, made.target))
    trial.Trainer(tested, 1).run(trial.TrialPlan("1", "DecisionTree"), tmp_path / "1")
    assert explain.load_last_fold(tmp_path / "1") is None
    assert importances(tested, tmp_path / "1")[0].data == "test"


def _labels(made: problem.Problem) -> np.ndarray:
    assert made.classes is not None
    return np.array(made.classes)[made.target[300:]]


def test_an_error_that_grows_is_a_positive_importance() -> None:
    made, model = trained("amount", "ElasticNet")
    found = explain.explain(made, model, 20)
    assert found.metric == "r2_score"
    assert min(one.mean for one in found.importances) > -0.05
    assert max(one.mean for one in found.importances) > 0.1


def test_without_time_what_there_is_time_for_is_told_and_the_rest_is_named() -> None:
    made, model = trained("label", "LightGBM")
    found = explain.explain(made, model, 0.0)
    assert len(found.importances) + len(found.left_out) == 5
    assert found.left_out


@pytest.mark.parametrize("algorithm", ["LightGBM", "XGBoostRegressor"])
def test_contributions_to_a_value_sum_up_to_it(algorithm: str) -> None:
    made, model = trained("amount", algorithm)
    rows = made.frame.iloc[:20]
    for row, value in zip(explain.contributions(model, rows), model.predict(rows), strict=True):
        assert set(row["contributions"]) == {"kind", "size", "flag", "words", "day"}
        assert row["bias"] + sum(row["contributions"].values()) == pytest.approx(value, rel=1e-3, abs=1e-3)


def test_contributions_of_a_model_of_the_logarithm_say_that_they_are_in_it(tmp_path: Path) -> None:
    made, _ = trained("amount", "LightGBM")
    made = dataclasses.replace(made, target=np.exp(made.target / 10))
    plan = trial.TrialPlan("1", "LightGBM", {"num_leaves": 4, "log_target": True})
    model = explain.load(trial.Trainer(made, 1).run(plan, tmp_path / "1").outputs)
    rows = made.frame.iloc[:20]
    told = explain.contributions(model, rows)
    for row, value in zip(told, model.predict(rows), strict=True):
        assert row["link"] == "log1p"
        assert np.expm1(row["bias"] + sum(row["contributions"].values())) == pytest.approx(value, rel=1e-3)
    shown = [str(part.columns[1].header) for part in _rows_view(told[:1])]
    assert shown == ["adds to log(1 + target)"]
    plain, model = trained("amount", "LightGBM")
    assert "link" not in explain.contributions(model, plain.frame.iloc[:1])[0]


@pytest.mark.parametrize("algorithm", ["LightGBM", "XGBoostClassifier"])
def test_contributions_to_two_classes_are_log_odds_of_the_second(algorithm: str) -> None:
    made, model = trained("label", algorithm, 2)
    rows = made.frame.iloc[:20]
    chance = model.predict_proba(rows)[:, 1]
    for row, odds in zip(explain.contributions(model, rows), np.log(chance / (1 - chance)), strict=True):
        assert row["bias"] + sum(row["contributions"].values()) == pytest.approx(odds, abs=1e-3)


def test_contributions_to_more_classes_are_there_for_each() -> None:
    made, model = trained("label", "LightGBM")
    row = explain.contributions(model, made.frame.iloc[:1])[0]["classes"]
    raw = np.array([row[name]["bias"] + sum(row[name]["contributions"].values()) for name in ("high", "low", "middle")])
    softmax = np.exp(raw) / np.exp(raw).sum()
    assert softmax == pytest.approx(model.predict_proba(made.frame.iloc[:1])[0], abs=1e-6)


def test_contributions_to_a_calibrated_model_are_those_to_its_answers() -> None:
    made, model = copy.deepcopy(trained("label", "LightGBM", 2))
    rows = made.frame.iloc[:20]
    model.steps[-1][1].calibration = {"slope": 0.4, "shifts": [0.3, -0.8], "floor": 1e-12}
    chance = model.predict_proba(rows)[:, 1]
    for row, odds in zip(explain.contributions(model, rows), np.log(chance / (1 - chance)), strict=True):
        assert row["bias"] + sum(row["contributions"].values()) == pytest.approx(odds, abs=1e-3)
    made, model = copy.deepcopy(trained("label", "LightGBM"))
    model.steps[-1][1].calibration = {"slope": 1.5, "shifts": [0.0, 1.0, -0.5], "floor": 1e-12}
    row = explain.contributions(model, made.frame.iloc[:1])[0]["classes"]
    raw = np.array([row[name]["bias"] + sum(row[name]["contributions"].values()) for name in ("high", "low", "middle")])
    assert np.exp(raw) / np.exp(raw).sum() == pytest.approx(model.predict_proba(made.frame.iloc[:1])[0], abs=1e-6)


def test_a_linear_model_has_no_tree_contributions() -> None:
    made, model = trained("amount", "ElasticNet")
    with pytest.raises(explain.NotTrees):
        explain.contributions(model, made.frame.iloc[:2])


def test_the_best_trial_is_described_even_where_the_metric_has_no_value(tmp_path: Path) -> None:
    made, model = trained("label", "LightGBM")
    joblib.dump(model, tmp_path / "model.pkl")
    columns = tuple(ColumnUse(name, ColumnType(kind), True) for name, kind in made.settings.columns)
    request = after.Describe("1", 1, tmp_path, columns, True, 3.0)
    assert set(after.describe(made, request)) == {"featurization_summary", "test_metrics_interval", "explanation"}
    alone = dataclasses.replace(made, metric="AUC_weighted", target=np.zeros_like(made.target), test=None)
    assert set(after.describe(alone, request)) == {"featurization_summary"}


class _Problem:
    """What `spread` asks of a problem."""

    multilabel = False

    def __init__(self, metric: str, classification: bool = True) -> None:
        self.metric, self.classification, self.positive, self.seed, self.span = (
            metric,
            classification,
            None,
            0,
            (0.0, 9.0),
        )


WEIGHTS = pytest.mark.parametrize(
    "weights", [None, np.random.default_rng(2).integers(0, 4, 200) / 2.0], ids=["alike", "weighted"]
)


@WEIGHTS
@pytest.mark.parametrize("metric", ["accuracy", "AUC_weighted", "norm_macro_recall"])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_quick_metric_is_the_metric(metric: str, classes: int, weights: np.ndarray | None) -> None:
    draw = np.random.default_rng(1)
    truth = draw.integers(0, classes, 200)
    predicted = draw.dirichlet(np.ones(classes), size=200).round(2)
    quick = spread.primary(_Problem(metric), truth, predicted, weights)  # type: ignore[arg-type]
    assert quick == pytest.approx(metrics.classification(truth, predicted, weights)[metric])


@WEIGHTS
@pytest.mark.parametrize("metric", ["normalized_root_mean_squared_error", "normalized_mean_absolute_error", "r2_score"])
@pytest.mark.parametrize("error", [1.0, 100.0])
def test_the_quick_metric_of_a_value_is_the_metric(metric: str, error: float, weights: np.ndarray | None) -> None:
    draw = np.random.default_rng(1)
    truth = draw.random(200) * 9
    predicted = truth + draw.normal(0, error, 200)
    made: Any = _Problem(metric, classification=False)
    whole = metrics.regression(truth, predicted, 0, 9, weights)
    assert spread.primary(made, truth, predicted, weights) == pytest.approx(whole[metric])


@pytest.mark.parametrize("metric", ["accuracy", "AUC_weighted", "normalized_root_mean_squared_error"])
def test_rows_that_count_nothing_have_no_score(metric: str) -> None:
    made: Any = _Problem(metric, classification=metric.startswith(("a", "A")))
    truth = np.array([0, 1, 1])
    predicted = np.eye(2)[truth] if made.classification else truth + 0.5
    assert np.isnan(spread.primary(made, truth, predicted, np.zeros(3)))


def test_the_interval_holds_the_score_and_narrows_with_rows() -> None:
    draw = np.random.default_rng(2)

    def width(rows: int) -> float:
        truth = draw.integers(0, 2, rows)
        right = np.where(draw.random(rows) < 0.8, truth, 1 - truth)
        predicted = np.eye(2)[right]
        made: Any = _Problem("accuracy")
        found = spread.interval(made, truth, predicted, 5)["accuracy"]
        assert found["low"] < float((right == truth).mean()) < found["high"]
        assert (found["resamples"], found["rows"]) == (1000, rows)
        return float(found["high"] - found["low"])

    # Four times the rows, half the width: 1.96 * 2 * sqrt(0.8 * 0.2 / rows).
    assert width(400) == pytest.approx(0.078, rel=0.2)
    assert width(1600) == pytest.approx(0.039, rel=0.2)


def test_the_spread_over_folds() -> None:
    assert spread.over_folds([0.8, 0.9]) == {"score_std": pytest.approx(0.05), "score_se": pytest.approx(0.05)}
    assert spread.over_folds([0.8]) == {}
    assert spread.over_folds([0.8, float("nan")]) == {}
