"""One process under watch: seconds, peak memory of all its tree, a time limit, an end that leaves nothing running."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

EVERY_SECONDS = 0.25


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes
    ----------
    code: its exit code; None when it was ended for taking too long. seconds: from start to end.
    peak_mb: the most memory that it and its descendants held together, in 10^6 bytes; pages that several of them share
        count once (Linux' PSS; where there is none, the resident set).
    """

    code: int | None
    seconds: float
    peak_mb: float


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path,
    limit: float,
    log: Path,
    out: Path | None = None,
) -> Ended:
    """Run a command to its end, or end it after `limit` seconds.

    Parameters
    ----------
    cwd: where it runs; `process.json` in it names the process, for `end_leftover`.
    log: takes stderr, and stdout too unless `out` does.
    """
    started = time.monotonic()
    peak = 0.0
    # The streams are files: a child that outlives the command can't hold the benchmark up.
    with log.open("ab") as errors, (out or log).open("ab") as output:
        process = psutil.Popen(
            [str(word) for word in command],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
    try:
        note = {"process": process.pid, "created": process.create_time()}
        (cwd / "process.json").write_text(json.dumps(note), encoding="utf-8")
        while True:
            try:
                code = process.wait(timeout=EVERY_SECONDS)
                return Ended(code, time.monotonic() - started, peak / 1e6)
            except (subprocess.TimeoutExpired, psutil.TimeoutExpired):
                peak = max(peak, float(sum(_held(one) for one in _tree(process))))
            if time.monotonic() - started > limit:
                return Ended(None, time.monotonic() - started, peak / 1e6)
    finally:
        _end(process)


def end_leftover(cwd: Path) -> None:
    """End what a benchmark that was killed left running in this folder."""
    try:
        note = json.loads((cwd / "process.json").read_text(encoding="utf-8"))
        process = psutil.Process(note["process"])
        if process.create_time() == note["created"]:
            _end(process)
    except (OSError, ValueError, KeyError, psutil.Error):
        return


def _tree(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return [process]


def _held(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
        return int(getattr(full, "pss", 0) or full.rss)
    except psutil.Error:
        return 0


def _end(process: psutil.Process) -> None:
    tree = _tree(process)
    for one in tree:
        try:
            one.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(tree, timeout=10)
