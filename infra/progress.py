"""What the engine tells while it runs: steps by resource, lines of progress, what failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.engine_errors import plain, shortened

if TYPE_CHECKING:
    from pulumi import automation

SAME, LOOK = "same", "refresh"
# What only Pulumi knows of: components, providers, the stack.
NOT_IN_AZURE = ("forestay:", "pulumi:")
DONE = {
    "create": "made",
    "update": "changed",
    "delete": "deleted",
    "replace": "replaced",
    "create-replacement": "made anew",
    "delete-replaced": "deleted the old",
    "read": "read",
    "import": "adopted",
}
# What a look at Azure found, by what it does to the state.
FOUND = {"update": "differs", "delete": "is gone"}


@dataclass(frozen=True)
class Step:
    """What happens, or would happen, to one resource; `diffs` are the inputs that differ."""

    urn: str
    type: str
    op: str
    diffs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.urn.rpartition("::")[2]

    def as_dict(self) -> dict[str, Any]:
        return {"urn": self.urn, "type": self.type, "name": self.name, "op": self.op, "diffs": list(self.diffs)}


class Progress:
    """Follows the engine's events.

    Parameters
    ----------
    say: takes one line of progress.

    Attributes
    ----------
    steps: by URN, what happens or would happen. errors: what failed, those of a resource before those of the program,
        which fails of them.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.steps: dict[str, Step] = {}
        self._looked_at: set[str] = set()
        self._of_resources: list[str] = []
        self._of_program: list[str] = []

    @property
    def errors(self) -> list[str]:
        return [*self._of_resources, *self._of_program]

    def __call__(self, event: automation.EngineEvent) -> None:
        if event.resource_pre_event:
            self._begin(event.resource_pre_event.metadata, planning=bool(event.resource_pre_event.planning))
        elif event.res_outputs_event:
            self._end(event.res_outputs_event.metadata, planning=bool(event.res_outputs_event.planning))
        elif event.res_op_failed_event:
            metadata = event.res_op_failed_event.metadata
            self.say(f"FAILED to {_op(metadata)} {_short(metadata)}")
        elif event.diagnostic_event:
            self._told(event.diagnostic_event)

    def _begin(self, metadata: Any, *, planning: bool) -> None:
        op = _op(metadata)
        if metadata.type.startswith(NOT_IN_AZURE) or op == SAME:
            return
        if op == LOOK:
            self._looked_at.add(metadata.urn)
            return
        before = self.steps.get(metadata.urn)
        step = _step(metadata)
        self.steps[metadata.urn] = before if before and not step.diffs else step
        if not planning:
            self.say(f"{op} {_short(metadata)} ...")

    def _end(self, metadata: Any, *, planning: bool) -> None:
        op = _op(metadata)
        if metadata.type.startswith(NOT_IN_AZURE) or op in (SAME, LOOK):
            return
        if metadata.urn in self._looked_at:  # an operation on the state alone
            self.steps[metadata.urn] = _step(metadata)
            self.say(f"{FOUND.get(op, op)}: {_short(metadata)}")
        elif not planning:
            self.say(f"{DONE.get(op, op)}: {_short(metadata)}")

    def _told(self, event: Any) -> None:
        text = plain(event.message).strip()
        if not text or event.ephemeral:
            return
        name = str(event.urn or "").rpartition("::")[2]
        line = f"{name}: {text}" if name else text
        if event.severity == "error":
            if name:
                self.say(f"error: {shortened(line)}")
            (self._of_resources if name else self._of_program).append(line)
        elif event.severity == "warning":
            self.say(f"warning: {line}")
        elif event.severity == "info":  # what is waited for, and why
            self.say(line)


def _step(metadata: Any) -> Step:
    """The engine tells of a replacement three times: the new one, the change, the old one."""
    op = _op(metadata)
    diffs = tuple(sorted(metadata.detailed_diff or metadata.diffs or ()))
    return Step(metadata.urn, metadata.type, "replace" if "replace" in op else op, diffs)


def _op(metadata: Any) -> str:
    return str(getattr(metadata.op, "value", metadata.op))


def _short(metadata: Any) -> str:
    return f"{metadata.type.removeprefix('azure-native:')} {metadata.urn.rpartition('::')[2]}"
