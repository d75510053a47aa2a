"""Jobs that are stopped in the middle, for tests of what goes on from there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path


def stopped(project: Path, after: int, how: signal.Signals, *arguments: str) -> int:
    """A command in the background, hit by a signal once trial number `after` has ended; its exit code."""
    process = subprocess.Popen(
        [sys.executable, "-m", "forestay", "job", *arguments],
        cwd=project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if re.search(rf"trial +{after} ", line):
            process.send_signal(how) if how == signal.SIGKILL else os.killpg(process.pid, how)
            break
    else:
        raise AssertionError("the job ended before that trial")
    process.communicate(timeout=60)
    return process.returncode
