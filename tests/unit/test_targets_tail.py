"""The log of something far away: its last lines, and then what is new in them."""

from __future__ import annotations

from itertools import islice

import pytest

from scoring.targets import tail


@pytest.mark.parametrize(
    ("wanted", "told"),
    [(0, ["four", "five"]), (1, ["three", "four", "five"]), (2, ["two", "three", "four", "five"])],
)
def test_the_last_lines_and_those_to_come_each_once(wanted: int, told: list[str]) -> None:
    log = ["one", "two", "three"]

    def read(count: int) -> list[str]:
        shown = log[-count:]
        if log[-1] != "five":
            log.append("four" if log[-1] == "three" else "five")
        return shown

    followed = tail.lines(read, wanted, follow=True, pause_seconds=0, most=3)
    assert list(islice(followed, len(told))) == told


@pytest.mark.parametrize(("wanted", "told"), [(0, []), (2, ["two", "three"])])
def test_without_following_it_ends(wanted: int, told: list[str]) -> None:
    log = ["one", "two", "three"]
    assert list(tail.lines(lambda count: log[-count:], wanted, follow=False, pause_seconds=0, most=9)) == told
