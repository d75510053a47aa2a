"""What is wrong and what is odd, gathered while a job and its data are looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from automl_jobs.spec import LoadedJob
from forestay.documents.names import closest, shown
from forestay.errors import Problem
from forestay.words import some

LISTED_AT_MOST = 8


@dataclass
class Findings:
    """Problems stop a job, warnings don't. Each is placed at the line of the key that it is about."""

    loaded: LoadedJob
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def error(self, key: str, message: str, fix: str) -> None:
        self.problems.append(Problem(self.loaded.where(key), message, fix))

    def warn(self, key: str, message: str, fix: str = "") -> None:
        self.warnings.append(Problem(self.loaded.where(key), message, fix))

    def absent(self, key: str, names: Iterable[str], columns: Iterable[str], source: str) -> bool:
        """An error for each of the names that is no column; whether there was one."""
        there = list(columns)
        missing = [name for name in names if name not in there]
        for name in missing:
            near = closest(name, there)
            fix = f"did you mean {listed(near)}?" if near else f"columns: {listed(there)}"
            self.error(key, f"`{key}` names {shown(name)!r}, which is no column of {source}", fix)
        return bool(missing)


def listed(names: Iterable[str]) -> str:
    """Names from data, for a message."""
    return some([shown(name) for name in names], LISTED_AT_MOST)
