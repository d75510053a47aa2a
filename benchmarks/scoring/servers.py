"""The servers that are compared: how each is started on one core of this machine, and how its requests look."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.environments import locked
from benchmarks.scoring import load, model
from forestay.errors import OutsideError, RunFailed
from scoring import environment, process

HERE = Path(__file__).parent
PEERS = HERE / "peers"
START_SECONDS = 120.0
AZURE = "azureml_inference_server_http.server.entry:app"


@dataclass(frozen=True)
class Bench:
    """What all servers serve.

    Attributes
    ----------
    outputs: the trial's own folder. folder: the scoring folder made of it. azure: the `python` of its environment.
    work: for logs and scratch.
    """

    outputs: Path
    folder: Path
    azure: Path
    work: Path


@dataclass(frozen=True)
class Server:
    """One of the compared.

    Attributes
    ----------
    name: in the table.
    command: (bench, port) -> the command line.
    body: rows -> the body of a request, in this server's usual form.
    path: where requests go.
    entry: the folder with its score.py; None where it has none.
    answers: an answer -> the predictions in it.
    """

    name: str
    command: Callable[[Bench, int], list[str | Path]]
    body: model.Body = model.records
    path: str = "/score"
    entry: Callable[[Bench], Path] | None = None
    answers: Callable[[Any], list[Any]] = lambda document: document["Results"]


def _gunicorn(bench: Bench, port: int, application: str) -> list[str | Path]:
    return [
        bench.azure, "-B", "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--no-control-socket", "--workers", "1",
        "--timeout", "300", application,
    ]  # fmt: skip


def _script(name: str) -> Callable[[Bench], Path]:
    """A folder with one of the peers' files as its score.py."""

    def made(bench: Bench) -> Path:
        folder = bench.work / name
        folder.mkdir(exist_ok=True)
        shutil.copyfile(PEERS / f"{name}.py", folder / "score.py")
        return folder

    return made


def _mlflow(bench: Bench, port: int) -> list[str | Path]:
    tool = locked(HERE / "environments" / "mlflow.lock") / "mlflow"
    return [
        tool, "models", "serve", "--model-uri", bench.outputs / "mlflow-model", "--env-manager", "local",
        "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
    ]  # fmt: skip


def _fastapi(_: Bench, port: int) -> list[str | Path]:
    tool = locked(HERE / "environments" / "fastapi.lock") / "uvicorn"
    return [tool, "fastapi_app:app", "--app-dir", PEERS, "--host", "127.0.0.1", "--port", str(port)]


def _bentoml(_: Bench, port: int) -> list[str | Path]:
    tool = locked(HERE / "environments" / "bentoml.lock") / "bentoml"
    return [
        tool, "serve", "bentoml_service:Model", "--working-dir", PEERS, "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip


OURS = "Forestay: our assets in Azure's server"
EMPTY = "Azure's server, empty run()"
SERVERS = (
    Server(OURS, lambda bench, port: _gunicorn(bench, port, "wsgi:app"), entry=lambda bench: bench.folder),
    Server(
        "the same server, pandas schema of inference-schema",
        lambda bench, port: _gunicorn(bench, port, AZURE),
        entry=_script("azure_pandas"),
    ),
    Server("FastAPI + uvicorn", _fastapi),
    Server(
        "mlflow models serve",
        _mlflow,
        body=model.split,
        path="/invocations",
        answers=lambda document: document["predictions"],
    ),
    Server("BentoML", _bentoml),
    Server(EMPTY, lambda bench, port: _gunicorn(bench, port, AZURE), entry=_script("azure_empty")),
)


def prepare(work: Path, home: Path, say: Callable[[str], None]) -> Bench:
    """Train the model, write its scoring folder, make the environment. Raises OutsideError without packages."""
    from scoring.generate import generate

    source = model.Trained(work / "model" / "trial" / "outputs")
    if not source.path.is_dir():
        say("training the model")
        source = model.train(work / "model")
    folder = generate(source, work / "folder", home=home, say=say).path
    sample = json.dumps(model.requested(5), indent=1)
    # Peers find all they need in one folder, which is not the one that is proven.
    served = work / "peer_model"
    shutil.copytree(source.path, served, dirs_exist_ok=True)
    (served / "sample.json").write_text(sample, encoding="utf-8")
    version = json.loads((source.path / "model_schema.json").read_bytes())["python"]
    made = environment.ensure((folder / "requirements.lock").read_text(encoding="utf-8"), version, home, say)
    return Bench(source.path, folder, made.python, work)


def pinned(core: int) -> list[str]:
    """The start of a command line that keeps a program and its children on one core."""
    tool = shutil.which("taskset")
    if tool is None:
        raise OutsideError("taskset is not there to pin a server to a core", fix="install util-linux")
    return [tool, "--cpu-list", str(core)]


def free_port() -> int:
    with socket.socket() as found:
        found.bind((load.HOST, 0))
        return int(found.getsockname()[1])


def variables(server: Server, bench: Bench) -> dict[str, str]:
    """The environment variables of a server: one thread, nothing that calls home."""
    folder = server.entry(bench) if server.entry else bench.work
    ours = folder == bench.folder
    return {
        "PATH": f"{bench.azure.parent}{os.pathsep}{os.defpath}",
        "LANG": "C.UTF-8",
        "HOME": str(bench.work / "home"),
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "FORESTAY_AUTH": "none",
        "AML_APP_ROOT": str(folder),
        "AZUREML_ENTRY_SCRIPT": "score.py",
        "AZUREML_MODEL_DIR": str(folder / "model" if ours else bench.work / "peer_model"),
        "BENTOML_DO_NOT_TRACK": "True",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "OMP_NUM_THREADS": "1",
    }


@contextlib.contextmanager
def running(server: Server, bench: Bench, core: int) -> Iterator[tuple[int, int]]:
    """A server that answers, pinned to `core`: its process id and port. Stopped at the end.

    Raises OutsideError where it can't be installed, RunFailed where it does not answer.
    """
    port = free_port()
    command = server.command(bench, port)
    log = bench.work / f"{''.join(sign if sign.isalnum() else '_' for sign in server.name)}.log"
    (bench.work / "home").mkdir(exist_ok=True)
    if server.name == "mlflow models serve":  # it starts `python` and `uvicorn` of its own environment by name
        path = {"PATH": f"{Path(command[0]).parent}{os.pathsep}{os.defpath}", "PYTHONPATH": ""}
    else:
        path = {}
    with log.open("wb") as output:
        child = process.start(
            [*pinned(core), *command],
            environment={**variables(server, bench), **path},
            folder=bench.work,
            output=output,
        )
    try:
        wait(child, server, port, log)
        yield child.pid, port
    finally:
        process.stop(child)


def wait(child: subprocess.Popen[bytes], server: Server, port: int, log: Path) -> None:
    """Until one row is answered with 200."""
    body = server.body(model.requested(1))
    ends = time.monotonic() + START_SECONDS
    while time.monotonic() < ends:
        if child.poll() is not None:
            break
        try:
            status, answer = load.once(port, server.path, body)
        except OSError:
            time.sleep(0.2)
            continue
        if status == 200:
            return
        raise RunFailed(f"{server.name} answers {status}: {answer[:300]!r}", where=str(log), fix="read its log")
    raise RunFailed(f"{server.name} does not answer", where=str(log), fix="read its log")


def in_process(bench: Bench, rows: list[dict[str, Any]], count: int, way: str, core: int) -> dict[str, Any]:
    """What predicting costs without a server; see peers/in_process.py."""
    path = bench.work / "rows.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    script, folder = PEERS / "in_process.py", bench.work / "peer_model"
    done = subprocess.run(
        [*pinned(core), bench.azure, "-B", script, folder, path, str(count), way],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={"PATH": os.defpath, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode != 0:
        raise OutsideError(f"predicting in process failed: {done.stderr[-400:]}", fix=f"look at {sys.executable}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
