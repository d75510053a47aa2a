"""Pages that wait: within bounds, asked once, a late answer is not lost, and none outlives the studio."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from starlette.responses import Response

from forestay.errors import OutsideError
from studio import asking
from studio.asking import Asking


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "PATIENCE_SECONDS", 0.05)


class Slow:
    """Work that ends once it is let go, and counts how often it was begun."""

    def __init__(self, error: Exception | None = None) -> None:
        self.go, self.begun, self.error = threading.Event(), 0, error

    def __call__(self) -> Response:
        self.begun += 1
        assert self.go.wait(20)
        if self.error:
            raise self.error
        return Response(f"{self.begun}")


def ask(found: Asking, work: Slow, page: str = "/x") -> Response | None:
    return asyncio.run(found.answer(page, work))


def let_go(found: Asking, work: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "PATIENCE_SECONDS", 20.0)
    work.go.set()


def test_a_late_answer_is_given_to_the_next_and_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    found, work = Asking(), Slow()
    assert ask(found, work) is None
    assert ask(found, work) is None
    let_go(found, work, monkeypatch)
    first, second = ask(found, work), ask(found, work)
    assert first is not None
    assert first is second
    assert work.begun == 1
    monkeypatch.setattr(asking, "AGAIN_SECONDS", 0.0)
    third = ask(found, work)
    assert third is not None
    assert third.body == b"2"
    assert ask(found, work) is not third  # one that came in time is not kept


def test_an_answer_is_not_kept_once_something_changes_or_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    for change in (lambda found: found.forget(), lambda _: monkeypatch.setattr(asking, "KEPT_SECONDS", 0.0)):
        monkeypatch.setattr(asking, "PATIENCE_SECONDS", 0.05)
        found, work = Asking(), Slow()
        assert ask(found, work) is None
        let_go(found, work, monkeypatch)
        assert ask(found, work) is not None
        change(found)
        ask(found, work)
        assert work.begun == 2


def test_an_error_is_raised_where_the_page_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    found, work = Asking(), Slow(OutsideError("no"))
    assert ask(found, work) is None
    assert ask(found, Slow(), "/y") is None  # another page is not held up
    let_go(found, work, monkeypatch)
    with pytest.raises(OutsideError, match="no"):
        ask(found, work)


@pytest.mark.parametrize("whole", [True, False])
def test_who_waits_is_told_at_once_that_the_studio_ends(monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    monkeypatch.setattr(asking, "PATIENCE_SECONDS", 20.0)
    found, work = Asking(), Slow()

    async def end() -> list[Any]:
        waiting = [found.answer("/x", work), found.here(work, whole=whole)]
        asyncio.get_running_loop().call_later(0.05, found.end)
        return await asyncio.gather(*waiting, return_exceptions=True)

    begun = time.monotonic()
    told = [*asyncio.run(end()), *asyncio.run(end())]
    assert time.monotonic() - begun < 5
    assert [str(one).count("the studio has ended") for one in told] == [1] * 4
    work.go.set()
