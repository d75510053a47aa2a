"""Child processes that end with us: a killed command leaves no server and no installer behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

# Runs in a bare interpreter between fork and the program: asks Linux to end the program when its parent dies, then
# becomes the program. The parent may have died before the question was asked, hence the check. Elsewhere than on Linux
# there is no such question, and the child outlives a parent that is killed outright.
_BIND = """
import os, sys
if sys.platform == "linux":
    import ctypes, signal
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def start(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    folder: Path,
    output: IO[bytes] | int,
    errors: IO[bytes] | int = subprocess.STDOUT,
    keep: Sequence[int] = (),
    bound: bool = True,
    talks: bool = False,
) -> subprocess.Popen[bytes]:
    """Start `command` away from our terminal.

    Parameters
    ----------
    environment: all of its environment variables.
    folder: its current folder.
    output, errors: where it writes.
    keep: file descriptors that it inherits.
    bound: it ends when the calling thread's process does; otherwise it has a session of its own and lives on.
    talks: its stdin is a pipe; otherwise it has none.
    """
    words = [str(word) for word in command]
    if bound:
        words = [sys.executable, "-I", "-S", "-c", _BIND, str(os.getpid()), *words]
    return subprocess.Popen(
        words,
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        pass_fds=tuple(keep),
        start_new_session=not bound,
        process_group=0 if bound else None,
    )


def stop(process: subprocess.Popen[bytes], wait_seconds: float = 10.0) -> None:
    """End a process that was started here, politely first. Returns when it is gone."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(wait_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
