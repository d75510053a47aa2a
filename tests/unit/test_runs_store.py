"""Opening the run store: nothing made by reading, and clear words for what can't be opened."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from automl_jobs.runs import RunStore, liveness, tags
from automl_jobs.runs.store import redacted
from forestay.errors import ForestayError, InputError, OutsideError
from tests.runs_support import finished_job, job_start, new_store, outputs_folder, trial


def test_reading_where_nothing_ran_makes_nothing(project: Path) -> None:
    store = RunStore.open(create=False)
    assert store.jobs() == []
    assert store.models() == []
    for ask in (lambda: store.job("latest"), lambda: store.trial("x", 1), lambda: store.model("M")):
        with pytest.raises(InputError):
            ask()
    assert list(project.iterdir()) == []


def test_a_new_database_is_in_wal_mode_with_no_scratch_left(project: Path) -> None:
    home = project / ".forestay"
    (home / ".runs.db.new-killed").mkdir(parents=True)  # what a killed process leaves
    (home / ".runs.db.new-killed" / "runs.db").write_bytes(b"half")
    RunStore.open()
    with sqlite3.connect(home / "runs.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert [path.name for path in home.iterdir() if path.name.startswith(".")] == []


def test_an_empty_file_counts_as_no_database(project: Path) -> None:
    (project / ".forestay").mkdir()
    (project / ".forestay" / "runs.db").touch()
    assert RunStore.open(create=False).jobs() == []


@pytest.mark.parametrize("create", [True, False])
def test_a_file_that_is_no_database_is_left_alone(project: Path, create: bool) -> None:
    database = project / ".forestay" / "runs.db"
    database.parent.mkdir()
    database.write_bytes(b"these are my notes, not a database" * 100)
    with pytest.raises(InputError, match="damaged") as caught:
        RunStore.open(create=create)
    assert caught.value.problems[0].where == str(database)
    assert database.read_bytes().startswith(b"these are my notes")


def test_a_damaged_database_is_said_to_be(project: Path) -> None:
    store = new_store(project / ".forestay")
    finished_job(store, outputs_folder(project / "outputs"))
    database = project / ".forestay" / "runs.db"
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw = bytearray(database.read_bytes())
    raw[4096 : len(raw) // 2] = b"\x5a" * (len(raw) // 2 - 4096)
    database.write_bytes(raw)
    with pytest.raises(InputError, match="damaged"):
        RunStore.open().jobs()


def test_another_programs_database_is_refused(project: Path) -> None:
    (project / ".forestay").mkdir()
    with sqlite3.connect(project / ".forestay" / "runs.db") as connection:
        connection.execute("CREATE TABLE mine (x)")
    with pytest.raises(InputError, match="not made by MLflow"):
        RunStore.open()


def test_a_newer_schema_is_refused_and_kept(project: Path) -> None:
    new_store(project / ".forestay")
    with sqlite3.connect(project / ".forestay" / "runs.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    with pytest.raises(InputError, match="newer MLflow") as caught:
        RunStore.open()
    assert "update forestay" in caught.value.problems[0].fix


def test_an_older_schema_says_how_to_go_on(project: Path) -> None:
    new_store(project / ".forestay")
    with sqlite3.connect(project / ".forestay" / "runs.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    with pytest.raises(InputError, match="older MLflow") as caught:
        RunStore.open().start_job(job_start())
    assert "mlflow db upgrade" in caught.value.problems[0].fix


def test_a_home_that_cant_be_made_is_an_input_error(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("FORESTAY_HOME", str(project / "file" / ".forestay"))
    assert RunStore.open(create=False).jobs() == []
    with pytest.raises(InputError) as caught:
        RunStore.open()
    assert "FORESTAY_HOME" in caught.value.problems[0].fix


def test_a_tracking_uri_wins_over_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = new_store(project / "elsewhere")
    finished_job(elsewhere, outputs_folder(project / "outputs"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/elsewhere/runs.db")
    assert [row.job for row in RunStore.open(create=False).jobs()] == ["calm_bay_aaaaaa"]
    assert not (project / ".forestay").exists()


def test_a_folder_of_runs_works_as_tracking_uri(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (project / "mlruns").as_uri())
    store = RunStore.open()
    writer = store.start_job(job_start("calm_bay_aaaaaa"))
    writer.log_trial(trial("t1", 0.7, outputs_folder(project / "outputs")))
    assert store.cancel("calm")[1]
    time.sleep(0.6)
    assert writer.cancel_requested()
    writer.finish("Canceled")
    assert [(row.job, row.status, row.trials) for row in store.jobs()] == [("calm_bay_aaaaaa", "Canceled", 1)]
    path = store.register("latest", 1, "M").path
    assert (path / "model.pkl").is_file()
    assert store.model("M").version == "1"


@pytest.mark.parametrize("scheme", ["http", "postgresql"])
def test_an_unreachable_server_is_said_within_seconds_without_its_password(
    project: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    with socket.socket() as taken:  # bound, not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}://me:hunter2@127.0.0.1:{taken.getsockname()[1]}/x")
        begun = time.monotonic()
        with pytest.raises(OutsideError, match="cannot reach") as caught:
            RunStore.open(create=False).jobs()
    assert time.monotonic() - begun < 8
    assert "hunter2" not in "".join(caught.value.lines())
    assert caught.value.exit_code == 3


def test_a_silent_server_is_given_up(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("automl_jobs.runs.store.PROBE_SECONDS", (0.3, 0.3))
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(OutsideError, match="no answer in time"):
            RunStore.open()


def test_an_unknown_kind_of_store_is_an_input_error(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "carrier-pigeon://u:hunter2@coop")
    with pytest.raises(ForestayError) as caught:
        RunStore.open().jobs()
    assert caught.value.problems[0].where == "MLFLOW_TRACKING_URI"
    assert "hunter2" not in "".join(caught.value.lines())


def test_credentials_are_cut_out_of_any_text() -> None:
    assert (
        redacted("no route to https://a:b@host/x, nor to http://t:u@v@h")
        == "no route to https://host/x, nor to http://h"
    )


def test_a_living_and_a_dead_writer_are_told_apart() -> None:
    mine = liveness.own_tags()
    assert not liveness.is_dead(mine)
    assert not liveness.is_dead({**mine, tags.WRITER_HOST: "another-machine", tags.WRITER_PID: "1"})
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert liveness.is_dead({**mine, tags.WRITER_PID: str(ended.pid)})
    reused = {**mine, tags.WRITER_AGE: str(float(mine[tags.WRITER_AGE]) - 60)}  # the number lives, as another process
    assert liveness.is_dead(reused)


def test_ctrl_c_waits_until_a_write_is_whole(project: Path) -> None:
    store = new_store(project / "home")
    with store.writing() as client:
        run = client.create_run(client.create_experiment("cut")).info.run_id

    def write_interrupted() -> None:
        with store.writing() as client:
            os.kill(os.getpid(), signal.SIGINT)
            client.log_metric(run, "AUC_weighted", 0.5)
            client.log_metric(run, "AUC_weighted", 0.75)

    with pytest.raises(KeyboardInterrupt):
        write_interrupted()
    assert [metric.value for metric in store.client.get_metric_history(run, "AUC_weighted")] == [0.5, 0.75]
    with pytest.raises(KeyboardInterrupt):  # and it is answered again afterwards
        os.kill(os.getpid(), signal.SIGINT)
