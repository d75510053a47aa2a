"""The process that stays with an endpoint on this machine: it holds the port and keeps a server behind it.

    python -m scoring.targets.supervisor FOLDER FD TAG

It follows endpoint.json. What shall be served is started beside what is, on the same listening socket, which neither of
them closes for the other: once the new server is healthy, the old one is asked to end and answers what it has taken.
A server that ends by itself is started again, after a pause that grows while it keeps ending; callers wait in the
socket's queue meanwhile. Servers outlive this process when it is killed; the next one takes their place over.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from forestay.errors import ForestayError
from scoring import server
from scoring.targets import launch, records
from scoring.targets.records import Endpoint, Running, Serving

LOOK_SECONDS = 0.2
DRAIN_SECONDS = 120.0  # for what a server has taken when it is asked to end; as its own --graceful-timeout
STOP_SECONDS = 5.0  # the same when the endpoint itself ends
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
STEADY_SECONDS = 60.0  # who lives so long has not failed at the start
LOG_BYTES, KEPT_LOGS = 10 * 2**20, 3


@dataclass
class Leaving:
    """A server that was asked to end, and when it has to be gone (of time.monotonic())."""

    process: psutil.Process
    until: float


class Supervisor:
    """One endpoint's. `folder` is the endpoint's, `shared` the socket that callers reach, `tag` its own on its line."""

    def __init__(self, folder: Path, shared: socket.socket, tag: str) -> None:
        self.folder, self.shared = folder, shared
        before = records.read_serving(folder)
        self.orphan = before.server.find() if before and before.server else None
        self.serving = Serving(Running.of(psutil.Process().pid, tag))
        if before is not None and self.orphan is not None:
            self.serving = replace(before, supervisor=self.serving.supervisor)
        self.current: server.Server | None = None
        self.served: Endpoint | None = None  # what `current` serves; an earlier one where the last could not be served
        self.seen: Endpoint | None = None
        self.leaving: list[Leaving] = []
        self.pause, self.not_before, self.started = FIRST_PAUSE_SECONDS, 0.0, 0.0
        self.ends = False

    def run(self) -> None:
        """Follow endpoint.json until asked to end (SIGTERM), or the endpoint is gone."""
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "ends", True))
        records.write_serving(self.folder, self.serving)
        while not self.ends:
            wanted = self._wanted()
            if wanted is None:
                break
            if self.seen is None or wanted.revision != self.seen.revision:
                self.seen = wanted
                if self.served is None or wanted.revision != self.served.revision:
                    self._serve(wanted)
            elif self.served is not None and self.current is not None and self.current.process.poll() is not None:
                self._again(self.served)
            self._rotate()
            self._see_off()
            time.sleep(LOOK_SECONDS)
        self._leave(STOP_SECONDS)
        for one in self.leaving:
            one.until = min(one.until, time.monotonic() + STOP_SECONDS)
        while self.leaving:
            self._see_off()
            time.sleep(LOOK_SECONDS / 4)

    def _wanted(self) -> Endpoint | None:
        """What endpoint.json says; what it said before, where a person has spoilt it."""
        try:
            return records.read_wanted(self.folder)
        except ForestayError:
            return self.seen

    def _serve(self, wanted: Endpoint) -> None:
        """Serve this instead of what is served, which goes on when the new one does not come up."""
        try:
            started, tag = self._start(wanted)
        except (ForestayError, OSError) as error:
            problem = error.problems[0].message if isinstance(error, ForestayError) else str(error)
            self._write(replace(self.serving, failed=wanted.revision, problem=problem))
            return
        self._leave(DRAIN_SECONDS)
        self.current, self.served, self.started = started, wanted, time.monotonic()
        self.pause, self.not_before = FIRST_PAUSE_SECONDS, 0.0
        self._write(
            replace(
                self.serving,
                endpoint=wanted,
                server=Running.of(started.process.pid, tag),
                private_port=started.port,
            )
        )

    def _again(self, served: Endpoint) -> None:
        """Start a server anew that has ended, unless that was too short a time ago."""
        now = time.monotonic()
        if self.not_before == 0.0:
            if now - self.started > STEADY_SECONDS:
                self.pause = FIRST_PAUSE_SECONDS
            self.not_before = now + self.pause
            self.pause = min(2 * self.pause, LONGEST_PAUSE_SECONDS)
        if now < self.not_before:
            return
        self.not_before, self.started = 0.0, now
        with contextlib.suppress(ForestayError, OSError):
            self.current, tag = self._start(served)
            self._write(
                replace(
                    self.serving,
                    server=Running.of(self.current.process.pid, tag),
                    private_port=self.current.port,
                )
            )

    def _start(self, wanted: Endpoint) -> tuple[server.Server, str]:
        """A healthy server on the shared socket, and the tag on its line; one that does not come up is stopped."""
        running, tag = launch.start(self.folder, wanted, detached=True, shared=self.shared)
        try:
            server.wait_healthy(running)
        except BaseException:
            running.stop()
            raise
        return running, tag

    def _leave(self, seconds: float) -> None:
        """Ask what is served now to end within so many seconds."""
        found = [self.orphan] if self.orphan else []
        if self.current is not None and self.current.process.poll() is None:
            found.append(psutil.Process(self.current.process.pid))
        self.orphan = self.current = None
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.terminate()
            self.leaving.append(Leaving(process, time.monotonic() + seconds))

    def _see_off(self) -> None:
        """Forget the servers that have ended; kill those that should have."""
        for one in list(self.leaving):
            try:
                one.process.wait(0)
            except psutil.TimeoutExpired:
                if time.monotonic() < one.until:
                    continue
                with contextlib.suppress(psutil.Error):
                    for below in one.process.children(recursive=True):
                        below.kill()
                    one.process.kill()
                continue
            except psutil.Error:
                pass
            self.leaving.remove(one)

    def _rotate(self) -> None:
        """Put a log aside that has grown too long. The server goes on writing to the same file, which is emptied."""
        if self.served is None:
            return
        path = records.log_path(self.folder, self.served.deployment)
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size < LOG_BYTES:
                return
            for number in range(KEPT_LOGS - 1, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    path.with_name(f"{path.name}.{number}").replace(path.with_name(f"{path.name}.{number + 1}"))
            shutil.copyfile(path, path.with_name(f"{path.name}.1"))
            with path.open("r+b") as stream:
                stream.truncate(0)

    def _write(self, serving: Serving) -> None:
        self.serving = serving
        records.write_serving(self.folder, serving)


def main() -> None:
    folder, number, tag = sys.argv[1:]
    with socket.socket(fileno=int(number)) as shared:
        Supervisor(Path(folder), shared, tag).run()


if __name__ == "__main__":
    main()
