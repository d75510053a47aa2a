"""Trials run in processes of their own: one can be stopped at any moment or crash, and the job goes on.

A worker loads the problem once, then answers plan by plan over a pipe. It ends when the pipe closes or its parent dies.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.engine import nursery

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from automl_jobs.engine.after import Describe
    from automl_jobs.engine.ensemble import EnsemblePlan
    from automl_jobs.engine.refit import Refit
    from automl_jobs.engine.trial import TrialOutcome, TrialPlan

STOP_GRACE_SECONDS = 2.0
# MiB that scikit-learn takes for distances between rows at a time. It would take a gigabyte, to which neighbours looked
# for among ten thousand rows come near; less of it costs no time.
DISTANCES_MB = 16
NO_BETTER = "no blend of the trials beats the best of them"


@dataclass(frozen=True)
class TestScore:
    """A request for the metrics on test data of the model in an outputs folder."""

    outputs: Path


@dataclass(frozen=True)
class Failure:
    """Why a request came to nothing, in one line; `details` is for the log, `folds` of a trial that was given up."""

    error: str
    details: str = ""
    folds: tuple[float, ...] = ()


def _context() -> Any:
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["automl_jobs.engine.preload"])
    return context


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Processes started meanwhile don't run the program's own script: a worker needs nothing of it.

    `multiprocessing` imports it in each process that it does not fork, and a script that trains without asking whether
    it is `__main__` would train there again.
    """
    main = sys.modules["__main__"]
    kept = {name: getattr(main, name, None) for name in ("__spec__", "__file__")}
    for name in kept:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None and name == "__file__":
                delattr(main, name)
            else:
                setattr(main, name, value)


class Worker:
    """One process that runs trials of one problem.

    Parameters
    ----------
    problem_file: where the problem was saved.
    folder: scratch space; the worker writes its log and its trials' outputs there.
    threads: how many threads its algorithms may use.
    """

    def __init__(self, problem_file: Path, folder: Path, threads: int) -> None:
        self.problem_file = problem_file
        self.folder = folder
        self.threads = threads
        self.request: TrialPlan | EnsemblePlan | TestScore | Describe | Refit | None = None
        self.started = 0.0
        self._process: BaseProcess | nursery.ForkedProcess | None = None
        self._pipe: Connection | None = None
        self.start()

    def start(self) -> None:
        """Start the process; again after `kill`."""
        ours, theirs = multiprocessing.Pipe()
        self._process, self._pipe = self._forked(theirs) or self._spawned(theirs), ours
        theirs.close()

    def _forked(self, pipe: Connection) -> nursery.ForkedProcess | None:
        """The process, forked from the nursery; None where there is none, or no more."""
        found = nursery.current()
        if found is None:
            return None
        try:
            return found.start(_serve, (self.problem_file, self.folder, self.threads), pipe)
        except OSError:
            nursery.close_here()
            return None

    def _spawned(self, pipe: Connection) -> BaseProcess:
        context = _context()
        with nursery.threads_of_child(self.threads), nursery.deaf_to_interrupts(), _without_main():
            process: BaseProcess = context.Process(
                target=_serve, args=(pipe, self.problem_file, self.folder, self.threads), daemon=True
            )
            process.start()
        return process

    @property
    def pipe(self) -> Connection:
        assert self._pipe is not None
        return self._pipe

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    @property
    def busy(self) -> bool:
        return self.request is not None

    def ask(self, request: TrialPlan | EnsemblePlan | TestScore | Describe | Refit) -> None:
        """Send a request; the answer makes `pipe` readable."""
        self.request, self.started = request, time.monotonic()
        # A process that died meanwhile is found when its answer is read.
        with contextlib.suppress(OSError):
            self.pipe.send(request)

    def answer(self) -> TrialOutcome | dict[str, Any] | Failure:
        """The answer to the last request. A process that died is replaced, and its death is the answer."""
        try:
            answer: Any = self.pipe.recv()
        except (EOFError, OSError):
            code = self._reap()
            self.start()
            answer = Failure(_death(code))
        self.request = None
        return answer

    def kill(self) -> None:
        """Stop at once, whatever it is doing; `start` makes a new one."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._process.kill()
        self._reap()
        self.request = None

    def _reap(self) -> int | None:
        process, self._process = self._process, None
        code = None
        if process is not None:
            process.join(STOP_GRACE_SECONDS)
            code = process.exitcode
            if code is None:
                with contextlib.suppress(OSError):
                    process.kill()
                process.join()
                code = process.exitcode
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        return code


def _death(code: int | None) -> str:
    if code == -signal.SIGKILL:
        return "the training process was killed (out of memory?)"
    return f"the training process ended unexpectedly (exit code {code})"


def _end_with_parent() -> None:
    """Leave when the parent is gone, even in the middle of a fit."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def give_back() -> None:
    """Return to the system what the C library keeps of freed memory: up to 35 MB after a trial. glibc alone can."""
    gc.collect()
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def bound(threads: int) -> None:
    """Let this process's libraries take so many threads, and DISTANCES_MB; a forked one's were loaded before."""
    import sklearn
    import threadpoolctl

    threadpoolctl.threadpool_limits(threads)
    sklearn.set_config(working_memory=DISTANCES_MB)


def _serve(pipe: Connection, problem_file: Path, folder: Path, threads: int) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nursery.share_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # What libraries print belongs in the job's log, not on the user's screen.
    log = os.open(folder / "training.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)

    from automl_jobs.engine import ensemble, tasks
    from automl_jobs.engine.pruning import GivenUp

    bound(threads)
    problem = tasks.load(problem_file)
    session = tasks.of(problem.task).session(problem, threads)
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        answer: Any
        try:
            answer = session.answer(request, folder)
        except ensemble.NoBetter:
            answer = Failure(NO_BETTER)
        except GivenUp as error:
            answer = Failure(str(error), folds=tuple(error.folds))
        except MemoryError:
            answer = Failure("out of memory")
        except Exception as error:  # noqa: BLE001 - a trial may fail in any way; the job goes on
            first = (str(error).strip() or "no message").splitlines()[0]
            answer = Failure(f"{type(error).__name__}: {first}", traceback.format_exc())
            print(answer.details, flush=True)  # into training.log
        pipe.send(answer)
        del request, answer
        give_back()
