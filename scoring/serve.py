"""Serve a scoring folder in the foreground, for a person at work."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from forestay import project
from forestay.errors import RunFailed
from scoring import environment, proofs, server
from scoring.folder import open_folder, snapshot

LOOK_SECONDS = 0.2


def serve(
    path: Path,
    ready: Callable[[str], None],
    *,
    port: int = 0,
    home: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
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
    original = open_folder(path.absolute())
    with snapshot(original, home, say) as folder:
        if proofs.find(home, folder.model, folder.version, folder.hash()) is None:
            say("this folder is not proven as it is now; forestay score verify proves it")
        bound = server.listen(port)
        pins = environment.read_pins((folder.path / "conda_env.yaml").read_text(encoding="utf-8"), "conda_env.yaml")
        lock = (folder.path / "requirements.lock").read_text(encoding="utf-8")
        made = environment.ensure(lock, pins.python, home, say)
        say("starting the Azure ML inference server")
        work = folder.path.parent / "work"
        work.mkdir()
        log = folder.path.parent / "server.log"
        running = server.start(made.python, folder.path, bound, log=log, work=work, tag="forestay:serve")
        try:
            server.wait_healthy(running)
            ready(running.url)
            with log.open(encoding="utf-8", errors="replace") as stream:
                stream.seek(0, 2)
                while running.process.poll() is None:
                    for line in stream:
                        say(line.rstrip("\n"))
                    time.sleep(LOOK_SECONDS)
            raise RunFailed(f"the server ended: {server.why(log)}", fix="start it again")
        finally:
            running.stop()
