"""What a command asks of an endpoint's supervisor: to serve something, to end, and how things stand."""

from __future__ import annotations

import os
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from forestay.errors import RunFailed
from scoring import process, server
from scoring.targets import Say, background, records
from scoring.targets.launch import ENGINE_VARIABLES
from scoring.targets.records import Endpoint, Serving

LOOK_SECONDS = 0.05
SWITCH_SECONDS = server.START_SECONDS + 30.0
PASSED_ON = ("PATH", "LANG", "PYTHONPATH", "TMPDIR", "TZ", "LD_LIBRARY_PATH", *ENGINE_VARIABLES)


@dataclass(frozen=True)
class State:
    """What shall be served and what is, read together."""

    wanted: Endpoint
    serving: Serving | None

    @property
    def supervised(self) -> bool:
        return self.serving is not None and self.serving.supervisor.find() is not None

    @property
    def runs(self) -> bool:
        return self.serving is not None and self.serving.server is not None and self.serving.server.find() is not None

    @property
    def next_revision(self) -> int:
        """One that was never used, also not for what could not be served."""
        used = (self.serving.revision, self.serving.failed) if self.serving else ()
        return max(self.wanted.revision, *used, 0) + 1

    @property
    def status(self) -> str:
        """As DeploymentRecord has it."""
        if not (self.supervised or self.runs):
            return "Stopped"
        return "Healthy" if server.is_healthy(self.wanted.url) else "Unhealthy"


def read(folder: Path) -> State | None:
    """How things stand with the endpoint in `folder`; None where there is none."""
    wanted = records.read_wanted(folder)
    return None if wanted is None else State(wanted, records.read_serving(folder))


def serve(folder: Path, wanted: Endpoint, say: Say) -> Serving:
    """Wait until the supervisor, started if there is none, serves `wanted`, which is written in endpoint.json.

    Raises RunFailed when that can't be served; what was served before still is then. InputError when the port is taken.
    """
    serving = records.read_serving(folder)
    if serving is None or serving.supervisor.find() is None:
        say("starting the server")
        _start(folder, wanted, serving)
    else:
        say("the new server takes over")
    log = str(records.log_path(folder, wanted.deployment))
    until = time.monotonic() + SWITCH_SECONDS
    while time.monotonic() < until:
        serving = records.read_serving(folder)
        if serving is not None and serving.revision == wanted.revision:
            return serving
        if serving is not None and serving.failed == wanted.revision:
            raise RunFailed(serving.problem, where=log, fix="the log says more")
        if serving is not None and serving.supervisor.find() is None:
            where = records.log_path(folder, records.SUPERVISOR)
            raise RunFailed(f"the endpoint's supervisor ended: {server.why(where)}", where=str(where), fix="read it")
        time.sleep(LOOK_SECONDS)
    raise RunFailed(f"nothing was served within {SWITCH_SECONDS:.0f} s", where=log, fix="read the log")


def stop(state: State) -> None:
    """End an endpoint's supervisor, and with it its server."""
    if state.serving is None:
        return
    for one in (state.serving.supervisor, state.serving.server):
        running = one.find() if one else None
        if running is not None:
            background.end(running)


def _start(folder: Path, wanted: Endpoint, before: Serving | None) -> None:
    """Start the supervisor with its port, and wait until it has written of itself.

    A server whose own supervisor was killed goes on; what such a one had not yet written down is ended.
    """
    orphan = before.server.find() if before and before.server else None
    background.kill_tagged(records.server_tag(folder), but=orphan)
    if orphan is None:
        server.listen(wanted.port).close()  # or it would be bound beside another endpoint's
    tag = f"forestay:supervisor:{wanted.name}:{uuid.uuid4().hex}"
    log = records.log_path(folder, records.SUPERVISOR)
    with server.listen(wanted.port, beside=True) as bound, log.open("ab") as output:
        started = process.start(
            [sys.executable, "-m", "scoring.targets.supervisor", folder, str(bound.fileno()), tag],
            environment={name: os.environ[name] for name in PASSED_ON if name in os.environ},
            folder=folder / "work",
            output=output,
            keep=[bound.fileno()],
            bound=False,
        )
    until = time.monotonic() + SWITCH_SECONDS
    while time.monotonic() < until and started.poll() is None:
        serving = records.read_serving(folder)
        if serving is not None and serving.supervisor.tag == tag:
            return
        time.sleep(LOOK_SECONDS)
    raise RunFailed(f"the endpoint's supervisor does not start: {server.why(log)}", where=str(log), fix="read its log")
