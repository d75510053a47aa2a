"""Watching a job until it has ended, wherever it runs; from any process, and again after any interruption.

Watching changes nothing: Ctrl-C ends the watching and leaves the job alone. A look that fails for want of an answer is
tried again later, for as long as a network may be away.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from time import sleep
from typing import Protocol

from automl_jobs.runs.rows import ENDED, JobRow, TrialRow
from forestay import LOCAL
from forestay.errors import Interrupted, Unreachable

FIRST_SECONDS, LONGEST_SECONDS, GROWTH = 2.0, 20.0, 1.3
"""Between two looks: often at first, less often while nothing changes."""
PATIENCE_SECONDS = 900.0
"""How long what is asked may be out of reach before watching gives up; the job itself goes on all the while."""
Look = Callable[[], tuple[JobRow, Sequence[TrialRow]]]
"""The job and its leaderboard as they are now."""


class Watcher(Protocol):
    """What is told of a job that is watched; `used` is seconds since it was made."""

    def changed(self, row: JobRow, used: float) -> None:
        """The status is another."""
        ...

    def trial(self, job: JobRow, row: TrialRow) -> None:
        """A trial has ended."""
        ...

    def tick(self, row: JobRow, trials: Sequence[TrialRow], used: float) -> None:
        """It was looked at."""
        ...

    def lost(self, message: str) -> None:
        """A look failed and is tried again."""
        ...


def watch(
    look: Look,
    watcher: Watcher,
    first_seconds: float = FIRST_SECONDS,
    patience_seconds: float = PATIENCE_SECONDS,
) -> JobRow:
    """Watch a job until it has ended; the job.

    Parameters
    ----------
    first_seconds: between looks while something happens. patience_seconds: how long looks may fail.

    Raises Interrupted at Ctrl-C, with how to cancel, and whatever `look` raises that is no want of an answer.
    """
    row: JobRow | None = None
    try:
        row, trials = look()
        known: set[str] = set()
        status, pause = "", first_seconds
        while True:
            used = max(0.0, time.time() - row.created / 1000)
            if row.status != status:
                status, pause = row.status, first_seconds
                watcher.changed(row, used)
            fresh = sorted((one for one in trials if one.id not in known), key=_number)
            for one in fresh:
                known.add(one.id)
                watcher.trial(row, one)
            watcher.tick(row, trials, used)
            if status in ENDED:
                return row
            pause = first_seconds if fresh else min(pause * GROWTH, max(LONGEST_SECONDS, first_seconds))
            row, trials = _again(look, watcher, pause, patience_seconds)
    except KeyboardInterrupt:
        if row is None:
            raise
        env = "" if row.env == LOCAL else f" --env {row.env}"
        raise Interrupted(
            f"{row.job} goes on",
            fix=f"forestay job watch {row.job}{env} looks again; forestay job cancel {row.job}{env} stops it",
            job=row.job,
        ) from None


def _again(look: Look, watcher: Watcher, pause: float, patience_seconds: float) -> tuple[JobRow, Sequence[TrialRow]]:
    """The next look that gets an answer."""
    lost_since: float | None = None
    while True:
        sleep(pause)
        try:
            return look()
        except Unreachable as error:
            lost_since = lost_since or time.monotonic()
            if time.monotonic() - lost_since > patience_seconds:
                raise
            watcher.lost(error.problems[0].message)


def _number(row: TrialRow) -> tuple[int, str]:
    return (int(row.id), row.id) if row.id.isdigit() else (1 << 30, row.id)
