"""A project that an older version made, brought up to this one.

Of each file there are three texts: as it was made (the record), as it is now (the user's), as this version makes it.
What one side alone changed is taken; what both changed is merged by `git merge-file`, as copier does it, and where they
changed the same lines both stand in the file between git's marks.
"""

from __future__ import annotations

import difflib
import re
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from forestay import __version__, project
from forestay.errors import InputError, OutsideError, Problem
from forestay.pipelines import FOLDERS, MARK, untouched
from forestay.pipelines import files as rendered
from forestay.pipelines.settings import FILE as PIPELINES
from forestay.scaffold import files as templates
from forestay.scaffold import record as records
from forestay.scaffold.answers import Answers
from forestay.scaffold.record import Record

ADDED, CHANGED, MERGED, CONFLICT, REMOVED, KEPT = "added", "changed", "merged", "conflict", "removed", "kept"
YOURS = "yours"
CONFLICTED = re.compile(rf"^<{{7}} {YOURS}$", re.MULTILINE)


@dataclass(frozen=True)
class Change:
    """What becomes of one file.

    Attributes
    ----------
    path: in the project. kind: of the six above; KEPT means that nothing is written, and `why` says the reason.
    before, after: its text; None where there is none.
    """

    path: str
    kind: str
    before: str | None
    after: str | None
    why: str = ""

    def diff(self) -> Iterator[str]:
        """The lines of a unified diff."""
        if self.before == self.after:
            return
        if max(len(self.before or ""), len(self.after or "")) > records.LARGE:  # a table's lines tell a person nothing
            yield f"{self.path} differs"
            return
        yield from difflib.unified_diff(
            (self.before or "").splitlines(),
            (self.after or "").splitlines(),
            "/dev/null" if self.before is None else f"a/{self.path}",
            "/dev/null" if self.after is None else f"b/{self.path}",
            lineterm="",
        )

    def as_dict(self) -> dict[str, Any]:
        return {"path": self.path, "change": self.kind, "why": self.why}


@dataclass(frozen=True)
class Update:
    """What an update does: `changes` in the order of the paths, then the record as it will be."""

    folder: Path
    before: Record
    after: Record
    changes: tuple[Change, ...]

    @property
    def needed(self) -> bool:
        return self.before != self.after or any(change.kind != KEPT for change in self.changes)

    @property
    def conflicts(self) -> tuple[str, ...]:
        return tuple(change.path for change in self.changes if change.kind == CONFLICT)

    def as_dict(self) -> dict[str, Any]:
        return {
            "path": str(self.folder),
            "from": self.before.version,
            "to": self.after.version,
            "changes": [change.as_dict() for change in self.changes],
            "conflicts": list(self.conflicts),
            "diff": "\n".join(line for change in self.changes for line in change.diff()),
        }


def plan(folder: Path, answers: Answers | None = None) -> Update:
    """What it takes to bring a project up to this version; writes nothing.

    Parameters
    ----------
    folder: the project's. answers: instead of those in its record.

    Raises what record.load() raises; OutsideError where a merge needs git and there is none.
    """
    before = records.load(folder)
    _refuse_unmerged(folder, before)
    answers = answers or before.answers
    wanted = templates.files(answers)
    after = Record.of(answers, wanted)
    found = [_change(folder, before, path, wanted.get(path)) for path in sorted({*_made(before), *wanted})]
    changes = [change for change in found if change is not None]
    return Update(folder, before, after, (*changes, *_pipelines(folder, changes)))


def carry_out(update: Update) -> None:
    """Write what an update says. Killed in the middle, the next one takes what has been written as its own.

    Raises InputError where a file has changed since the update was planned; nothing is written then.
    """
    for change in update.changes:
        now = _read(update.folder, change.path)
        if change.kind != KEPT and _lines(now) != _lines(change.before):
            where = str(update.folder / change.path)
            raise InputError("has changed meanwhile; nothing was written", where=where, fix="run this again")
    written = {
        change.path: records.digest(change.after)
        for change in update.changes
        if change.kind != KEPT and change.after is not None
    }
    records.save(update.folder, replace(update.before, under_way=written))
    for change in update.changes:
        path = update.folder / change.path
        if change.kind == REMOVED:
            path.unlink(missing_ok=True)
        elif change.kind != KEPT and change.after is not None:
            project.write_atomic(path, change.after.encode("utf-8", "surrogateescape"))
    records.save(update.folder, update.after)


def _lines(text: str | Change | None) -> Any:
    """A text whatever its line ends, which git may have written."""
    return text.splitlines() if isinstance(text, str) else text


def _made(record: Record) -> tuple[str, ...]:
    return (*record.files, *record.large)


def _change(folder: Path, before: Record, path: str, new: str | None) -> Change | None:
    """What becomes of one file; None where nothing does."""
    current = _read(folder, path)
    if isinstance(current, Change):
        return current if _differs(before, path, new) else None
    if current is not None and before.under_way.get(path) == records.digest(current):
        return None  # a killed update wrote it
    if current == new:
        return None
    known = path in before.files or path in before.large
    if known and not _differs(before, path, new):
        return None  # the user's change alone
    if current is None:
        return Change(path, KEPT, None, None, "you have removed it") if known else Change(path, ADDED, None, new)
    if known and not _differs(before, path, current):
        return Change(path, REMOVED if new is None else CHANGED, current, new)
    if new is None:
        return Change(path, KEPT, current, current, "no longer made, and you have changed it: yours now")
    if path in before.large or len(new) > records.LARGE:
        return Change(path, KEPT, current, current, "you have changed it, and data is not merged")
    merged, clean = merge(current, before.files.get(path, ""), new, before.version)
    return Change(path, MERGED if clean else CONFLICT, current, merged) if merged != current else None


def _pipelines(folder: Path, changes: Sequence[Change]) -> Iterator[Change]:
    """What becomes of the pipelines, which are nobody's text: they follow from what pipelines.yml will say."""
    settings = next((change for change in changes if change.path == PIPELINES), None)
    text = _read(folder, PIPELINES) if settings is None else settings.after
    if settings is None and text is None:
        return  # no settings, before or after: whatever is there is somebody's own
    wanted: dict[str, str] = {}
    if isinstance(text, str):
        try:
            wanted = templates.pipelines_of(text, folder)
        except InputError as error:
            yield Change(PIPELINES, KEPT, text, text, f"no pipelines follow from it: {error.lines()[0]}")
            return
    for one in (*rendered.look(folder, wanted), *_of_another_system(folder, wanted)):
        if one.state == rendered.EDITED:
            why = "edited by hand; `forestay pipeline render` shows the difference"
            yield Change(one.path, KEPT, one.before, one.before, why)
        elif one.state != rendered.SAME:
            kind = {rendered.NEW: ADDED, rendered.OUTDATED: CHANGED, rendered.LEFT: REMOVED}[one.state]
            yield Change(one.path, kind, one.before or None, one.text or None)


def _of_another_system(folder: Path, wanted: Collection[str]) -> Iterator[rendered.Rendered]:
    """Pipelines that were rendered for the other system, before the project went to this one."""
    used = {str(PurePosixPath(path).parent) for path in wanted}
    for other in sorted(set(FOLDERS.values()) - used):
        for file in sorted((folder / other).glob("forestay-*.yml")):
            path = f"{other}/{file.name}"
            text = _read(folder, path)
            if isinstance(text, str) and text.startswith(MARK):
                state = rendered.LEFT if untouched(text) else rendered.EDITED
                yield rendered.Rendered(path, text, "", state)


def _differs(before: Record, path: str, text: str | None) -> bool:
    """Whether a text is another than the one that was made."""
    if path in before.large:
        return text is None or records.digest(text) != before.large[path]
    return text != before.files.get(path)


def _read(folder: Path, path: str) -> str | Change | None:
    """A file's text; bytes that are no UTF-8 survive as they are. A Change where it can't be one of ours."""
    file = folder / path
    if not file.exists() and not file.is_symlink():
        return None
    if not file.resolve().is_relative_to(folder.resolve()):
        return Change(path, KEPT, None, None, "it lies outside of the project")
    if not file.is_file():
        return Change(path, KEPT, None, None, "it is no file")
    try:
        return file.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(file), fix="check its rights") from error


def merge(current: str, base: str, new: str, version: str) -> tuple[str, bool]:
    """Three texts of a file as one, and whether no line was changed by both sides.

    Raises OutsideError without git.
    """
    with tempfile.TemporaryDirectory() as scratch:
        names = (YOURS, "base", "new")
        for name, text in zip(names, (current, base, new), strict=True):
            Path(scratch, name).write_bytes(text.encode("utf-8", "surrogateescape"))
        labels = (YOURS, f"Forestay {version}", f"Forestay {__version__}")
        words = [word for label in labels for word in ("-L", label)]
        done = project.git(Path(scratch), "merge-file", *words, *names)
        # Its exit code is the number of conflicts, 127 for more; 255 and 128 are failures of its own.
        if done is None or not 0 <= done.returncode <= 127:
            raise OutsideError(
                "files changed on both sides are merged by git, and it does not run",
                fix="install git, then run this again",
            )
        text = Path(scratch, names[0]).read_bytes().decode("utf-8", "surrogateescape")
    return text, done.returncode == 0


def _refuse_unmerged(folder: Path, before: Record) -> None:
    """Raises InputError naming files in which an earlier update's conflicts are still marked."""
    found = [(path, _read(folder, path)) for path in before.files if path not in before.under_way]
    problems = [
        Problem(
            f"{folder / path}:{1 + text.count(chr(10), 0, mark.start())}",
            "a conflict of the last update is still marked",
            "choose between the two sides and remove the marks, then run this again",
        )
        for path, text in found
        if isinstance(text, str) and (mark := CONFLICTED.search(text))
    ]
    if problems:
        raise InputError.of(problems)
