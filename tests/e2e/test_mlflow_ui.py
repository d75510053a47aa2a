"""Stock `mlflow server`, installed in an environment of its own, opens the run store; and ours works against it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from automl_jobs.runs import RunStore
from tests.conftest import ROOT, Run
from tests.environments import environment
from tests.resume_support import stopped
from tests.runs_support import MATRIX, METRIC, finished_job, job_start, new_store, outputs_folder
from tests.tables import MLTABLE, mixed

VERSION = "3.15.0"

pytestmark = pytest.mark.slow

# Runs a command, and ends it with all that it has started when our end of its input is closed: by the test, or by the
# death of its process, which leaves no time to do so.
GUARD = """
import os, signal, subprocess, sys, threading
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
threading.Thread(target=lambda: (sys.stdin.read(), os.killpg(0, signal.SIGKILL)), daemon=True).start()
sys.exit(server.wait())
"""


def guarded(command: Sequence[str | Path], **options: Any) -> subprocess.Popen[bytes]:
    """A command that ends with us; `options` are those of Popen."""
    words = [sys.executable, "-c", GUARD, *map(str, command)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True, **options)


@pytest.fixture(scope="session")
def mlflow_server() -> Path:
    """The `mlflow` of an environment that holds nothing but MLflow, made once and kept beside the project's own."""
    return environment(f"mlflow-{VERSION}", sys.executable, (f"mlflow=={VERSION}",)) / "mlflow"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def serve(mlflow_server: Path, tmp_path: Path) -> Iterator[Any]:
    """Start `mlflow server` on a database; its address. Stopped at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(database: Path) -> str:
        address = f"http://127.0.0.1:{(port := free_port())}"
        log = (tmp_path / "server.log").open("wb")
        arguments = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        arguments += ["--backend-store-uri", f"sqlite:///{database}"]
        settings = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
        settings["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # seven processes that run jobs of its own
        settings.pop("MLFLOW_TRACKING_URI", None)
        started.append(guarded([mlflow_server, *arguments], cwd=tmp_path, stdout=log, stderr=log, env=settings))
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"{address}/health", timeout=2):
                    return address
            except OSError:
                assert time.monotonic() < deadline, (tmp_path / "server.log").read_text()
                assert started[-1].poll() is None, (tmp_path / "server.log").read_text()
                time.sleep(0.2)

    yield start
    for process in started:
        process.communicate()


def test_a_server_ends_with_the_process_that_started_it() -> None:
    parent = (
        "import sys, time; from tests.e2e.test_mlflow_ui import guarded\n"
        'child = \'import subprocess, sys, time; one = subprocess.Popen([sys.executable, "-c", "import time;'
        " time.sleep(60)\"]); print(one.pid, flush=True); time.sleep(60)'\n"
        "guarded([sys.executable, '-c', child]); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", parent], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        grandchild = psutil.Process(int(process.stdout.readline()))
        process.kill()
    psutil.wait_procs([grandchild], timeout=20)
    assert not grandchild.is_running()


def ask(address: str, path: str, body: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as reply:
        return json.load(reply)


def by_key(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {item["key"]: item["value"] for item in items}


def test_mlflow_shows_jobs_trials_files_and_models(project: Path, serve: Any) -> None:
    store = new_store(project / ".forestay")
    outputs = outputs_folder(project / "outputs")
    job = finished_job(store, outputs)
    store.register(job.job, 1, "M")
    address = serve(project / ".forestay" / "runs.db")

    with urllib.request.urlopen(address, timeout=20) as page:
        assert b"<html" in page.read()
    experiments = {
        e["name"]: e["experiment_id"] for e in ask(address, "experiments/search", {"max_results": 100})["experiments"]
    }
    found = ask(address, "runs/search", {"experiment_ids": [experiments["bank"]], "max_results": 100})["runs"]
    runs = {run["info"]["run_name"]: run for run in found}
    assert set(runs) == {job.job, "t1", "t2", "t3"}

    parent, best = runs[job.job], runs["t2"]
    assert by_key(parent["data"]["metrics"]) == {METRIC: 0.9, "accuracy": 0.8, f"test_{METRIC}": 0.85}
    assert by_key(parent["data"]["tags"])["automl_best_child_run_id"] == best["info"]["run_id"]
    assert by_key(parent["data"]["params"]) == {"max_trials": "3", "prefer": "balanced"}
    assert parent["info"]["status"] == "FINISHED"
    assert runs["t3"]["info"]["status"] == "FAILED"
    for name in ("t1", "t2", "t3"):
        assert by_key(runs[name]["data"]["tags"])["mlflow.parentRunId"] == parent["info"]["run_id"]
    assert by_key(best["data"]["metrics"]) == {METRIC: 0.9, "accuracy": 0.8}
    assert by_key(best["data"]["params"]) == {"learning_rate": "0.05"}

    def files(run: dict[str, Any], path: str = "") -> set[str]:
        query = urllib.parse.urlencode({"run_id": run["info"]["run_id"], "path": path})
        return {file["path"] for file in ask(address, f"artifacts/list?{query}").get("files", [])}

    def artifact(run: dict[str, Any], path: str) -> bytes:
        query = urllib.parse.urlencode({"run_id": run["info"]["run_id"], "path": path})
        with urllib.request.urlopen(f"{address}/get-artifact?{query}", timeout=20) as reply:
            return bytes(reply.read())

    assert files(parent) == {"job.yml"}
    assert artifact(parent, "job.yml") == b"type: automl\n"
    assert files(best) == {"confusion_matrix", "model_cards", "outputs"}
    assert {"outputs/model.pkl", "outputs/conda_env_v_1_0_0.yml", "outputs/scoring_file_v_2_0_0.py"} <= files(
        best, "outputs"
    )
    assert artifact(best, "outputs/model.pkl") == (outputs / "model.pkl").read_bytes()
    assert json.loads(artifact(best, "confusion_matrix")) == MATRIX

    version = ask(address, "model-versions/get?name=M&version=1")["model_version"]
    assert version["run_id"] == best["info"]["run_id"]
    assert by_key(version["tags"])["forestay.job"] == job.job


def test_the_run_store_works_on_a_tracking_server(
    project: Path, serve: Any, forestay: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", serve(project / "server.db"))
    outputs = outputs_folder(project / "outputs")
    store = RunStore.open()
    finished_job(store, outputs)
    running = store.start_job(job_start("running"))
    assert store.cancel("running")[1]
    time.sleep(0.6)
    assert running.cancel_requested()
    running.finish("Canceled")

    def answer(*arguments: str) -> Any:
        done = forestay(*arguments, "--output", "json", "--quiet")
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    assert [(row["job"], row["status"], row["best_score"]) for row in answer("job", "list")] == [
        ("running", "Canceled", None),
        ("calm_bay_aaaaaa", "Completed", 0.9),
    ]
    assert [row["id"] for row in answer("job", "leaderboard", "calm")["trials"]] == ["t2", "t1", "t3"]
    assert answer("model", "register", "calm", "--name", "M")["version"] == "1"
    assert answer("model", "register", "calm", "--name", "M")["existing"] is True
    path = Path(answer("model", "show", "M")["path"])
    assert (path / "model.pkl").read_bytes() == (outputs / "model.pkl").read_bytes()
    assert answer("job", "trial", "calm")["confusion_matrix"] == MATRIX
    assert not (project / ".forestay" / "runs.db").exists()


JOB = """\
type: automl
task: classification
primary_metric: AUC_weighted
target_column_name: label
training_data: {path: ./data, type: mltable}
n_cross_validations: 3
limits: {timeout_minutes: 20, max_trials: 5}
training:
  allowed_training_algorithms: [logistic_regression, bernoulli_naive_bayes, knn]
"""


def test_a_job_is_submitted_killed_and_resumed_on_a_tracking_server(
    project: Path, serve: Any, forestay: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "data").mkdir()
    mixed(240, 1).drop(columns=["amount", "words"]).to_csv(project / "data" / "data.csv", index=False)
    (project / "data" / "MLTable").write_text(MLTABLE, encoding="utf-8")
    (project / "job.yml").write_text(JOB, encoding="utf-8")
    options = ("submit", "job.yml", "--seed", "3", "--set", "name=cut")

    def ranked() -> list[tuple[Any, ...]]:
        done = forestay("job", "leaderboard", "cut", "--output", "json")
        assert done.returncode == 0, done.stderr
        keys = ("rank", "id", "algorithm", "preprocessor", "score", "status")
        return [tuple(trial[key] for key in keys) for trial in json.loads(done.stdout)["trials"]]

    assert forestay("job", *options).returncode == 0
    expected = ranked()
    assert "VotingEnsemble" in {row[2] for row in expected}

    monkeypatch.setenv("MLFLOW_TRACKING_URI", serve(project / "server.db"))
    assert stopped(project, 2, signal.SIGKILL, *options) == -signal.SIGKILL
    # What the process that was killed had at hand is not on the machine where the job goes on.
    shutil.rmtree(project / ".forestay" / "cache", ignore_errors=True)
    done = forestay("job", "resume", "cut", "--output", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["status"], found["trials"]) == ("Completed", 5)
    started = [int(number) for number in re.findall(r"^trial +(\d+) ", done.stderr, re.MULTILINE)]
    assert started
    assert min(started) > 2
    assert ranked() == expected
    registered = forestay("model", "register", "cut", "--name", "M", "--output", "json")
    assert registered.returncode == 0, registered.stderr
    assert (Path(json.loads(registered.stdout)["path"]) / "model.pkl").is_file()
