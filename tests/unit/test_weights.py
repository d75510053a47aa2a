"""`weight_column_name`: rows count as their weight says, wherever they are trained on, judged or tested."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

from automl_jobs.engine import after, algorithms, explain, fits, judging
from automl_jobs.engine.problem import Problem, build
from automl_jobs.engine.trial import Trainer, TrialPlan
from automl_jobs.prepare import Prepared, prepare
from automl_jobs.spec import load_job
from forestay.errors import InputError

JOB = """\
type: automl
task: classification
primary_metric: accuracy
target_column_name: y
weight_column_name: w
training_data: {path: ./train.csv, type: mltable}
"""
OTHERS = "validation_data: {path: ./valid.csv, type: mltable}\ntest_data: {path: ./test.csv, type: mltable}\n"


def rows(count: int, seed: int) -> pd.DataFrame:
    """Rows of weight 3 that x tells the class of, and as many of weight 0 whose class is the other one."""
    draw = np.random.default_rng(seed)
    x, right = draw.normal(size=count), np.arange(count) % 2 == 0
    return pd.DataFrame(
        {"x": x, "z": draw.normal(size=count), "w": 3 * right, "y": np.where((x > 0) == right, "a", "b")}
    )


def prepared(folder: Path, extra: str = OTHERS, **tables: pd.DataFrame) -> Prepared:
    found = {"train": rows(300, 1), "valid": rows(100, 2), "test": rows(80, 3), **tables}
    for name, table in found.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    (folder / "job.yml").write_text(JOB + extra, encoding="utf-8")
    return prepare(load_job(folder / "job.yml"))


@pytest.fixture(scope="module")
def weighted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Problem, Path]:
    """A job with weights in all tables, and the outputs of a trial."""
    folder = tmp_path_factory.mktemp("weighted")
    made = build(prepared(folder), 0)
    return made, Trainer(made, 1).run(TrialPlan("1", "DecisionTree"), folder / "1").outputs


def test_validation_and_test_rows_have_the_weights_of_their_tables(weighted: tuple[Problem, Path]) -> None:
    made, _ = weighted
    assert made.weights is not None
    assert made.test_weights is not None
    valid = made.splits[0][1]
    order = made.frame["x"].iloc[valid].to_numpy()
    assert made.weights[valid].tolist() == rows(100, 2).set_index("x")["w"].loc[order].tolist()
    assert made.test_weights.tolist() == rows(80, 3)["w"].tolist()


def test_test_rows_that_are_split_off_keep_their_weights(tmp_path: Path) -> None:
    made = build(prepared(tmp_path, "test_data_size: 0.2\n"), 0)
    assert made.test is not None
    assert made.test_weights is not None
    assert made.weights is not None
    assert (len(made.test_weights), len(made.weights)) == (60, 240)
    assert made.test_weights.tolist() == rows(300, 1).set_index("x")["w"].loc[made.test[0]["x"].to_numpy()].tolist()


def test_rows_of_no_weight_say_nothing_of_a_score(weighted: tuple[Problem, Path]) -> None:
    made, outputs = weighted
    tested = judging.test_metrics(made, outputs)
    assert tested["accuracy"] > 0.95
    assert made.test is not None
    unweighted = (joblib.load(outputs / "model.pkl").predict(made.test[0]) == np.array(["a", "b"])[made.test[1]]).mean()
    assert unweighted < 0.6
    found = after.describe(made, after.Describe("1", 1, outputs, (), False, 5.0))["test_metrics_interval"]["accuracy"]
    assert found["low"] <= tested["accuracy"] <= found["high"]
    told = explain.explain(made, explain.load(outputs), 5.0)
    assert told.score > 0.95


@pytest.mark.parametrize("name", ["LightGBM", "XGBoostClassifier", "GradientBoosting"])
def test_a_booster_stops_by_the_rows_that_count(name: str, weighted: tuple[Problem, Path]) -> None:
    made, _ = weighted
    trainer = Trainer(made, 1)
    algorithm = algorithms.by_name(name, True)
    layout = algorithm.layouts[0]
    matrix = trainer.matrices.of(layout, 0).matrix
    train, valid = made.splits[0]
    assert made.weights is not None
    counting = valid[made.weights[valid] > 0]
    both = [
        fits.fit(made, 1, algorithm, layout, dict(algorithm.portfolio[0].parameters), matrix, train, held)
        for held in (valid, counting)
    ]
    assert both[0].rounds == both[1].rounds


@pytest.mark.parametrize("key", ["valid", "test"])
def test_a_table_without_the_weight_column_is_told_and_counts_one_a_row(key: str, tmp_path: Path) -> None:
    found = prepared(tmp_path, **{key: rows(100, 2).drop(columns="w")})
    (told,) = [one for one in found.warnings if "weight column" in one.message]
    assert f"`{key}" in told.message
    assert "each of its rows counts one" in told.message
    made = build(found, 0)
    assert made.weights is not None
    assert made.test_weights is not None
    ones = made.weights[made.splits[0][1]] if key == "valid" else made.test_weights
    assert set(ones) == {1.0}


@pytest.mark.parametrize(("key", "weight"), [("valid", -1.0), ("test", np.nan), ("test", np.inf)])
def test_weights_of_each_table_are_looked_at(key: str, weight: float, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        prepared(tmp_path, **{key: rows(100, 2).assign(w=weight)})
    (wrong,) = refused.value.problems
    assert f"the weight column 'w' of `{key}" in wrong.message
    assert str(wrong.where).endswith("job.yml:5")
