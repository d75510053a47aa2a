"""The log of something far away, which can only be asked for its last lines: those, and then what is new in them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator


def lines(
    read: Callable[[int], list[str]], tail: int, *, follow: bool, pause_seconds: float, most: int
) -> Iterator[str]:
    """The last `tail` lines; with `follow` also those to come, until interrupted.

    Parameters
    ----------
    read: gives the last so many lines. pause_seconds: between looks. most: how many lines a look asks for at least.
    """
    shown = read(max(tail, most) if follow else tail) if tail or follow else []
    yield from shown[-tail:] if tail else []
    while follow:
        time.sleep(pause_seconds)
        now = read(max(tail, most))
        yield from _new(shown, now)
        shown = now


def _new(shown: list[str], now: list[str]) -> list[str]:
    """The lines of `now` after the last ones of `shown`."""
    for start in range(len(now), 0, -1):
        if now[:start][-len(shown) :] == shown[-start:]:
            return now[start:]
    return now
