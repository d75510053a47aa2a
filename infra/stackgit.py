"""What git knows of a stack's file: whether it is committed, and whether this checkout has the commit applied."""

from __future__ import annotations

import subprocess
from pathlib import Path

from forestay import project
from forestay.errors import RunFailed

APPLIED = "forestay:applied-commit"
"""The stack's tag with the commit whose file was applied last; one that ends in UNCOMMITTED had changes since."""
UNCOMMITTED = "+uncommitted"
SECONDS = 30


def head(path: Path) -> str | None:
    """The commit that is checked out where a file lies, UNCOMMITTED after it when the file has changed since.

    None where there is no git, or no commit.
    """
    found = _git(path, "rev-parse", "--verify", "HEAD")
    if found is None:
        return None
    return found + (UNCOMMITTED if _git(path, "status", "--porcelain", "--", path.name) else "")


def has(path: Path, commit: str) -> bool | None:
    """Whether a commit is what is checked out, or came before it; None where there is no git to ask."""
    if _git(path, "rev-parse", "--verify", "HEAD") is None:
        return None
    return _git(path, "merge-base", "--is-ancestor", commit.removesuffix(UNCOMMITTED), "HEAD") is not None


def commit(path: Path, message: str) -> str:
    """Commit one file and nothing else; gives the commit. Raises RunFailed saying what git refused."""
    for words in (("add", "--", path.name), ("commit", "--quiet", "--message", message, "--only", "--", path.name)):
        done = _run(path, *words)
        if done is None or done.returncode != 0:
            told = (done.stderr or done.stdout).strip().splitlines() if done else ["there is no git"]
            raise RunFailed(
                f"the stack's file is not committed: {told[-1] if told else 'git refuses'}",
                where=str(path),
                fix=f"what is deployed stays; commit it by hand: git commit -m '...' -- {path}",
            )
    return head(path) or ""


def _git(path: Path, *words: str) -> str | None:
    done = _run(path, *words)
    return done.stdout.strip() if done is not None and done.returncode == 0 else None


def _run(path: Path, *words: str) -> subprocess.CompletedProcess[str] | None:
    return project.git(path.parent, *words, seconds=SECONDS)
