"""What of the rendered pipelines is on disk already, and what differs there.

A file that was edited by hand since it was rendered is not written over unasked; one that is only outdated is.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forestay import project
from forestay.errors import InputError
from forestay.pipelines import FOLDERS, MARK, untouched

SAME, NEW, OUTDATED, EDITED, LEFT = "same", "new", "outdated", "edited", "left over"


@dataclass(frozen=True)
class Rendered:
    """A pipeline's file.

    Attributes
    ----------
    path: in the project. before: its text now, "" where there is none. text: what it should be, "" for none.
    state: `same`, `new`, `outdated`, `edited` by hand, or `left over` from settings of before.
    """

    path: str
    before: str
    text: str
    state: str

    def as_dict(self) -> dict[str, str]:
        return {"path": self.path, "state": self.state}

    def diff(self) -> Iterator[str]:
        """What writing it would change, a line each."""
        before, after = self.before.splitlines(), self.text.splitlines()
        yield from difflib.unified_diff(before, after, self.path, f"{self.path} (rendered)", lineterm="")


def look(root: Path, texts: Mapping[str, str]) -> list[Rendered]:
    """Every file of `texts` (path in the project -> text), and rendered ones there that are no longer among them.

    Raises InputError for a file that can't be read.
    """
    found = [_rendered(root, path, text) for path, text in texts.items()]
    for folder in {str(Path(path).parent) for path in texts} & set(FOLDERS.values()):
        there = sorted(one.name for one in (root / folder).glob("forestay-*.yml"))
        for path in (f"{folder}/{name}" for name in there):
            before = _read(root / path)
            if path not in texts and before.startswith(MARK):
                found.append(Rendered(path, before, "", LEFT if untouched(before) else EDITED))
    return found


def _rendered(root: Path, path: str, text: str) -> Rendered:
    if not (root / path).exists():
        return Rendered(path, "", text, NEW)
    before = _read(root / path)
    state = SAME if before == text else OUTDATED if untouched(before) else EDITED
    return Rendered(path, before, text, state)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8").replace("\r\n", "\n")  # git may have written other line ends
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise InputError(f"cannot be read: {reason}", where=str(path), fix="move it out of the way") from error


def write(root: Path, found: Sequence[Rendered]) -> None:
    """Make the files what they should be; those left over are removed."""
    for one in found:
        if one.state == SAME:
            continue
        if one.text:
            project.write_atomic(root / one.path, one.text)
        else:
            (root / one.path).unlink(missing_ok=True)
