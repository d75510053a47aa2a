"""Serve a scoring folder in the foreground, for a person at work: again after every change, with a page to try it.

A change is tried on a server of its own, which answers on the same port only once it is healthy; then the one before
it ends, with the requests that it has taken. A change that does not work leaves the last good one in place.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import templates
from forestay import project
from forestay.errors import ForestayError, RunFailed
from scoring import environment, proofs, server, tryit
from scoring.folder import open_folder, present_files, snapshot

LOOK_SECONDS = 0.2
SETTLE_SECONDS = 0.5  # an editor and a generate write several files: what is still changing is not tried
PAGE = "/docs"
APPLICATION = "tryit_app"

Say = Callable[[str], None]
Seen = dict[str, tuple[int, int, int]]


def serve(
    path: Path, ready: Callable[[str], None], *, port: int = 0, home: Path | None = None, say: Say = lambda _: None
) -> None:
    """Serve a copy of the folder until interrupted (KeyboardInterrupt passes through, the server is gone by then).

    Parameters
    ----------
    ready: called with the address once the server answers.
    port: on 127.0.0.1; 0 takes a free one.
    say: told of each stage, and then every line that the server writes.

    Raises InputError for a folder that is not one or a port that is taken, RunFailed when the server ends by itself.
    """
    home = home or project.home()
    path = path.absolute()
    open_folder(path)
    with server.listen(port) as bound:
        seen = look(path)
        current = _start(path, bound, home, say)
        try:
            ready(f"http://{server.HOST}:{bound.getsockname()[1]}")
            while current.server.process.poll() is None:
                current.pass_on(say)
                time.sleep(LOOK_SECONDS)
                if look(path) == seen:
                    continue
                changed, seen = _settled(path, seen)
                try:
                    following = _start(path, bound, home, say)
                except (ForestayError, OSError) as error:
                    say(f"not reloaded, the last good one goes on: {_one_line(error)}")
                    continue
                current.stop()
                current = following
                say(f"reloaded: {', '.join(changed)}")
            current.pass_on(say)
            raise RunFailed(f"the server ended: {server.why(current.server.log)}", fix="start it again")
        finally:
            current.stop()


@dataclass(frozen=True)
class _Served:
    """A server with the copy that it serves; `copy` removes that."""

    server: server.Server
    log: IO[str]
    copy: contextlib.ExitStack

    def pass_on(self, say: Say) -> None:
        for line in self.log:
            say(line.rstrip("\n"))

    def stop(self) -> None:
        self.copy.close()


def look(path: Path) -> Seen:
    """What tells one state of a folder's files from another; a file that goes meanwhile is not in it."""
    found: Seen = {}
    for name in present_files(path):
        with contextlib.suppress(OSError):
            state = (path / name).stat()
            found[name] = (state.st_mtime_ns, state.st_size, state.st_ino)
    return found


def _settled(path: Path, before: Seen) -> tuple[list[str], Seen]:
    """Wait until nothing has changed for a moment: the names of the files that did, and what is there now."""
    now = look(path)
    while True:
        time.sleep(SETTLE_SECONDS)
        later = look(path)
        if later == now:
            break
        now = later
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name)), now


def _start(path: Path, shared: socket.socket, home: Path, say: Say) -> _Served:
    """A healthy server of the folder as it is now, on `shared` beside whatever answers there already."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(snapshot(open_folder(path), home, say))
        if proofs.find(home, folder.model, folder.version, folder.hash()) is None:
            say("this folder is not proven as it is now; forestay score verify proves it")
        pins = environment.read_pins((folder.path / "conda_env.yaml").read_text(encoding="utf-8"), "conda_env.yaml")
        lock = (folder.path / "requirements.lock").read_text(encoding="utf-8")
        page = tryit.page(folder.path / "openapi.json")
        made = environment.ensure(lock, pins.python, home, say)
        say("starting the Azure ML inference server")
        work = folder.path.parent / "work"
        work.mkdir()
        (work / "tryit.html").write_text(page, encoding="utf-8")
        shutil.copyfile(templates.FOLDER / "scoring" / f"{APPLICATION}.py", work / f"{APPLICATION}.py")
        log = folder.path.parent / "server.log"
        running = server.start(
            made.python, folder.path, server.listen(), log=log, work=work, tag="forestay:serve",
            application=f"{APPLICATION}:app", shared=shared,
        )  # fmt: skip
        stack.callback(running.stop)
        server.wait_healthy(running)
        lines = stack.enter_context(log.open(encoding="utf-8", errors="replace"))
        lines.seek(0, 2)
        return _Served(running, lines, stack.pop_all())


def _one_line(error: ForestayError | OSError) -> str:
    return " ".join((error.lines()[0] if isinstance(error, ForestayError) else str(error)).split())
