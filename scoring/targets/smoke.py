"""Whether a new deployment is up, and answers as the trained model did: asked over HTTP, the same on every target."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from forestay.errors import OutsideError, RunFailed
from scoring import checks, server, styles
from scoring.folder import open_folder
from scoring.schema import Golden, read_golden, read_schema

LOOK_SECONDS = 1.0


def golden_rows(folder: Path) -> tuple[str, Golden]:
    """The golden rows of a scoring folder, and the form of a request in which its callers send rows."""
    style = styles.of(open_folder(folder).style, read_schema(folder / "model"))
    return style.forms[0], styles.golden(style, read_golden(folder))


def require_golden(url: str, folder: Path, where: str, key: str = "") -> None:
    """Raises RunFailed when a golden row comes back otherwise, or nothing does.

    Parameters
    ----------
    where: what is told, a log or an address. key: shown where the server asks for one.
    """
    form, rows = golden_rows(folder)
    try:
        found = checks.golden(url, form, rows, key=key)
    except OutsideError as error:
        raise RunFailed(f"the smoke test failed: {error}", where=where, fix="read the log") from error
    if not found.passed:
        raise RunFailed(f"the smoke test failed: {found.detail}", where=where, fix="read the log")


def wait_healthy(url: str, seconds: float, hopeless: Callable[[], str]) -> None:
    """Wait until a server says that it is healthy.

    Parameters
    ----------
    seconds: at most. hopeless: asked in between; what keeps it from ever becoming healthy, empty while nothing does.

    Raises RunFailed.
    """
    until = time.monotonic() + seconds
    while True:
        if server.is_healthy(url, seconds=5.0):
            return
        problem = hopeless()
        if problem:
            raise RunFailed(problem, where=url)
        if time.monotonic() > until:
            raise RunFailed(f"it was not healthy within {seconds:.0f} s", where=url)
        time.sleep(LOOK_SECONDS)
