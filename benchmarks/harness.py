"""Two commands in turns, the median of each, and their ratio."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RUNS = 11


@dataclass(frozen=True)
class Measured:
    """One comparison.

    Attributes
    ----------
    what, peer: what was measured, and against what. seconds, peer_seconds: medians.
    bound: the ratio that is not to be passed.
    """

    what: str
    peer: str
    seconds: float
    peer_seconds: float
    bound: float

    @property
    def ratio(self) -> float:
        return self.seconds / self.peer_seconds


def timed(command: Sequence[str], env: dict[str, str], codes: tuple[int, ...], cwd: Path | None = None) -> float:
    """Seconds of one run. Raises RuntimeError when it ends with another code than one of `codes`."""
    started = time.perf_counter()
    done = subprocess.run(
        command, env=env, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode not in codes:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-500:]}")
    return seconds


def compare(
    what: str,
    command: Sequence[str],
    peer: str,
    peer_command: Sequence[str],
    bound: float,
    *,
    home: Path | None = None,
    cwd: Path | None = None,
    codes: tuple[int, ...] = (0,),
    runs: int = RUNS,
) -> Measured:
    """Run both in turns, once to warm the caches and then `runs` times."""
    env = dict(os.environ)
    env.pop("MLFLOW_TRACKING_URI", None)
    if home is not None:
        env["FORESTAY_HOME"] = str(home)
    ours, theirs = [], []
    for number in range(runs + 1):
        mine = timed(command, env, codes, cwd)
        other = timed(peer_command, env, (0,), cwd)
        if number:
            ours.append(mine)
            theirs.append(other)
    return Measured(what, peer, statistics.median(ours), statistics.median(theirs), bound)


def forestay(*words: str) -> list[str]:
    """The command as a user starts it."""
    return [str(Path(sys.executable).with_name("forestay")), *words]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]
