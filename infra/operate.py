"""Changes a stack through Pulumi's Automation API: preview, up, refresh, destroy, and reads its outputs and state.

The program runs inline, in this process; the same `declare` is what `pulumi up` runs by hand. The Automation API's own
reading of stack files ignores `stackConfigDir`, so it is never asked: the CLI reads `stacks/`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any

from forestay.errors import ForestayError, InputError, Interrupted, OutsideError, RunFailed
from infra import cutoff, kept_names
from infra.engine_errors import explain
from infra.plan.model import Plan
from infra.plan.outputs import MadeUp
from infra.plan.run import Declare, in_order, record
from infra.progress import Progress, Step
from infra.stackfile import Stack

if TYPE_CHECKING:
    from pulumi import automation

GROUP = "azure-native:containerinstance:ContainerGroup"
VAULT = "azure-native:keyvault:Vault"
WORKSPACE = "azure-native:machinelearningservices:Workspace"
# What is lost with a resource, and what Azure keeps for a while.
LOSSES = {
    "azure-native:storage:StorageAccount": "all data, models and logs in it",
    VAULT: "all secrets in it (kept as soft-deleted, which blocks the name)",
    "azure-native:containerregistry:Registry": "all images in it",
    WORKSPACE: "all jobs, models, endpoints (kept as soft-deleted for 14 days)",
    "azure-native:containerservice:ManagedCluster": "everything that runs on it",
    "azure-native:operationalinsights:Workspace": "all logs in it",
    GROUP: "a served model",
    "kubernetes:apps/v1:Deployment": "a served model",
}


@dataclass(frozen=True)
class Outcome:
    """What a run did, or would do.

    Attributes
    ----------
    command: preview, up, refresh or destroy. changes: count by operation, without what stays the same.
    outputs: the stack's after it, secrets masked.
    """

    env: str
    command: str
    steps: tuple[Step, ...]
    outputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def changes(self) -> dict[str, int]:
        return {op: sum(step.op == op for step in self.steps) for op in sorted({step.op for step in self.steps})}

    def as_dict(self) -> dict[str, Any]:
        return {
            "env": self.env,
            "command": self.command,
            "changes": self.changes,
            "resources": [step.as_dict() for step in self.steps],
            "outputs": dict(self.outputs),
        }


@dataclass(frozen=True)
class Held:
    """A resource in a stack's state."""

    urn: str
    type: str
    id: str
    protect: bool
    external: bool

    @property
    def name(self) -> str:
        return self.urn.rpartition("::")[2]

    @property
    def loss(self) -> str:
        return LOSSES.get(self.type, "")

    def as_dict(self) -> dict[str, Any]:
        return {"urn": self.urn, "type": self.type, "id": self.id, "protect": self.protect, "loss": self.loss or None}


def preview(stack: Stack, declare: Declare, say: Callable[[str], None]) -> Outcome:
    """What `up` would do. Raises OutsideError and RunFailed."""
    return _run(stack, "preview", declare, say, create=True)


def up(stack: Stack, declare: Declare, say: Callable[[str], None]) -> Outcome:
    """Make the stack what its settings say. Raises OutsideError and RunFailed.

    A container group that an earlier run meant to replace, and that is wanted again, is kept: see cutoff.put_back.
    """
    try:
        opened = ask(stack, lambda: open_stack(stack, None, create=False))
        exported = ask(stack, opened.export_stack)
    except InputError as error:
        if not never_made(error):
            raise
    else:
        if cutoff.replaced(exported.deployment or {}):
            exported.deployment = cutoff.put_back(exported.deployment, _ids(stack, declare))
            ask(stack, lambda: opened.import_stack(exported))
    return _run(stack, "up", declare, say, create=True)


def refresh(stack: Stack, declare: Declare, say: Callable[[str], None]) -> Outcome:
    """Look at what is there in Azure, and write it into the state; nothing in Azure changes.

    What an earlier run was making when it was cut off is looked for by the id that follows from its settings: it is
    kept if it is there, and forgotten if it is not.
    """
    opened = ask(stack, lambda: open_stack(stack, None, create=False))
    exported = ask(stack, opened.export_stack)
    doing = cutoff.doing(exported.deployment or {})
    if doing:
        say(f"an earlier run was cut off while: {', '.join(doing)}")
        made_up = MadeUp(stack.settings.subscription_id, stack.settings.location)
        ids = {**cutoff.ids(exported.deployment, made_up), **_ids(stack, declare)}
        exported.deployment = cutoff.settled(exported.deployment, ids)
        ask(stack, lambda: opened.import_stack(exported))
    return _run(stack, "refresh", declare, say, create=False)


def destroy(stack: Stack, declare: Declare, say: Callable[[str], None]) -> Outcome:
    """Delete everything that the stack owns; call `refuse_protected` before."""
    return _run(stack, "destroy", declare, say, create=False)


def adopt(stack: Stack, resources: list[Any], names: dict[str, str]) -> None:
    """Take resources over into the state as they are in Azure, see infra.adopt. Raises OutsideError and RunFailed."""

    def work() -> None:
        open_stack(stack, None, create=True).import_resources(
            resources=resources, name_table=names, protect=False, generate_code=False, show_secrets=False
        )

    ask(stack, work)


def outputs(stack: Stack, *, secrets: bool = False) -> dict[str, Any]:
    """The stack's outputs; secrets masked unless asked for."""
    found = ask(stack, lambda: open_stack(stack, None, create=False).outputs())
    return _outputs(found, secrets=secrets)


def state(stack: Stack) -> tuple[Held, ...]:
    """What the stack's state holds, in the order in which it was made; empty for a stack that was never made.

    Raises RunFailed when an earlier run was cut off, naming what it was doing.
    """
    try:
        deployment = ask(stack, lambda: open_stack(stack, None, create=False).export_stack()).deployment or {}
    except InputError as error:
        if not never_made(error):
            raise  # a wrong passphrase, say
        return ()
    doing = cutoff.doing(deployment)
    if doing:
        raise RunFailed(
            f"an earlier run was cut off while: {', '.join(doing)}",
            where=stack.name,
            fix=f"`forestay infra refresh --env {stack.name}` finds out what became of it; then do this again",
        )
    return tuple(
        Held(one["urn"], one["type"], str(one.get("id", "")), bool(one.get("protect")), bool(one.get("external")))
        for one in deployment.get("resources") or ()
        if not one["type"].startswith("pulumi:")
    )


def never_made(error: InputError) -> bool:
    """Whether Pulumi has no such stack: nothing was ever brought up."""
    from pulumi.automation import errors

    return isinstance(error.__cause__, errors.StackNotFoundError)


def _ids(stack: Stack, declare: Declare) -> dict[str, str]:
    """The id that the program gives each resource, by URN."""
    return {one.urn: one.id for one in in_order(record(stack, declare).recorded)}


def names_kept(held: Iterable[Held], stack: Stack) -> tuple[str, ...]:
    """What frees, or brings back, the names that Azure keeps after their resources are deleted, as commands of `az`."""
    return tuple(
        _kept(one, stack)
        for one in held
        if not one.external and (one.type == VAULT or (one.type == WORKSPACE and stack.settings.encryption is None))
    )


def _kept(one: Held, stack: Stack) -> str:
    if one.type == WORKSPACE:
        kept, command = kept_names.workspace_kept(one.id)
        return f"{kept}: free it by `{command}`"
    settings = stack.settings
    name = one.id.rpartition("/")[2]
    kept, command = kept_names.vault_kept(name, settings.location, settings.purge_protection)
    if settings.purge_protection:
        return f"{kept}: `{command}` brings it back, and `forestay infra import` takes it over"
    return f"{kept}: free it by `{command}`"


def refuse_protected(held: Iterable[Held], env: str) -> None:
    """Raises RunFailed, naming what is protected."""
    protected = [one.name for one in held if one.protect]
    if protected:
        raise RunFailed(
            f"{len(protected)} resources are protected: {', '.join(protected)}",
            where=env,
            fix=f"write forestay:protect: false, run `forestay infra up --env {env}`, then destroy",
        )


def refuse_renamed(held: Iterable[Held], plan: Plan, env: str) -> None:
    """Refuse to make a second estate beside the first because a stem or name changed.

    A resource that keeps its place in the program and gets another id in Azure would be deleted and made anew, with
    what it holds. A container group behind a front has another name with each state, and holds nothing: only where it
    lies tells whether it is another one's. Raises InputError.
    """
    planned = {one.urn: one.id for one in plan.resources if not one.external}
    for one in held:
        new = planned.get(one.urn, "")
        other = _place(one.type, new) != _place(one.type, one.id)
        if one.type in LOSSES and new and one.id and other:
            old_name, new_name = one.id.rpartition("/")[2], new.rpartition("/")[2]
            raise InputError(
                f"{one.name} is {old_name} and would become {new_name}: {LOSSES[one.type]} would be lost",
                where=env,
                fix="put back forestay:stem, forestay:names, subscription and group, or make a new environment",
            )


def _place(type_: str, id_: str) -> str:
    """What of an id stays while a resource is the same one."""
    return (id_.rpartition("/")[0] if type_ == GROUP else id_).lower()


def _run(stack: Stack, command: str, declare: Declare, say: Callable[[str], None], *, create: bool) -> Outcome:
    progress = Progress(say)

    def work() -> Mapping[str, Any]:
        opened = open_stack(stack, lambda: declare(stack.settings), create=create)
        method = getattr(opened, command)
        given: dict[str, Any] = {"on_event": progress, "color": "never"}
        if command in ("up", "refresh", "destroy"):
            given |= {"show_secrets": False, "suppress_progress": True}
        done = method(**given)
        return done.outputs if command == "up" else {}

    with _stoppable(say) as stopped:
        try:
            found = ask(stack, work, progress)
        except ForestayError:
            if stopped.is_set():
                raise Interrupted(
                    "stopped: what was under way has ended and is in the state",
                    where=stack.name,
                    fix=f"`forestay infra {command} --env {stack.name}` goes on from there",
                ) from None
            raise
    return Outcome(stack.name, command, tuple(progress.steps.values()), _outputs(found))


@contextlib.contextmanager
def _stoppable(say: Callable[[str], None]) -> Iterator[threading.Event]:
    """Ctrl-C reaches Pulumi, too, which then lets what is under way end: the first one waits for that, and is kept in
    the event; the next one raises KeyboardInterrupt, and ends Pulumi at once."""
    stopped = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()
        say("stopping as soon as what is under way has ended; Ctrl-C again leaves it unfinished")

    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)


def open_stack(stack: Stack, program: Callable[[], None] | None, *, create: bool) -> automation.Stack:
    """The stack as Pulumi knows it; call it inside of `ask`."""
    from pulumi import automation

    root = str(stack.path.parent.parent)
    workspace = automation.LocalWorkspace(
        work_dir=root,
        program=program,
        env_vars=_environment(),
        secrets_provider=stack.secrets_provider,
        pulumi_command=_command(shutil.which("pulumi")),
    )
    choose = automation.Stack.create_or_select if create else automation.Stack.select
    return choose(stack.name, workspace)


@functools.cache
def _command(program: str | None) -> automation.PulumiCommand:
    """Pulumi's command line; each that is found is asked for its version once."""
    from pulumi import automation

    return automation.PulumiCommand()


def _environment() -> dict[str, str]:
    """What the CLI and its plugins are told besides the environment of this process."""
    found = {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    if os.environ.get("AZURE_FEDERATED_TOKEN_FILE"):
        # Its flags say `azurecli`, as on a person's machine: see infra.components.aks_service.kubeconfig.
        found["AAD_LOGIN_METHOD"] = os.environ.get("AAD_LOGIN_METHOD", "workloadidentity")
    return found


def ask(stack: Stack, work: Callable[[], Any], progress: Progress | None = None) -> Any:
    """Do something with Pulumi; what it refuses becomes a message. Raises OutsideError, InputError and RunFailed."""
    from pulumi.automation import errors

    if shutil.which("pulumi") is None:
        raise OutsideError(
            "no `pulumi` on PATH",
            fix="install Pulumi's CLI (pulumi.com/docs/install); `forestay infra plan` needs none",
        )
    try:
        return work()
    except ForestayError:
        raise
    except errors.CommandError as error:
        raise explain(str(error), stack.name, progress.errors if progress else ()) from error
    except errors.InvalidVersionError as error:
        raise OutsideError(f"this `pulumi` is too old: {error}", fix="install a newer one") from error
    except (OSError, subprocess.CalledProcessError) as error:
        raise OutsideError(f"`pulumi` does not start: {error}", fix="run `pulumi version` to see why") from error


def _outputs(found: Mapping[str, Any], *, secrets: bool = False) -> dict[str, Any]:
    return {key: one.value if secrets or not one.secret else "[secret]" for key, one in sorted(found.items())}
