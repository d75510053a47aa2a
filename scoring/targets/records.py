"""What is written down of an endpoint on this machine: what shall be served, and what is.

endpoint.json   what shall be served: written by commands, followed by the endpoint's supervisor
serving.json    what is served, by which processes: written by the supervisor alone

Each is written whole or not at all, so that a command or a supervisor that is killed leaves the one or the other state.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from forestay import project
from forestay.errors import InputError
from scoring import server
from scoring.targets import background

WANTED, SERVED = "endpoint.json", "serving.json"
SUPERVISOR = "supervisor"
NO_AUTH, KEYS = "none", "keys"
KEY_NAMES = ("primary", "secondary")
KEY_BYTES = 32


@dataclass(frozen=True)
class Endpoint:
    """What shall be served.

    Attributes
    ----------
    revision: grows with every change, also of what is not told here, such as to start the server anew.
    earlier: the deployments before this one that are kept, the newest first.
    port: of 127.0.0.1, where callers ask.
    python: the interpreter of the deployment's environment.
    auth: NO_AUTH or KEYS. keys: the file with the keys, in the endpoint's folder; empty without.
    engine, image: of a container that serves it: the engine's program, and the image's id; empty without.
    tested: whether its golden rows came back since it was put there.
    """

    name: str
    revision: int
    model: str
    version: str
    deployment: str
    earlier: tuple[str, ...]
    port: int
    python: str
    auth: str = NO_AUTH
    keys: str = ""
    engine: str = ""
    image: str = ""
    tested: bool = False

    @property
    def url(self) -> str:
        return f"http://{server.HOST}:{self.port}"

    @property
    def previous(self) -> str | None:
        return self.earlier[0] if self.earlier else None


@dataclass(frozen=True)
class Running:
    """A process, known from any other by its start (seconds since 1970) and a word on its command line."""

    pid: int
    created: float
    tag: str

    @classmethod
    def of(cls, pid: int, tag: str) -> Running:
        return cls(pid, psutil.Process(pid).create_time(), tag)

    def find(self) -> psutil.Process | None:
        return background.find(self.pid, self.created, self.tag)


@dataclass(frozen=True)
class Serving:
    """What is served.

    Attributes
    ----------
    endpoint: what is served, as it was asked for; None before the first. server: its server.
    private_port: where that answers alone, also while another one still answers beside it.
    failed, problem: the last revision that could not be served, and why.
    """

    supervisor: Running
    endpoint: Endpoint | None = None
    server: Running | None = None
    private_port: int = 0
    failed: int = 0
    problem: str = ""

    @property
    def revision(self) -> int:
        return self.endpoint.revision if self.endpoint else 0


def read_wanted(folder: Path) -> Endpoint | None:
    """What shall be served under an endpoint's folder; None where there is no endpoint."""
    document = _read(folder / WANTED)
    try:
        return None if document is None else _endpoint(document)
    except (TypeError, KeyError) as error:
        raise _unreadable(folder / WANTED) from error


def write_wanted(folder: Path, endpoint: Endpoint) -> None:
    project.write_json(folder / WANTED, asdict(endpoint))


def read_serving(folder: Path) -> Serving | None:
    """What is served under an endpoint's folder; None where nothing ever was."""
    document = _read(folder / SERVED)
    if document is None:
        return None
    try:
        known = {
            "supervisor": Running(**document["supervisor"]),
            "server": Running(**document["server"]) if document["server"] else None,
            "endpoint": _endpoint(document["endpoint"]) if document["endpoint"] else None,
        }
        return Serving(**{**document, **known})
    except (TypeError, KeyError) as error:
        raise _unreadable(folder / SERVED) from error


def write_serving(folder: Path, serving: Serving) -> None:
    project.write_json(folder / SERVED, asdict(serving))


def server_tag(folder: Path) -> str:
    """How the tags begin of all servers of the endpoint in this folder, and of no other."""
    place = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:12]
    return f"forestay:{folder.name}:{place}:"


def new_key() -> str:
    return secrets.token_urlsafe(KEY_BYTES)


def read_keys(folder: Path, endpoint: Endpoint) -> dict[str, str]:
    """The endpoint's keys by their names, one of KEY_NAMES; empty where it asks for none."""
    if not endpoint.keys:
        return {}
    document = _read(folder / endpoint.keys)
    if document is None or set(document) != set(KEY_NAMES):
        raise _unreadable(folder / endpoint.keys)
    return {name: str(document[name]) for name in KEY_NAMES}


def write_keys(folder: Path, revision: int, keys: dict[str, str]) -> str:
    """Write keys where only their owner can read them; gives the file's name for Endpoint.keys."""
    name = f"keys-{revision}.json"
    (folder / name).unlink(missing_ok=True)
    with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        json.dump(keys, stream)
        stream.flush()
        os.fsync(stream.fileno())
    return name


def key_variables(folder: Path, endpoint: Endpoint) -> dict[str, str]:
    """The keys as wsgi.py of a scoring folder takes them."""
    return {f"FORESTAY_KEY_{name.upper()}": key for name, key in read_keys(folder, endpoint).items()}


def log_path(folder: Path, name: str) -> Path:
    """The log of a deployment's server, or of the SUPERVISOR."""
    return folder / "logs" / f"{name}.log"


def _endpoint(document: dict[str, Any]) -> Endpoint:
    return Endpoint(**{**document, "earlier": tuple(document["earlier"])})


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _unreadable(path) from error
    if not isinstance(document, dict):
        raise _unreadable(path)
    return document


def _unreadable(path: Path) -> InputError:
    return InputError("not an endpoint's record", where=str(path), fix=f"remove {path.parent} and deploy again")
