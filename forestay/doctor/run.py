"""Looks side by side: each starts when what it needs is well, and has its time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from forestay.doctor.model import PROBLEM, Check, Finding, problem, told, warning
from forestay.errors import ForestayError

LOOK_SECONDS = 0.25
"""How often progress is told while nothing ends."""


@dataclass(frozen=True)
class Progress:
    """How far the looks are: how many have ended, of how many, and the names of those under way."""

    done: int
    total: int
    under_way: tuple[str, ...]


@dataclass
class _Run:
    checks: Sequence[Check]
    answers: queue.SimpleQueue[tuple[str, list[Finding]]] = field(default_factory=queue.SimpleQueue)
    ends: dict[str, float] = field(default_factory=dict)
    found: dict[str, list[Finding]] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)

    @property
    def under_way(self) -> list[Check]:
        return [one for one in self.checks if one.name in self.ends and one.name not in self.found]

    @property
    def done(self) -> int:
        return len(self.found) + len(self.blocked)

    def advance(self) -> None:
        """Start what can be started, and give up what stands behind a problem."""
        moved = True
        while moved:
            moved = False
            for one in self.checks:
                if one.name in self.ends or one.name in self.blocked:
                    continue
                behind = next((need for need in one.needs if self._is_bad(need)), None)
                if behind is not None:
                    self.blocked[one.name] = self.blocked.get(behind, behind)
                    moved = True
                elif all(need in self.found for need in one.needs):
                    self._start(one)

    def _is_bad(self, name: str) -> bool:
        return name in self.blocked or any(one.status == PROBLEM for one in self.found.get(name, ()))

    def _start(self, check: Check) -> None:
        self.ends[check.name] = time.monotonic() + check.seconds
        # A look that hangs must not keep the command from ending.
        threading.Thread(target=self._look, args=(check,), name=f"doctor {check.name}", daemon=True).start()

    def _look(self, check: Check) -> None:
        try:
            answer = check.look()
            found = [answer] if isinstance(answer, Finding) else list(answer)
        except ForestayError as error:
            found = told(check.name, error)
        except Exception as error:  # noqa: BLE001 - one look that breaks must not take the others with it
            found = [
                problem(
                    check.name,
                    f"this look failed: {type(error).__name__}: {error}",
                    "this is a fault of forestay: report it with this line",
                )
            ]
        self.answers.put((check.name, found))

    def wait(self) -> None:
        """Until a look has ended, or its time has."""
        pause = min((self.ends[one.name] - time.monotonic() for one in self.under_way), default=0.0)
        try:
            name, found = self.answers.get(timeout=min(max(pause, 0.001), LOOK_SECONDS))
            self.found.setdefault(name, found)
        except queue.Empty:
            pass
        for one in self.under_way:
            if time.monotonic() > self.ends[one.name]:
                self.found[one.name] = [_late(one)]

    def findings(self) -> Iterable[Finding]:
        for one in self.checks:
            yield from self.found.get(one.name, ())
        for cause in dict.fromkeys(self.blocked.values()):
            names = ", ".join(name for name, why in self.blocked.items() if why == cause)
            yield warning("skipped", f"not looked at: {names}", f"mend `{cause}` first, then run this again")


def _late(check: Check) -> Finding:
    return problem(
        check.name,
        f"no answer within {check.seconds:.0f} s",
        "run this again; where it persists, look at the network, the proxy and the disk",
        outside=True,
    )


def run(checks: Sequence[Check], watch: Callable[[Progress], None] = lambda _: None) -> list[Finding]:
    """Do all looks, and give what they found in the order of `checks`; what was not looked at comes last.

    Parameters
    ----------
    watch: told of the progress several times a second.
    """
    running = _Run(checks)
    running.advance()
    while running.done < len(checks):
        watch(Progress(running.done, len(checks), tuple(one.name for one in running.under_way)))
        running.wait()
        running.advance()
    return list(running.findings())
