"""Container engines on this machine, docker and its kin: which of them runs, and one question to it at a time."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from forestay.errors import OutsideError
from scoring import process

INFO_SECONDS = 20


def first_running(names: Sequence[str], what: str, fix: str) -> tuple[str, str]:
    """The first of these programs that is installed and runs: its name and its path.

    Parameters
    ----------
    what, fix: what is missing where none does, and how to get it. The OutsideError then says what each lacks.
    """
    lacking = []
    for name in names:
        program = shutil.which(name)
        if program is None:
            lacking.append(f"{name} is not installed")
            continue
        code, text = ask(program, "info", seconds=INFO_SECONDS)
        if code == 0:
            return name, program
        lacking.append(f"{name} does not run ({telling_line(text)})")
    raise OutsideError(f"no {what}: " + "; ".join(lacking), fix=fix)


def ask(program: str, *words: str, seconds: int) -> tuple[int, str]:
    """Run an engine's client and wait: its exit code, 124 when it takes too long, and what it wrote.

    It finds its daemon and its login by our environment; containers get none of that.
    """
    with tempfile.TemporaryFile() as output:
        running = process.start([program, *words], environment=os.environ, folder=Path.cwd(), output=output)
        try:
            code = running.wait(seconds)
        except subprocess.TimeoutExpired:
            code = 124
        finally:
            process.stop(running)
        output.seek(0)
        return code, output.read().decode("utf-8", "replace")


def telling_line(text: str) -> str:
    """The line of an engine's words that tells most: the last that speaks of an error, else the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower()]
    return (telling or lines or ["it says nothing"])[-1][:300]
