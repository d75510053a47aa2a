"""One process under watch: seconds, peak memory of all its tree, a time limit, an end that leaves nothing running."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

EVERY_SECONDS = 0.25
LINUX = sys.platform == "linux"


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes
    ----------
    code: its exit code; None when it was ended for taking too long. seconds: from start to end.
    peak_mb: the most memory that it and its descendants held together, in 10^6 bytes; see `held`.
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
                peak = max(peak, held(tree_of(process)))
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


def tree_of(process: psutil.Process) -> list[psutil.Process]:
    """A process and its descendants."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return [process]


def held(processes: Sequence[psutil.Process]) -> float:
    """Bytes that processes of one tree hold together, what they share counted once.

    The sum of their resident sets counts a page as often as it is mapped; Linux' proportional set (PSS) gives each of
    its n holders 1/n. Of memory without a file that is right, since only a tree shares it. The pages of a library or
    of a mapped table may have other holders, programs that happen to run, which would take a part of them away: of each
    file the most that one process of the tree has in memory counts, and nothing is left to others.
    """
    if not LINUX:
        return float(sum(_resident(one) for one in processes))
    alone = 0.0
    files: dict[str, int] = {}
    for one in processes:
        try:
            alone += _without_file(one.pid)
            maps = one.memory_maps(grouped=True)
        except (psutil.Error, OSError):
            continue
        for mapped in maps:
            if mapped.path.startswith("/"):
                files[mapped.path] = max(files.get(mapped.path, 0), mapped.rss - mapped.anonymous)
    return alone + sum(files.values())


def _without_file(pid: int) -> float:
    """The proportional set of a process's memory that no file is behind, in bytes."""
    sizes = dict(line.split()[:2] for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return 1024.0 * sum(int(sizes.get(name, 0)) for name in ("Pss_Anon:", "Pss_Shmem:"))


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _end(process: psutil.Process) -> None:
    tree = tree_of(process)
    for one in tree:
        try:
            one.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(tree, timeout=10)
