"""Runs the real program in process against the recording monitor."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from infra.plan.model import PlannedResource
from infra.plan.monitor import MASK, Recorder
from infra.plan.outputs import MadeUp
from infra.settings import StackSettings
from infra.stackfile import PROJECT, Stack

Declare = Callable[[StackSettings], None]


def record(stack: Stack, declare: Declare) -> Recorder:
    """Run `declare` on a stack's settings as Pulumi would, and keep what it registers.

    Parameters
    ----------
    stack: whose settings. declare: the program, infra.program.declare.

    Raises what `execute` raises.
    """
    recorder = Recorder(MadeUp(stack.settings.subscription_id, stack.settings.location), PROJECT, stack.name)
    execute(stack.settings, declare, recorder, *configuration(stack))
    return recorder


def execute(
    settings: StackSettings, declare: Declare, recorder: Recorder, config: Mapping[str, str], secret: Sequence[str]
) -> None:
    """Run the program against a recorder.

    Pulumi keeps its state in context variables: a thread of its own has none of the caller's, and leaves none behind.
    The program runs as in a preview, where an output that nobody made up is unknown and gets noticed.

    Parameters
    ----------
    config, secret: what the engine would hand over: texts, and the keys of those that hold secrets.

    Raises whatever the program raises, and ValueError for what no plan can be made of: an input that stays unknown, a
    resource declared twice.
    """
    failures: list[BaseException] = []

    def run() -> None:
        try:
            _configure(recorder, config, secret)
            with asyncio.Runner() as runner:
                # What fails is raised below; what else awaited it need not be told on stderr.
                runner.get_loop().set_exception_handler(lambda *_: None)
                runner.run(_program(settings, declare))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failures.append(error)

    thread = threading.Thread(target=run, name=f"plan {recorder.stack}", daemon=True)
    with _no_collector():
        thread.start()
        thread.join()
    if failures:
        raise failures[0]
    if recorder.faults:
        raise ValueError("; ".join(recorder.faults))


@contextlib.contextmanager
def _no_collector() -> Iterator[None]:
    """Without Python's collector of cycles: the SDK makes some 100,000 futures that live to the end, and looking at
    them again and again takes three times as long as all else."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def in_order(recorded: Mapping[str, PlannedResource]) -> tuple[PlannedResource, ...]:
    """Resources as a tree is read: each right after its parent, siblings by type and name."""
    children: dict[str | None, list[PlannedResource]] = {}
    for one in recorded.values():
        children.setdefault(one.parent, []).append(one)
    found: list[PlannedResource] = []

    def visit(parent: str | None) -> None:
        for one in sorted(children.get(parent, ()), key=lambda one: (not one.component, one.type, one.name)):
            found.append(one)
            visit(one.urn)

    visit(None)
    return tuple(found)


async def _program(settings: StackSettings, declare: Declare) -> None:
    from pulumi.runtime.stack import run_in_stack

    await run_in_stack(lambda: declare(settings))


def _configure(recorder: Recorder, config: Mapping[str, str], secret: Sequence[str]) -> None:
    """Pulumi's settings of this thread: the monitor instead of an engine, and the stack's configuration."""
    from pulumi.runtime import mocks, settings
    from pulumi.runtime.config import set_all_config

    quiet = logging.getLogger("infra.plan")
    settings.configure(
        mocks.MockSettings(  # type: ignore[no-untyped-call]
            monitor=recorder,
            engine=mocks.MockEngine(quiet),
            project=recorder.project,
            stack=recorder.stack,
            dry_run=True,
            organization="organization",
            root_directory=".",
            callbacks=None,
            outputs=set(),
            lock=threading.Lock(),
            package_refs={},
            base_providers_by_ref={},
        )
    )
    set_all_config(dict(config), list(secret))


def configuration(stack: Stack) -> tuple[dict[str, str], list[str]]:
    """What the engine would hand to the program: texts, objects as JSON, secrets in place (masked here, since the plan
    has no passphrase), and the keys that hold secrets."""
    texts: dict[str, str] = {}
    secret: list[str] = []
    for key, value in stack.config.items():
        clear = _clear(value)
        if clear != value:
            secret.append(key)
        texts[key] = clear if isinstance(clear, str) else json.dumps(clear)
    return texts, secret


def _clear(value: Any) -> Any:
    """A value with `{secure: ...}` replaced by the mask."""
    if isinstance(value, Mapping):
        if set(value) == {"secure"}:
            return MASK
        return {key: _clear(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_clear(one) for one in value]
    return value
