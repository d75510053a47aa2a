"""Choosing an ensemble: what it gains must be gained on rows that did not choose it."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import StandardScaler

from automl_jobs.engine.ensemble import MOST_MEMBERS, NoBetter, compare, select
from automl_jobs.engine.features import FeatureSettings
from automl_jobs.engine.problem import Problem
from forestay_transformers import BlendedClassifier, BlendedRegressor, LabelledClassifier


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
