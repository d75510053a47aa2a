"""What keeps a large table from being in memory many times."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
import threadpoolctl
from scipy.sparse import csr_matrix
from sklearn.neighbors import KNeighborsClassifier

from automl_jobs.data import load_table
from automl_jobs.engine import estimators, shared, tasks, worker
from automl_jobs.engine import problem as problems
from automl_jobs.engine.matrices import Matrices, block, single_precision
from automl_jobs.engine.trial import Trainer, TrialPlan
from automl_jobs.prepare import prepare
from automl_jobs.spec import load_job

ROWS = 60_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job with a large table: two numbers, a category, and a class that one row in twenty has."""
    place = tmp_path_factory.mktemp("large")
    draw = np.random.default_rng(0)
    first, second = draw.normal(size=ROWS), draw.integers(0, 1000, ROWS)
    category = draw.integers(0, 40, ROWS)
    rare = first + 0.01 * category + draw.normal(size=ROWS) > 2.0
    frame = pd.DataFrame(
        {
            "first": first,
            "second": second,
            "category": [f"level {number}" for number in category],
            "y": np.where(rare, "yes", "no"),
        }
    )
    frame.to_parquet(place / "data.parquet")
    (place / "job.yml").write_text(
        "type: automl\ntask: classification\nprimary_metric: auc_weighted\ntarget_column_name: y\n"
        "training_data:\n  type: mltable\n  path: data.parquet\n"
    )
    return place


@pytest.fixture(scope="module")
def problem(folder: Path) -> problems.Problem:
    return problems.build(prepare(load_job(folder / "job.yml")), 3)


def test_what_was_saved_comes_back_in_the_mapped_file(problem: problems.Problem, tmp_path: Path) -> None:
    tasks.save(problem, tmp_path / "problem")
    loaded = tasks.load(tmp_path / "problem")
    assert isinstance(loaded, problems.Problem)
    pd.testing.assert_frame_equal(loaded.frame, problem.frame)
    np.testing.assert_array_equal(loaded.target, problem.target)
    assert loaded.schema == problem.schema
    # Its own writes are its own: another reader sees what was saved.
    loaded.target[:] = 7
    again = tasks.load(tmp_path / "problem")
    assert isinstance(again, problems.Problem)
    np.testing.assert_array_equal(again.target, problem.target)


def test_a_reader_takes_memory_only_for_what_it_looks_at(tmp_path: Path) -> None:
    columns = {"numbers": np.zeros((40, 500_000)), "words": pd.Series(["some words"] * 1_000_000, dtype="str")}
    shared.save(columns, tmp_path / "file")
    code = (
        "import sys, pandas, psutil; from pathlib import Path; from automl_jobs.engine import shared; "
        "me = psutil.Process(); before = me.memory_info().rss; found = shared.load(Path(sys.argv[1])); "
        "assert found['numbers'].shape == (40, 500_000); print(me.memory_info().rss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "file")], capture_output=True, text=True, check=True
    )
    assert (tmp_path / "file").stat().st_size > 170e6
    assert int(done.stdout) < 30e6


@pytest.mark.parametrize("value", [b"", [], {"a": np.array([], dtype="int8"), "b": None}])
def test_small_things_come_back_too(value: object, tmp_path: Path) -> None:
    shared.save(value, tmp_path / "file")
    assert repr(shared.load(tmp_path / "file")) == repr(value)


def test_the_rows_of_one_split_are_blocks_and_their_features_views(problem: problems.Problem) -> None:
    train, valid = problem.splits[0]
    assert block(train) == slice(0, len(train))
    assert block(valid) == slice(len(train), ROWS)
    np.testing.assert_array_equal(block(np.array([1, 3, 2, 4])), [1, 3, 2, 4])
    np.testing.assert_array_equal(block(np.array([], dtype=int)), [])
    matrix = Matrices(problem).of("tree", 0).matrix
    assert np.shares_memory(matrix[block(train)], matrix)


def test_any_first_part_of_the_training_rows_has_each_class_in_its_share(problem: problems.Problem) -> None:
    train, _ = problem.splits[0]
    share = problem.target[train].mean()
    for count in (200, 1_000, 20_000):
        assert abs(problem.target[train[:count]].sum() - share * count) <= 1
    # And is no first part of the file: the rows are shuffled.
    assert not np.array_equal(np.sort(problem.frame["first"].head(50)), np.sort(problem.frame["first"].iloc[50:100]))


def test_features_of_a_large_table_are_in_single_precision_and_equal_those_of_one_piece(
    problem: problems.Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    from automl_jobs.engine import matrices

    plain = {layout: Matrices(problem).of(layout, 0).matrix for layout in ("linear", "tree", "target")}
    monkeypatch.setattr(matrices, "MANY_CELLS", 1000)
    monkeypatch.setattr(matrices, "ROWS_AT_A_TIME", 7_000)
    for layout, matrix in plain.items():
        assert matrix.dtype == np.float64
        single = Matrices(problem).of(layout, 0).matrix
        assert single.dtype == np.float32
        dense = [one.toarray() if hasattr(one, "toarray") else one for one in (matrix, single)]
        np.testing.assert_allclose(dense[1], dense[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("values", "enough"),
    [
        ([0.1, 0.2, np.nan], True),
        ([5.0, 5.0, np.nan], True),
        ([np.nan, np.nan], True),
        ([1e9, 1e9 + 3600], False),
        ([0.0, 1e300], False),
        ([0.0, 1e6, 16e6], True),
    ],
)
def test_single_precision_only_where_it_tells_values_apart(values: list[float], enough: bool) -> None:
    frame = pd.DataFrame({"a": [0.0] * len(values), "b": values, "c": pd.Series(["x"] * len(values), dtype="str")})
    assert single_precision(frame) is enough


def test_features_that_were_not_used_for_long_give_way(
    problem: problems.Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    from automl_jobs.engine import matrices

    monkeypatch.setattr(matrices, "KEPT_BYTES", 0)
    kept = Matrices(problem)
    for layout in ("tree", "target", "linear", "tree"):
        kept.of(layout, 0)
        assert sum(kept._kept_bytes().values()) < 4e6
    assert {layout for layout, _ in kept._kept} == {"tree"}


def test_a_released_table_keeps_its_columns_and_no_rows(folder: Path) -> None:
    import pyarrow as pa

    before = pa.total_allocated_bytes()
    table = load_table(folder / "data.parquet")
    columns = table.columns
    assert len(table.frame) == ROWS
    table.release()
    assert len(table.frame) == 0
    assert table.columns == columns
    assert table.frame["category"].dtype == "str"
    assert pa.total_allocated_bytes() - before < 10_000


def test_a_trial_of_a_large_table_is_scored_as_one_in_double_precision(
    problem: problems.Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from automl_jobs.engine import matrices

    plan = TrialPlan("1", "LightGBM", {"learning_rate": 0.3, "num_leaves": 8})
    double = Trainer(problem, 1).run(plan, tmp_path / "double")
    monkeypatch.setattr(matrices, "MANY_CELLS", 1000)
    single = Trainer(problem, 1).run(plan, tmp_path / "single")
    assert single.score == pytest.approx(double.score, abs=1e-3)
    assert single.score > 0.8


def test_a_trial_on_a_sample_is_scored_on_the_same_rows_as_one_on_all_and_says_so(
    problem: problems.Problem, tmp_path: Path
) -> None:
    import joblib

    from automl_jobs.engine import tabular

    session = tabular.session(problem, 1)
    settings = {"learning_rate": 0.3, "num_leaves": 8}
    sampled = session.answer(TrialPlan("1", "LightGBM", settings, rows=5_000, seconds=60.0), tmp_path)
    full = session.answer(TrialPlan("2", "LightGBM", settings), tmp_path)
    train, valid = problem.splits[0]
    assert sampled.parameters["rows"] == "5000"
    assert full.parameters["rows"] == str(len(train))
    held = [np.load(tmp_path / name / "held_out.npy") for name in ("1", "2")]
    assert held[0].shape == held[1].shape == (len(valid), 2)
    assert 0 < sampled.growing_seconds < sampled.duration_seconds
    # The sample is the first rows, and the model of the folder is the one that was scored.
    model = joblib.load(sampled.outputs / "model.pkl")
    np.testing.assert_allclose(model.predict_proba(problem.frame.iloc[valid]), held[0], atol=1e-6)
    assert problem.sampled(5_000).frame["first"].head(5_000).tolist() == problem.frame["first"].head(5_000).tolist()


@pytest.mark.parametrize("seconds", [0.0, 1.0])
@pytest.mark.parametrize("algorithm", ["LightGBM", "XGBoostClassifier"])
def test_a_booster_stops_with_the_rounds_that_it_has_when_its_time_is_up(
    problem: problems.Problem, tmp_path: Path, algorithm: str, seconds: float
) -> None:
    import joblib

    outcome = Trainer(problem, 1).run(TrialPlan("1", algorithm, {"learning_rate": 0.001}, seconds=seconds), tmp_path)
    assert 1 <= int(outcome.parameters["rounds"]) < 2_000
    estimator = joblib.load(outcome.outputs / "model.pkl").steps[-1][1].estimator
    assert not estimator.get_params().get("callbacks")


def test_neighbours_are_not_looked_for_in_all_distances_at_once() -> None:
    """Of sparse features, for which scikit-learn makes the whole table of distances unless it is told not to."""
    rows = csr_matrix(np.random.default_rng(0).integers(0, 2, (3_000, 5)).astype(float))
    model = KNeighborsClassifier(weights="distance", algorithm="brute").fit(rows, np.arange(3_000) % 2)
    whole = 8 * 3_000**2
    with sklearn.config_context(), threadpoolctl.threadpool_limits(None):
        worker.bound(1)
        tracemalloc.start()
        try:
            model.predict_proba(rows)
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert whole > worker.DISTANCES_MB * 2**20
    assert most < 4 * worker.DISTANCES_MB * 2**20
    assert sklearn.get_config()["working_memory"] > worker.DISTANCES_MB


def test_a_forest_does_not_grow_with_the_table() -> None:
    from automl_jobs.engine import algorithms

    for name in ("RandomForest", "ExtremeRandomTrees"):
        algorithm = algorithms.by_name(name, classification=True)
        leaves = [
            algorithm.make({"min_samples_leaf": 4}, estimators.Build(2, 1, 0, samples=rows))[-1].min_samples_leaf
            for rows in (0, 20_000, 900_000)
        ]
        assert leaves == [4, 20, 900]


def test_medians_and_categories_of_a_large_table_are_those_of_a_sample(
    problem: problems.Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    from automl_jobs.engine import matrices

    whole = Matrices(problem).of("tree", 0).transformer
    monkeypatch.setattr(matrices, "FITTED_ROWS", 10_000)
    sampled = Matrices(problem).of("linear", 0).transformer
    scaler = sampled.named_transformers_["numeric0"][-1]
    assert scaler.n_samples_seen_ == 10_000
    codes = Matrices(problem).of("tree", 0).transformer.named_transformers_["categorical0"][-1].codes_
    assert codes["category"].keys() == whole.named_transformers_["categorical0"][-1].codes_["category"].keys()


@pytest.mark.parametrize("algorithm", ["LightGBM", "XGBoostClassifier", "GradientBoosting"])
def test_a_booster_on_a_sample_stops_by_a_part_of_the_held_out_rows(
    problem: problems.Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    from automl_jobs.engine import fits

    looked = []
    arguments = fits._boosting_arguments

    def spy(name: str, build: object, held: tuple[object, np.ndarray, object]) -> object:
        looked.append(len(held[1]))
        return arguments(name, build, held)  # type: ignore[arg-type]

    monkeypatch.setattr(fits, "STOPPING_ROWS", 100)
    monkeypatch.setattr(fits, "_boosting_arguments", spy)
    outcome = Trainer(problem.sampled(3_000), 1).run(TrialPlan("1", algorithm, {"learning_rate": 0.3}), tmp_path)
    assert looked == [1_500]
    assert outcome.score > 0.8
    # The score is that of all of them.
    assert len(np.load(tmp_path / "held_out.npy")) == 6_000
