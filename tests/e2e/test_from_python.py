"""Jobs, models and training scripts from Python, as a script and a notebook meet them: two jobs, trained once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

import forestay
from tests.runs_support import give_store
from tests.scripts_support import scores_of
from tests.tables import mixed

# A script as people write them: it does not ask whether it is __main__, and has threads before it trains. The number of
# trials ends each job: a booster that a clock stops in one fold trains to its end in a training script.
SCRIPT = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
print("once")
import pandas as pd
import forestay

frame = pd.read_parquet("rows.parquet")
job = forestay.submit(
    frame.drop(columns="amount"), "label", exclude=["note"], max_trials=10, seed=3, name="labels",
    settings={"n_cross_validations": 3}, time_budget=1200, progress=False,
)
print(job.name)
frame["amount"] = frame["amount"].clip(lower=0) ** 3
job = forestay.submit(
    frame.drop(columns=["label", "note"]), "amount", task="regression", metric="r2_score", max_trials=12,
    settings={"training.allowed_training_algorithms": [
        "elastic_net", "light_gbm", "xg_boost_regressor", "gradient_boosting", "random_forest", "lasso_lars"]},
    name="amounts", time_budget="20m",
)
print(job.name)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with two jobs."""
    folder = tmp_path_factory.mktemp("python")
    give_store(folder / ".forestay")
    frame = mixed(330, 1)
    frame["note"] = [f"n{number}" for number in range(len(frame))]
    frame.to_parquet(folder / "rows.parquet")
    (folder / "script.py").write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=folder, env=_own(folder), capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines().count("once") == 1, "the script ran again in a worker"
    names = done.stdout.split()[1:]
    (folder / "jobs.json").write_text(json.dumps(names), encoding="utf-8")
    assert "trial " in done.stderr, "the second job tells its progress"
    assert names[0] not in done.stderr, "the first one is quiet"
    return folder


def _own(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("MLFLOW_TRACKING_URI", "PYTHONPATH")}
    return {**kept, "FORESTAY_HOME": str(folder / ".forestay")}


@pytest.fixture
def jobs(place: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the two, the project's folder being the current one."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("FORESTAY_HOME", str(place / ".forestay"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    names: list[str] = json.loads((place / "jobs.json").read_text(encoding="utf-8"))
    return names


@pytest.fixture
def fresh() -> pd.DataFrame:
    """Rows that no model has seen."""
    return mixed(80, 77).drop(columns="amount")


def test_a_frame_became_a_job_folder_that_the_commands_know(jobs: list[str], place: Path) -> None:
    text = (place / "jobs" / "labels" / "job.yml").read_text(encoding="utf-8")
    assert "max_trials: 10" in text
    assert 'forestay.seed: "3"' in text
    assert "n_cross_validations: 3" in text
    detail = forestay.job(jobs[0])
    assert Path(detail.detail.path) == place / "jobs" / "labels" / "job.yml"
    assert detail.detail.parameters["seed"] == "3"
    listed = forestay.jobs()
    assert list(listed["job"]) == [jobs[1], jobs[0]]
    assert list(listed["status"]) == ["Completed", "Completed"]


def test_a_leaderboard_is_a_frame(jobs: list[str]) -> None:
    board = forestay.leaderboard(jobs[0])
    assert list(board.index) == list(range(1, len(board) + 1))
    assert board.attrs == {"job": jobs[0], "primary_metric": "accuracy"}
    scores = board["score"].dropna()
    assert scores.is_monotonic_decreasing
    assert (board.loc[scores.index, "accuracy"] == scores).all()
    assert set(forestay.leaderboard(forestay.job(jobs[1])).columns) >= {"algorithm", "r2_score", "predict_ms", "chosen"}


def test_a_job_and_its_charts_show_themselves(jobs: list[str]) -> None:
    job = forestay.job(jobs[0])
    assert jobs[0] in repr(job)
    assert jobs[0] in job._repr_html_()
    charts = forestay.charts(job)
    assert next(iter(charts)) == "Score of each trial"
    assert "Confusion matrix" in charts
    page = charts._repr_html_()
    assert page.count("<figure") == len(charts)
    assert page.count('<svg viewBox="0 0 480') == len(charts) - 1
    assert "<script" not in page
    one = charts["Confusion matrix"]._repr_html_()
    assert one.count("<figure") == 1
    assert "high" in one
    assert "trials; the best accuracy is" in repr(charts)
    with pytest.raises(KeyError, match="there are Score of each trial"):
        charts["nothing"]
    second = forestay.charts(jobs[0], rank=2)._repr_html_()
    assert second != page


def test_a_trial_predicts_and_is_judged(jobs: list[str], fresh: pd.DataFrame) -> None:
    model = forestay.load_model(jobs[0], rank=1)
    found = forestay.predict(model, fresh.drop(columns="label"), probabilities=True)
    assert set(found["prediction"]) <= {"high", "low", "middle"}
    chances = found[[f"probability_{label}" for label in ("high", "low", "middle")]]
    assert chances.sum(axis=1).to_numpy() == pytest.approx(1.0)
    scores = forestay.evaluate(model, fresh, by="kind")
    assert scores.score == pytest.approx((found["prediction"] == fresh["label"]).mean())
    assert scores.metrics.index[0] == "accuracy"
    assert scores.metrics.loc["accuracy", "low"] <= scores.score <= scores.metrics.loc["accuracy", "high"]
    assert len(scores.slices) >= 3
    assert "Confusion matrix" in forestay.charts(scores)
    assert "accuracy" in scores._repr_html_()
    assert forestay.evaluate(forestay.job(jobs[0]), fresh).score is not None


def test_a_registered_model_and_files(jobs: list[str], fresh: pd.DataFrame, place: Path) -> None:
    version = forestay.register(jobs[0], "Labels")
    assert (version.name, version.version, version.job) == ("Labels", "1", jobs[0])
    fresh.to_csv(place / "fresh.csv", index=False)
    model = forestay.load_model("Labels:1")
    by_file = forestay.predict("Labels", place / "fresh.csv")["prediction"]
    assert list(by_file) == list(forestay.predict(model, fresh)["prediction"])
    assert list(model.model.predict(fresh)) == list(by_file)
    folder = forestay.generate("Labels:1", place / "scoring", progress=False)
    assert (folder.model, (place / "scoring" / "score.py").is_file()) == ("Labels", True)
    with pytest.raises(forestay.InputError, match="Labels 1 is not proven"):
        forestay.deploy("labels-api", "Labels:1", progress=False)


def test_wrong_input_is_told_as_by_the_commands(jobs: list[str], fresh: pd.DataFrame, place: Path) -> None:
    before = sorted(path.name for path in (place / "jobs").iterdir())
    for wrong, words in (
        (lambda: forestay.submit(fresh), "is missing: the column to predict"),
        (lambda: forestay.submit(fresh, "nothing"), "nothing"),
        (lambda: forestay.submit(fresh, "label", metric="r2_score"), "'r2_score' is no metric of classification"),
        (lambda: forestay.submit(fresh, "label", time_budget="soon"), "soon"),
        (lambda: forestay.submit("jobs/labels/job.yml", "label"), "the job file says that"),
        (lambda: forestay.submit([1, 2], "label"), "takes no list"),
        (lambda: forestay.submit(fresh, 5), "a column's name is text, not 5"),
        (lambda: forestay.submit(fresh, "label", exclude=[3]), "a column's name is text, not 3"),
        (lambda: forestay.submit(fresh, "label", exclude="kinds"), "there is no column 'kinds'"),
        (lambda: forestay.predict(jobs[0], 5), "takes no int"),
        (lambda: forestay.evaluate(jobs[0], [1]), "takes no list"),
        (lambda: forestay.submit(fresh.rename(columns={"kind": 3}), "label"), "the column 3 has no text as its name"),
        (lambda: forestay.submit(fresh, "label", prefer="luck"), "'luck' is not known"),
        (lambda: forestay.submit(fresh, "label", env="nowhere", seed=1), "seed|nowhere"),
        (lambda: forestay.leaderboard("nothing_here"), "there is no job"),
        (lambda: forestay.load_model(jobs[0], rank=99), "no trial of rank 99"),
        (lambda: forestay.load_model("Nobody"), "there is no model"),
        (lambda: forestay.predict(forestay.load_model(jobs[0]), fresh[["kind"]]), "size"),
        (lambda: forestay.deploy("labels-api", "Labels:1", colour="red"), "colour"),
    ):
        with pytest.raises(forestay.ForestayError, match=words):
            wrong()
    assert sorted(path.name for path in (place / "jobs").iterdir()) == before


def one_of_each(board: pd.DataFrame) -> list[int]:
    """The best rank of each algorithm, class weights and logarithms of targets beside them."""
    kinds = {}
    for rank, row in board.iterrows():
        if row["status"] == "Completed":
            kinds.setdefault(row["algorithm"], int(str(rank)))
    return list(kinds.values())


@pytest.mark.parametrize("which", [0, 1])
def test_training_scripts_give_the_leaderboard_s_scores_without_forestay(
    jobs: list[str], which: int, fresh: pd.DataFrame, tmp_path: Path
) -> None:
    board = forestay.leaderboard(jobs[which])
    ranks = one_of_each(board)
    kinds = {"Baseline", "VotingEnsemble", "StackEnsemble"}
    assert kinds <= set(board.loc[ranks, "algorithm"]), "without one, that kind is not proven here"
    assert len(ranks) >= 5
    folders = [tmp_path / str(rank) for rank in ranks]
    for rank, folder in zip(ranks, folders, strict=True):
        made = forestay.code(jobs[which], rank, folder)
        assert (made.rank, made.algorithm) == (rank, board.loc[rank, "algorithm"])
    told = scores_of(folders, board.attrs["primary_metric"])
    assert told == pytest.approx([float(board.loc[rank, "score"]) for rank in ranks], abs=2e-3)
    exact = [rank for rank, score in zip(ranks, told, strict=True) if abs(score - board.loc[rank, "score"]) < 2e-6]
    assert len(exact) >= len(ranks) - 2, "a clock that stops a booster is the only excuse"
    rows = fresh.drop(columns="label") if which == 0 else fresh
    for rank, folder in zip(ranks, folders, strict=True):
        own = forestay.load_model(jobs[which], rank).model
        script = joblib.load(folder / "model.pkl")
        if which == 0:
            assert (script.predict(rows) == own.predict(rows)).mean() > 0.85, rank
        elif np.std(own.predict(rows)) > 0:
            assert np.corrcoef(script.predict(rows), own.predict(rows))[0, 1] > 0.95, rank


def test_what_has_no_script_says_why(jobs: list[str], place: Path) -> None:
    with pytest.raises(forestay.InputError, match="there is something here already"):
        forestay.code(jobs[0], 1, place / "jobs")
    job = place / "jobs" / "labels"
    kept = job / "training-mltable-folder" / "labels.parquet"
    aside = place / "aside.parquet"
    shutil.copy(kept, aside)
    try:
        pd.read_parquet(kept).iloc[:-20].to_parquet(kept)
        with pytest.raises(forestay.InputError, match="is no longer what trial"):
            forestay.code(jobs[0], one_of_each(forestay.leaderboard(jobs[0]))[0], place / "script")
    finally:
        shutil.copy(aside, kept)
    assert not (place / "script").exists()


def test_again_on_new_rows(jobs: list[str], fresh: pd.DataFrame, place: Path) -> None:
    done: Any = subprocess.run(
        [
            sys.executable,
            "-m",
            "forestay",
            "job",
            "rerun",
            jobs[0],
            "--data",
            "new.csv",
            "--set",
            "limits.max_trials=2",
        ],
        cwd=_with_rows(place, fresh),
        env=_own(place),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    again = forestay.job()
    assert again.name != jobs[0]
    assert again.detail.tags["rerun_of"] == jobs[0]
    assert again.detail.parameters["seed"] == "3"
    assert again.detail.trials == 2
    assert again.detail.parameters["rows"] == "80"
    assert "column 'day' was categorical, is" in done.stderr
    done = subprocess.run(
        [sys.executable, "-m", "forestay", "job", "delete", again.name, "--yes"],
        cwd=place,
        env=_own(place),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert again.name not in set(forestay.jobs()["job"])


def _with_rows(place: Path, rows: pd.DataFrame) -> Path:
    rows.to_csv(place / "new.csv", index=False)
    return place
