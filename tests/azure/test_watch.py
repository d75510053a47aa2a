"""Following a job, stopping it, and what became of one that failed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.azure.conftest import Azure, Cli
from tests.azure.standin.jobs import Script
from tests.azure.standin.service import refused
from tests.azure.standin.wire import Fault, Response

pytestmark = pytest.mark.usefixtures("quick")


def test_status_trials_and_the_best_so_far(azure: Azure, cli: Cli, job_file: Path) -> None:
    azure.service.script = Script(trials=3, failed=(1,))
    name = cli("job", "submit", job_file).json["job"]
    done = cli("job", "watch", name)
    assert done.json["status"] == "Completed"
    lines = done.err.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("trial")] == ["0", "1", "2"]
    assert sum("best so far" in line for line in lines) >= 1
    assert azure.sent("GET jobs/")[-1] == f"GET jobs/{name}"
    board = cli("job", "leaderboard", name).json["trials"]
    assert [row["status"] for row in board] == ["Completed", "Completed", "Failed"]
    assert board[-1]["error"] == "out of memory (OutOfMemory)"
    assert board[-1]["score"] is None


def test_a_poll_is_one_request(azure: Azure, cli: Cli, job_file: Path) -> None:
    azure.service.script = Script(trials=3, trial_seconds=0.5)
    name = cli("job", "submit", job_file).json["job"]
    azure.log.clear()
    cli("job", "watch", name)
    polls = [one for one in azure.sent() if one == f"GET jobs/{name}"]
    others = [one for one in azure.sent(host="management") if one != f"GET jobs/{name}"]
    assert len(polls) >= 3
    assert others == ["GET "]  # the workspace, once, for the run history at the end


def test_ctrl_c_leaves_the_job_and_says_how_to_cancel(
    azure: Azure, cli: Cli, job_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from automl_jobs import watch

    azure.service.script = Script(queued=60)
    name = cli("job", "submit", job_file).json["job"]

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(watch, "sleep", interrupt)
        done = cli("job", "watch", name, code=130)
    assert f"forestay job cancel {name} --env dev" in done.err
    assert azure.service.jobs[name].status() == "Queued"
    assert cli("job", "cancel", name).json == {"job": name, "status": "Queued", "requested": True}
    assert cli("job", "watch", name, code=1).json["status"] == "Canceled"
    assert cli("job", "cancel", name).json["requested"] is False


def test_another_process_watches_on(azure: Azure, cli: Cli, job_file: Path, project: Path) -> None:
    azure.service.script = Script(queued=3600)
    name = cli("job", "submit", job_file).json["job"]
    words = [sys.executable, "-m", "forestay", "job", "watch", name, "--env", "dev"]
    with subprocess.Popen(words, cwd=project, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as running:
        assert running.stderr is not None
        assert "Queued" in running.stderr.readline()
        running.send_signal(signal.SIGINT)
        rest = running.stderr.read()
        assert running.wait(60) == 130
    assert f"{name} goes on" in rest


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("AmlComputeAllocationFailed", "The cluster could not get nodes: quota exceeded", "quota"),
        ("AuthorizationPermissionMismatch", "This request is not authorized: 403", "Storage Blob Data Contributor"),
        ("ImageBuildFailure", "Image build failed", "imageBuildCompute"),
        ("InvalidData", "The MLTable could not be read: column y has null values", "forestay job check"),
    ],
)
def test_a_failed_job_shows_its_log_its_code_and_one_thing_to_do(
    azure: Azure, cli: Cli, job_file: Path, code: str, message: str, kind: str
) -> None:
    azure.service.script = Script(trials=0, error=(code, message), log="step one\nValueError: it broke here\n")
    done = cli("job", "submit", job_file, "--stream", code=1)
    assert done.json["status"] == "Failed"
    assert done.json["error"] == f"{message} ({code})"
    assert "it broke here" in done.err
    assert kind in done.err
    assert "https://ml.azure.com" not in done.err


def test_the_log_is_of_the_step_that_failed(azure: Azure, cli: Cli, job_file: Path) -> None:
    """The job's own run says no more than that something below it failed."""
    wrong = ("InvalidData", "The MLTable could not be read")
    azure.service.script = Script(trials=0, error=wrong, failing_step="setup", log="reading\nValueError: bad row 7\n")
    name = cli("job", "submit", job_file).json["job"]
    done = cli("job", "watch", name, code=1)
    assert f"{name}_setup" in done.err
    assert "bad row 7" in done.err
    shown = cli("job", "show", name)
    assert "user_logs/std_log.txt | ValueError: bad row 7" in shown.err
    assert "what to do: check the data here" in shown.err


def test_dropped_connections_500s_and_429s_are_outlived(azure: Azure, cli: Cli, job_file: Path) -> None:
    azure.service.script = Script(trials=2, trial_seconds=0.2)
    name = cli("job", "submit", job_file).json["job"]
    busy = Response(429, {"error": {"code": "TooManyRequests", "message": "slow down"}}, {"Retry-After": "0"})
    azure.fault(
        Fault(f"GET .*/jobs/{name}", times=2, skip=1),
        Fault(f"GET .*/jobs/{name}", refused(500, "InternalServerError", "oops"), times=9, skip=2),
        Fault(f"GET .*/jobs/{name}", busy, times=3, skip=4),
    )
    done = cli("job", "watch", name)
    assert done.json["status"] == "Completed"


def test_a_job_that_is_canceled_elsewhere_ends_the_watching(azure: Azure, cli: Cli, job_file: Path) -> None:
    azure.service.script = Script(trials=5, canceled_after=2)
    done = cli("job", "submit", job_file, "--stream", code=1)
    assert (done.json["status"], done.json["trials"]) == ("Canceled", 2)
    assert "was canceled" in done.err


def test_a_token_that_azure_no_longer_takes_is_renewed(azure: Azure, cli: Cli, job_file: Path) -> None:
    name = cli("job", "submit", job_file).json["job"]
    expired = refused(401, "ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than now.")
    azure.fault(Fault(f"GET .*/jobs/{name}", expired, skip=1))
    logins = len(azure.sent("POST", "login"))
    cli("job", "watch", name)
    assert len(azure.sent("POST", "login")) - logins == 2


def test_jobs_are_listed_page_by_page_and_found_by_their_beginning(azure: Azure, cli: Cli, job_file: Path) -> None:
    names = [cli("job", "submit", job_file, "--set", f"name=run{number}", "--force").json["job"] for number in range(5)]
    rows = cli("job", "list").json
    assert [row["job"] for row in rows] == names[::-1]
    assert set(rows[0]) >= {"job", "experiment", "status", "task", "best_score", "created"}
    assert cli("job", "show", "latest").json["job"] == "run4"
    assert "nearest" in cli("job", "show", "run9", code=2).err
    assert "fits 5 jobs" in cli("job", "show", "run", code=2).err
    assert "already exists" in cli("job", "submit", job_file, "--set", "name=run1", "--force", code=2).err


def test_local_jobs_are_watched_as_well(project: Path, forestay_job: str) -> None:
    """A job of this machine that has ended is shown at once."""
    done = subprocess.run(
        [sys.executable, "-m", "forestay", "job", "watch", forestay_job, "--output", "json"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["job"] == forestay_job


@pytest.fixture
def forestay_job(project: Path) -> str:
    from tests.runs_support import finished_job, new_store, outputs_folder

    store = new_store(project / ".forestay")
    return finished_job(store, outputs_folder(project / "outputs")).job


def test_waiting_is_bounded(azure: Azure, cli: Cli, job_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Azure that stays away ends the watching, not the job, with exit code 3."""
    from automl_jobs import watch

    monkeypatch.setattr(watch.watch, "__defaults__", (0.05, 0.0))
    azure.service.script = Script(queued=60)
    name = cli("job", "submit", job_file).json["job"]
    azure.fault(Fault(f"GET .*/jobs/{name}", refused(503, "ServiceUnavailable", "away"), times=99, skip=2))
    started = time.monotonic()
    done = cli("job", "watch", name, code=3)
    assert "nothing is lost" in done.err
    assert time.monotonic() - started < 120
