"""Commands that the studio starts, and what they write.

A command is a process of its own whose output goes to files, so that a training goes on when the studio ends, and the
next studio still shows what it said:

    .forestay/studio/calls/ID/call.json   the command, its process, when it began and ended, and how
                              stdout, stderr
                              stops       a mark for each time that it was told to stop
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from forestay import project
from forestay.errors import InputError

KEPT = 200
SHOWN_BYTES = 400_000
"""Of what a command wrote, its end of this size is shown."""
STOPS = (signal.SIGINT, signal.SIGINT, signal.SIGKILL)
"""What a command is sent when it is told to stop for the first time, again, and then: a second Ctrl-C ends at once what
the first one lets end."""


@dataclass(frozen=True)
class Call:
    """A command that was started.

    Attributes
    ----------
    words: after `forestay`. job: the job that it trains or follows, "" where it does neither.
    then: the page to go to once it is done. back: the one where it ended otherwise, if that is another.
    pid, created: its process (seconds since 1970).
    code: its exit code; None while it runs, or where it ended while no studio was there to see.
    watched: whether this studio started it and has not yet seen its end.
    """

    id: str
    words: tuple[str, ...]
    job: str
    then: str
    began: float
    pid: int = 0
    created: float = 0.0
    ended: float | None = None
    code: int | None = None
    watched: bool = False
    back: str = ""

    @property
    def line(self) -> str:
        """The command as a person types it."""
        return command_line(self.words)

    @property
    def running(self) -> bool:
        return self.ended is None and (self.watched or self.process is not None)

    @property
    def process(self) -> psutil.Process | None:
        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.created) < 1 and found.status() != psutil.STATUS_ZOMBIE
            return found if same else None
        except psutil.Error:
            return None

    @property
    def state(self) -> str:
        """Running, Completed, Canceled, Failed, or Ended where nobody knows how."""
        if self.running:
            return "Running"
        if self.code is None:
            return "Ended"
        return {0: "Completed", 130: "Canceled"}.get(self.code, "Failed")


def command_line(words: Sequence[str]) -> str:
    return shlex.join(["forestay", *words])


class Calls:
    """The commands of a project's studio."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "studio" / "calls"
        self._lock = threading.Lock()
        self._watched: set[str] = set()

    def start(self, words: Sequence[str], *, job: str = "", then: str = "", back: str = "") -> Call:
        """Start `forestay WORDS` in the current folder. Raises InputError where nothing can be written."""
        began = time.time()
        call = Call(f"{int(began * 1000):x}-{secrets.token_hex(4)}", tuple(words), job, then, began, back=back)
        folder = project.ensure_folder(self.folder / call.id)
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "forestay", *words],  # -P: nothing of the current folder hides a module
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, "COLUMNS": "110", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"},
                # Ctrl-C in the studio's terminal ends the studio, not a training.
                start_new_session=True,
            )
        call = replace(call, pid=process.pid, created=psutil.Process(process.pid).create_time())
        self._write(call)
        self._watched.add(call.id)
        threading.Thread(target=self._wait, args=(call, process), daemon=True).start()
        self._tidy()
        return call

    def run(self, words: Sequence[str], *, back: str = "") -> Call:
        """Start a command that is done in seconds, and wait for it."""
        call = self.start(words, back=back)
        while call.ended is None:
            time.sleep(0.05)
            call = self.find(call.id)
        return call

    def _wait(self, call: Call, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        self._write(replace(call, ended=time.time(), code=128 - code if code < 0 else code))
        self._watched.discard(call.id)

    def _write(self, call: Call) -> None:
        with self._lock:
            project.write_json(self.folder / call.id / "call.json", asdict(call))

    def _tidy(self) -> None:
        for path in sorted(self.folder.glob("*-*"))[:-KEPT]:
            call = self._read(path)
            if call is None or not call.running:
                shutil.rmtree(path, ignore_errors=True)

    def _read(self, folder: Path) -> Call | None:
        watched = folder.name in self._watched  # before the file, which has its end once it is not watched any more
        try:
            document: dict[str, Any] = json.loads((folder / "call.json").read_bytes())
            return Call(**{**document, "words": tuple(document["words"]), "watched": watched})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def find(self, identity: str) -> Call:
        """Raises InputError when there is none."""
        known = identity.replace("-", "").isalnum() and len(identity) < 40
        call = self._read(self.folder / identity) if known else None
        if call is None:
            raise InputError("there is no such command any more", where=identity)
        return call

    def all(self) -> list[Call]:
        """The newest first."""
        found = (self._read(path) for path in sorted(self.folder.glob("*-*"), reverse=True))
        return [call for call in found if call is not None]

    def of_job(self, job: str) -> Call | None:
        """The last command that trained or followed a job."""
        return next((call for call in self.all() if call.job == job), None)

    def output(self, call: Call) -> str:
        """What it wrote: progress first, then its result; the end of it where it is long."""
        parts = [_tail(self.folder / call.id / name) for name in ("stderr", "stdout")]
        return "\n".join(part for part in parts if part)

    def stops(self, call: Call) -> int:
        """How often it was told to stop, by this studio or an earlier one."""
        try:
            return self._stops(call).stat().st_size
        except OSError:
            return 0

    def stop(self, call: Call) -> None:
        """As Ctrl-C on a terminal, which reaches what the command started, too; the next of STOPS each time."""
        if call.process is None:
            return
        number = STOPS[min(self.stops(call), len(STOPS) - 1)]
        with self._stops(call).open("ab") as told:
            told.write(b".")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(call.pid, number)

    def _stops(self, call: Call) -> Path:
        return self.folder / call.id / "stops"


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - SHOWN_BYTES))
            return stream.read().decode("utf-8", "replace").rstrip("\n")
    except OSError:
        return ""
