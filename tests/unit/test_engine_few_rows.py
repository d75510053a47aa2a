"""Tables of few rows, and of few rows of a class: every algorithm ends with a model of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.svm import LinearSVC

from automl_jobs.engine import algorithms, estimators, features
from automl_jobs.engine.features import CHARS
from automl_jobs.engine.fits import Fitted, fit
from automl_jobs.engine.matrices import Matrices
from automl_jobs.engine.problem import Problem
from forestay_transformers import CalibrationFolds

EVERYTHING = [(True, one.name) for one in algorithms.CLASSIFIERS] + [(False, one.name) for one in algorithms.REGRESSORS]
PAIR = ["no", "yes"]


def made(target: Any, classes: list[str] | None, splits: Any = None) -> Problem:
    """A problem of a number and a category, validated by two folds or other splits."""
    rows = len(target)
    draw = np.random.default_rng(0)
    splits = splits or KFold(2, shuffle=True, random_state=0).split(np.arange(rows))
    return Problem(
        task="classification" if classes else "regression",
        metric="accuracy" if classes else "r2_score",
        frame=pd.DataFrame({"size": draw.normal(size=rows), "kind": draw.choice(["x", "y"], rows)}),
        target=np.asarray(target),
        classes=classes,
        weights=None,
        splits=tuple(splits),
        refit=True,
        settings=features.settings([("size", "numeric"), ("kind", "categorical")], None),
        schema={},
        golden_rows=[],
    )


def fitted(problem: Problem, name: str, setting: algorithms.Setting, split: int | None = 0) -> tuple[Fitted, Any]:
    """The model of one setting, of a fold's rows or of all, and the features of all rows."""
    algorithm = algorithms.by_name(name, problem.classification)
    layout = setting.layout or algorithm.layouts[0]
    matrix = Matrices(problem).of(layout, split).matrix
    train = np.arange(problem.rows) if split is None else problem.splits[split][0]
    return fit(problem, 1, algorithm, layout, dict(setting.parameters), matrix, train, None, rounds=5), matrix


@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning", "ignore:Bins whose width:UserWarning")
@pytest.mark.parametrize("rows", [8, 10, 16])
@pytest.mark.parametrize(("classification", "name"), EVERYTHING)
def test_every_setting_of_the_portfolio_is_fitted_on_few_rows(classification: bool, name: str, rows: int) -> None:
    target = np.arange(rows) % 2 if classification else np.arange(rows) * 1.5
    problem = made(target, PAIR if classification else None)
    for setting in algorithms.by_name(name, classification).portfolio:
        if setting.layout == CHARS:
            continue
        for split in (0, None):
            model, matrix = fitted(problem, name, setting, split)
            said = model.predict(matrix, problem.class_count)
            assert said.shape == ((rows, 2) if classification else (rows,))
            assert np.isfinite(said).all()


@pytest.mark.parametrize("name", ["LinearSVM", "SVM"])
@pytest.mark.parametrize("rare", [1, 2])
def test_a_rare_class_of_a_large_table_does_not_keep_a_machine_from_its_probabilities(name: str, rare: int) -> None:
    draw = np.random.default_rng(0)
    target = draw.permutation(np.repeat([0, 1, 2], [150, 150 - rare, rare]))
    problem = made(target, ["a", "b", "c"])
    problem.frame["size"] = target + 0.1 * draw.normal(size=300)
    setting = algorithms.by_name(name, True).portfolio[0]
    model, matrix = fitted(problem, name, setting, None)
    said = model.predict(matrix, 3)
    assert np.allclose(said.sum(axis=1), 1.0)
    common = target < 2
    assert (said.argmax(axis=1) == target)[common].mean() > 0.95


@pytest.mark.parametrize("sizes", [[40, 40, 40], [3, 90], [40, 2, 40, 1], [50, 1], [2, 2], [1, 1, 1]])
def test_calibration_folds_are_scikit_learns_but_for_rows_of_tiny_classes_which_all_of_them_have(
    sizes: list[int],
) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    rows = np.arange(len(labels))
    folds = list(CalibrationFolds().split(rows, labels))
    assert len(folds) == CalibrationFolds().get_n_splits(rows, labels)
    tiny = rows[np.array(sizes)[labels] < 3]
    for train, held in folds:
        assert set(labels[train]) == set(labels)
        assert set(train) & set(held) == set(tiny)
    assert set(np.concatenate([held for _, held in folds])) == set(rows)
    if not len(tiny):
        plain = StratifiedKFold(3).split(rows, labels)
        assert [(a.tolist(), b.tolist()) for a, b in folds] == [(a.tolist(), b.tolist()) for a, b in plain]


def test_where_no_class_is_tiny_a_machine_is_calibrated_as_scikit_learn_does_it() -> None:
    draw = np.random.default_rng(0)
    labels = np.arange(90) % 3
    rows = labels.reshape(-1, 1) + draw.normal(size=(90, 2))
    ours = estimators.linear_svm({"C": 0.3}, estimators.Build(3, 1, 0)).fit(rows, labels)
    plain = CalibratedClassifierCV(LinearSVC(C=0.3, random_state=0), method="sigmoid", cv=3).fit(rows, labels)
    np.testing.assert_array_equal(ours.predict_proba(rows), plain.predict_proba(rows))


@pytest.mark.parametrize("name", ["RandomForest", "ExtremeRandomTrees", "LassoLars"])
def test_a_model_of_all_rows_has_the_settings_with_which_its_folds_were_judged(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounds that go by the number of rows: of a forest's leaves, of what an estimator of dense rows is given."""
    monkeypatch.setattr(estimators, "FOREST_LEAVES", 10)
    monkeypatch.setattr(estimators, "FEWEST_DENSE", 1)
    monkeypatch.setattr(estimators, "MOST_DENSE_CELLS", 600)
    # The later the fold, the more rows are before it, as with dated rows.
    splits = [(np.arange(count), np.arange(count, count + 100)) for count in (40, 100, 200)]
    problem = made(np.arange(300) * 1.5, None, splits)
    setting = algorithms.by_name(name, False).portfolio[0]
    early, late, final = (repr(fitted(problem, name, setting, split)[0].estimator) for split in (0, 2, None))
    assert early == late == final
    assert ("Screened(most=3)" if name == "LassoLars" else "min_samples_leaf=20") in final
