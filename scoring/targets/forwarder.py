"""A container as a server: takes connections on sockets that it was given, and passes them on to the container's port.

    python -m scoring.targets.forwarder ENGINE IMAGE TAG FD...

To whoever started it, it is what gunicorn is for an environment: it answers on inherited sockets, so that servers can
follow each other without a lost request; it ends when the container does; asked to end, it takes nothing more and lets
what it has taken be answered. Keys reach the container by its environment, never by a command line.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

from scoring import engines, process, server

PASSED = ("FORESTAY_AUTH", "FORESTAY_KEY_PRIMARY", "FORESTAY_KEY_SECONDARY", *server.SETTINGS)
LOOK_SECONDS = 0.1
DRAIN_SECONDS = 110.0  # within what the supervisor allows
REMOVE_SECONDS = 60
PIECE = 65536
WRITABLE = "/tmp"  # noqa: S108 - in the container, whose root is read-only


class Forwarder:
    """One container and the sockets in front of it."""

    def __init__(self, engine: str, image: str, listening: list[socket.socket]) -> None:
        self.engine, self.image, self.listening = engine, image, listening
        self.port, self.name = server.free_port(), f"forestay-{uuid.uuid4().hex[:12]}"
        self.open = 0
        self.guard = threading.Lock()
        self.ends = threading.Event()

    def run(self) -> int:
        """Serve until asked to end, or the container ends; the exit code."""
        signal.signal(signal.SIGTERM, lambda *_: self.ends.set())
        variables = [word for name in PASSED if name in os.environ for word in ("--env", name)]
        running = process.start(
            [
                self.engine, "run", "--rm", "--name", self.name,
                "--publish", f"{server.HOST}:{self.port}:{server.IMAGE_PORT}",
                "--read-only", "--tmpfs", WRITABLE, "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
                *variables, self.image,
            ],
            environment=os.environ, folder=Path.cwd(), output=sys.stdout.fileno(),
        )  # fmt: skip
        try:
            if self._comes_up(running):
                self._accept(running)
            code = running.poll()
            if code is not None and not self.ends.is_set():
                print(f"RuntimeError: the container ended with {code}", flush=True)
                return 1
            self._drain()
            return 0
        finally:
            process.stop(running)
            engines.ask(self.engine, "rm", "--force", self.name, seconds=REMOVE_SECONDS)

    def _comes_up(self, running: subprocess.Popen[bytes]) -> bool:
        """Wait for the container's server; callers wait in the sockets' queues meanwhile."""
        while running.poll() is None and not self.ends.is_set():
            if server.is_healthy(f"http://{server.HOST}:{self.port}"):
                return True
            time.sleep(LOOK_SECONDS)
        return False

    def _accept(self, running: subprocess.Popen[bytes]) -> None:
        for one in self.listening:
            one.listen(2048)
            one.setblocking(False)
        while running.poll() is None and not self.ends.is_set():
            ready, _, _ = select.select(self.listening, [], [], LOOK_SECONDS)
            for one in ready:
                with contextlib.suppress(BlockingIOError):  # another server on the same socket took it
                    connection, _ = one.accept()
                    connection.setblocking(True)
                    with self.guard:
                        self.open += 1
                    threading.Thread(target=self._pass_on, args=(connection,), daemon=True).start()

    def _pass_on(self, connection: socket.socket) -> None:
        try:
            with connection, socket.create_connection((server.HOST, self.port), timeout=5) as further:
                further.settimeout(None)
                back = threading.Thread(target=_pump, args=(further, connection), daemon=True)
                back.start()
                _pump(connection, further)
                back.join()
        except OSError as error:
            print(f"a connection was lost: {error}", flush=True)
        finally:
            with self.guard:
                self.open -= 1

    def _drain(self) -> None:
        for one in self.listening:
            one.close()
        until = time.monotonic() + DRAIN_SECONDS
        while self.open and time.monotonic() < until:
            time.sleep(LOOK_SECONDS / 2)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Carry bytes one way until their end, which is passed on."""
    with contextlib.suppress(OSError):
        while data := source.recv(PIECE):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def main() -> None:
    engine, image, _tag, *numbers = sys.argv[1:]
    sys.exit(Forwarder(engine, image, [socket.socket(fileno=int(number)) for number in numbers]).run())


if __name__ == "__main__":
    main()
