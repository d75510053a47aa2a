"""`forestay job …` and `forestay model …` as a user and a script run them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from automl_jobs.runs import RunStore
from tests.conftest import ROOT, Run
from tests.runs_support import METRIC, finished_job, job_start, new_store, outputs_folder, trial

JOB = "calm_bay_aaaaaa"


@pytest.fixture
def store(project: Path) -> RunStore:
    store = new_store(project / ".forestay")
    finished_job(store, outputs_folder(project / "outputs"))
    return store


@pytest.fixture
def answer(forestay: Run) -> Any:
    """Run a command with `--output json`: its document; nothing else may be on stdout, nor any chatter on stderr."""

    def run(*arguments: str | Path) -> Any:
        done = forestay(*arguments, "--output", "json", timeout=60)
        assert done.returncode == 0, done.stderr
        assert "mlflow" not in done.stderr.lower()
        assert "warning" not in done.stderr.lower()
        return json.loads(done.stdout)

    return run


def refused(done: subprocess.CompletedProcess[str], code: int = 2) -> str:
    assert done.returncode == code, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_where_nothing_ran_reading_answers_and_makes_nothing(forestay: Run, answer: Any, project: Path) -> None:
    assert answer("job", "list") == []
    assert answer("model", "list") == []
    assert "job submit" in forestay("job", "list").stderr
    for arguments in (("show", "latest"), ("leaderboard", "x"), ("trial", "x"), ("cancel", "x")):
        assert "no job has run here" in refused(forestay("job", *arguments))
    assert "none is registered" in refused(forestay("model", "show", "M"))
    assert list(project.iterdir()) == []


def test_job_list_and_show(store: RunStore, answer: Any, forestay: Run) -> None:
    (row,) = answer("job", "list")
    assert {key: row[key] for key in ("job", "experiment", "status", "task", "best_score")} == {
        "job": JOB,
        "experiment": "bank",
        "status": "Completed",
        "task": "classification",
        "best_score": 0.9,
    }
    assert row["created"].endswith("+00:00")
    found = answer("job", "show", "latest")
    assert {"job", "experiment", "env", "status", "task", "primary_metric", "duration_seconds", "trials"} <= set(found)
    best = found["best_trial"]
    assert {key: best[key] for key in ("rank", "id", "algorithm", "preprocessor", "score")} == {
        "rank": 1,
        "id": "t2",
        "algorithm": "LightGBM",
        "preprocessor": "",
        "score": 0.9,
    }
    assert (found["trials"], found["error"], found["test_metrics"]) == (3, None, {METRIC: 0.85})
    for arguments in (("list",), ("show", "calm")):
        shown = forestay("job", *arguments)
        assert JOB in shown.stdout
        assert "0.90000" in shown.stdout
        assert shown.stderr == ""


def test_leaderboard(store: RunStore, answer: Any, forestay: Run) -> None:
    board = answer("job", "leaderboard", "calm_bay")
    assert (board["job"], board["primary_metric"]) == (JOB, METRIC)
    assert [(row["rank"], row["id"], row["score"], row["status"]) for row in board["trials"]] == [
        (1, "t2", 0.9, "Completed"),
        (2, "t1", 0.7, "Completed"),
        (3, "t3", None, "Failed"),
    ]
    assert board["trials"][2]["error"] == "it ran out of memory"
    assert set(board["trials"][0]) >= {"algorithm", "preprocessor", "duration_seconds", "metrics"}
    shown = forestay("job", "leaderboard", "latest").stdout
    lines = [line.split() for line in shown.splitlines()]
    assert ["*", "1", "LightGBM"] in [line[:3] for line in lines]
    assert "3: it ran out of memory" in shown


def test_trial_of_any_rank(store: RunStore, answer: Any, forestay: Run) -> None:
    second = answer("job", "trial", "latest", "--rank", "2")
    assert (second["id"], second["algorithm"], second["parameters"]) == (
        "t1",
        "DummyClassifier",
        {"learning_rate": "0.05"},
    )
    assert (Path(second["path"]) / "model.pkl").is_file()
    shown = forestay("job", "trial", "latest").stdout
    for word in ("confusion matrix", "learning_rate", "model.pkl", "accuracy", "true \\ predicted"):
        assert word in shown
    assert "from 1 to 3" in refused(forestay("job", "trial", "latest", "--rank", "4"))
    assert "it ran out of memory" in forestay("job", "trial", "latest", "--rank", "3").stdout


def test_download_copies_once(store: RunStore, answer: Any, forestay: Run, project: Path) -> None:
    document = answer("job", "download", "latest", "--rank", "2", "--to", "copy")
    assert (document["trial"], document["path"]) == ("t1", str(project / "copy"))
    assert "model.pkl" in document["files"]
    assert (project / "copy" / "model.pkl").read_bytes() == (project / "outputs" / "model.pkl").read_bytes()
    assert "something here already" in refused(forestay("job", "download", "latest", "--to", "copy"))
    assert "has no model" in refused(forestay("job", "download", "latest", "--rank", "3", "--to", "other"))
    assert not (project / "other").exists()


def test_models_from_register_to_download(store: RunStore, answer: Any, forestay: Run, project: Path) -> None:
    first = answer("model", "register", "latest", "--name", "M")
    assert {key: first[key] for key in ("name", "version", "job", "trial", "existing")} == {
        "name": "M",
        "version": "1",
        "job": JOB,
        "trial": "t2",
        "existing": False,
    }
    assert answer("model", "register", "latest", "--rank", "2", "--name", "M")["version"] == "2"
    again = forestay("model", "register", "latest", "--name", "M")
    assert "M:1 already" in again.stderr
    assert "M:1" in again.stdout
    assert [(row["name"], row["version"]) for row in answer("model", "list")] == [("M", "2"), ("M", "1")]
    assert answer("model", "show", "M")["version"] == "2"
    assert answer("model", "show", "local:M:1") == {key: first[key] for key in first if key != "existing"}
    assert "AUC_weighted" in forestay("model", "show", "M:1").stdout
    assert "model.pkl" in answer("model", "download", "M:1", "--to", "m")["files"]
    assert (project / "m" / "model_schema.json").is_file()
    for arguments, words in (
        (("register", "latest", "--name", "a/b"), "not a model name"),
        (("register", "latest", "--rank", "3", "--name", "M"), "it ran out of memory"),
        (("register", "nope", "--name", "M"), f"nearest: {JOB}"),
        (("register", "latest", "--name", "M", "--env", "dev"), "there is no Pulumi.yaml here"),
        (("show", "M:9"), "there are: 1, 2"),
        (("show", "N"), "nearest: M"),
        (("download", "M", "--to", "m"), "something here already"),
    ):
        assert words in refused(forestay("model", *arguments))


def test_reading_does_not_import_mlflow(store: RunStore, project: Path) -> None:
    code = "import sys; from forestay.cli import main\ntry: main(['job', 'leaderboard', 'latest', '-o', 'json'])\n"
    code += "finally: print('mlflow' in sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "False"


WRITER = """
import sys, time
from automl_jobs.runs import RunStore
from tests.runs_support import job_start
writer = RunStore.open().start_job(job_start("running"))
writer.status("Running")
print("started", flush=True)
while not writer.cancel_requested():
    time.sleep(0.05)
writer.finish("Canceled")
"""


def test_cancel_reaches_another_process(store: RunStore, answer: Any, forestay: Run) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER], cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "started\n"
        assert answer("job", "show", "running")["status"] == "Running"
        assert answer("job", "cancel", "running") == {"job": "running", "status": "Running", "requested": True}
        assert writer.wait(timeout=20) == 0
    assert answer("job", "show", "running")["status"] == "Canceled"
    assert "ended already: Canceled" in forestay("job", "cancel", "running").stdout


def test_a_killed_job_is_failed_and_interrupted(store: RunStore, answer: Any, forestay: Run) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER], cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    assert "its process is gone" in forestay("job", "cancel", "running").stdout
    found = answer("job", "show", "running")
    assert (found["status"], found["error"], found["trials"]) == ("Failed", "interrupted", 0)
    assert [row["status"] for row in answer("job", "list")] == ["Failed", "Completed"]
    assert "no trial has ended" in forestay("job", "leaderboard", "running").stdout
    assert "has no trials" in refused(forestay("job", "trial", "running"))


def test_two_that_open_a_new_store_at_once_and_one_that_is_killed(project: Path, answer: Any) -> None:
    code = "import sys; from automl_jobs.runs import RunStore; from tests.runs_support import job_start\n"
    code += "RunStore.open().start_job(job_start(sys.argv[1])).finish('Completed')"
    home = project / ".forestay"

    def start(name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", code, name], cwd=ROOT)

    first = start("killed")
    deadline = time.monotonic() + 30
    while not list(home.glob(".runs.db.new-*/runs.db")):  # the migrations are running
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert answer("job", "list") == []
    both = [start("one"), start("two")]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert sorted(row["job"] for row in answer("job", "list")) == ["one", "two"]
    assert list(home.glob(".runs.db.new-*")) == []


def test_stores_that_cant_be_read(forestay: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".forestay").mkdir()
    (project / ".forestay" / "runs.db").write_bytes(b"not a database, not at all" * 99)
    assert "runs.db: the run store is damaged" in refused(forestay("job", "list"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@127.0.0.1:9")
    text = refused(forestay("job", "list", timeout=15), code=3)
    assert "cannot reach the tracking server 127.0.0.1:9" in text
    assert "hunter2" not in text


def test_a_label_full_of_markup_is_shown_as_it_is(store: RunStore, forestay: Run, project: Path) -> None:
    name = "[bold]<b>\\[/] {x} %s"
    matrix = {"data": {"class_labels": [name, "no"], "matrix": [[1, 2], [3, 4]]}}
    writer = store.start_job(job_start("odd", tags={"note": name}))
    outputs = project / "outputs"
    writer.log_trial(trial("t1", 0.5, outputs, algorithm=name, artifacts={"confusion_matrix": matrix}))
    writer.finish("Failed", error=name)
    for arguments in (("show", "odd"), ("leaderboard", "odd"), ("trial", "odd")):
        assert name in forestay("job", *arguments).stdout
