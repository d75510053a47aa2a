"""Whether what was brought up serves: healthy, and golden rows as in training; else what Azure tells of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from forestay.errors import ForestayError, Problem, RunFailed
from infra.operate import Outcome
from infra.services import Served, Service
from scoring import server
from scoring.targets import entries, smoke, watchers
from scoring.targets.rollout import Check, Rollout

WAIT_SECONDS = 300.0
HOPELESS_SECONDS = 5.0
SHOWN_LINES = 15


@dataclass(frozen=True)
class Trial:
    """The checks of one endpoint's changes.

    Attributes
    ----------
    folder: the proven folder of a state, None where this machine has none. key: what callers show, empty where none is
        asked for. watcher: who can be asked about the containers of a service.
    """

    name: str
    rollout: Rollout
    folder: Callable[[Served], Path | None]
    key: Callable[[], str]
    watcher: Callable[[Service], watchers.Watcher]

    def passed(
        self, new: Served | None = None, wait_seconds: float | None = None, *, key: str = "", candidate: bool = False
    ) -> Check:
        """What must hold after `up`: it is healthy, and the golden rows come back. The check raises RunFailed.

        Parameters
        ----------
        new: what is served then; None for what the file says. key: a new one to show. candidate: whether it is tried
            beside what serves.
        """

        def check(outcome: Outcome) -> None:
            service = self._service()
            asked = (service.as_candidate() or service) if candidate else service
            url = self._awake(asked, outcome, "candidates" if candidate else "services")
            self.rollout.say(f"waiting until {url} is healthy")
            smoke.wait_healthy(url, wait_seconds or WAIT_SECONDS, self._hopeless(asked))
            folder = self.folder(new or entries.served_of(service))
            if folder is None:
                self.rollout.say("warning: no smoke test: the proven folder of this version is not on this machine")
                return
            self.rollout.say("smoke test with golden rows")
            smoke.require_golden(url, folder, url, key or self.key())

        return check

    def is_back(self, outcome: Outcome) -> None:
        """Wait until what was there before answers again, and say so. Raises RunFailed when it does not."""
        service = self._service()
        smoke.wait_healthy(self._awake(service, outcome, "services"), WAIT_SECONDS, self._hopeless(service))
        self.rollout.say(f"{entries.deployment_of(service)} answers again")

    def look(self, error: ForestayError) -> None:
        """Show the events and the end of the log of what failed, and put the one suggestion into the error."""
        told = [str(error)]
        with contextlib.suppress(ForestayError):  # Azure itself may be out of reach
            service = self._service()
            watcher = self.watcher(service.as_candidate() or service)
            shown = [f"  event | {line}" for line in watcher.events()[-SHOWN_LINES:]]
            for line in (*shown, *(f"  log | {line}" for line in watcher.logs(SHOWN_LINES))):
                self.rollout.say(line)
                told.append(line)
        if isinstance(error, RunFailed):
            first, *rest = error.problems
            fix = watchers.advice(told, self.name, self.rollout.env)
            error.problems = (Problem(first.where, first.message, fix), *rest)

    def start(self, service: Service) -> Outcome | None:
        """Start what was stopped. In a network its address may be another one then: what leads to it follows.

        Gives the stack as it is then; None where nothing of it changes.
        """
        self.watcher(service).start()
        private = self.rollout.load().settings.network.private
        return self.rollout.follow(self.name) if service.inside(private=private) else None

    def _awake(self, service: Service, outcome: Outcome, where: str) -> str:
        """Where a service, or its candidate, is asked; what was stopped is started. `where`: the output that tells."""
        url = str(outcome.outputs[where][self.name])
        stopped = False
        if not server.is_healthy(url):
            with contextlib.suppress(ForestayError):  # Azure itself may be out of reach: then only time tells
                stopped = self.watcher(service).condition().stopped
        moved = self.start(service) if stopped else None
        return str(moved.outputs[where][self.name]) if moved else url

    def _hopeless(self, service: Service) -> Callable[[], str]:
        """What keeps a deployment from ever answering, asked from time to time."""
        asked: list[watchers.Watcher] = []
        looked = 0.0

        def problem() -> str:
            nonlocal looked
            if looked and time.monotonic() - looked < HOPELESS_SECONDS:
                return ""
            looked = time.monotonic()
            with contextlib.suppress(ForestayError):  # Azure itself may be out of reach: then only time tells
                if not asked:
                    asked.append(self.watcher(service))
                return asked[0].condition().problem
            return ""

        return problem

    def _service(self) -> Service:
        return self.rollout.load().settings.services[self.name]
