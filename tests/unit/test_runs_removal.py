"""Deleting a job, and what killed commands and deleted jobs leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from automl_jobs.runs import RunStore, tags
from automl_jobs.runs.removal import GONE, discard, left, removal, remove
from forestay import cleanup
from forestay.errors import InputError, OutsideError
from tests.runs_support import finished_job, job_start, new_store, outputs_folder, trial

NOBODY = "2147483646"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("FORESTAY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    new_store(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> RunStore:
    return RunStore.open(home)


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return outputs_folder(tmp_path / "outputs")


def files_of(home: Path) -> list[Path]:
    return [path for path in (home / "artifacts").rglob("*") if path.is_file()]


def test_a_deleted_job_is_gone_with_its_files_and_rows_and_its_name_is_free(
    home: Path, store: RunStore, outputs: Path
) -> None:
    finished_job(store, outputs, "kept_job")
    before = set(files_of(home))
    finished_job(store, outputs, "calm_bay")
    found = cleanup.deletion(home, "calm", with_models=False)
    assert (found.removal.trials, found.removal.versions) == (3, ())
    assert found.removal.size == sum(path.stat().st_size for path in set(files_of(home)) - before)
    cleanup.delete(home, found)
    assert [row.job for row in store.jobs()] == ["kept_job"]
    assert set(files_of(home)) == before
    assert left(store).runs == ()
    assert not cleanup.garbage(home, 5).items
    with pytest.raises(InputError, match="there is no job"):
        store.job("calm_bay")
    finished_job(store, outputs, "calm_bay")
    assert store.job("calm_bay").trials == 3


def test_a_running_job_is_refused(home: Path, store: RunStore) -> None:
    store.start_job(job_start("busy")).status("Running")
    with pytest.raises(OutsideError, match="job busy is running"):
        cleanup.deletion(home, "busy", with_models=True)


def test_registered_trials_go_when_that_is_said(home: Path, store: RunStore, outputs: Path) -> None:
    finished_job(store, outputs, "calm_bay")
    store.register("calm_bay", 1, "Churn")
    store.register("calm_bay", 2, "Churn")
    with pytest.raises(InputError) as refused:
        cleanup.deletion(home, "calm_bay", with_models=False)
    assert "Churn:1, Churn:2 were registered from it" in str(refused.value)
    assert "--with-models" in refused.value.problems[0].fix
    assert len(store.models()) == 2
    cleanup.delete(home, cleanup.deletion(home, "calm_bay", with_models=True))
    assert store.models() == []
    finished_job(store, outputs, "again")
    assert store.register("again", 1, "Churn").version == "3", "no number is given twice"


def test_a_model_of_two_jobs_keeps_its_other_version(home: Path, store: RunStore, outputs: Path) -> None:
    for name in ("one", "two"):
        finished_job(store, outputs, name)
        store.register(name, 1, "Churn")
    cleanup.delete(home, cleanup.deletion(home, "one", with_models=True))
    assert [(found.version, found.job) for found in store.models()] == [("2", "two")]
    assert store.model("Churn").path.is_dir()


@pytest.mark.parametrize("after", range(6))
def test_killed_at_any_step_it_is_finished_by_gc(
    home: Path, store: RunStore, outputs: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps of a removal are writes to the store and renames; each may be the last."""
    finished_job(store, outputs, "kept_job")
    before = set(files_of(home))
    finished_job(store, outputs, "calm_bay")
    found = removal(store, "calm_bay")
    steps = 0

    class Killed(BaseException):
        pass

    def counted(real: object) -> object:
        def step(*arguments: object, **more: object) -> object:
            nonlocal steps
            if steps == after:
                raise Killed
            steps += 1
            return real(*arguments, **more)  # type: ignore[operator]

        return step

    with monkeypatch.context() as patch:
        patch.setattr("automl_jobs.runs.removal.discard", counted(discard))
        client = store.client
        patch.setattr(client._client, "delete_run", counted(client._client.delete_run))
        with pytest.raises(Killed):
            remove(store, found)
    again = RunStore.open(home)
    names = [row.job for row in again.jobs()]
    if after:
        assert names == ["kept_job"], "once it has begun, nobody sees the job"
        cleanup.collect(home, cleanup.garbage(home, 5))
    else:
        assert sorted(names) == ["calm_bay", "kept_job"]
        cleanup.delete(home, cleanup.deletion(home, "calm_bay", with_models=False))
    assert set(files_of(home)) == before
    assert again.job("kept_job").trials == 3
    assert not cleanup.garbage(home, 5).items
    assert not cleanup.garbage(home, 5).runs


def test_a_kill_of_the_process_leaves_what_gc_removes(home: Path, store: RunStore, outputs: Path) -> None:
    """kill -9 while the files go."""
    finished_job(store, outputs, "calm_bay")
    text = (
        "import time\n"
        "from automl_jobs.runs import removal, RunStore\n"
        "def slow(path):\n    print('now', flush=True)\n    time.sleep(60)\n"
        "removal.discard = slow\n"
        "store = RunStore.open(create=False)\nremoval.remove(store, removal.removal(store, 'calm_bay'))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n"
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    assert store.jobs() == []
    found = cleanup.garbage(home, 5)
    assert {item.kind for item in found.items} == {"run"}
    assert len(found.runs) == 4
    cleanup.collect(home, found)
    assert files_of(home) == []


def test_half_trials_of_killed_jobs_and_files_of_no_run_go_and_nothing_else(
    home: Path, store: RunStore, outputs: Path
) -> None:
    finished_job(store, outputs, "kept_job")
    before = set(files_of(home))
    writer = store.start_job(job_start("killed"))
    writer.status("Running")
    writer.log_trial(trial("0", 0.5, outputs))
    whole = set(files_of(home))
    half = writer._begin(trial("1", 0.9, outputs))
    writer._copy(half, trial("1", 0.9, outputs))
    assert set(files_of(home)) > whole
    assert not cleanup.garbage(home, 5).items, "it is running"
    store.client.set_tag(writer.run_id, tags.WRITER_PID, NOBODY)
    stray = home / "artifacts" / "bank" / ("0" * 32)
    (stray / "outputs").mkdir(parents=True)
    (stray / "outputs" / "model.pkl").write_bytes(b"x" * 1000)
    found = cleanup.garbage(home, 5)
    reasons = {item.reason: item.size for item in found.items if item.kind == "run"}
    assert set(reasons) == {"half a trial of a killed job", "files of no run"}
    assert reasons["files of no run"] == 1000
    cleanup.collect(home, found)
    assert set(files_of(home)) == whole
    assert before < whole
    assert store.job("killed").trials == 2


def test_a_registered_model_keeps_its_files_though_its_run_was_deleted_in_mlflow(
    home: Path, store: RunStore, outputs: Path
) -> None:
    finished_job(store, outputs, "calm_bay")
    version = store.register("calm_bay", 1, "Churn")
    store.client.delete_run(version.run_id)
    cleanup.collect(home, cleanup.garbage(home, 5))
    assert store.model("Churn:1").path.is_dir()


def test_scratch_of_living_and_of_fresh_commands_stays(home: Path) -> None:
    old = time.time() - 2 * cleanup.QUIET_SECONDS
    mine, dead = home / "tmp" / f"calm.{os.getpid()}.abc", home / "tmp" / f"calm.{NOBODY}.abc"
    fresh, stale = home / "scoring" / ".Churn-1.new-abc", home / "scoring" / ".Churn-2.new-abc"
    gone = home / "endpoints" / f".churn{GONE}12345678"
    for folder in (mine, dead, fresh, stale, gone):
        folder.mkdir(parents=True)
    os.utime(stale, (old, old))
    assert {item.path for item in cleanup.garbage(home, 5).items} == {dead, stale, gone}
    cleanup.collect(home, cleanup.garbage(home, 5))
    assert mine.is_dir()
    assert fresh.is_dir()
    assert not any(folder.exists() for folder in (dead, stale, gone))


def test_signs_of_jobs_that_are_gone(home: Path, store: RunStore, outputs: Path) -> None:
    finished_job(store, outputs, "kept_job")
    (home / "alive").mkdir(exist_ok=True)
    for name in ("kept_job", "gone_job"):
        (home / "alive" / name).touch()
    assert [item.path.name for item in cleanup.garbage(home, 5).items] == ["gone_job"]


def test_nothing_to_remove_where_nothing_is(tmp_path: Path) -> None:
    found = cleanup.garbage(tmp_path / "nowhere", 5)
    assert found.as_dict() == {"items": [], "runs": 0, "bytes": 0}
    assert not (tmp_path / "nowhere").exists()
