"""What runs behind a deployment in Azure: condition, log and events, the same for a container group and for pods."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

LOOPING = 3  # restarts after which a container is not waited for any more


@dataclass(frozen=True)
class Condition:
    """How the containers of a deployment are.

    Attributes
    ----------
    stopped: whether nothing runs, as somebody wanted. problem: what keeps it from ever answering; empty where nothing
        does, as far as one can see.
    """

    stopped: bool = False
    problem: str = ""


class Watcher(Protocol):
    """The containers of one deployment. Every call raises OutsideError where Azure does not answer."""

    def condition(self) -> Condition: ...

    def logs(self, tail: int, *, timestamps: bool = False) -> list[str]:
        """The last lines that they wrote, each after the time in ISO 8601 where that is wanted."""
        ...

    def events(self) -> list[str]:
        """What happened to them, one a line, the oldest first."""
        ...

    def stop(self) -> None:
        """Raises InputError where what runs can't be stopped."""
        ...

    def start(self) -> None: ...


# The first that fits what was told is the one suggestion.
_ADVICE = (
    (r"OOMKilled|exit code 137|out of memory|MemoryError", "give a copy more memory: --memory 4"),
    (r"ImagePull|ErrImage|failed to pull|unauthorized|manifest unknown|InaccessibleImage|RegistryError",
     "let the endpoint's identity pull from the registry (AcrPull): forestay infra up of the estate grants it"),
    (r"FORESTAY_KEY|FORESTAY_AUTH", "the container got no keys: deploy with --auth keys, or --auth none"),
    (r"Insufficient (cpu|memory)|FailedScheduling|quota", "ask for less (--cpu, --memory, --replicas), or more quota"),
    (r"ModuleNotFoundError|ImportError|No module named", "build the folder again: forestay score verify, then deploy"),
    (r"smoke test", "see the difference here: forestay score verify, or deploy it with --target local"),
    (r"not healthy within", "give it more time: --wait 600; or see its log for what it waits for"),
)  # fmt: skip


def advice(told: Iterable[str], name: str, env: str) -> str:
    """One thing to do about a deployment that failed, by what was told of it: error, events, log."""
    text = "\n".join(told)
    for pattern, fix in _ADVICE:
        if re.search(pattern, text, re.IGNORECASE):
            return fix
    return f"read its log above; then deploy again, or look at what runs: forestay endpoint show {name} --env {env}"


_ASKED = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\S*\s.*\bPOST /score\b")


def last_request(lines: Iterable[str]) -> str | None:
    """When somebody last asked, by a log with times; None where no line tells."""
    found = [match[1] for line in lines if (match := _ASKED.match(line))]
    return f"{found[-1]}+00:00" if found else None
