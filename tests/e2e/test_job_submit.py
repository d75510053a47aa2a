"""`job submit` as a user runs it: real trials, honest scores, limits kept, interruptions survived."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pexpect
import psutil
import pytest

from tests.conftest import Run
from tests.tables import write_job

RECOMPUTE = """
import json, sys
import joblib, pandas as pd
from sklearn.metrics import accuracy_score, r2_score
frame = pd.read_csv(sys.argv[1])
target = frame.pop(sys.argv[2])
for model in sys.argv[3:]:
    predicted = joblib.load(model).predict(frame)
    print((accuracy_score if target.dtype != float else r2_score)(target, predicted))
assert not any(name.split(".")[0] in ("forestay", "automl_jobs", "scoring") for name in sys.modules)
"""


def submit(forestay: Run, *arguments: str | Path, **options: Any) -> dict[str, Any]:
    done = forestay("job", "submit", *arguments, "--output", "json", **options)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("target", "metric"), [("label", "accuracy"), ("amount", "r2_score")])
def test_every_trial_scores_again_what_it_reported(forestay: Run, project: Path, target: str, metric: str) -> None:
    """In a new process, from raw CSV columns, with model.pkl and nothing of Forestay but the module beside it."""
    job = write_job(project, target, metric, trials=12)
    found = submit(forestay, job)
    assert found["status"] == "Completed"
    assert found["primary_metric"] == metric
    assert metric in found["test_metrics"]
    board = json.loads(forestay("job", "leaderboard", found["job"], "--output", "json").stdout)
    trials = [trial for trial in board["trials"] if trial["status"] == "Completed"]
    assert len(trials) >= 9
    assert [trial["score"] for trial in trials] == sorted((trial["score"] for trial in trials), reverse=True)
    assert any(trial["algorithm"] == "Baseline" for trial in trials)
    assert trials[0]["score"] > 0.55
    models = []
    for trial in trials:
        to = project / f"trial{trial['rank']}"
        done = forestay("job", "download", found["job"], "--rank", str(trial["rank"]), "--to", to)
        assert done.returncode == 0, done.stderr
        models += list(to.rglob("outputs/model.pkl")) or [to / "model.pkl"]
    again = subprocess.run(
        [sys.executable, "-c", RECOMPUTE, str(project / "valid/data.csv"), target, *map(str, models)],
        capture_output=True,
        text=True,
        check=True,
        cwd=models[0].parent,
    )
    assert [float(line) for line in again.stdout.split()] == pytest.approx([trial["score"] for trial in trials])


def test_limits_and_algorithm_lists_are_kept(forestay: Run, project: Path) -> None:
    job = write_job(project)
    found = submit(
        forestay,
        job,
        "--set",
        "limits.max_trials=3",
        "--set",
        "training.allowed_training_algorithms=[logistic_regression, light_gbm]",
    )
    assert found["trials"] == 3
    board = json.loads(forestay("job", "leaderboard", found["job"], "--output", "json").stdout)
    assert {trial["algorithm"] for trial in board["trials"]} == {"Baseline", "LogisticRegression", "LightGBM"}
    stopped = submit(forestay, job, "--set", "limits.exit_score=0.2")
    assert stopped["trials"] <= 2
    blocked = submit(
        forestay, job, "--set", "training.blocked_training_algorithms=[LogisticRegression]", "--time-budget", "40s"
    )
    names = json.loads(forestay("job", "leaderboard", blocked["job"], "--output", "json").stdout)["trials"]
    assert "LogisticRegression" not in {trial["algorithm"] for trial in names}


def test_the_time_budget_holds_and_a_late_trial_is_a_row(forestay: Run, project: Path) -> None:
    job = write_job(project, trials=1000, rows=6000)
    started = time.monotonic()
    found = submit(forestay, job, "--time-budget", "12s", "--set", "limits.enable_early_termination=false")
    assert found["duration_seconds"] <= 15
    assert time.monotonic() - started < 60
    assert found["trials"] >= 2


def test_progress_is_on_stderr_and_one_document_on_stdout(forestay: Run, project: Path) -> None:
    job = write_job(project, trials=2)
    done = forestay("job", "submit", job, "--output", "json")
    json.loads(done.stdout)
    assert "best so far" in done.stderr
    assert "\x1b" not in done.stderr
    quiet = forestay("--quiet", "job", "submit", job, "-o", "json")
    assert quiet.stderr == ""


def _started(project: Path, job: Path) -> subprocess.Popen[str]:
    """A submit in the background that has finished its first trial."""
    process = subprocess.Popen(
        [sys.executable, "-m", "forestay", "job", "submit", str(job), "--time-budget", "100s"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if re.search(r"trial +1 ", line):
            return process
    raise AssertionError("the job ended before its first trial")


def _gone(children: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(children, timeout=15)
    return not alive


def test_kill_9_leaves_a_failed_job_that_the_next_command_tells_of(forestay: Run, project: Path) -> None:
    job = write_job(project, trials=1000, rows=6000)
    process = _started(project, job)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.kill()
    process.wait()
    assert _gone(children)
    (row,) = json.loads(forestay("job", "list", "--output", "json").stdout)
    assert row["status"] == "Failed"
    shown = json.loads(forestay("job", "show", row["job"], "--output", "json").stdout)
    assert shown["error"] == "interrupted"
    board = json.loads(forestay("job", "leaderboard", row["job"], "--output", "json").stdout)
    assert board["trials"][0]["score"] is not None
    done = forestay("job", "download", row["job"], "--to", project / "kept")
    assert done.returncode == 0, done.stderr
    assert submit(forestay, job, "--set", "limits.max_trials=2")["status"] == "Completed"
    left = [path.name for path in (project / ".forestay" / "tmp").iterdir()]
    assert left == []


def test_ctrl_c_off_a_terminal_keeps_the_trials(forestay: Run, project: Path) -> None:
    job = write_job(project, trials=1000, rows=6000)
    process = _started(project, job)
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert _gone(children)
    (row,) = json.loads(forestay("job", "list", "--output", "json").stdout)
    assert row["status"] == "Canceled"
    assert row["best_score"] is not None


def test_cancel_from_another_terminal(forestay: Run, project: Path) -> None:
    job = write_job(project, trials=1000, rows=6000)
    process = _started(project, job)
    done = forestay("job", "cancel", "latest")
    assert done.returncode == 0, done.stderr
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "was canceled" in errors
    (row,) = json.loads(forestay("job", "list", "--output", "json").stdout)
    assert row["status"] == "Canceled"


def test_a_terminal_shows_a_live_leaderboard_and_ctrl_c_can_finish_early(project: Path) -> None:
    job = write_job(project, trials=1000, rows=6000)
    child = pexpect.spawn(
        sys.executable,
        ["-m", "forestay", "job", "submit", str(job), "--time-budget", "100s"],
        cwd=str(project),
        timeout=60,
        dimensions=(40, 120),
        encoding="utf-8",
    )
    child.expect("LogisticRegression")
    child.expect("left")
    child.sendintr()
    child.expect("inish now with what there is")
    child.sendline("f")
    child.expect("Completed")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_a_job_of_a_task_that_only_azure_runs_says_so(forestay: Run, project: Path) -> None:
    job = write_job(project)
    text = re.sub(r"(primary_metric|test_data|weight_column_name):.*\n", "", job.read_text(encoding="utf-8"))
    job.write_text(text.replace("task: classification", "task: text_ner"), encoding="utf-8")
    done = forestay("job", "submit", job, process=False)
    assert done.returncode == 2
    assert "text_ner" in done.stderr
    assert "job.yml:3" in done.stderr
    assert not (project / ".forestay" / "runs.db").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing.yml"], "nothing.yml"),
        (["job.yml", "--time-budget", "soon"], "--time-budget"),
        (["job.yml", "--time-budget", "0s"], "--time-budget"),
        (["job.yml", "--set", "limits.max_trials"], "--set"),
        (["job.yml", "--set", "limits.max_trails=3"], "max_trials"),
        (["job.yml", "--seed", "-1"], "--seed"),
        (["job.yml", "--env", "prod"], "--env"),
    ],
)
def test_wrong_input_is_told_in_words(forestay: Run, project: Path, arguments: list[str], words: str) -> None:
    write_job(project)
    done = forestay("job", "submit", *arguments, process=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_home_that_can_not_be_made_is_told_before_training(
    forestay: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_job(project)
    (project / "file").write_text("no folder", encoding="utf-8")
    monkeypatch.setenv("FORESTAY_HOME", str(project / "file" / "home"))
    done = forestay("job", "submit", "job.yml", process=False)
    assert done.returncode == 2
    assert "file/home" in done.stderr
    assert "Traceback" not in done.stderr
