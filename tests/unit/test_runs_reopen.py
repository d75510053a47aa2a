"""A job that goes on: who may, what it still has, and how long it took in all."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from automl_jobs.runs import JobWriter, RunStore, tags
from automl_jobs.runs.reopen import PLAN
from automl_jobs.runs.writer import alive_file
from forestay.errors import InputError, OutsideError
from tests.runs_support import job_start, new_store, outputs_folder, trial

HELD_OUT = "held_out.npy"
NOBODY = "2147483646"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return new_store(tmp_path / "home")


def started(store: RunStore, tmp_path: Path) -> JobWriter:
    """A running job with two finished trials."""
    held_out = tmp_path / HELD_OUT
    np.save(held_out, np.arange(4.0))
    outputs = outputs_folder(tmp_path / "outputs")
    writer = store.start_job(job_start("job1", documents={"submit": {"seed": 7}}))
    writer.status("Running")
    for identity, score in (("0", 0.5), ("1", 0.9)):
        plan = {"id": identity, "algorithm": "LightGBM"}
        writer.log_trial(trial(identity, score, outputs, artifacts={PLAN: plan}, files=(held_out,)))
    return writer


def killed(store: RunStore, writer: JobWriter) -> None:
    store.client.set_tag(writer.run_id, tags.WRITER_PID, NOBODY)


def test_a_killed_job_goes_on_with_its_trials_and_the_same_best(store: RunStore, tmp_path: Path) -> None:
    first = started(store, tmp_path)
    killed(store, first)
    assert store.job("job1").error == "interrupted"
    again = store.reopen("job1")
    assert store.job("job1").status == "Preparing"
    assert store.job("job1").error is None
    assert [found.result.id for found in again.trials] == ["0", "1"]
    assert [found.result.score for found in again.trials] == [0.5, 0.9]
    assert again.trials[1].plan == {"id": "1", "algorithm": "LightGBM"}
    folder = again.trials[1].folder
    assert folder is not None
    assert np.load(folder / HELD_OUT).tolist() == [0.0, 1.0, 2.0, 3.0]
    assert (folder / "outputs" / "model.pkl").is_file()
    again.writer.status("Running")
    again.writer.log_trial(trial("2", 0.7))
    running = store.job("job1")
    assert running.best is not None
    assert (running.status, running.trials, running.best.id) == ("Running", 3, "1")
    again.writer.finish("Completed")
    done = store.job("job1")
    assert (done.status, done.error, done.trials) == ("Completed", None, 3)
    assert done.documents["submit"] == {"seed": 7}


def test_a_running_job_is_not_taken_and_says_who_holds_it(store: RunStore, tmp_path: Path) -> None:
    started(store, tmp_path)
    with pytest.raises(OutsideError, match=f"process {os.getpid()}"):
        store.reopen("job1")
    assert store.job("job1").status == "Running"


def test_of_two_that_go_on_one_is_refused(store: RunStore, tmp_path: Path) -> None:
    writer = started(store, tmp_path)
    writer.finish("Canceled", error="interrupted")
    other = "import sys; from automl_jobs.runs import RunStore; from pathlib import Path; import time\n"
    other += "RunStore.open(Path(sys.argv[1])).reopen('job1'); print('taken', flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", other, str(store.place.folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        with pytest.raises(OutsideError, match=f"process {process.pid}"):
            store.reopen("job1")
        process.kill()
        process.wait()
        assert len(store.reopen("job1").trials) == 2


def test_a_half_written_trial_is_no_trial(store: RunStore, tmp_path: Path) -> None:
    writer = started(store, tmp_path)
    writer._begin(trial("2", 0.8))
    killed(store, writer)
    assert [row.status for row in store.leaderboard("job1")] == ["Completed", "Completed", "Failed"]
    assert [found.result.id for found in store.reopen("job1").trials] == ["0", "1"]
    assert len(store.leaderboard("job1")) == 2


def test_time_is_counted_to_the_last_sign_of_life_and_over_all_sessions(store: RunStore, tmp_path: Path) -> None:
    writer = started(store, tmp_path)
    assert not writer.cancel_requested()
    sign = alive_file(store, "job1")
    begun = int(store.source.run(writer.run_id).tags[tags.CREATED]) / 1000  # type: ignore[union-attr]
    os.utime(sign, (begun + 40, begun + 40))
    killed(store, writer)
    assert store.job("job1").duration_seconds == pytest.approx(40, abs=0.01)
    assert not sign.exists()
    again = store.reopen("job1")
    assert again.used_seconds == pytest.approx(40, abs=0.01)
    time.sleep(0.05)
    again.writer.finish("Completed")
    assert store.job("job1").duration_seconds == pytest.approx(40.5, abs=0.5)


def test_a_trial_of_which_nothing_is_known_stops_the_resuming_unless_it_failed(store: RunStore, tmp_path: Path) -> None:
    writer = started(store, tmp_path)
    writer.log_trial(trial("2", None, status="Failed", error="it broke", artifacts={}))
    killed(store, writer)
    again = store.reopen("job1")
    assert again.trials[2].plan == {"id": "2", "algorithm": "LightGBM"}
    again.writer.log_trial(trial("3", 0.3))
    again.writer.finish("Completed")
    with pytest.raises(InputError, match="trial 3"):
        store.reopen("job1")


def test_a_cancel_request_and_test_metrics_of_before_are_forgotten(store: RunStore, tmp_path: Path) -> None:
    writer = started(store, tmp_path)
    writer.finish("Completed", test_metrics={"accuracy": 0.8})
    again = store.reopen("job1")
    assert store.job("job1").test_metrics is None
    assert not again.writer.cancel_requested()
