"""A job from its start to its end, the order of its leaderboard, and what is left of one that was killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from automl_jobs.runs import RunStore
from automl_jobs.runs.source import ClientSource
from forestay.errors import InputError
from tests.runs_support import METRIC, finished_job, job_start, new_store, outputs_folder, trial

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(project: Path) -> RunStore:
    return new_store(project / ".forestay")


@pytest.fixture
def outputs(project: Path) -> Path:
    return outputs_folder(project / "outputs")


def strict(document: object) -> object:
    """As JSON without NaN, and back."""
    return json.loads(json.dumps(document, allow_nan=False))


def test_a_finished_job_reads_as_it_was_written(store: RunStore, outputs: Path) -> None:
    finished_job(store, outputs)
    found = store.job("latest").as_dict()
    assert strict(found) == found
    assert {key: found[key] for key in ("job", "experiment", "env", "status", "task", "primary_metric", "trials")} == {
        "job": "calm_bay_aaaaaa",
        "experiment": "bank",
        "env": "local",
        "status": "Completed",
        "task": "classification",
        "primary_metric": METRIC,
        "trials": 3,
    }
    best = found["best_trial"]
    assert (best["rank"], best["id"], best["algorithm"], best["preprocessor"], best["score"]) == (
        1,
        "t2",
        "LightGBM",
        "",
        0.9,
    )
    assert found["error"] is None
    assert found["test_metrics"] == {METRIC: 0.85}  # infinity is no number in JSON
    assert found["target"] == "y"
    assert found["tags"] == {"team": "risk", "automl_best_child_run_id": best["run_id"]}
    assert found["parameters"] == {"max_trials": "3", "prefer": "balanced"}
    assert found["duration_seconds"] >= 0
    assert found["created"] <= found["started"] <= found["ended"]


def test_the_list_has_the_best_of_each_job_newest_first(store: RunStore, outputs: Path) -> None:
    finished_job(store, outputs, "first")
    running = store.start_job(job_start("second", experiment="another"))
    running.log_trial(trial("t1", 0.6, outputs))
    store.start_job(job_start("third"))
    rows = [row.as_dict() for row in store.jobs()]
    assert strict(rows) == rows
    assert [(row["job"], row["experiment"], row["status"], row["best_score"], row["trials"]) for row in rows] == [
        ("third", "bank", "Preparing", None, 0),
        ("second", "another", "Preparing", 0.6, 1),
        ("first", "bank", "Completed", 0.9, 3),
    ]


def test_the_leaderboard_is_best_first_then_the_earlier_and_failed_last(store: RunStore, outputs: Path) -> None:
    writer = store.start_job(job_start("job1"))
    writer.log_trial(trial("broken", None, status="Failed", error="no memory"))
    writer.log_trial(trial("slow", 0.8, outputs, duration_seconds=9.0))
    writer.log_trial(trial("nan", float("nan"), outputs))
    writer.log_trial(trial("early", 0.8, outputs, duration_seconds=2.0))
    writer.log_trial(trial("late", 0.8, outputs, duration_seconds=2.0))
    writer.log_trial(trial("best", 0.9, outputs))
    writer.log_trial(trial("stopped", 0.99, None, status="Canceled", error="time is up"))
    rows = [row.as_dict() for row in store.leaderboard("job1")]
    assert strict(rows) == rows
    assert [row["id"] for row in rows] == ["best", "slow", "early", "late", "broken", "nan", "stopped"]
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert [row.get("error") for row in rows] == [None] * 4 + ["no memory", f"no value of {METRIC}", "time is up"]
    assert [row["status"] for row in rows[4:]] == ["Failed", "Failed", "Canceled"]
    assert [row["score"] for row in rows[4:]] == [None, None, None]
    assert rows[0]["metrics"] == {METRIC: 0.9, "accuracy": 0.5}


def test_where_lower_is_better_the_lowest_is_first(store: RunStore, outputs: Path) -> None:
    writer = store.start_job(job_start("job1", primary_metric="normalized_root_mean_squared_error", task="regression"))
    for identity, score in (("middle", 0.2), ("low", 0.1), ("high", 0.3)):
        writer.log_trial(trial(identity, score, outputs))
    assert [row.id for row in store.leaderboard("job1")] == ["low", "middle", "high"]
    assert store.jobs()[0].as_dict()["best_score"] == 0.1
    writer.finish("Completed")
    best = store.job("job1").best
    assert best is not None
    assert best.id == "low"


def test_the_summary_breaks_ties_as_the_leaderboard_does(store: RunStore, outputs: Path) -> None:
    writer = store.start_job(job_start("job1"))
    writer.log_trial(trial("slow", 0.8, outputs, duration_seconds=9.0))
    writer.log_trial(trial("quick", 0.8, outputs, duration_seconds=1.0))
    writer.finish("Completed")
    best = store.job("job1").best
    assert best is not None
    assert best.id == store.leaderboard("job1")[0].id == "slow"


def test_a_trial_has_all_its_files_and_documents(store: RunStore, outputs: Path) -> None:
    finished_job(store, outputs)
    found = store.trial("calm", 1)
    document = found.as_dict()
    assert strict(document) == document
    assert document["parameters"] == {"learning_rate": "0.05"}
    assert document["metrics"] == {METRIC: 0.9, "accuracy": 0.8}
    assert document["confusion_matrix"]["data"]["matrix"] == [[5, 1], [2, 3]]
    assert document["accuracy_table"] is None
    assert {file["path"] for file in document["files"]} == {
        "model.pkl",
        "conda_env_v_1_0_0.yml",
        "scoring_file_v_2_0_0.py",
        "model_schema.json",
        "golden.json",
        "mlflow-model/MLmodel",
    }
    assert found.outputs is not None
    assert (found.outputs / "model.pkl").read_bytes() == (outputs / "model.pkl").read_bytes()
    failed = store.trial("calm", 3)
    assert (failed.outputs, failed.row.error) == (None, "it ran out of memory")


@pytest.mark.parametrize("rank", [0, -1, 4])
def test_a_rank_that_is_not_there_is_told_the_range(store: RunStore, outputs: Path, rank: int) -> None:
    finished_job(store, outputs)
    with pytest.raises(InputError, match="from 1 to 3"):
        store.trial("calm", rank)


def test_names_are_given_once(store: RunStore) -> None:
    store.start_job(job_start("mine"))
    with pytest.raises(InputError, match="'mine' already"):
        store.start_job(job_start("mine", experiment="elsewhere"))
    with pytest.raises(InputError, match="not a job name"):
        store.start_job(job_start("../mine"))
    assert len(store.start_job(job_start()).job.split("_")) == 3


def test_hostile_words_are_only_words(store: RunStore, outputs: Path) -> None:
    name = "x'; DROP TABLE runs; -- /..\\ [red] %s"
    writer = store.start_job(
        job_start("job1", experiment=name, target=name, parameters={name: name}, tags={name: name})
    )
    writer.log_trial(trial("t' OR 1=1", 0.5, outputs, algorithm=name, preprocessor=name * 300, parameters={name: name}))
    writer.log_trial(trial("t2", None, status="Failed", error=name * 1000))
    writer.finish("Failed", error=name * 1000)
    assert store.job("job1").experiment == name
    first = store.leaderboard("job1")[0]
    assert (first.id, first.algorithm) == ("t' OR 1=1", name)
    assert store.trial("job1", 1).outputs is not None
    assert {path.name for path in (store.place.folder / "artifacts").iterdir() if ".." in path.name} == set()


def test_more_parameters_than_mlflow_takes_at_once(store: RunStore, outputs: Path) -> None:
    writer = store.start_job(job_start("job1"))
    writer.log_trial(trial("t1", 0.5, outputs, parameters={f"p{number}": "1" for number in range(250)}))
    assert len(store.trial("job1", 1).parameters) == 250


def test_an_experiment_that_mlflow_does_not_take_is_an_input_error(store: RunStore) -> None:
    with pytest.raises(InputError):
        store.start_job(job_start(experiment="x" * 600))


def test_files_that_cant_be_kept_make_a_failed_trial(store: RunStore, project: Path) -> None:
    writer = store.start_job(job_start("job1"))
    with pytest.raises(InputError, match="not there"):
        writer.log_trial(trial("t1", 0.9, project / "not-there"))
    rows = store.leaderboard("job1")
    assert [(row.status, row.has_model) for row in rows] == [("Failed", False)]
    assert "could not be kept" in str(rows[0].error)
    assert store.job("job1").best is None


def test_cancel_is_heard_within_a_second(store: RunStore) -> None:
    writer = store.start_job(job_start("job1"))
    writer.status("Running")
    assert not writer.cancel_requested()
    assert store.cancel("job1")[1]
    begun = time.monotonic()
    while not writer.cancel_requested():
        assert time.monotonic() - begun < 1
        time.sleep(0.02)
    writer.finish("Canceled")
    found, asked = store.cancel("job1")
    assert (found.status, asked) == ("Canceled", False)
    assert not store.start_job(job_start("job2")).cancel_requested()


def test_two_jobs_at_once_lose_nothing(store: RunStore, outputs: Path) -> None:
    def work(name: str) -> None:
        mine = RunStore.open()
        writer = mine.start_job(job_start(name))
        for number in range(5):
            writer.log_trial(trial(f"{name}-{number}", number / 10, outputs))
            mine.register(name, 1, "Shared")
        writer.finish("Completed")

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(store.leaderboard(name)) for name in ("one", "two")] == [5, 5]
    versions = [int(version.version) for version in store.models()]
    assert versions == sorted(set(versions), reverse=True)
    assert len(versions) == 10


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from automl_jobs.runs import RunStore
from tests.runs_support import job_start, trial
store = RunStore.open()
writer = store.start_job(job_start("killed"))
writer.status("Running")
outputs = Path(sys.argv[1])
writer.log_trial(trial("whole", 0.7, outputs))
def half(run_id, folder, path):
    run = store.client.get_run(run_id)
    to = Path(run.info.artifact_uri.removeprefix("file://")) / path
    to.mkdir(parents=True)
    (to / "model.pkl").write_bytes((outputs / "model.pkl").read_bytes()[:5])
    os.kill(os.getpid(), signal.SIGKILL)
store.client._client.log_artifacts = half
writer.log_trial(trial("half", 0.99, outputs))
"""


def test_a_job_killed_while_it_writes_a_trial_shows_only_whole_ones(store: RunStore, outputs: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(outputs)], cwd=ROOT, env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    row = store.jobs()[0].as_dict()
    assert (row["status"], row["best_score"], row["trials"]) == ("Failed", 0.7, 2)
    found = store.job("killed")
    assert (found.status, found.error) == ("Failed", "interrupted")
    assert found.best is not None
    assert found.best.id == "whole"
    rows = store.leaderboard("killed")
    assert [(row.id, row.status, row.error, row.has_model) for row in rows] == [
        ("whole", "Completed", None, True),
        ("half", "Failed", "interrupted", False),
    ]
    with pytest.raises(InputError, match="interrupted"):
        store.register("killed", 2, "M")
    assert store.register("killed", 1, "M").version == "1"
    assert store.client.get_run(found.run_id).info.status == "FAILED"  # recorded, for MLflow's own page too
    assert store.cancel("killed")[1] is False


def test_sql_and_mlflow_client_read_the_same(store: RunStore, outputs: Path) -> None:
    finished_job(store, outputs, "first")
    second = store.start_job(job_start("second", experiment="it's another"))
    store.register("first", 1, "M")
    store.register("first", 2, "M")
    store.register("first", 2, "N")
    store.client.delete_model_version("M", "1")
    gone = store.start_job(job_start("gone"))
    store.client.delete_run(gone.run_id)
    through_client = ClientSource(store.client)
    assert store.source is not None
    for tag, value in (
        ("forestay.kind", "job"),
        ("forestay.kind", "trial"),
        ("mlflow.parentRunId", store.job("first").run_id),
        ("forestay.job", "gone"),
    ):
        by_id = [{run.run_id: run for run in source.runs(tag, value)} for source in (store.source, through_client)]
        assert by_id[0] == by_id[1]
    for run_id in (second.run_id, gone.run_id, "not-there"):
        assert store.source.run(run_id) == through_client.run(run_id)
    for name in (None, "M", "N", "nothing"):
        versions = [sorted(source.versions(name), key=str) for source in (store.source, through_client)]
        assert versions[0] == versions[1]


def test_more_runs_than_a_page(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("automl_jobs.runs.source.PAGE", 2)
    for number in range(5):
        store.start_job(job_start(f"job{number}", experiment=f"exp{number}"))
    assert len(ClientSource(store.client).runs("forestay.kind", "job")) == 5


def test_a_moved_project_reads_its_files_and_writes_beside_them(project: Path, store: RunStore, outputs: Path) -> None:
    finished_job(store, outputs)
    store.register("calm", 1, "M")
    shutil.copytree(project / ".forestay", project / "moved" / ".forestay")
    shutil.rmtree(project / ".forestay")
    moved = RunStore.open(project / "moved" / ".forestay", create=False)
    path = moved.model("M").path
    assert path.is_relative_to(project / "moved")
    assert (path / "model.pkl").is_file()
    again = RunStore.open(project / "moved" / ".forestay")
    finished_job(again, outputs, "second")
    assert (again.trial("second", 1).outputs or Path()).is_relative_to(project / "moved")
    assert not (project / ".forestay").exists()
    old = again.client.get_run(again.leaderboard("calm")[0].run_id)
    assert old.info.artifact_uri.startswith((project / "moved").as_uri())  # so MLflow's own page finds it as well


@pytest.mark.parametrize("name", ["my project #1", "100% ä", "a'b;c&d"])
def test_folders_with_unusual_names(project: Path, outputs: Path, name: str) -> None:
    home = project / name / ".forestay"
    finished_job(new_store(home), outputs)
    again = RunStore.open(home)
    path = again.register("latest", 1, "M").path
    assert path.is_relative_to(home)
    assert (path / "model.pkl").is_file()


def test_nothing_is_sent_anywhere(store: RunStore, outputs: Path) -> None:
    code = """
import sys
from pathlib import Path
calls = []
sys.addaudithook(lambda event, args: event in ("socket.connect", "socket.getaddrinfo") and calls.append((event, args)))
from automl_jobs.runs import RunStore
from tests.runs_support import finished_job
store = RunStore.open()
finished_job(store, Path(sys.argv[1]))
store.register("latest", 1, "M")
print(calls)
"""
    plain = {key: value for key, value in os.environ.items() if key not in ("CI", "PYTEST_CURRENT_TEST")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(outputs)], cwd=ROOT, env=plain, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_documents_of_a_job_are_read_as_they_were_kept_last(store: RunStore) -> None:
    writer = store.start_job(job_start("documented"))
    assert store.job("documented").as_dict()["guardrails"] == []
    writer.log_document("guardrails", [{"name": "first"}])
    writer.log_document("guardrails", [{"name": "Class balancing detection", "status": "Passed"}])
    found = store.job("documented").as_dict()
    assert found["guardrails"] == [{"name": "Class balancing detection", "status": "Passed"}]
    assert found["explanation"] is None
    with pytest.raises(ValueError, match="is no document of a job"):
        writer.log_document("../job", {})


def test_the_spread_of_a_score_is_told_beside_it_and_is_no_metric(store: RunStore) -> None:
    writer = store.start_job(job_start("spread"))
    writer.log_trial(trial("t1", 0.7, metrics={"accuracy": 0.6, "score_std": 0.02, "train_score": 0.95}))
    writer.log_trial(trial("t2", 0.6))
    first, second = store.leaderboard("spread")
    assert (first.score_std, first.train_score, first.metrics) == (0.02, 0.95, {"accuracy": 0.6, METRIC: 0.7})
    assert (second.as_dict()["score_std"], second.as_dict()["train_score"]) == (None, None)
