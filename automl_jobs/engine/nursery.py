"""The process that workers are forked from, itself forked from the command: what all of them import is in memory once.

A command that will train opens the nursery before it reads data: it imports what trials need, forks, and keeps for
itself a copy of the pages that it writes to, no more. Afterwards it may hold a table and start threads; the nursery
never does, so that workers can be forked from it at any time.

Linux alone forks here: macOS' own libraries start threads that no fork survives. Where no nursery is open (another
system, a program that imports us) workers start as `multiprocessing` lets them.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Threads that wait for each other sleep: when they spin and something else wants a core, a fit takes ten times as long.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}
# Or a new interpreter looks into the current folder before anywhere else, where a file may have the name of ours.
SAFE_PATH = {"PYTHONSAFEPATH": "1"}
# Arrow's allocator has a thread, which it stops before a fork and starts again.
SAFE_THREADS = {"jemalloc_bg_thd"}
MOST_BYTES = 1 << 16

_open: Nursery | None = None


@contextlib.contextmanager
def threads_of_child(threads: int) -> Iterator[None]:
    """The environment in which a new process imports nothing of the current folder, and its libraries take so many
    threads."""
    before = {name: os.environ.get(name) for name in (*THREAD_VARIABLES, *WAITING, *SAFE_PATH)}
    share_threads(threads)
    os.environ.update(SAFE_PATH)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def share_threads(threads: int) -> None:
    """Say in this process's environment how many threads its libraries may use."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    os.environ.update({name: value for name, value in WAITING.items() if name not in os.environ})


@contextlib.contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Processes started meanwhile ignore Ctrl-C, which is their parent's to answer."""
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main else None
    try:
        yield
    finally:
        if in_main:
            signal.signal(signal.SIGINT, handler)


class ForkedProcess:
    """A process that the nursery forked: as much of `multiprocessing.Process` as a worker needs."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self.exitcode: int | None = None
        self._nursery = nursery

    def is_alive(self) -> bool:
        self.join(0.0)
        return self.exitcode is None

    def kill(self) -> None:
        if self.exitcode is None:
            self._nursery.ask("kill", self.pid)

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, or so many seconds; a process whose nursery is gone has ended with it."""
        if self.exitcode is None:
            try:
                self.exitcode = self._nursery.ask("join", self.pid, timeout)
            except OSError:
                self.exitcode = 1


class Nursery:
    """The parent's end: asks for processes. Not for several threads at once."""

    def __init__(self, channel: socket.socket, pid: int) -> None:
        self.pid = pid
        self._channel = channel
        self._asked = 0

    def start(self, target: Callable[..., None], arguments: tuple[Any, ...], pipe: Connection) -> ForkedProcess:
        """Fork a process that calls `target(pipe, *arguments)`. Raises OSError when the nursery is gone."""
        return ForkedProcess(self, self.ask("start", target, arguments, file=pipe.fileno()))

    def ask(self, *request: Any, file: int | None = None) -> Any:
        """The nursery's answer to a request, with which an open file may go. Raises OSError when it is gone."""
        self._asked += 1
        socket.send_fds(self._channel, [pickle.dumps((self._asked, *request))], [] if file is None else [file])
        while True:
            message = self._channel.recv(MOST_BYTES)
            if not message:
                raise ConnectionError("the process that workers are forked from has ended")
            number, answer = pickle.loads(message)  # noqa: S301 - from a process of our own
            # Another number is that of a request whose answer Ctrl-C did not wait for.
            if number == self._asked:
                return answer

    def close(self) -> None:
        """End it and all that it forked."""
        self._channel.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def current() -> Nursery | None:
    """The nursery that is open in this process."""
    return _open


@contextlib.contextmanager
def at_hand() -> Iterator[Callable[[], None]]:
    """Gives what opens the nursery: to be called once the job file is known to be right, before data is read.

    It is closed at the end. A no-op where workers can't be forked from this process.
    """
    try:
        yield open_here
    finally:
        close_here()


def open_here() -> None:
    """Import what trials need and fork the nursery, unless that can't be, or is done."""
    global _open
    if _open is not None or sys.platform != "linux":
        return
    with threads_of_child(1):
        from automl_jobs.engine import preload  # noqa: F401
    if _threads() - SAFE_THREADS:
        return
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sys.stdout.flush()
    sys.stderr.flush()
    with deaf_to_interrupts():
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                ours.close()
                _serve(theirs)
                code = 0
            finally:
                os._exit(code)
    theirs.close()
    _open = Nursery(ours, pid)


def close_here() -> None:
    """End the nursery of this process, where one is open."""
    global _open
    nursery, _open = _open, None
    if nursery is not None:
        nursery.close()


def _threads() -> set[str]:
    """The names of this process's threads beside its first, libraries' own included."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        if task.name != str(os.getpid()):
            with contextlib.suppress(OSError):  # it has ended
                found.add((task / "comm").read_text(encoding="utf-8").strip())
    return found


def _serve(channel: socket.socket) -> None:
    """The life of the nursery: it forks, kills and waits as it is asked, until its parent is gone."""
    children: dict[int, BaseProcess] = {}
    context = multiprocessing.get_context("fork")
    try:
        while True:
            message, files, _, _ = socket.recv_fds(channel, MOST_BYTES, 1)
            if not message:
                return
            number, word, *arguments = pickle.loads(message)  # noqa: S301 - from the process that forked this one
            answer = None
            if word == "start":
                target, given = arguments
                process: BaseProcess = context.Process(target=_begin, args=(channel, files[0], target, given))
                process.start()
                os.close(files[0])
                assert process.pid is not None
                answer = process.pid
                children[answer] = process
            elif word == "kill":
                children[arguments[0]].kill()
            else:
                pid, timeout = arguments
                children[pid].join(timeout)
                answer = children[pid].exitcode
            channel.send(pickle.dumps((number, answer)))
    finally:
        for process in children.values():
            process.kill()


def _begin(channel: socket.socket, file: int, target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """The start of a forked process: the channel is the nursery's alone."""
    channel.close()
    target(Connection(file), *arguments)
