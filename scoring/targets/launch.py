"""Starts the server of what an endpoint on this machine shall serve: its environment's, or a container of its image."""

from __future__ import annotations

import os
import socket
import sys
import uuid
from pathlib import Path

from scoring import process, server
from scoring.server import Server
from scoring.targets import records
from scoring.targets.records import Endpoint

ENGINES = ("docker", "podman")
"""What runs containers as they are meant to run, on a port of this machine."""
ENGINE_VARIABLES = (
    *("HOME", "PATH", "XDG_RUNTIME_DIR", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"),
    *("CONTAINER_HOST", "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF"),
)
"""By which an engine's client finds its daemon, or its helpers and the images that it built."""


def start(
    folder: Path, wanted: Endpoint, *, detached: bool = False, shared: socket.socket | None = None
) -> tuple[Server, str]:
    """Start it without waiting for it; the server, and the tag on its command line.

    It answers on a free port and, where there is one, on the endpoint's socket too.

    Parameters
    ----------
    folder: the endpoint's. detached: it lives on after us. shared: see scoring.server.start().
    """
    tag = records.server_tag(folder) + uuid.uuid4().hex
    log, work = records.log_path(folder, wanted.deployment), folder / "work"
    keys = records.key_variables(folder, wanted)
    if not wanted.image:
        running = server.start(
            Path(wanted.python), folder / "deployments" / wanted.deployment, server.listen(), log=log, work=work,
            tag=tag, detached=detached, shared=shared, keys=keys,
        )  # fmt: skip
        return running, tag
    bound = server.listen()
    port = int(bound.getsockname()[1])
    own = {name: os.environ[name] for name in (*ENGINE_VARIABLES, "PYTHONPATH") if name in os.environ}
    with bound, log.open("ab") as output:
        fds = [found.fileno() for found in (bound, shared) if found is not None]
        forwarding = process.start(
            [sys.executable, "-m", "scoring.targets.forwarder", wanted.engine, wanted.image, tag, *map(str, fds)],
            environment={**server.variables(folder, keys), **own},
            folder=work,
            output=output,
            keep=fds,
            bound=not detached,
        )
    return Server(forwarding, port, log), tag
