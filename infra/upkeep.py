"""What a deploy needs of a stack beside `up`: that it is there, its tags and secrets, and a way past killed runs.

Pulumi keeps secrets in the stack's file, encrypted by what the file names. It writes the file anew as a whole, so it is
given a copy, and what it encrypted is put into ours by lines.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from forestay.errors import ForestayError
from infra import cutoff, operate, stackedit, stackgit
from infra.engine_errors import Locked, explain
from infra.operate import Outcome
from infra.plan.run import Declare
from infra.stackedit import EntryPath
from infra.stackfile import Stack

Say = Callable[[str], None]

# What a killed command started lives on for a moment, and holds the stack.
LOCK_SECONDS, LOOK_SECONDS = 60.0, 1.0
# What encrypts the secrets of a stack, as its file keeps it.
KEPT = ("secretsprovider", "encryptedkey", "encryptionsalt")


def ensure(stack: Stack) -> None:
    """Make the stack where the state is kept, if it is not there. Pulumi may write into its file."""
    operate.ask(stack, lambda: operate.open_stack(stack, None, create=True))


def bring_up(stack: Stack, declare: Declare, say: Say) -> Outcome:
    """`up`, after clearing what a killed run left: its lock, and operations that nobody knows the end of.

    Raises Locked when another run holds the stack, and what operate.up raises.
    """
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            exported = operate.ask(stack, lambda: operate.open_stack(stack, None, create=True).export_stack())
            if cutoff.doing(exported.deployment or {}):
                operate.refresh(stack, declare, say)
            return operate.up(stack, declare, say)
        except Locked as locked:
            if locked.stale:
                say("taking away the lock of a run that was killed")
                operate.ask(stack, lambda: operate.open_stack(stack, None, create=False).cancel())
            elif time.monotonic() > until:
                raise
            else:
                time.sleep(LOOK_SECONDS)


def tag(stack: Stack, name: str, value: str) -> None:
    """Set a tag of the stack, where the state is kept."""
    operate.ask(stack, lambda: operate.open_stack(stack, None, create=False).workspace.set_tag(stack.name, name, value))


def tags(stack: Stack) -> dict[str, str]:
    """The tags of the stack; none for one that was never made."""
    found: Mapping[str, str] = operate.ask(
        stack, lambda: operate.open_stack(stack, None, create=True).workspace.list_tags(stack.name)
    )
    return dict(found)


def keep_commit(stack: Stack, say: Say) -> None:
    """Keep the commit of the file that was applied as a tag of the stack; say so where it has changes since."""
    commit = stackgit.head(stack.path)
    if commit is None:
        return
    try:
        tag(stack, stackgit.APPLIED, commit)
    except ForestayError as error:  # what was applied stays applied
        say(f"warning: the commit {commit[:12]} could not be kept as a tag of the stack: {error}")
    if commit.endswith(stackgit.UNCOMMITTED):
        say(
            f"warning: {stack.path.name} is not committed: until it is, others may undo this from their checkouts;"
            " git commit it (endpoint deploy does so with --commit)"
        )


def encrypted(stack: Stack, text: str, values: Mapping[EntryPath, str]) -> tuple[dict[EntryPath, Any], str]:
    """Secrets as a stack's file holds them.

    Parameters
    ----------
    text: of the file. values: in clear, by the path that they will have in it.

    Returns
    -------
    `{"secure": ...}` by path, and the text with what they were encrypted by, where it named nothing yet.
    """
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / stack.path.name
        copy.write_text(text, encoding="utf-8", newline="")
        for path, value in values.items():
            _config(stack, copy, "set", "--secret", "--path", _key(path), given=value)
        written = copy.read_text(encoding="utf-8")
    for key in KEPT:
        found = stackedit.get(written, (key,))
        if found is not None and found != stackedit.get(text, (key,)):
            text = stackedit.put(text, (key,), found)
    return {path: stackedit.get(written, path) for path in values}, text


def decrypted(stack: Stack, path: EntryPath) -> str:
    """A secret of the stack's file in clear."""
    return _config(stack, stack.path, "get", "--path", _key(path)).rstrip("\r\n")


def _key(path: EntryPath) -> str:
    """`("config", "forestay:services", "churn-api")` as Pulumi writes it: `forestay:services["churn-api"]`."""
    _, first, *rest = path
    return first + "".join(f'["{part}"]' for part in rest)


def _config(stack: Stack, file: Path, *words: str, given: str = "") -> str:
    """`pulumi config`; a secret is given through a pipe, which nobody can look at, as one can at a command line."""

    def work() -> str:
        done = subprocess.run(
            ["pulumi", "config", *words, "--config-file", str(file), "--stack", stack.name, "--non-interactive"],
            cwd=stack.path.parent.parent, input=given, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise explain(done.stderr, stack.name)
        return done.stdout

    return str(operate.ask(stack, work))
