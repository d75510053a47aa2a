"""Whether the process that writes a job still lives."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from automl_jobs.runs import tags

SAME_PROCESS_SECONDS = 2.0


def _age_mark(pid: int) -> float | None:
    """Seconds from the machine's start to the process's; None when there is no such process.

    Relative to the machine's start, so that setting the clock does not make a living process look like another.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return float(process.create_time() - psutil.boot_time())
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return float("nan")


def own_tags() -> dict[str, str]:
    """What a writer leaves of itself in its job's tags."""
    return {
        tags.WRITER_HOST: socket.gethostname(),
        tags.WRITER_PID: str(os.getpid()),
        tags.WRITER_AGE: f"{_age_mark(os.getpid()):.2f}",
    }


def is_dead(job_tags: Mapping[str, str]) -> bool:
    """Whether the writer is known to be gone; a writer on another machine never is."""
    if job_tags.get(tags.WRITER_HOST) != socket.gethostname():
        return False
    mark = _age_mark(int(job_tags[tags.WRITER_PID]))
    if mark is None:
        return True
    return abs(mark - float(job_tags[tags.WRITER_AGE])) > SAME_PROCESS_SECONDS
