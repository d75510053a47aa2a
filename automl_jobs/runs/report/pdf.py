"""A page printed to PDF by a browser of the Chromium family, where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from forestay.errors import OutsideError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
SECONDS = 120
# Nothing is loaded but the page; a profile of its own keeps the user's browser out of it.
FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-pdf-header-footer",
)


def browser() -> str:
    """The path of a browser that prints. Raises OutsideError where none is installed."""
    found = next((path for path in map(shutil.which, BROWSERS) if path is not None), None)
    if found is None:
        raise OutsideError(
            "a PDF is printed by Chromium, Chrome or Edge, and none of them is installed",
            where="--format pdf",
            fix="install one (Debian: apt-get install chromium), or take --format html and print that",
        )
    return found


def printed(page: str) -> bytes:
    """The page as a PDF. Raises OutsideError."""
    program = browser()
    with tempfile.TemporaryDirectory(prefix="forestay-pdf-") as scratch:
        source, target = Path(scratch) / "page.html", Path(scratch) / "page.pdf"
        source.write_text(page, encoding="utf-8")
        # Chromium's sandbox refuses to start as root, which is who runs in a container.
        root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        command = [program, *FLAGS, *root, f"--user-data-dir={scratch}/profile", f"--print-to-pdf={target}"]
        try:
            done = subprocess.run([*command, source.as_uri()], capture_output=True, timeout=SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _failed(program, type(error).__name__) from error
        if done.returncode or not target.is_file():
            raise _failed(program, f"exit code {done.returncode}")
        return target.read_bytes()


def _failed(program: str, why: str) -> OutsideError:
    return OutsideError(
        f"the browser could not print the page: {why}", where=program, fix="take --format html and print that"
    )
