"""The small parts of the scoring room: pins and locks, equality of predictions, rows from files, names of endpoints."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestay import project
from forestay.errors import InputError, OutsideError, RunFailed
from scoring import checks, environment, openapi, server, styles
from scoring.proofs import Check
from scoring.requests import bad_requests, request, sample_row
from scoring.rows import read_body
from scoring.schema import ColumnSchema, Golden, ModelSchema
from scoring.targets import background, check_name, choose

SCHEMA = ModelSchema(
    task="classification",
    target="y",
    target_type="string",
    classes=("no", "yes"),
    columns=(
        ColumnSchema(name="age", type="numeric", used=True, integer=True, minimum=18, maximum=90),
        ColumnSchema(name="rate", type="numeric", used=True, minimum=0.5, maximum=1.5),
        ColumnSchema(name="job", type="categorical", used=True, values=("admin", "baker")),
        ColumnSchema(name="note", type="text", used=True),
        ColumnSchema(name="opened", type="datetime", used=True, minimum="2020-01-01T00:00:00"),
        ColumnSchema(name="active", type="boolean", used=True),
        ColumnSchema(name="id", type="identifier", used=False),
    ),
    algorithm="LightGBM",
    python="3.11.7",
    packages={"numpy": "2.4.6", "scikit-learn": "1.9.1"},
    files={},
)
FRAME = styles.of(styles.AZUREML, SCHEMA)


# ---- pins and locks ----


def test_pins_of_what_we_render() -> None:
    pins = environment.read_pins(environment.conda_env(SCHEMA), "conda_env.yaml")
    assert pins.python == "3.11.7"
    assert pins.versions() == {
        "azureml-inference-server-http": "1.5.1",
        "inference-schema": "1.8",
        "numpy": "2.4.6",
        "scikit-learn": "1.9.1",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[", "not a conda environment"),
        ("dependencies: []", "not a conda environment"),
        ("dependencies: [python=3.11, {pip: [a==1]}]", "python must be pinned"),
        ("dependencies: [python=3.11.7, {pip: [a>=1]}]", "not an exact pin: 'a>=1'"),
        ("dependencies: [python=3.11.7, {pip: ['a==1 ; evil']}]", "not an exact pin"),
        ("dependencies: [python=3.11.7, {pip: [--index-url=x]}]", "not an exact pin"),
        ("dependencies: [python=3.11.7, {pip: [1]}]", "not an exact pin"),
    ],
)
def test_loose_pins_are_refused(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        environment.read_pins(text, "conda_env.yaml")


def test_a_lock_must_meet_every_pin_with_a_hash() -> None:
    pins = environment.Pins("3.11.7", ("numpy==2.4.6", "Scikit_Learn==1.9.1", "inference-schema[numpy-support]==1.8"))
    good = "numpy==2.4.6 \\\n    --hash=sha256:00\nscikit-learn==1.9.1 \\\n    --hash=sha256:00\n"
    good += "inference-schema[numpy-support]==1.8 \\\n    --hash=sha256:00\n"
    assert environment.unmet_pins(pins, good) == []
    [other] = environment.unmet_pins(pins, good.replace("numpy==2.4.6", "numpy==2.4.5"))
    assert other == "numpy: conda_env.yaml asks for 2.4.6, requirements.lock has 2.4.5"
    [absent] = environment.unmet_pins(pins, good.replace("scikit-learn", "scikit-learner"))
    assert absent.endswith("requirements.lock has nothing")
    assert environment.unmet_pins(pins, good + "extra==1\n") == ["extra==1: has no hash"]


def test_a_lock_is_kept_by_its_pins(tmp_path: Path) -> None:
    pins = environment.Pins("3.11.7", ("a==1", "b==2"))
    path = environment.lock_path(pins, tmp_path)
    path.parent.mkdir()
    path.write_text("kept")
    said: list[str] = []
    assert environment.lock(environment.Pins("3.11.7", ("b==2", "a==1")), tmp_path, said.append) == "kept"
    assert said == []
    assert environment.lock_path(environment.Pins("3.11.8", ("a==1", "b==2")), tmp_path) != path


def test_a_lock_that_another_command_is_making_is_waited_for(tmp_path: Path) -> None:
    pins = environment.Pins("3.11.7", ("no-such-package==1",))
    path = environment.lock_path(pins, tmp_path)
    waiting, found = threading.Event(), list[str]()
    with project.lock(path.with_suffix(".guard"), "the resolver"):
        second = threading.Thread(
            target=lambda: found.append(environment.lock(pins, tmp_path, lambda _: waiting.set())), daemon=True
        )
        second.start()
        assert waiting.wait(20)
        path.write_text("made meanwhile")
    second.join(20)
    assert found == ["made meanwhile"]


def test_an_unreachable_registry_is_said_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://user:hunter2@127.0.0.1:{closed.getsockname()[1]}/simple")
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        pins = environment.Pins("3.11.7", ("numpy==2.4.6",))
        with pytest.raises(OutsideError, match="the package registry can't be reached") as caught:
            environment.lock(pins, tmp_path, lambda _: None)
    assert "hunter2" not in str(caught.value)
    assert not environment.lock_path(pins, tmp_path).exists()


# ---- what a proof asks of the served folder ----


def test_an_openapi_is_valid_or_it_is_said_where_it_is_not() -> None:
    good = openapi.document(SCHEMA, "Bank", "1")
    assert checks.invalid_openapi(good) is None
    assert checks.invalid_openapi({**good, "paths": {"/score": {"post": {"responses": 3}}}}) is not None
    assert "info" in str(checks.invalid_openapi({"openapi": "3.0.3", "paths": {}}))
    assert checks.invalid_openapi([]) is not None


@pytest.fixture
def answering() -> Iterator[str]:
    """A server that gives Results for bodies with rows, and a 400 for others."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200 if "data" in body else 400)
            self.end_headers()
            self.wfile.write(json.dumps({"Results": ["yes"]} if "data" in body else {"error": {}}).encode())

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's line is curl's")
def test_the_curl_lines_of_the_readme_are_run(answering: str, tmp_path: Path) -> None:
    readme, sample = tmp_path / "README.md", tmp_path / "sample_request.json"
    line = '    curl -H "Content-Type: application/json" -d @sample_request.json http://127.0.0.1:5001/score\n'
    readme.write_text(f"# Try it\n\n{line}")
    sample.write_text('{"data": [{}]}')
    assert checks.readme_curl(answering, tmp_path, FRAME) == Check("readme", True, "1 curl lines run as written")
    sample.write_text("{}")
    refused = checks.readme_curl(answering, tmp_path, FRAME)
    assert not refused.passed
    assert '{"error": {}}' in refused.detail
    sample.unlink()
    assert not checks.readme_curl(answering, tmp_path, FRAME).passed
    readme.write_text("nothing")
    assert "no curl line" in checks.readme_curl(answering, tmp_path, FRAME).detail


def test_a_differing_row_is_shown_with_both_values_and_what_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Golden(rows=({"age": 1}, {"age": 2, "note": "x" * 999}), predictions=("no", "yes"))
    answer = server.Answer(200, b'{"Results": ["no", "no"]}')
    monkeypatch.setattr(server, "post", lambda url, document, path, key: answer)
    found = checks.golden("http://127.0.0.1:1", "data", rows)
    assert not found.passed
    assert 'row 1: golden.json has "yes", the server answers "no" to {"age": 2, "note": "xxx' in found.detail
    assert len(found.detail) < 600
    assert "forestay score generate" in found.detail


# ---- equality of predictions ----


@pytest.mark.parametrize(
    ("want", "got", "equal"),
    [
        ("yes", "yes", True),
        ("1", 1, False),
        (1, True, False),
        (True, True, True),
        (3, 3, True),
        (3, 4, False),
        (1.0, 1, True),
        (1.0, True, False),
        (1.0, "1.0", False),
        (1.0, None, False),
        (1.0, 1.0 + 5e-10, True),
        (1.0, 1.0 + 5e-9, False),
        (0.0, 1e-13, True),
        (0.0, 1e-11, False),
        (1e6, 1e6 + 0.0005, True),
        (1e6, 1e6 + 0.005, False),
        ([], [], True),
        (["a", "b"], ["a", "b"], True),
        (["a", "b"], ["b", "a"], False),
        (["a"], ["a", "a"], False),
        (["a"], "a", False),
        ([1], [True], False),
    ],
)
def test_what_counts_as_the_same(want: Any, got: Any, equal: bool) -> None:
    assert checks.same(want, got) is equal


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_the_same_after_json(value: float) -> None:
    assert checks.same(value, json.loads(json.dumps(value)))


# ---- requests made from the schema ----


def test_sample_row() -> None:
    assert sample_row(SCHEMA) == {
        "age": 54,
        "rate": 1.0,
        "job": "admin",
        "note": "example",
        "opened": "2020-01-01T00:00:00",
        "active": True,
    }


def test_bad_requests_cover_every_type() -> None:
    made = list(bad_requests(SCHEMA))
    assert {bad.column for bad in made if bad.column} >= {"age", "rate", "job", "note", "opened", "active"}
    assert any(bad.what == "numeric column, a fraction" for bad in made)
    assert not [bad for bad in made if bad.column == "id"]


def test_request_forms() -> None:
    row = {"a": 1, "b": None}
    assert request("data", [row]) == {"data": [row]}
    assert request("Inputs", [row], "predict_proba") == {
        "Inputs": {"data": [row]},
        "GlobalParameters": {"method": "predict_proba"},
    }
    assert request("input_data", [row, {"b": 2, "a": 3}])["input_data"] == {
        "columns": ["a", "b"],
        "index": [0, 1],
        "data": [[1, None], [3, 2]],
    }


# ---- rows from a person's file ----


def test_csv_cells_become_the_columns_values() -> None:
    text = "\ufeffage,rate,job,note,opened,active,id,y\r\n41,1.5,NA,'',2024-01-31,TRUE,007,yes\r\n,nan,,,,,,\r\n"
    assert read_body(text, "rows.csv", SCHEMA) == {
        "data": [
            {"age": 41, "rate": 1.5, "job": "NA", "note": "''", "opened": "2024-01-31", "active": True, "id": "007"},
            {"age": None, "rate": None, "job": None, "note": None, "opened": None, "active": None, "id": None},
        ]
    }


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("age\n41\n4l", "rows.csv:3", 'column "age": "4l" is not a number'),
        ("age,rate\n41", "rows.csv:2", "1 cells, and the header has 2"),
        ("active\nmaybe", "rows.csv:2", "neither true nor false"),
        ("age\ninf", "rows.csv:2", "not a finite number"),
        ("age,age\n1,2", "rows.csv:1", "stands twice"),
        ('age\n"1', "rows.csv:2", "not CSV"),
        ("  \n", "rows.csv", "nothing in it"),
        ('{"age": 1}\n{"age": }', "rows.csv:2", "not JSON"),
        ("[{]", "rows.csv:1", "not JSON"),
        ("[" * 100_000, "rows.csv", "can't be read"),
        (f"[{'9' * 5000}]", "rows.csv", "can't be read"),
    ],
)
def test_bad_files_name_the_line(text: str, where: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        read_body(text, "rows.csv", SCHEMA)
    assert caught.value.problems[0].where == where


def test_json_is_rows_or_a_whole_request() -> None:
    assert read_body('[{"age": 1, "y": "no"}]', "-", SCHEMA) == {"data": [{"age": 1}]}
    assert read_body('{"age": 1}\n\n{"age": 2}\n', "-", SCHEMA) == {"data": [{"age": 1}, {"age": 2}]}
    assert read_body('{"age": 1}', "-", SCHEMA) == {"data": [{"age": 1}]}
    whole = {"Inputs": {"data": []}, "GlobalParameters": {"method": "predict"}}
    assert read_body(json.dumps(whole), "-", SCHEMA) == whole


# ---- servers and targets ----


@pytest.mark.parametrize("name", ["ab", "Churn", "a_b", "a" * 33, "../x", "", "a b", "ä-b"])
def test_bad_endpoint_names(name: str) -> None:
    with pytest.raises(InputError, match="can't name an endpoint"):
        check_name(name)


@pytest.mark.parametrize(("target", "env"), [("aci", "local"), ("managed", "local"), ("local", "dev")])
def test_targets_and_environments_that_don_t_go_together(tmp_path: Path, target: str, env: str) -> None:
    with pytest.raises(InputError, match="an environment in Azure") as caught:
        choose(target, env, tmp_path)
    assert "on this machine" in caught.value.problems[0].fix


def test_a_taken_port_is_said() -> None:
    with server.listen() as held:
        held.listen()
        with pytest.raises(InputError, match=f"port {held.getsockname()[1]} can't be used"):
            server.listen(held.getsockname()[1])


def test_nothing_that_answers_is_an_outside_error() -> None:
    with server.listen() as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(OutsideError, match="nothing answers"):
        server.post(url, {})
    assert not server.is_healthy(url)


def test_the_server_gets_its_settings_and_nothing_else_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "AZURE_CLIENT_SECRET", "GUNICORN_CMD_ARGS", "AML_APP_INSIGHTS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("SCORING_MAX_BODY_BYTES", "1000")
    monkeypatch.setenv("SCORING_TIMEOUT_MS", "500")
    given = server.variables(tmp_path)
    assert (given.pop("SCORING_MAX_BODY_BYTES"), given.pop("SCORING_TIMEOUT_MS")) == ("1000", "500")
    assert set(given) <= {
        "PATH", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "AML_APP_ROOT", "AZUREML_ENTRY_SCRIPT", "AZUREML_MODEL_DIR",
        "FORESTAY_AUTH",
    }  # fmt: skip


def test_why_a_server_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("starting\nRuntimeError: model.pkl is not the file\n\nx.UserScriptException: Caught\nWorker exits\n")
    assert server.why(log) == "RuntimeError: model.pkl is not the file"
    assert server.why(tmp_path / "none") == "it wrote nothing"


def test_a_process_is_known_by_more_than_its_number() -> None:
    tag = f"forestay:test:{os.getpid()}"
    running = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", tag])
    try:
        wait_for(lambda: [process.pid for process in background.tagged(tag)] == [running.pid])
        created = psutil.Process(running.pid).create_time()
        assert background.find(running.pid, created, tag) is not None
        assert background.find(running.pid, created - 100, tag) is None
        assert background.find(running.pid, created, "another") is None
        background.end(psutil.Process(running.pid))
        assert background.find(running.pid, created, tag) is None
    finally:
        running.kill()
        running.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_child_ends_with_its_killed_parent(tmp_path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
from scoring import process
words = "import time; print('started', flush=True); time.sleep(60); print('outlived it', flush=True)"
process.start([sys.executable, "-c", words], environment=os.environ, folder=Path("/"), output=sys.stdout.buffer)
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        try:
            assert parent.stdout.readline() == b"started\n"
        finally:
            parent.kill()
        # The end of what the child can write is the child's end.
        assert parent.stdout.read() == b""


def test_an_environment_that_does_not_run_is_said(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(RunFailed, match="broken"):
        environment.installed_versions(environment.Environment(python, built=False))


def wait_for(condition: Any, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("did not come true in time")
