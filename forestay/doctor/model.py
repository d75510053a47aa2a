"""What a look finds, and what makes a look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from forestay.errors import ForestayError, OutsideError

OK, WARNING, PROBLEM = "ok", "warning", "problem"
SECONDS = 10.0
"""What a look may take if it doesn't say otherwise."""


@dataclass(frozen=True)
class Finding:
    """One line of the answer.

    Parameters
    ----------
    check: what was looked at. status: OK, WARNING or PROBLEM. detail: what was found, in one line.
    fix: the one thing to do about it, in one line; empty where there is nothing to do.
    outside: of a problem: whether something outside of this machine can't be reached, or refused us.
    """

    check: str
    status: str
    detail: str
    fix: str = ""
    outside: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {"check": self.check, "status": self.status, "detail": self.detail, "fix": self.fix or None}


@dataclass(frozen=True)
class Check:
    """A look.

    Parameters
    ----------
    name: what it looks at. look: gives its findings; a ForestayError that it raises becomes problems.
    needs: names of those that must have found no problem before. seconds: what it may take.
    """

    name: str
    look: Callable[[], Finding | Iterable[Finding]]
    needs: tuple[str, ...] = ()
    seconds: float = SECONDS


def ok(check: str, detail: str) -> Finding:
    return Finding(check, OK, detail)


def warning(check: str, detail: str, fix: str) -> Finding:
    return Finding(check, WARNING, detail, fix)


def problem(check: str, detail: str, fix: str, *, outside: bool = False) -> Finding:
    return Finding(check, PROBLEM, detail, fix, outside)


def told(check: str, error: ForestayError) -> list[Finding]:
    """The problems of an error, a finding each."""
    outside = isinstance(error, OutsideError)
    return [
        problem(check, f"{one.where}: {one.message}" if one.where else one.message, one.fix, outside=outside)
        for one in error.problems
    ]


def exit_code(findings: Sequence[Finding]) -> int:
    """0 without a problem; 3 where nothing but what is outside of this machine is in the way, else 1."""
    problems = [one for one in findings if one.status == PROBLEM]
    if not problems:
        return 0
    return OutsideError.exit_code if all(one.outside for one in problems) else ForestayError.exit_code
