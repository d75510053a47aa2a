"""Where things lie on disk, and how they are written: whole or not at all.

`.forestay/` lies beside `Pulumi.yaml`, looked for upwards from the current folder; without one, in the current
folder; `FORESTAY_HOME` overrides both.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forestay.errors import InputError, OutsideError

if TYPE_CHECKING:
    import subprocess

LOCK_WAIT_SECONDS = 30.0
GIT_SECONDS = 10


def home() -> Path:
    """The project's `.forestay` folder; not created here."""
    given = os.environ.get("FORESTAY_HOME")
    if given:
        return Path(given).expanduser().absolute()
    return (_root() or Path.cwd()) / ".forestay"


def root() -> Path:
    """The folder with `Pulumi.yaml`, here or above. Raises InputError when there is none."""
    found = _root()
    if found is None:
        raise InputError(
            "no Pulumi.yaml here or in a folder above",
            where=str(Path.cwd()),
            fix="go to the project's folder, or make one with `forestay init DIR`",
        )
    return found


def _root() -> Path | None:
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "Pulumi.yaml").is_file()), None)


def environments() -> list[str]:
    """The environments in Azure that the project has a stack for, by name; those of served models are left out."""
    found = _root()
    files = (found / "stacks").glob("Pulumi.*.yaml") if found else ()
    names = (path.name[len("Pulumi.") : -len(".yaml")] for path in files)
    return sorted(name for name in names if not name.endswith("-services"))


def ensure_folder(folder: Path) -> Path:
    """`folder`, made if it is missing. Raises InputError when it can't be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the folder: {error.strerror}",
            where=str(folder),
            fix="choose a folder that you may write to (FORESTAY_HOME moves .forestay)",
        ) from error
    return folder


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file so that a reader, or a kill at any moment, sees the old content or the new, never a part."""
    raw = data.encode("utf-8") if isinstance(data, str) else data
    ensure_folder(path.parent)
    try:
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(raw)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(scratch, 0o644)
            os.replace(scratch, path)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(
            f"cannot write: {error.strerror}", where=str(path), fix="check the rights and the free space there"
        ) from error


def write_json(path: Path, document: Any) -> None:
    """Write `document` as indented JSON, atomically. NaN is refused (ValueError): it is not JSON."""
    write_atomic(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Build a folder aside and put it in place as a whole; an existing `target` is replaced at the end.

    Yields the scratch folder to fill. When the block raises, nothing is left and `target` is as before.
    """
    ensure_folder(target.parent)
    try:
        scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.new-"))
    except OSError as error:
        raise InputError(
            f"cannot write here: {error.strerror}",
            where=str(target.parent),
            fix="choose a folder that you may write to",
        ) from error
    try:
        os.chmod(scratch, 0o755)  # noqa: S103 - mkdtemp makes it private; a plain mkdir would not have
        yield scratch
        old: Path | None = None
        if target.exists():
            old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.old-"))
            os.replace(target, old / target.name)
        os.replace(scratch, target)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


@contextlib.contextmanager
def lock(path: Path, what: str, wait_seconds: float = LOCK_WAIT_SECONDS) -> Iterator[None]:
    """Hold the lock file `path` for one write, or for one folder or endpoint.

    The operating system frees it when its holder dies. `what` says in the error what is being held.
    Raises OutsideError naming the holder's process id when the lock is not free within `wait_seconds`.
    """
    import filelock

    ensure_folder(path.parent)
    guard = filelock.FileLock(str(path))
    owner = path.with_name(path.name + ".owner")
    try:
        guard.acquire(timeout=wait_seconds)
    except filelock.Timeout as error:
        holder = owner.read_text(encoding="utf-8").strip() if owner.exists() else "unknown"
        raise OutsideError(
            f"{what} is in use by another command (process {holder})",
            where=str(path),
            fix="wait for it to end, or end that process, then run this again",
        ) from error
    try:
        owner.write_text(f"{os.getpid()}, since {time.strftime('%H:%M:%S')}", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        guard.release()


def sha256(path: Path) -> str:
    """The hex SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def require_free(folder: Path) -> None:
    """Raises InputError where something lies already in what is to be a new folder."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("there is something here already", where=str(folder), fix="name a new folder with --to")


def nearest(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(one for one in (path, *path.parents) if one.exists())


def commit(folder: Path) -> str | None:
    """The commit that is checked out around `folder`, `-dirty` where something differs from it; None without git."""
    done = git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return done.stdout.strip() if done is not None and done.returncode == 0 else None


def git(folder: Path, *words: str, seconds: float = GIT_SECONDS) -> subprocess.CompletedProcess[str] | None:
    """What a git command says in a folder; None where there is no git, or it says nothing in time."""
    import subprocess

    try:
        return subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait until what is inside is whole: KeyboardInterrupt is raised at the end instead of in the middle.

    For short writes through libraries that an exception at any line of theirs leaves in an unknown state; a database
    session cut off so may keep its lock for the life of the process.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if held:
            signal.raise_signal(signal.SIGINT)
