"""Every error that a user can cause, and the exit code that it ends in.

ForestayError            exit 1
├── RunFailed            1    it ran and failed: a job, a proof, a smoke test, a policy
├── InputError           2    wrong input: the message names file, line, column or flag
├── OutsideError         3    something outside can't be reached or refused us
│   └── Unreachable      3    it did not answer: the same again may work in a while
└── Interrupted        130    stopped by the user; state is kept

An error says in one line what is wrong and where, and in another what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Parameters
    ----------
    where: file:line, column, flag or key at fault.
    message: what is wrong, in one line.
    fix: what to do about it, in one line.
    """

    where: str
    message: str
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        return {"where": self.where, "message": self.message, "fix": self.fix}


class ForestayError(Exception):
    """Base of all errors that are messages for the user.

    Parameters
    ----------
    message: what is wrong, in one line.
    where: file:line, column, flag or key at fault; empty where the message says it all.
    fix: what to do, in one line.
    """

    exit_code = 1

    def __init__(self, message: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(message)
        self.problems: tuple[Problem, ...] = (Problem(where, message, fix),)

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> ForestayError:
        """One error out of several problems found at once; `problems` must not be empty."""
        error = cls(problems[0].message, where=problems[0].where, fix=problems[0].fix)
        error.problems = tuple(problems)
        return error

    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]  # read only: what it says is `problems`
        """What a traceback shows below the message, in Python and in notebooks (PEP 678)."""
        return self.lines()

    def lines(self) -> list[str]:
        """The text for a terminal: for each problem one line, and an indented one with the fix."""
        lines: list[str] = []
        for problem in self.problems:
            lines.append(f"{problem.where}: {problem.message}" if problem.where else problem.message)
            if problem.fix:
                lines.append(f"  {problem.fix}")
        return lines


class RunFailed(ForestayError):
    exit_code = 1


class InputError(ForestayError):
    exit_code = 2


class OutsideError(ForestayError):
    exit_code = 3


class Unreachable(OutsideError):
    """No answer, or one that may be another in a while."""


class Interrupted(ForestayError):
    """Stopped by the user; `job` is the job that can go on, where there is one."""

    exit_code = 130

    def __init__(self, message: str, *, where: str = "", fix: str = "", job: str = "") -> None:
        super().__init__(message, where=where, fix=fix)
        self.job = job
