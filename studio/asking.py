"""Pages of an environment in Azure: answered within seconds, whatever Azure and the network do.

What asks Azure runs in a thread of its own. A page that takes longer than PATIENCE_SECONDS gets a note instead, which
asks again; what Azure then says is kept for it. A page is asked for once at a time, however often it is loaded.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from starlette.responses import Response

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
    """What is asked of environments just now, by page."""

    def __init__(self) -> None:
        self._answers: dict[str, _Answer] = {}
        self._guard = threading.Lock()

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
        waiting = asyncio.wrap_future(found.coming)
        done: set[asyncio.Future[Response]] = set()
        with contextlib.suppress(asyncio.CancelledError):  # the studio ends
            done, _ = await asyncio.wait([waiting], timeout=PATIENCE_SECONDS)
        if not done:
            waiting.cancel()  # only the waiting: what runs can't be cancelled
            found.late = True
            return None
        found.given = found.given or time.monotonic()
        return waiting.result()

    def _begun(self, page: str, work: Callable[[], Response]) -> _Answer:
        with self._guard:
            now = time.monotonic()
            self._answers = {name: one for name, one in self._answers.items() if one.holds(now)}
            found = self._answers.get(page)
            if found is None:
                found = self._answers[page] = _Answer(Future())
                found.coming.set_running_or_notify_cancel()
                # Not one of a pool, which a thread that waits for Azure would keep from ending with the studio.
                threading.Thread(target=_run, args=(found, work), daemon=True).start()
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
