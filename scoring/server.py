"""The real Azure ML inference server on 127.0.0.1: started from a clean environment, asked, and stopped.

`azmlinfsrv` always listens on every address, so gunicorn is started on the same application, behind the folder's own
wsgi.py, with a socket of ours. The socket is bound before the server starts, so a port that is taken is known at once
and nobody can take it in between.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from forestay.errors import InputError, OutsideError, RunFailed
from scoring import process

HOST = "127.0.0.1"
HEALTH = ("/", b"Healthy")
IMAGE_PORT = 5001  # of an image's server, as in templates/scoring/Dockerfile.j2
START_SECONDS = 300.0  # a large model on a busy machine; one that ends is noticed at once
ANSWER_SECONDS = 60.0
# What the README of a scoring folder tells to set; nothing else of our environment reaches a server.
SETTINGS = ("SCORING_MAX_BODY_BYTES", "SCORING_TIMEOUT_MS")
_EXCEPTION = re.compile(r"[\w.]+(Error|Exception)\b:")


@dataclass(frozen=True)
class Answer:
    """What the server said: the HTTP status, the body, and the body as JSON or None where it is not."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass
class Server:
    """A server that was started here.

    Attributes
    ----------
    process: gunicorn's master.
    port: where it listens on 127.0.0.1.
    log: the file that it writes to.
    start_seconds: from start to the first healthy answer.
    health: where it says that it is up, and how.
    """

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    start_seconds: float = 0.0
    health: tuple[str, bytes] = HEALTH

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def stop(self) -> None:
        process.stop(self.process)


def listen(port: int = 0, *, beside: bool = False) -> socket.socket:
    """A bound socket on 127.0.0.1; port 0 takes a free one. Raises InputError when the port is taken.

    `beside` lets another socket of ours that says so too, and of nobody else, be bound to the same port.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if beside:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((HOST, port))
    except OSError as error:
        bound.close()
        raise InputError(
            f"port {port} can't be used: {error.strerror}",
            where="--port",
            fix="choose another with --port, or leave it out",
        ) from error
    return bound


# Starts gunicorn so that it finds wsgi.py: its own --pythonpath takes a comma in a path for the end of it.
_GUNICORN = """
import sys
sys.path.append(sys.argv[1])
del sys.argv[:2]
from gunicorn.app.wsgiapp import run
run()
"""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody had a moment ago, for a program that can't take over a socket."""
    with listen() as bound:
        return int(bound.getsockname()[1])


def command(python: Path, folder: Path, fds: Sequence[int], tag: str, application: str = "") -> list[str]:
    """The server's command line. `tag` does nothing but to make its process known again.

    -I: nothing of the caller's Python gets in. -B: no bytecode is written into the folder served. A folder that has no
    wsgi.py, as one deployed by an earlier version, is served by Microsoft's application alone.
    """
    if not application:
        own = (folder / "wsgi.py").is_file()
        application = "wsgi:app" if own else "azureml_inference_server_http.server.entry:app"
    return [
        str(python), "-I", "-B", "-c", _GUNICORN, str(folder), "gunicorn",
        *(word for fd in fds for word in ("--bind", f"fd://{fd}")),
        *_gunicorn_options(folder), "--workers", "1", "--timeout", "300", "--graceful-timeout", "120",
        "--name", tag, application,
    ]  # fmt: skip


def _gunicorn_options(folder: Path) -> tuple[str, ...]:
    """What the gunicorn of the folder's lock needs to be told."""
    from scoring.serving_packages import gunicorn_options  # jobs of scoring.batch.azure are not sent that

    lock = folder / "requirements.lock"
    return gunicorn_options(lock.read_text(encoding="utf-8") if lock.is_file() else "")


def variables(folder: Path, keys: Mapping[str, str] | None = None) -> dict[str, str]:
    """All the environment variables of the server: of ours its SETTINGS and what starts a program, nothing else.

    `keys` are the variables that hold the keys to ask callers for; without them everybody is let in.
    """
    wanted = ("LD_LIBRARY_PATH", "TMPDIR", "TZ", *SETTINGS)
    kept = {key: os.environ[key] for key in wanted if key in os.environ}
    return {
        **kept,
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "AML_APP_ROOT": str(folder),
        "AZUREML_ENTRY_SCRIPT": "score.py",
        "AZUREML_MODEL_DIR": str(folder / "model"),
        **(keys or {"FORESTAY_AUTH": "none"}),
    }


def start(
    python: Path,
    folder: Path,
    bound: socket.socket,
    *,
    log: Path,
    work: Path,
    tag: str,
    detached: bool = False,
    application: str = "",
    shared: socket.socket | None = None,
    keys: Mapping[str, str] | None = None,
) -> Server:
    """Start a server without waiting for it; takes over the socket.

    Parameters
    ----------
    python: the interpreter of a clean environment.
    folder: the scoring folder to serve, absolute.
    bound: from listen(); closed here.
    log: what the server writes is added to it.
    work: an empty folder that is its current one (gunicorn reads settings from there, and imports).
    tag: see command().
    detached: it lives on after us.
    application: what gunicorn serves, from the folder or from `work`; by default the folder's own.
    shared: one more socket to answer on, which stays open here, so that servers can follow each other on it.
    keys: see variables().
    """
    port = int(bound.getsockname()[1])
    with bound, log.open("ab") as output:
        fds = [found.fileno() for found in (bound, shared) if found is not None]
        running = process.start(
            command(python, folder, fds, tag, application),
            environment=variables(folder, keys),
            folder=work,
            output=output,
            keep=fds,
            bound=not detached,
        )
    return Server(running, port, log)


def start_mlflow(python: Path, folder: Path, bound: socket.socket, *, log: Path, work: Path) -> Server:
    """Start MLflow's own scoring server on the MLflow model in `folder`, as `mlflow models serve` does it.

    Parameters as of start(). MLflow tells nobody what it was used for.
    """
    port = int(bound.getsockname()[1])
    words = [
        str(python),
        "-I",
        "-B",
        "-m",
        "uvicorn",
        "--fd",
        str(bound.fileno()),
        "mlflow.pyfunc.scoring_server.app:app",
    ]
    extra = {"__pyfunc_model_path__": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true", "HOME": str(work)}
    with bound, log.open("ab") as output:
        running = process.start(
            words,
            environment={**variables(folder), **extra},
            folder=work,
            output=output,
            keep=[bound.fileno()],
        )
    return Server(running, port, log, health=("/ping", b"\n"))


def wait_healthy(server: Server) -> None:
    """Wait until the server answers. Raises RunFailed, with the end of its log, when it ends or takes too long."""
    started = time.monotonic()
    while time.monotonic() - started < START_SECONDS:
        if server.process.poll() is not None:
            raise RunFailed(
                f"the server ended while starting (exit code {server.process.returncode}): {why(server.log)}",
                where=str(server.log),
                fix="the log says more; a model that was changed must be generated again",
            )
        if is_healthy(server.url, seconds=5.0, says=server.health):
            server.start_seconds = time.monotonic() - started
            return
        time.sleep(0.05)
    raise RunFailed(
        f"the server did not answer within {START_SECONDS:.0f} s", where=str(server.log), fix="read its log"
    )


def is_healthy(url: str, seconds: float = 2.0, says: tuple[str, bytes] = HEALTH) -> bool:
    path, body = says
    try:
        return ask(url, "GET", path, seconds=seconds).body == body
    except OutsideError:
        return False


def ask(
    url: str,
    method: str,
    path: str,
    body: bytes | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    seconds: float = ANSWER_SECONDS,
) -> Answer:
    """One HTTP request for a path below `url`; no proxy is asked. Raises OutsideError when nothing answers."""
    place = urlsplit(url)
    kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    connection = kind(place.hostname or "", place.port, timeout=seconds)
    try:
        connection.request(method, place.path.rstrip("/") + path, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.read())
    except (OSError, http.client.HTTPException) as error:
        raise OutsideError(
            f"nothing answers at {url}: {error or type(error).__name__}", fix="see whether the server runs, and its log"
        ) from error
    finally:
        connection.close()


def post(url: str, document: Any, path: str = "/score", key: str = "") -> Answer:
    """POST a JSON document; `key` is shown where the server asks for one."""
    return ask(url, "POST", path, json.dumps(document).encode(), headers=json_headers(key))


def json_headers(key: str = "") -> dict[str, str]:
    """The headers of a JSON request."""
    return {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}


def log_tail(log: Path, lines: int = 20) -> str:
    """The last lines of a server's log."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def why(log: Path) -> str:
    """The line of a log that tells why a server ended: the last exception's, else the last one."""
    found = [line.strip() for line in log_tail(log, 400).splitlines() if line.strip()]
    errors = [line for line in found if _EXCEPTION.match(line)]
    ours = [line for line in errors if "UserScript" not in line]
    chosen = (ours or errors or found or ["it wrote nothing"])[-1]
    return chosen[:400]
