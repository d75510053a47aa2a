"""A served pipeline answers a few rows cell by cell: what it gives is what it gives for many."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lightgbm import LGBMClassifier
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from automl_jobs.engine import features
from automl_jobs.engine.features import CHARS, COUNTS, LINEAR, TARGET, TREE
from forestay_transformers import FEW_ROWS, DateParts, InputFrame, LabelledClassifier, ServedPipeline, Side

COLUMNS = [("n", "numeric"), ("m", "numeric"), ("b", "boolean"), ("d", "datetime"), ("c", "categorical")]
COLUMNS += [("k", "categorical"), ("t", "text")]
ROWS = 300


def table(rows: int = ROWS) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    kinds = draw.choice(["a", "b", "c", "only once"], rows, p=[0.5, 0.3, 0.195, 0.005])
    return pd.DataFrame(
        {
            "n": np.where(draw.random(rows) < 0.1, np.nan, draw.normal(size=rows)),
            "m": draw.integers(0, 9, rows),
            "b": pd.array(np.where(draw.random(rows) < 0.1, None, draw.random(rows) < 0.5), dtype="boolean"),
            "d": pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 400, rows), unit="D"),
            "c": pd.Series(np.where(draw.random(rows) < 0.1, None, kinds), dtype="str"),
            "k": pd.Series([f"word {number % 70}" for number in range(rows)], dtype="str"),
            "t": pd.Series(draw.choice(["red apple", "green pear", "blue plum"], rows), dtype="str"),
        }
    )


def fitted(
    layout: str, classes: int = 0, imputers: dict[str, Any] | None = None, blocked: tuple[str, ...] = ()
) -> tuple[InputFrame, Any]:
    frame = table()
    plan = features.FeatureSettings(tuple(COLUMNS), imputers or {}, frozenset(blocked))
    reader = InputFrame(COLUMNS).fit(frame)
    typed = reader.transform(frame)
    target = np.arange(ROWS) % classes if classes else frame["m"].to_numpy(dtype="float64")
    plain = features.build(plan, layout, ROWS).fit(typed)
    targeted = features.build_targeted(plan, layout, ROWS, bool(classes), 0)
    if targeted is None:
        return reader, plain
    targeted.fit(typed, target)
    return reader, Side([("plain", plain), ("target", targeted)])


def dense(matrix: Any) -> np.ndarray:
    return matrix.toarray() if hasattr(matrix, "toarray") else matrix


def same(reader: InputFrame, transformer: Any, frame: pd.DataFrame) -> None:
    many, few = transformer.transform(reader.transform(frame)), transformer.transform(reader.cells(frame))
    assert type(many) is type(few)
    np.testing.assert_array_equal(dense(many), dense(few))


IMPUTERS = {"n": {"strategy": "mean"}, "c": {"strategy": "most_frequent"}, "b": {"strategy": "median"}}


@pytest.mark.parametrize("imputers", [{}, IMPUTERS])
@pytest.mark.parametrize("classes", [0, 2, 3])
@pytest.mark.parametrize("layout", [LINEAR, CHARS, COUNTS, TREE, TARGET])
def test_the_features_of_few_rows_are_those_of_many_to_the_last_bit(
    layout: str, classes: int, imputers: dict[str, Any]
) -> None:
    reader, transformer = fitted(layout, classes, imputers)
    same(reader, transformer, table(ROWS).assign(c=lambda rows: rows["c"].where(rows.index % 9 != 0, "new")))
    frame = table(40)
    for start in range(0, 40, 20):
        same(reader, transformer, frame.iloc[start : start + 20])
    for row in range(10):
        same(reader, transformer, frame.iloc[[row]])
    nothing = pd.DataFrame({name: [None] for name, _ in COLUMNS})
    same(reader, transformer, nothing)
    unseen = frame.head(1).assign(c="new", k=None, t="never a word of these")
    same(reader, transformer, unseen)


@pytest.mark.parametrize("layout", [LINEAR, COUNTS, TREE, TARGET])
def test_so_are_those_of_what_takes_the_place_of_blocked_transformers(layout: str) -> None:
    reader, transformer = fitted(layout, 2, blocked=("TextTargetEncoder", "LabelEncoder", "CountVectorizer"))
    same(reader, transformer, table(20))
    same(reader, transformer, table(1).assign(c="new", k=None, t="never a word of these"))


CELLS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5), st.just(pd.NA),
    st.sampled_from(["1.5", " 2 ", "1e400", "nan", "TRUE", "no", "2024-02-29", "2024-02-29T10:00:00+02:00", "inf"]),
)  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(st.lists(st.lists(CELLS, min_size=7, max_size=7), min_size=1, max_size=4))
def test_cells_of_any_kind_are_read_as_pandas_reads_them(rows: list[list[Any]]) -> None:
    frame = pd.DataFrame(rows, columns=[name for name, _ in COLUMNS])
    reader = InputFrame(COLUMNS).fit(frame)
    expected, cells = reader.transform(frame), reader.cells(frame)
    found = pd.DataFrame({name: cells.series(name) for name, _ in COLUMNS})
    for name in expected.columns:
        assert [(None if pd.isna(x) else x) for x in expected[name].tolist()] == [
            (None if pd.isna(x) else x) for x in found[name].tolist()
        ]


@pytest.mark.parametrize("layout", [LINEAR, TARGET])
def test_a_served_pipeline_is_scikit_learns_for_few_rows_and_for_many(layout: str) -> None:
    frame = table()
    reader, transformer = fitted(layout, 2)
    rows = dense(transformer.transform(reader.transform(frame)))
    tree = DecisionTreeClassifier(max_depth=5, random_state=0).fit(rows, np.arange(ROWS) % 2)
    steps = [("input", reader), ("features", transformer)]
    model = ServedPipeline([*steps, ("model", LabelledClassifier(tree, ["no", "yes"], [0, 1]))])
    served = pickle.loads(pickle.dumps(model))
    many = served.predict_proba(frame)
    assert len(many) == ROWS > FEW_ROWS
    for size in (1, FEW_ROWS, FEW_ROWS + 1):
        np.testing.assert_array_equal(served.predict_proba(frame.head(size)), many[:size])
        assert served.predict(frame.head(size)).tolist() == served.predict(frame)[:size].tolist()
    with pytest.raises(ValueError, match="columns are missing: \\['n'\\]"):
        served.predict(frame.head(1).drop(columns="n"))
    assert not hasattr(ServedPipeline([*steps, ("model", LinearRegression())]), "predict_proba")


def test_a_row_without_any_category_is_answered_by_both_ways() -> None:
    reader, transformer = fitted(LINEAR)
    nothing = table(1).assign(c=None, k=None)
    line = LinearRegression().fit(dense(transformer.transform(reader.transform(table()))), np.arange(ROWS))
    steps = [("input", reader), ("features", transformer), ("model", line)]
    assert ServedPipeline(steps).predict(nothing) == pytest.approx(Pipeline(steps).predict(nothing))


def test_dates_as_text_are_read_without_pandas_and_as_it_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ["2024-02-29", "2023-02-29", "1800-01-01", "2099-12-31T23:59", "2024-01-01 00:00:01.250", None, pd.NaT]
    odd = ["2024", "2024-1-1", "20240229", "1799-12-31", "2024-01-01T24:00", "2024-01-01T10:00Z", "2024-13-01", ""]
    odd += ["2024-01-01T10:00:00.5", "2024-01-01T10:00:60", "2024-W01-1", " 2024-01-01", "\u0662024-01-01"]
    reader = InputFrame([("d", "datetime")]).fit(pd.DataFrame({"d": plain}))
    for cells in ([cell] for cell in (*plain, *odd)):
        expected = reader.transform(pd.DataFrame({"d": cells}, dtype="object"))["d"].to_numpy()
        np.testing.assert_array_equal(reader.cells({"d": cells}).columns["d"], expected)
    assert reader.cells({"d": odd}).block(["d"]).dtype == "datetime64[us]"
    monkeypatch.setattr(pd, "to_datetime", lambda *_, **__: pytest.fail("pandas was asked"))
    assert np.isnat(reader.cells({"d": plain}).columns["d"]).tolist() == [False, True, False, False, False, True, True]


def test_times_of_any_kind_have_the_parts_that_pandas_gives_them() -> None:
    texts = [
        "2024-02-29T23:59:59.999999",
        "1969-12-31T23:59:00",
        "1900-03-01",
        "2262-01-01T12:30:15.5",
        "0001-01-01",
        None,
    ]
    frame = pd.DataFrame({"d": pd.Series(pd.to_datetime(pd.Series(texts), format="ISO8601")).astype("datetime64[us]")})
    plain = frame["d"].to_numpy(dtype="datetime64[us]").reshape(-1, 1)
    for cycles in (True, False):
        parts = DateParts(cycles).fit(frame)
        np.testing.assert_array_equal(parts.transform(frame), parts.transform_dates(plain))
        again = pickle.loads(pickle.dumps(parts))
        np.testing.assert_array_equal(parts.transform(frame), again.transform_dates(plain))
        assert again.origins_ == parts.origins_


def test_columns_are_answered_as_the_frame_of_them_is() -> None:
    reader, transformer = fitted(TREE)
    features_of = dense(transformer.transform(reader.transform(table())))
    labels = np.arange(ROWS) % 2
    model = LabelledClassifier(LGBMClassifier(n_estimators=5, verbose=-1).fit(features_of, labels), ["a", "b"], [0, 1])
    served = ServedPipeline([("input", reader), ("features", transformer), ("model", model)])
    plain = Pipeline(served.steps)
    for rows in (20, ROWS):
        frame = table(rows)
        columns: dict[str, Any] = {name: [None if pd.isna(x) else x for x in frame[name]] for name in frame}
        columns["d"] = [value.to_pydatetime() for value in frame["d"]]
        np.testing.assert_array_equal(served.predict_proba(columns), plain.predict_proba(frame))
        assert served.predict(columns).tolist() == plain.predict(frame).tolist()
        columns |= {name: frame[name].to_numpy() for name in ("n", "m", "d")}
        np.testing.assert_array_equal(served.predict_proba(columns), plain.predict_proba(frame))
    nothing = {name: [None] for name in frame}
    np.testing.assert_array_equal(served.predict_proba(nothing), plain.predict_proba(pd.DataFrame(nothing)))
    with pytest.raises(ValueError, match="columns are missing"):
        served.predict({"n": [1.0]})


def test_a_baseline_answers_columns_without_features() -> None:
    frame = table(50)
    pipeline = ServedPipeline(
        [
            ("input", InputFrame(COLUMNS).fit(frame)),
            ("features", "passthrough"),
            ("model", LabelledClassifier(DummyClassifier().fit(frame, np.arange(50) % 2), ["no", "yes"], [0, 1])),
        ]
    )
    columns = {name: frame[name].tolist() for name, _ in COLUMNS}
    np.testing.assert_array_equal(pipeline.predict_proba(columns), pipeline.plain().predict_proba(frame))
