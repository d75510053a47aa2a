"""Workers in the proven environment, which score blocks at the same time; the answers come back in order."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from forestay.errors import RunFailed
from scoring import cells, process, server
from scoring.batch import worker

Given = TypeVar("Given")
AHEAD = 2  # blocks that wait for each worker, so that none waits for the file


@dataclass(frozen=True)
class Scored:
    """The answer to a block: a result for each row that was not rejected, in order, and why the others were."""

    results: list[Any]
    rejects: dict[int, str]


class Pool:
    """So many workers; each has the model in its memory. Use it as a context: they end with it."""

    def __init__(self, python: Path, settings: dict[str, Any], work: Path, count: int) -> None:
        self.log = work / "workers.log"
        path = work / "settings.json"
        path.write_text(json.dumps({**settings, "cells": cells.__file__}), encoding="utf-8")
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1") if count > 1 else {}
        environment = {**server.variables(Path(settings["folder"])), **threads}
        self.workers: list[subprocess.Popen[bytes]] = []
        self.free: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        with self.log.open("wb") as log:
            for _ in range(count):
                self.workers.append(
                    process.start(
                        [python, "-I", "-B", worker.__file__, path], environment=environment, folder=work,
                        output=subprocess.PIPE, errors=log, talks=True,
                    )
                )  # fmt: skip
        self.threads = ThreadPoolExecutor(count)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.workers:
            one.kill()
        self.threads.shutdown(wait=True, cancel_futures=True)
        for one in self.workers:
            with contextlib.suppress(OSError):  # what could not be written to one that was killed
                one.__exit__(None, None, None)

    def wait_ready(self) -> None:
        """Wait until every worker has loaded the model. Raises RunFailed when one can't."""
        for one in self.workers:
            self._receive(one)
            self.free.put(one)

    def score(self, blocks: Iterable[tuple[Given, dict[str, Any]]]) -> Iterator[tuple[Given, Scored]]:
        """The answers to blocks, each with what came with it; no more blocks are read than the workers need."""
        under_way: deque[tuple[Given, Future[Scored]]] = deque()
        for given, message in blocks:
            under_way.append((given, self.threads.submit(self._ask, message)))
            if len(under_way) > AHEAD * len(self.workers):
                first, answer = under_way.popleft()
                yield first, answer.result()
        while under_way:
            first, answer = under_way.popleft()
            yield first, answer.result()

    def _ask(self, message: dict[str, Any]) -> Scored:
        one = self.free.get()
        try:
            assert one.stdin is not None
            worker.send(one.stdin, message)  # type: ignore[arg-type]
            answer = self._receive(one)
        except OSError as error:
            raise self._ended(one) from error
        finally:
            self.free.put(one)
        return Scored(answer["results"], {int(number): reason for number, reason in answer["rejects"]})

    def _receive(self, one: subprocess.Popen[bytes]) -> dict[str, Any]:
        assert one.stdout is not None
        answer = worker.receive(one.stdout)  # type: ignore[arg-type]
        if answer is None:
            raise self._ended(one)
        return answer

    def _ended(self, one: subprocess.Popen[bytes]) -> RunFailed:
        return RunFailed(
            f"a worker ended (exit code {one.wait()}): {server.why(self.log)}",
            fix="is there enough memory for each to load the model? fewer: --workers 1",
        )
