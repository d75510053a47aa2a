"""Serving the studio on 127.0.0.1 until Ctrl-C."""

from __future__ import annotations

import importlib
import os
import socket
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

import uvicorn

from forestay import project
from forestay.errors import InputError
from studio.app import make_app
from studio.guard import Pass
from studio.web import Studio

HOST = "127.0.0.1"
FIRST_PORT, PORTS = 8899, 20
LONGEST_HEAD = 64 * 1024


def serve(ready: Callable[[str], None], *, port: int | None = None, browser: bool = True) -> None:
    """Serve until interrupted.

    Parameters
    ----------
    ready: called with the link, token included, once connections are taken.
    port: None for the first free one from FIRST_PORT on.
    browser: whether to open one.

    Raises InputError when the port is taken.
    """
    _go_to_root()
    with _listen(port) as listening:
        number = listening.getsockname()[1]
        studio = Studio(project.home(), Pass(number))
        link = f"http://{HOST}:{number}/?token={studio.passed.token}"
        config = uvicorn.Config(
            make_app(studio),
            log_level="warning",
            access_log=False,  # addresses hold the token
            server_header=False,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=LONGEST_HEAD,
            lifespan="off",
            ws="none",
        )
        ready(link)
        threading.Thread(target=_warm, daemon=True).start()
        if browser:
            threading.Thread(target=webbrowser.open, args=(link,), daemon=True).start()
        _Server(config, studio).run(sockets=[listening])


class _Server(uvicorn.Server):
    """Tells whoever waits for a page that the studio ends, before it waits for them."""

    def __init__(self, config: uvicorn.Config, studio: Studio) -> None:
        super().__init__(config)
        self._studio = studio

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._studio.asking.end()
        await super().shutdown(sockets)


def _warm() -> None:
    """Import what pages of jobs and data need, while their reader still looks at the first one."""
    for name in ("automl_jobs.runs.report.page", "automl_jobs.new", "pandas", "pyarrow.csv", "scoring.targets.local"):
        importlib.import_module(name)


def _go_to_root() -> None:
    """Work in the project's folder, as the commands that are shown would."""
    home = project.home()
    if "FORESTAY_HOME" in os.environ:  # a relative one means the folder that we leave
        os.environ["FORESTAY_HOME"] = str(home)
    elif home.parent != Path.cwd():
        os.chdir(home.parent)


def _listen(port: int | None) -> socket.socket:
    last: OSError | None = None
    for number in range(FIRST_PORT, FIRST_PORT + PORTS) if port is None else (port,):
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, number))
            listening.listen(128)
            return listening
        except OSError as error:
            listening.close()
            last = error
    given = f"--port {port}" if port is not None else "--port"
    raise InputError(
        f"cannot listen: {last.strerror if last else 'no port is free'}", where=given, fix="name another with --port"
    )
