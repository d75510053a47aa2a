"""A change of one service of an environment, and the way back: its lines in the stack's file, then `up` of that stack.

    .forestay/services/ENV/change.json   the entry as it was, while a change is under way; of a new one, as it shall be;
                                         and all that may be deployed while it is
    .forestay/services/ENV/applied.json  the states of all services, as this checkout brought them up last

Stages: the old lines are noted -> the new ones are written -> `up` -> the new state is checked -> the note is removed.
When a stage fails, the old lines are put back and `up` runs again. A command that is killed leaves its note: the next
one goes back first.

Nothing of other services changes: where the file says something else of them than what is deployed, it is refused. So
it is where another checkout gave the service itself other settings or keys, which an older file would put back. Other
checkouts have locks of their own: before each `up`, while Pulumi holds the stack, what is deployed is looked at again.
Where it is nothing that the change knows, somebody else came in between: nothing more is brought up, or put back.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forestay import project
from forestay.documents.document import parse
from forestay.errors import ForestayError, InputError, OutsideError, RunFailed
from infra import operate, stackedit, stackfile, stackgit, upkeep
from infra.engine_errors import Locked
from infra.operate import Outcome
from infra.plan.model import Plan
from infra.program import declare
from infra.services import Service, states_of
from infra.settings import SERVICES, StackSettings
from infra.stackfile import STACK_FILE, Stack
from scoring.targets import Say

Check = Callable[[Outcome], None]


class Overtaken(InputError):
    """What is deployed is nothing that a change knows: somebody else changed the stack since it began."""


@dataclass(frozen=True)
class Stage:
    """A text of the stack's file, and what must hold once that is up. `check` raises ForestayError when it does not."""

    text: str
    check: Check


@dataclass(frozen=True)
class Rollout:
    """The services stack of an environment. `env` is the environment's name, `home` the project's .forestay."""

    env: str
    root: Path
    home: Path
    say: Say

    @property
    def name(self) -> str:
        return f"{self.env}-{SERVICES}"

    @property
    def path(self) -> Path:
        return stackfile.stack_path(self.root, self.name)

    def load(self) -> Stack:
        """The stack as its file says. Raises InputError."""
        return stackfile.load(self.root, self.name)

    def read(self) -> str:
        return stackedit.read(self.path)

    def checked(self, text: str) -> Stack:
        """The stack as an edited text says. Raises InputError when that is no valid one."""
        return stackfile.check(parse(text, str(self.path), STACK_FILE), self.name, self.path)

    def planned(self, stack: Stack) -> Plan:
        """What a stack would make. Raises RunFailed where a mandatory policy is violated."""
        from infra.plan import build, prices

        plan = build.plan(stack, prices.load(), declare)
        for finding in plan.policy:
            if finding.level == "mandatory":
                told = f"{finding.rule}: {finding.resource.rpartition('::')[2]} {finding.message}"
                raise RunFailed(told, where=self.name, fix=finding.fix)
        return plan

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs; empty for a stack that was never made. Raises OutsideError without Pulumi."""
        try:
            return operate.outputs(self.load())
        except InputError as error:
            if not operate.never_made(error):
                raise
            return {}

    def refuse_others(self, name: str, stack: Stack, there: Mapping[str, Any] | None) -> None:
        """A change is of one service alone. Raises InputError where the file would change another one.

        Parameters
        ----------
        there: what is deployed, by service; None where the stack does not tell.
        """
        if there is None:
            return
        wanted = states_of(stack.settings.services)
        differing = sorted(one for one in {*wanted, *there} - {name} if wanted.get(one) != there.get(one))
        if not differing:
            return
        first = differing[0]
        told = _differing(there.get(first), wanted.get(first))
        more = f" (and {len(differing) - 1} more)" if len(differing) > 1 else ""
        raise InputError(
            f"this would also change {first}{more}: {told}",
            where=str(self.path),
            fix=self._way_out,
        )

    def refuse_outdated(self, name: str, stack: Stack, there: Mapping[str, Any] | None, *of: str) -> None:
        """A file that is older than what is deployed would take that back. Raises InputError where it differs.

        What this checkout brought up last may be changed by its file.

        Parameters
        ----------
        there: what is deployed, by service; None where the stack does not tell. of: the parts of a state to look at.
        """
        deployed, service = (there or {}).get(name), stack.settings.services.get(name)
        if deployed is None or service is None or deployed == self._brought_up.get(name):
            return
        if any(deployed.get(part) != service.state[part] for part in of):
            told = f"{name}: {_differing(deployed, service.state)}"
            raise InputError(told, where=str(self.path), fix=self._way_out)

    @property
    def _way_out(self) -> str:
        return f"git pull, when somebody deployed since; or apply the file first: forestay infra up --env {self.name}"

    @property
    def _brought_up(self) -> dict[str, Any]:
        """The states of all services, as this checkout brought them up; empty where it never did."""
        found = _read(self._applied_path)
        return found["deployed"] if found.get("file") == str(self.path.resolve()) else {}

    def warn_outdated(self, stack: Stack) -> None:
        """Say so when what was applied last is no commit of this checkout."""
        applied = upkeep.tags(stack).get(stackgit.APPLIED, "") if stackgit.head(self.path) else ""
        if applied and stackgit.has(self.path, applied) is False:
            self.say(
                f"warning: {self.path.name} may be outdated: what is deployed was applied from commit "
                f"{applied.removesuffix(stackgit.UNCOMMITTED)[:12]}, which this checkout lacks; git pull"
            )

    def carry_out(
        self,
        name: str,
        before: str,
        there: Mapping[str, Any] | None,
        stages: Sequence[Stage],
        failed: Callable[[ForestayError], None],
        back: Check = lambda _: None,
    ) -> Outcome:
        """Go through all stages, or back to `before`.

        Parameters
        ----------
        before: the file's text as it is. there: what is deployed, by service.
        failed: told of what went wrong before the way back is gone, while the new state can still be looked at.
        back: told when what was there before is up again.

        Raises what went wrong; Overtaken where somebody else changed the stack meanwhile.
        """
        lines = stackedit.lines_of(before, stackedit.service_path(name))
        self._note(name, before, [stage.text for stage in stages], there)
        text, outcome = before, None
        try:
            for stage in stages:
                stackedit.write(self.path, text, stage.text)
                text = stage.text
                outcome = self._up(name)
                stage.check(outcome)
            assert outcome is not None
            self._require_ours(name, outcome)
        except BaseException as error:
            try:
                if isinstance(error, ForestayError) and not isinstance(error, Locked | Overtaken):
                    failed(error)
            finally:
                untouched = isinstance(error, Locked) and outcome is None
                self._go_back(name, lines, up=not (untouched or isinstance(error, Overtaken)), back=back)
            raise
        self._forget()
        return outcome

    def recover(self, name: str = "", back: Check = lambda _: None) -> bool:
        """Go back where a killed command had begun a change; gives whether there was one of `name`.

        The stack is brought up to the old lines, too, except for `name`, whose next change does that: till then the
        note stays. `back` as in carry_out(). Where it could not be brought up, that is said, and the note stays, too.
        """
        self.drop_overtaken()
        note = self._noted()
        if note is None:
            return False
        self.say(f"a change of {note['name']} was interrupted; what it was before is put back")
        if note["name"] == name:
            self._restore(name, note["lines"])
            return True
        self._go_back(str(note["name"]), note["lines"], up=True, back=back)
        return False

    def drop_overtaken(self) -> None:
        """Forget an interrupted change after which somebody else changed the stack: to go back would take that away.

        What it wrote leaves the file. Where the state can't be reached, nothing is known, and the note stays.
        """
        note = self._noted()
        if note is None:
            return
        name = str(note["name"])
        try:
            self._refuse_overtaken(name, note.get("known", ()), self.outputs().get("deployed"))
        except OutsideError:
            return
        except Overtaken as overtaken:
            if stackedit.lines_of(self.read(), stackedit.service_path(name)) in note.get("wrote", ()):
                self._restore(name, note["lines"])
            self._forget()
            self.say(f"warning: the interrupted change of {name} is given up, nothing is put back: {overtaken}")

    @property
    def interrupted(self) -> str | None:
        """The service of which a change was begun and not ended."""
        note = self._noted()
        return str(note["name"]) if note else None

    @property
    def first_versions(self) -> dict[str, Service]:
        """The entry of a service whose first deploy was begun and not ended, by name; the file may lack it."""
        note = self._noted()
        if note is None or not note.get("first"):
            return {}
        return {str(note["name"]): Service.model_validate(note["first"])}

    def _go_back(self, name: str, lines: str | None, *, up: bool, back: Check = lambda _: None) -> None:
        self._restore(name, lines)
        if up:
            self.say("putting back what was there before")
            try:
                outcome = self._up(name)
                if lines is not None:
                    back(outcome)
            except Overtaken as overtaken:
                self.say(f"warning: it is not put back: {overtaken}")
            except ForestayError as error:  # the note stays: the next command tries again
                self.say(f"warning: that failed, too: {error}; run the command again when its cause is mended")
                return
        self._forget()

    def follow(self, name: str) -> Outcome:
        """Bring up what follows from what Azure changed by itself, as an address. Raises as carry_out()."""
        operate.refresh(self.load(), declare, self.say)
        return self._up(name)

    def _up(self, name: str) -> Outcome:
        """`up`, for a change of `name`; without one of the file as it is. Raises Overtaken; as refuse_others().

        What is deployed is looked at by the program: it runs while Pulumi holds the stack, and nothing is changed yet.
        """
        stack, note = self.load(), self._noted()
        known = note.get("known", ()) if note else [states_of(stack.settings.services)]
        refused: list[ForestayError] = []

        def guarded(settings: StackSettings) -> None:
            try:
                there = self.outputs().get("deployed")
                self._refuse_overtaken(name, known, there)
                self.refuse_others(name, stack, there)
            except ForestayError as error:
                refused.append(error)
                raise
            declare(settings)

        try:
            outcome = upkeep.bring_up(stack, guarded, self.say)
        except Exception:
            if refused:
                raise refused[0] from None
            raise
        deployed = outcome.outputs.get("deployed") or {}
        project.write_json(self._applied_path, {"file": str(self.path.resolve()), "deployed": deployed})
        return outcome

    def _restore(self, name: str, lines: str | None) -> None:
        """The entry as it was, in the file alone."""
        path, text = stackedit.service_path(name), self.read()
        old = stackedit.remove(text, path) if lines is None else stackedit.put_lines(text, path, lines)
        stackedit.write(self.path, text, old)

    def _refuse_overtaken(
        self, ours: str, known: Iterable[Mapping[str, Any] | None], there: Mapping[str, Any] | None
    ) -> None:
        """Raises Overtaken where what is deployed is none of `known`, all that may be while `ours` changes."""
        may_be = [one or {} for one in known]
        if there is None or there in may_be:
            return
        names = sorted({*there, *(name for one in may_be for name in one)})
        first = next((name for name in names if there.get(name) not in [one.get(name) for one in may_be]), ours)
        raise Overtaken(
            f"somebody else deployed since: {first} is {_shown(there.get(first))}",
            where=str(self.path),
            fix="git pull, then run this again",
        )

    def _require_ours(self, name: str, outcome: Outcome) -> None:
        """Raises Overtaken where somebody else changed the service after `up`: what passed its test was theirs."""
        ours = (outcome.outputs.get("deployed") or {}).get(name)
        with contextlib.suppress(OutsideError):  # what is up stays up
            there = self.outputs().get("deployed")
            if there is not None:
                self._refuse_overtaken(name, [{name: ours}], {name: there.get(name)})

    def _note(self, name: str, before: str, texts: Sequence[str], there: Mapping[str, Any] | None) -> None:
        path = stackedit.service_path(name)
        lines = stackedit.lines_of(before, path)
        states = [states_of(self.checked(text).settings.services) for text in (before, *texts)]
        note = {
            "name": name,
            "lines": lines,
            "first": stackedit.get(texts[-1], path) if lines is None else None,
            "wrote": [stackedit.lines_of(text, path) for text in texts],
            "known": [there, *states],
        }
        project.write_json(self._note_path, note)

    def _noted(self) -> dict[str, Any] | None:
        found = _read(self._note_path)
        return found if {"name", "lines"} <= found.keys() else None

    def _forget(self) -> None:
        self._note_path.unlink(missing_ok=True)

    @property
    def _note_path(self) -> Path:
        return self.home / "services" / self.env / "change.json"

    @property
    def _applied_path(self) -> Path:
        return self._note_path.with_name("applied.json")


def _read(path: Path) -> dict[str, Any]:
    """A note; empty where there is none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _differing(there: Mapping[str, Any] | None, wanted: Mapping[str, Any] | None) -> str:
    if there and wanted and _shown(there) == _shown(wanted):
        return "it is deployed with other settings or keys than the file says"
    return f"{_shown(there)} is deployed and the file says {_shown(wanted)}"


def _shown(state: Mapping[str, Any] | None) -> str:
    if not state:
        return "none"
    return f"{state.get('model')} {state.get('version')} ({str(state.get('image')).rpartition(':')[2][:8]})"
