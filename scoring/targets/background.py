"""Servers that live on after the command that started them: known again by process, start time and tag."""

from __future__ import annotations

import contextlib

import psutil

STOP_SECONDS = 10.0
# psutil derives a start time from the clock; this much it may differ between two readings.
SAME_START_SECONDS = 1.0


def find(pid: int, created: float, tag: str) -> psutil.Process | None:
    """The running process that was recorded so, or None when it is gone (its number may be another's by now)."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - created) < SAME_START_SECONDS and tag in process.cmdline()
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def tagged(tag: str) -> list[psutil.Process]:
    """The processes with a word on their command line that begins so: servers and their workers, in order of age."""
    found = [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(word.startswith(tag) for word in process.info["cmdline"] or ())
    ]
    return sorted(found, key=lambda process: process.pid)


def kill_tagged(tag: str, but: psutil.Process | None = None) -> list[int]:
    """Kill what was started with such a tag and is written down nowhere; the numbers of the processes.

    `but` is left alone with its workers.
    """
    spared = {but.pid, *(below.pid for below in but.children(recursive=True))} if but else set()
    found = [process for process in tagged(tag) if process.pid not in spared]
    for one in found:
        with contextlib.suppress(psutil.Error):
            one.kill()
    psutil.wait_procs(found, timeout=STOP_SECONDS)
    return [one.pid for one in found]


def end(process: psutil.Process) -> None:
    """End a server and its workers: asked first, so that requests under way are answered, then killed."""
    family = [process]
    with contextlib.suppress(psutil.Error):
        family += process.children(recursive=True)
        process.terminate()
        process.wait(STOP_SECONDS)
    for one in family:
        with contextlib.suppress(psutil.Error):
            one.kill()
    psutil.wait_procs(family, timeout=STOP_SECONDS)
