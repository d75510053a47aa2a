"""The estimators that travel with a model: types in, types out, equal however a cell was read."""

from __future__ import annotations

import ast
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import forestay_transformers
from automl_jobs.engine import outputs
from automl_jobs.engine.forecasting import trainer
from forestay_transformers import (
    CategoryCodes,
    DateParts,
    Dense,
    InputFrame,
    LabelledClassifier,
    LogTarget,
    Screened,
    TextTargetEncoder,
    category_text,
)

COLUMNS = [("n", "numeric"), ("b", "boolean"), ("d", "datetime"), ("c", "categorical"), ("t", "text")]


def test_input_frame_reads_raw_and_typed_cells_alike() -> None:
    typed = pd.DataFrame(
        {
            "t": ["a b", None],
            "c": pd.Series(["3", None], dtype="str"),
            "d": pd.to_datetime(["2024-02-29", None]),
            "b": pd.array([True, None], dtype="boolean"),
            "n": [1.5, math.nan],
            "more": [1, 2],
        }
    )
    raw = pd.DataFrame(
        {"n": ["1.5", "x"], "b": ["TRUE", ""], "d": ["2024-02-29", "no"], "c": [3.0, np.nan], "t": ["a b", np.nan]}
    )
    reader = InputFrame(COLUMNS).fit(typed)
    one, two = reader.transform(typed), reader.transform(raw)
    pd.testing.assert_frame_equal(one, two)
    assert list(one.columns) == [name for name, _ in COLUMNS]
    assert one["b"].tolist()[0] == 1.0
    assert one["t"].tolist() == ["a b", ""]
    assert one.iloc[1][["n", "b", "c"]].isna().all()


def test_input_frame_names_absent_columns() -> None:
    reader = InputFrame(COLUMNS).fit(pd.DataFrame())
    with pytest.raises(ValueError, match="'d', 'c', 't'"):
        reader.transform(pd.DataFrame({"n": [1], "b": [True]}))


def test_infinite_numbers_are_missing_and_zones_become_utc() -> None:
    reader = InputFrame([("n", "numeric"), ("d", "datetime")]).fit(pd.DataFrame())
    frame = reader.transform(pd.DataFrame({"n": [math.inf], "d": ["2024-01-01T01:00:00+02:00"]}))
    assert math.isnan(frame["n"][0])
    assert frame["d"][0] == pd.Timestamp("2023-12-31T23:00:00")


@given(st.integers(-(2**52), 2**52))
def test_a_whole_number_is_one_category_however_it_came(number: int) -> None:
    assert category_text(number) == category_text(float(number)) == category_text(np.int64(number)) == str(number)


@pytest.mark.parametrize("missing", [None, math.nan, pd.NA, pd.NaT, np.float64("nan")])
def test_missing_stays_missing(missing: object) -> None:
    assert pd.isna(category_text(missing))


def test_date_parts_vary_or_are_left_out() -> None:
    dates = pd.DataFrame({"d": pd.to_datetime(["2024-01-01", "2024-03-05", None])})
    parts = DateParts().fit(dates)
    names = list(parts.get_feature_names_out())
    out = parts.transform(dates)
    assert "d_year" not in names
    assert "d_hour" not in names
    assert out[:, names.index("d_elapsed")][:2].tolist() == [0.0, 64.0]
    assert np.isnan(out[2]).all()
    cycles = DateParts(cycles=True).fit(dates)
    assert (
        np.abs(cycles.transform(dates)[:2, [n.endswith(("sin", "cos")) for n in cycles.get_feature_names_out()]]).max()
        <= 1
    )


def test_category_codes_do_not_depend_on_row_order() -> None:
    frame = pd.DataFrame({"c": ["b", "a", "a", "c", None]})
    codes = CategoryCodes().fit(frame)
    assert codes.codes_ == CategoryCodes().fit(frame.iloc[::-1]).codes_
    assert codes.transform(pd.DataFrame({"c": ["a", "b", "c"]}))[:, 0].tolist() == [0.0, 1.0, 2.0]
    assert np.isnan(codes.transform(pd.DataFrame({"c": [None, "new"]}))).all()
    assert CategoryCodes(min_count=2).fit(frame).codes_ == {"c": {"a": 0.0}}


@pytest.mark.parametrize("labels", [["no", "yes", "maybe"], [3, 7, 11], [False, True, True]])
def test_predictions_are_labels_of_the_training_type(labels: list[object]) -> None:
    rows = np.array([[0.0], [1.0], [2.0]])
    classes = sorted(set(labels))  # type: ignore[type-var]
    numbers = np.array([classes.index(label) for label in labels])
    model = LabelledClassifier(LogisticRegression().fit(rows, numbers), classes, sorted(set(numbers)))
    model = pickle.loads(pickle.dumps(model))
    predicted = model.predict(rows)
    assert all(type(value) is type(labels[0]) for value in predicted.tolist())
    assert model.predict_proba(rows).sum(axis=1) == pytest.approx(1)


def test_a_class_that_was_never_seen_has_probability_zero() -> None:
    rows = np.array([[0.0], [1.0]])
    model = LabelledClassifier(LogisticRegression().fit(rows, [0, 1]), ["a", "b", "c"], [0, 2])
    assert (model.predict_proba(rows)[:, 1] == 0).all()
    assert model.predict(rows).tolist() == ["a", "c"]


def test_dense_makes_an_array() -> None:
    from scipy.sparse import csr_matrix

    assert isinstance(Dense().fit_transform(csr_matrix(np.eye(2))), np.ndarray)


def test_a_text_says_what_its_words_tell_of_the_target_and_not_its_own_row() -> None:
    texts = pd.Series(["red apple", "red cherry", "green pear", "green lime"] * 10)
    target = np.array([0, 0, 1, 1] * 10)
    encoder = TextTargetEncoder()
    assert encoder.fit_transform(texts, target)[:, 0].round().tolist() == target.tolist()
    assert encoder.transform(pd.Series(["red thing", "green thing"]))[:, 0].round().tolist() == [0, 1]
    # A word that only one row has can't tell that row its own target.
    alone = pd.Series([f"word{number}" for number in range(40)])
    told = TextTargetEncoder(min_df=1).fit_transform(alone, target)[:, 0]
    assert np.abs(told - 0.5).max() < 0.2


@pytest.mark.parametrize("texts", [["", "", "", ""], ["!", "?", ".", ","], ["a", "b", "c", "d"]])
def test_texts_without_shared_words_say_the_same_of_every_row(texts: list[str]) -> None:
    encoder = TextTargetEncoder(classification=False)
    encoder.fit_transform(pd.Series(texts), np.arange(4.0))
    assert np.ptp(encoder.transform(pd.Series(texts))) == 0


def test_text_targets_of_many_classes_and_of_numbers_have_their_shapes() -> None:
    texts = pd.Series(["x one", "y two", "z three"] * 10)
    assert TextTargetEncoder().fit_transform(texts, np.array([0, 1, 2] * 10)).shape == (30, 3)
    assert TextTargetEncoder(classification=False).fit_transform(texts, np.arange(30.0)).shape == (30, 1)


def test_a_regressor_of_the_logarithm_answers_in_the_targets_unit() -> None:
    from sklearn.linear_model import LinearRegression

    rows = np.arange(10.0).reshape(-1, 1)
    target = np.exp(rows[:, 0]) - 1
    model = LogTarget(LinearRegression().fit(rows, np.log1p(target)))
    assert model.predict(rows) == pytest.approx(target)
    assert model.fit(rows, target).predict(rows) == pytest.approx(target)
    assert np.isfinite(model.predict(np.array([[1e6]]))).all()


def test_a_class_of_one_row_does_not_break_text_targets() -> None:
    texts = pd.Series([f"word{number % 3} thing" for number in range(30)])
    told = TextTargetEncoder().fit_transform(texts, np.array([1] + [0] * 29))
    assert told.shape == (30, 1)
    assert np.isfinite(told).all()


@pytest.mark.parametrize("dtype", ["object", "str"])
def test_a_single_row_without_a_category_can_be_encoded(dtype: str) -> None:
    frame = pd.DataFrame({"colour": ["red", "blue", None, "red"]}, dtype=dtype)
    encoder = make_pipeline(InputFrame([("colour", "categorical")]), OneHotEncoder(handle_unknown="ignore")).fit(frame)
    whole = encoder.transform(frame).toarray()
    for row in range(len(frame)):
        assert (encoder.transform(frame.iloc[[row]]).toarray() == whole[[row]]).all()


def test_screening_keeps_the_features_that_say_most_and_stays_small() -> None:
    draw = np.random.default_rng(0)
    X = sparse.random(300, 5_000, density=0.1, format="csr", random_state=0)
    y = X[:, 17].toarray().ravel() + X[:, 4_000].toarray().ravel() + 0.01 * draw.normal(size=300)
    screened = Screened(20).fit(X, y)
    assert screened.transform(X).shape == (300, 20)
    assert {17, 4_000} <= set(screened.kept_)
    np.testing.assert_array_equal(screened.transform(X), X.toarray()[:, screened.kept_])
    np.testing.assert_array_equal(Screened(20).fit(X[:, :9], y).transform(X[:, :9]), X[:, :9].toarray())


def test_names_that_kept_models_know_are_found_where_they_were() -> None:
    """A pickle names a class by the module that held it when it was written; all of them were in one."""
    for name in forestay_transformers.__all__:
        assert pickle.loads(b"c" + f"forestay_transformers\n{name}\n.".encode()) is getattr(forestay_transformers, name)


def test_a_model_takes_every_module_along_that_its_modules_import() -> None:
    named = {module.__name__ for module in (*outputs.MODULES, *trainer.MODULES)}
    for module in trainer.MODULES:
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        wanted = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
        assert {name for name in wanted if name.startswith("forestay")} <= named
        assert not {name for name in wanted if name.split(".")[0] in ("automl_jobs", "scoring", "infra", "templates")}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "column",
    [[20240229, 7], [20240229.0, None], ["2024-02-29", 1.5], ["20240229", None], pd.array([20240229, None], "Int64")],
)
def test_dates_are_read_from_numbers_as_from_text(column: Any) -> None:
    reader = InputFrame([("d", "datetime")]).fit(pd.DataFrame())
    read = reader.transform(pd.DataFrame({"d": column}))["d"]
    assert [read.iloc[0], read.isna().iloc[1]] == [pd.Timestamp("2024-02-29"), True]
    cells = reader.cells({"d": list(column)}).series("d")
    assert [cells.iloc[0], cells.isna().iloc[1]] == [pd.Timestamp("2024-02-29"), True]
