"""Few rows are answered without the libraries' detours, and to the last bit as the libraries answer them."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

import forestay_quick
from automl_jobs.engine import outputs
from forestay_quick import FEW_FOR_TREES, probabilities_of, values_of
from forestay_transformers import LogTarget

ROWS = 300


def table() -> np.ndarray:
    """Two columns of categories, four of numbers, a tenth of all missing."""
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(ROWS, 6))
    rows[:, 0], rows[:, 1] = draw.integers(0, 40, ROWS), draw.integers(0, 4, ROWS)
    rows[draw.random(rows.shape) < 0.1] = np.nan
    return rows


def target(rows: np.ndarray) -> np.ndarray:
    known = np.nan_to_num(rows)
    return np.asarray(known[:, 2] + np.sin(known[:, 0]) + 2 * (known[:, 1] == 2) + 3)


def asked(rows: np.ndarray) -> np.ndarray:
    unseen = np.array([[999.0, -3.0, 0, 0, 0, 0], [np.nan] * 6, [7.5, 1.0, 1e9, -1e9, 0.0, -0.0]])
    return np.vstack([rows[:21], unseen])


BOOST: dict[str, Any] = {"max_iter": 12, "categorical_features": [0, 1], "early_stopping": False}
FOREST: dict[str, Any] = {"n_estimators": 7, "random_state": 0}


def imputing(estimator: Any) -> Any:
    return make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), estimator)


@pytest.mark.parametrize(
    "make",
    [
        lambda: HistGradientBoostingRegressor(**BOOST),
        lambda: HistGradientBoostingRegressor(max_iter=5, loss="poisson"),
        lambda: HistGradientBoostingRegressor(max_iter=1, max_leaf_nodes=2),
        lambda: imputing(RandomForestRegressor(**FOREST)),
        lambda: ExtraTreesRegressor(**FOREST),
        lambda: LogTarget(HistGradientBoostingRegressor(**BOOST)),
    ],
)
def test_values_of_few_rows_are_those_of_many(make: Callable[[], Any]) -> None:
    rows = table()
    model = make().fit(rows, target(rows))
    many = model.predict(asked(rows))
    assert len(many) > FEW_FOR_TREES
    for size in (1, 3, FEW_FOR_TREES):
        for start in range(0, len(many) - size + 1, size):
            part = asked(rows)[start : start + size]
            few = model.predict(part) if isinstance(model, LogTarget) else values_of(model, part)
            np.testing.assert_array_equal(few, many[start : start + size])


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "make",
    [
        lambda: HistGradientBoostingClassifier(**BOOST),
        lambda: HistGradientBoostingClassifier(max_iter=3),
        lambda: RandomForestClassifier(**FOREST),
        lambda: imputing(ExtraTreesClassifier(**FOREST)),
    ],
)
def test_so_are_probabilities(make: Callable[[], Any], classes: int) -> None:
    rows = table()
    model = make().fit(rows, np.digitize(target(rows), np.linspace(2, 5, classes + 1)[1:-1]))
    many = model.predict_proba(asked(rows))
    for start in range(0, len(many), 2):
        np.testing.assert_array_equal(probabilities_of(model, asked(rows)[start : start + 2]), many[start : start + 2])


def test_trees_are_not_asked_one_by_one_for_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = table()
    model = RandomForestRegressor(**FOREST).fit(np.nan_to_num(rows), target(rows))
    monkeypatch.setattr(model, "predict", lambda rows: pytest.fail("the library was asked"))
    assert values_of(model, np.nan_to_num(rows[:1])).shape == (1,)


def test_what_is_kept_of_a_model_goes_with_it_and_not_into_its_file() -> None:
    rows = table()
    model = HistGradientBoostingRegressor(**BOOST).fit(rows, target(rows))
    before = len(pickle.dumps(model))
    values_of(model, rows[:1])
    assert len(pickle.dumps(model)) == before
    assert model in forestay_quick._made
    again = pickle.loads(pickle.dumps(model))
    assert again not in forestay_quick._made
    kept = len(forestay_quick._made)
    del model
    assert len(forestay_quick._made) == kept - 1
    model = HistGradientBoostingRegressor(**BOOST).fit(rows, -target(rows))
    assert values_of(model, rows[:1]) == model.predict(rows[:1])
    # A model that learns anew is not answered by the trees that it had.
    first = values_of(model.fit(rows, target(rows)), rows[:1])
    assert first == model.predict(rows[:20])[:1]


def test_lightgbm_is_asked_by_its_booster() -> None:
    rows = table()
    regressor = LGBMRegressor(n_estimators=5, verbose=-1, n_jobs=1).fit(rows, target(rows))
    np.testing.assert_array_equal(values_of(regressor, rows), regressor.predict(rows))
    classifier = LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1).fit(rows, target(rows) > 3)
    np.testing.assert_array_equal(probabilities_of(classifier, rows), classifier.predict_proba(rows))


def test_another_version_of_the_library_answers_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = table()
    model = HistGradientBoostingRegressor(**BOOST).fit(rows, target(rows))
    expected = model.predict(rows[:1])
    monkeypatch.setattr(forestay_quick, "_Boosted", None)
    monkeypatch.setitem(forestay_quick._KINDS, "HistGradientBoostingRegressor", lambda _: model.nothing_of_this_name)
    assert values_of(model, rows[:1]) == expected


def test_other_models_answer_as_they_do() -> None:
    rows = np.nan_to_num(table())
    line = LinearRegression().fit(rows, target(rows))
    assert values_of(line, rows[:1]) == line.predict(rows[:1])
    words = RandomForestClassifier(**FOREST).fit(rows, np.where(target(rows) > 3, "yes", "no"))
    assert values_of(words, rows[:1]).tolist() == words.predict(rows[:1]).tolist()


@pytest.mark.skipif(outputs.CLOCK is time.perf_counter, reason="this system counts a process's work too coarsely")
def test_what_a_model_waits_for_is_no_cost_of_it() -> None:
    assert outputs._quickest_ms(lambda: time.sleep(0.02)) < 10 < outputs._quickest_ms(lambda: _work(0.02))


def _work(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
