"""Choosing an ensemble: what it gains must be gained on rows that did not choose it."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from automl_jobs.engine import stack
from automl_jobs.engine.ensemble import (
    MOST_MEMBERS,
    Member,
    NoBetter,
    blocks,
    by_fold,
    compare,
    cost,
    cross_fitted,
    held_folds,
    select,
    stacked_blocks,
)
from automl_jobs.engine.features import FeatureSettings, build
from automl_jobs.engine.problem import Problem
from automl_jobs.engine.trial import held_rows
from automl_jobs.spec.sections import StackEnsembleSettings
from forestay_transformers import (
    BlendedClassifier,
    BlendedRegressor,
    InputFrame,
    LabelledClassifier,
    ServedPipeline,
    StackedClassifier,
    StackedRegressor,
)


def error(truth: np.ndarray, predicted: np.ndarray) -> float:
    return -float(np.abs(truth - predicted).mean())


def problem(rows: int) -> Problem:
    everything = np.arange(rows)
    return Problem(
        task="regression",
        metric="normalized_mean_absolute_error",
        frame=pd.DataFrame({"x": everything}),
        target=np.zeros(rows),
        classes=None,
        weights=None,
        splits=((everything, everything),),
        refit=False,
        settings=FeatureSettings((("x", "numeric"),)),
        schema={},
        golden_rows=[],
    )


def test_errors_that_cancel_each_other_are_chosen_together() -> None:
    noise = np.random.default_rng(0).normal(size=200)
    weights = select([noise, -noise, noise + 5], np.zeros(200), error)
    assert weights == {0: 0.5, 1: 0.5}


def test_one_perfect_member_stays_alone_and_members_are_few() -> None:
    draw = np.random.default_rng(1)
    members = [draw.normal(size=100) for _ in range(12)]
    assert select([np.zeros(100), *members], np.zeros(100), error) == {0: 1.0}
    weights = select(members, np.zeros(100), error)
    assert 2 <= len(weights) <= MOST_MEMBERS
    assert sum(weights.values()) == pytest.approx(1)


def test_a_blend_that_only_fits_the_rows_that_chose_it_is_refused() -> None:
    draw = np.random.default_rng(2)
    true = problem(300)
    good = draw.normal(scale=0.01, size=300)
    with pytest.raises(NoBetter):
        compare(true, np.arange(300), [good, good + 1.0, good - 3.0], error)
    noise = draw.normal(size=300)
    compare(true, np.arange(300), [noise, -noise], error)


def test_an_ensemble_that_is_behind_by_chance_is_made_all_the_same() -> None:
    """Of three equally good members each part of few rows prefers another one: the mean is as good as any."""
    behind = []
    for seed in range(40):
        draw = np.random.default_rng(seed)
        shared = draw.normal(size=60)
        members = [shared + draw.normal(scale=0.6, size=60) for _ in range(3)]
        try:
            compare(problem(60), np.arange(60), members, error)
        except NoBetter:
            behind.append(seed)
    assert len(behind) <= 4


def test_members_are_chosen_by_the_mean_over_the_folds() -> None:
    """As the leaderboard scores them: not by the error of all rows, of which one fold has nearly all."""
    made, _ = stacking(200, 0, splits=4)
    folds = held_folds(made)
    quiet, wild = np.full(200, 1.0), np.full(200, 3.0)
    quiet[folds == 0], wild[folds == 0] = 100.0, 90.0

    def square(truth: np.ndarray, predicted: np.ndarray) -> float:
        return -float(((truth - predicted) ** 2).mean())

    def root(truth: np.ndarray, predicted: np.ndarray) -> float:
        return -float(np.sqrt(-square(truth, predicted)))

    truth = np.zeros(200)
    assert root(truth, wild) > root(truth, quiet)
    score = by_fold(root, folds)
    assert score(truth, quiet) == pytest.approx(-(100 + 1 + 1 + 1) / 4)
    assert score(truth, wild) == pytest.approx(-(90 + 3 + 3 + 3) / 4)
    single = by_fold(root, folds[folds == 1])
    assert single(truth[folds == 1], quiet[folds == 1]) == pytest.approx(-1)
    assert select([quiet, wild], truth, score) == {1: 1.0}
    wild[folds != 0] = 9.0
    assert select([quiet, wild], truth, root) == {1: 1.0}
    assert select([quiet, wild], truth, score) == {0: 1.0}


def test_blends_answer_with_the_weighted_mean_and_survive_pickling() -> None:
    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
    scaler = StandardScaler().fit(frame)
    line = LinearRegression().fit(scaler.transform(frame), [0.0, 1.0, 2.0, 3.0])
    flat = DummyRegressor(strategy="constant", constant=10.0).fit(frame, np.zeros(4))
    blend = pickle.loads(pickle.dumps(BlendedRegressor([(scaler, [(line, 0.75), (flat, 0.25)])])))
    assert blend.predict(frame) == pytest.approx([2.5, 3.25, 4.0, 4.75])
    again = blend.fit(frame, [0.0, 2.0, 4.0, 6.0])
    assert again.predict(frame)[3] == pytest.approx(0.75 * 6 + 2.5)

    def labelled(target: list[int]) -> LabelledClassifier:
        return LabelledClassifier(LogisticRegression().fit(scaler.transform(frame), target), ["a", "b"], [0, 1])

    one, two = labelled([0, 0, 1, 1]), labelled([0, 1, 1, 1])
    both = BlendedClassifier([(scaler, [(one, 0.5), (two, 0.5)])])
    rows = scaler.transform(frame)
    assert both.predict_proba(frame) == pytest.approx((one.predict_proba(rows) + two.predict_proba(rows)) / 2)
    assert both.predict(frame).tolist()[0] == "a"


def member(name: str, layout: str, ms: float, features_ms: float, mb: float = 1.0) -> Member:
    return Member(name, Path(name), layout, ms, features_ms, mb)


def test_the_features_of_a_layout_cost_once() -> None:
    one, two, three = member("1", "Codes", 3, 2), member("2", "Codes", 4, 2.5), member("3", "OneHot", 5, 4, 7)
    assert cost([one, two]) == (2.5 + 1 + 1.5, 2)
    assert cost([one, two, three]) == (2.5 + 1 + 1.5 + 4 + 1, 9)


def test_members_that_cost_too_much_together_are_not_chosen_together() -> None:
    noise = np.random.default_rng(0).normal(size=200)
    predictions = [noise, -noise, -1.1 * noise]
    free = select(predictions, np.zeros(200), error)
    assert set(free) == {0, 1}
    dear = select(predictions, np.zeros(200), error, fits=lambda chosen: not {0, 1} <= set(chosen))
    assert set(dear) == {0, 2}
    alone = select(predictions, np.zeros(200), error, fits=lambda chosen: len(chosen) < 2)
    assert len(alone) == 1


CLASSES = {0: "regression", 2: "two classes", 3: "three classes"}


def stacking(rows: int, classes: int, splits: int = 5) -> tuple[Problem, list[np.ndarray]]:
    """A problem, and the predictions of three members of which the third is noise."""
    draw = np.random.default_rng(3)
    part = np.arange(rows) % splits
    truth = draw.integers(0, classes, rows) if classes else draw.normal(50, 10, rows)
    made = replace(
        problem(rows),
        target=truth,
        classes=list("abc")[:classes] or None,
        splits=tuple((np.flatnonzero(part != number), np.flatnonzero(part == number)) for number in range(splits)),
    )
    held = np.concatenate([valid for _, valid in made.splits])
    if not classes:
        return made, [truth[held] + draw.normal(0, size, rows) for size in (3, 3, 60)]
    scores = [np.eye(classes)[truth[held]] * sure + draw.normal(size=(rows, classes)) for sure in (1.5, 1.5, 0)]
    return made, [np.exp(one) / np.exp(one).sum(axis=1, keepdims=True) for one in scores]


@pytest.mark.parametrize("classes", CLASSES, ids=CLASSES.values())
def test_every_meta_learner_beats_its_members_on_rows_it_was_not_fitted_on(classes: int) -> None:
    made, predictions = stacking(600, classes)
    rows = held_rows(made)
    truth = made.target[rows]

    def loss(said: np.ndarray) -> float:
        if not classes:
            return float(np.sqrt(((truth - said) ** 2).mean()))
        return float(-np.log(said[np.arange(len(truth)), truth]).mean())

    for kind in stack.CLASSIFIERS if classes else stack.REGRESSORS:
        learner = stack.MetaLearner(kind)
        said = cross_fitted(made, learner, rows, predictions)
        assert loss(said) < min(loss(one) for one in predictions), kind
        again = cross_fitted(made, learner, rows, predictions)
        np.testing.assert_array_equal(said, again)


def test_a_meta_learner_is_never_scored_on_rows_that_it_was_fitted_on() -> None:
    made, _ = stacking(300, 2)
    rows = held_rows(made)
    noise = np.random.default_rng(4).random(300)
    grown = stack.MetaLearner("light_gbm_classifier", {"n_estimators": 300, "num_leaves": 63, "min_child_samples": 1})
    said = cross_fitted(made, grown, rows, [np.column_stack([1 - noise, noise])] * 2)
    truth = made.target[rows]
    learned = stack.fit(made, grown, [np.column_stack([1 - noise, noise])] * 2, rows, None)
    fitted = learned.predict([np.column_stack([1 - noise, noise])] * 2, 2)
    assert (fitted.argmax(axis=1) == truth).mean() > 0.7
    assert (said.argmax(axis=1) == truth).mean() < 0.6


def test_defaults_and_parameters_of_meta_learners_are_azures() -> None:
    assert stack.MetaLearner.of(None, True, folds=True).kind == "logistic_regression_cv"
    assert stack.MetaLearner.of(None, False, folds=False).kind == "elastic_net"
    given = StackEnsembleSettings(
        stack_meta_learner_type="none", stack_meta_learner_kwargs={"C": 7.0}, stack_meta_learner_train_percentage=0.1
    )
    learner = stack.MetaLearner.of(given, True, folds=False)
    assert (learner.kind, learner.share) == ("logistic_regression", 0.1)
    assert stack.make(learner, 0).steps[-1][1].C == 7.0


def test_with_one_split_a_share_of_the_training_rows_bounds_the_meta_learners() -> None:
    made, predictions = stacking(400, 0, splits=2)
    made = replace(made, splits=made.splits[:1])
    rows = made.splits[0][1]
    learner = stack.MetaLearner("linear_regression", share=0.1)
    seen = stack.fit(made, learner, [one[:200] for one in predictions], rows, None)
    assert len(rows) == 200
    assert seen.estimator.n_features_in_ == 3
    assert seen.estimator.regressor_.steps[0][1].n_samples_seen_ == 20


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_a_served_stack_answers_with_what_its_learner_makes_of_its_members(classes: int) -> None:
    made, predictions = stacking(300, classes)
    learner = stack.MetaLearner.of(None, classes > 0, folds=True)
    learned = stack.fit(made, learner, predictions, held_rows(made), None)
    columns = [(name, "numeric") for name in ("x", "y")]
    frame = pd.DataFrame(np.random.default_rng(5).normal(size=(50, 2)), columns=["x", "y"])
    target = np.arange(50) % max(classes, 1) if classes else frame["x"].to_numpy() * 7
    reader = InputFrame(columns).fit(frame)
    features = build(FeatureSettings(tuple(columns)), "linear", 50).fit(reader.transform(frame))
    rows = features.transform(reader.transform(frame))

    def fitted(strength: float) -> Any:
        if not classes:
            return Ridge(alpha=strength).fit(rows, target)
        return LabelledClassifier(LogisticRegression(C=strength).fit(rows, target), made.classes or [], range(classes))

    models = [fitted(strength) for strength in (0.1, 1.0, 10.0)]
    single = [Pipeline([("input", reader), ("features", features), ("model", model)]) for model in models[:2]]
    folds = BlendedRegressor if not classes else BlendedClassifier
    bagged = Pipeline([("input", reader), ("model", folds([(features, [(models[1], 0.5), (models[2], 0.5)])]))])
    members = [*single, bagged]
    stacked = stacked_blocks(["Scale"] * 3, members)
    assert len(stacked) == 1
    model = (
        StackedClassifier(stacked, learned.estimator, learned.positions)
        if classes
        else StackedRegressor(stacked, learned.estimator)
    )
    served = pickle.loads(pickle.dumps(ServedPipeline([("input", reader), ("model", model)])))
    answer = "predict_proba" if classes else "predict"
    expected = learned.predict([getattr(one, answer)(frame) for one in members], classes)
    assert getattr(served, answer)(frame) == pytest.approx(expected)
    assert getattr(served, answer)(frame.head(1)) == pytest.approx(expected[:1])
    mean = blocks(["Scale"] * 3, members, [0.2, 0.2, 0.6])
    assert [weight for _, weight in mean[0][1]] == pytest.approx([0.2, 0.2, 0.3, 0.3])
