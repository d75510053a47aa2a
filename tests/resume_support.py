"""Jobs that are stopped in the middle, for tests of what goes on from there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path


def stopped(project: Path, after: int | str, how: signal.Signals, *arguments: str) -> int:
    """A command in the background, hit by a signal once it says `after`, or that this trial ended; its exit code."""
    process = subprocess.Popen(
        [sys.executable, "-m", "forestay", "job", *arguments],
        cwd=project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    told = rf"trial +{after} " if isinstance(after, int) else re.escape(after)
    for line in process.stderr:
        if re.search(told, line):
            process.send_signal(how) if how == signal.SIGKILL else os.killpg(process.pid, how)
            break
    else:
        raise AssertionError("the job ended before that")
    process.communicate(timeout=60)
    return process.returncode
