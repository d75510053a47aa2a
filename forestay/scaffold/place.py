"""Files into a folder: all of them or none, and never over anything.

They are written aside first. A new folder then gets its name; into one that is there, they are linked one by one, and
what a killed command has linked is taken away again by the next one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from forestay import project
from forestay.errors import InputError, OutsideError, Problem

STAGE = ".forestay-init"
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""What systems answer whose disk has no hard links."""


def refuse_clashes(target: Path, paths: Iterable[str], fix: str) -> None:
    """Raises InputError naming every path that is taken in `target` already. `fix`: what to do about it."""
    if target.is_symlink() and not target.exists():
        raise InputError("is a link to nothing", where=str(target), fix="choose another folder")
    if target.exists() and not target.is_dir():
        raise InputError("is there already, and no folder", where=str(target), fix="choose another folder")
    taken: dict[Path, None] = {}  # a set in order
    for path in paths:
        # A file where a folder must be is in the way, too.
        above = (target / one for one in [*Path(path).parents][-2::-1])
        taken |= {one: None for one in above if _is_there(one) and not one.is_dir()}
        if _is_there(target / path):
            taken[target / path] = None
    if taken:
        *first, last = taken
        raise InputError.of(
            [*(Problem(str(path), "is there already") for path in first), Problem(str(last), "is there already", fix)]
        )


def place(target: Path, files: Mapping[str, str]) -> None:
    """Write files into a folder, which is made when it is not there.

    Parameters
    ----------
    files: path in the folder -> text.

    Raises InputError where something is in the way, or can't be written; nothing has changed then. Raises OutsideError
    while another command is at it.
    """
    take_back(target)
    refuse_clashes(target, files, "move them away, or choose another folder: nothing is overwritten")
    if target.exists():
        with _staged(target / STAGE, files, target) as stage:
            _link(stage, target, files)
        return
    project.ensure_folder(target.parent)
    with _staged(target.parent / f".{target.name}{STAGE}", files, None) as stage:
        try:
            os.rename(stage, target)
        except OSError as error:
            raise InputError(f"cannot be made: {error.strerror}", where=str(target), fix="choose another") from error


def take_back(target: Path) -> None:
    """Remove what a killed command had linked into a folder. Raises OutsideError while one is at it."""
    stage = target / STAGE
    if stage.is_dir():
        with holding(stage):
            _take_back(stage, target)
            shutil.rmtree(stage, ignore_errors=True)


@contextlib.contextmanager
def _staged(stage: Path, files: Mapping[str, str], target: Path | None) -> Iterator[Path]:
    """The files, written aside; what a killed command left there goes. When the block raises, so does what it linked
    into `target`. Raises OutsideError while another command is at it."""
    _make(stage)
    with holding(stage):
        try:
            _take_back(stage, target)
            for path, text in files.items():
                project.write_atomic(stage / path, text)
            yield stage
        except BaseException:
            _take_back(stage, target)
            raise
        finally:
            shutil.rmtree(stage, ignore_errors=True)


@contextlib.contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Hold a folder against other `init` commands; the system frees it when its holder dies. Raises OutsideError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutsideError(
                "another `forestay init` is at work there", where=str(folder), fix="wait until it has ended"
            ) from None
        yield
    finally:
        os.close(handle)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write here: {error.strerror}",
            where=str(folder.parent),
            fix="choose a folder that you may write to",
        ) from error


def _take_back(stage: Path, target: Path | None) -> None:
    """Remove from `target` what was linked from `stage`, and empty `stage`."""
    if target is not None:
        for staged in sorted((path for path in stage.rglob("*") if path.is_file()), reverse=True):
            placed = target / staged.relative_to(stage)
            if placed.is_file() and placed.samefile(staged):
                placed.unlink()
                for folder in placed.relative_to(target).parents:
                    with contextlib.suppress(OSError):  # something else is in it
                        (target / folder).rmdir()
    for left in stage.iterdir() if stage.is_dir() else ():
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


def _link(stage: Path, target: Path, files: Iterable[str]) -> None:
    for path in files:
        project.ensure_folder((target / path).parent)
        try:
            os.link(stage / path, target / path)
        except OSError as error:
            if error.errno in NO_LINKS and not _is_there(target / path):
                os.replace(stage / path, target / path)
                continue
            raise InputError(
                f"cannot be written: {error.strerror}",
                where=str(target / path),
                fix="see what is there; nothing was made",
            ) from error


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()
