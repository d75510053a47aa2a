"""Work for pages in threads, and who waits for it: answered within seconds, and at once when the studio ends.

A page of an environment that takes longer than PATIENCE_SECONDS gets a note instead, which asks again; what Azure then
says is kept for it. A page is asked for once at a time, however often it is loaded.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from starlette.responses import Response

from forestay.errors import OutsideError

PATIENCE_SECONDS = 8.0
KEPT_SECONDS = 90.0
"""How long an answer that came too late is kept for whom it was too late."""
AGAIN_SECONDS = 5.0
"""How long it is still given once it was: a page that waits sees it come, then loads it."""


@dataclass
class _Answer:
    """What is asked for a page. `ended`, `given`: when it came, and when it was first given, of time.monotonic()."""

    coming: Future[Response]
    late: bool = False
    ended: float = 0.0
    given: float = 0.0

    def holds(self, now: float) -> bool:
        """Whether the next who asks for the page gets this."""
        if not self.coming.done():
            return True
        return self.late and now < self.ended + KEPT_SECONDS and (not self.given or now < self.given + AGAIN_SECONDS)


class Asking:
    """What is asked just now: of environments by page, and of this machine."""

    def __init__(self) -> None:
        self._answers: dict[str, _Answer] = {}
        self._guard = threading.Lock()
        self._waiting: set[asyncio.Future[Response]] = set()
        self.ended = False

    def end(self) -> None:
        """The studio ends: whoever waits is told so now. To be called in the loop that they wait in."""
        self.ended = True
        for one in self._waiting:
            one.cancel()

    def go_on(self) -> None:
        """Raises OutsideError once the studio ends."""
        if self.ended:
            raise OutsideError("the studio has ended", where="forestay studio", fix="start it again")

    def forget(self) -> None:
        """Give nobody else what is asked or was answered until now: something is about to change."""
        with self._guard:
            self._answers = {}

    async def answer(self, page: str, work: Callable[[], Response]) -> Response | None:
        """What `work` gives, or raises; None where that takes longer than PATIENCE_SECONDS, while it goes on.

        Parameters
        ----------
        page: the address, by which others who wait for the same are known.
        """
        found = self._begun(page, work)
        answer = await self._awaited(found, PATIENCE_SECONDS)
        if answer is None:
            found.late = True
        else:
            found.given = found.given or time.monotonic()
        return answer

    async def here(self, work: Callable[[], Response], *, whole: bool = False) -> Response:
        """What `work` gives, or raises, however long it takes.

        Parameters
        ----------
        whole: it comes to its end even where the studio ends before.
        """
        answer = await self._awaited(_started(work, whole=whole), None)
        assert answer is not None
        return answer

    async def _awaited(self, found: _Answer, seconds: float | None) -> Response | None:
        """None where it takes longer. Raises OutsideError when the studio ends before."""
        waiting = asyncio.wrap_future(found.coming)
        self._waiting.add(waiting)
        try:
            await asyncio.wait([waiting], timeout=0 if self.ended else seconds)
        finally:
            self._waiting.discard(waiting)
        if waiting.cancelled() or not waiting.done():
            self.go_on()
        if not waiting.done():
            waiting.cancel()  # only the waiting: what runs can't be cancelled
            return None
        return waiting.result()

    def _begun(self, page: str, work: Callable[[], Response]) -> _Answer:
        with self._guard:
            now = time.monotonic()
            self._answers = {name: one for name, one in self._answers.items() if one.holds(now)}
            found = self._answers.get(page)
            if found is None:
                found = self._answers[page] = _started(work)
            return found


def _started(work: Callable[[], Response], *, whole: bool = False) -> _Answer:
    """Work in a thread of its own; not one of a pool, which would keep the studio from ending while it waits."""
    found = _Answer(Future())
    found.coming.set_running_or_notify_cancel()
    threading.Thread(target=_run, args=(found, work), daemon=not whole).start()
    return found


def _run(answer: _Answer, work: Callable[[], Response]) -> None:
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - it is raised where the page is made
        answer.ended = time.monotonic()
        answer.coming.set_exception(error)
    else:
        answer.ended = time.monotonic()
        answer.coming.set_result(result)
