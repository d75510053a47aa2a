"""The SQLite file of a run store: made whole or not at all, checked before MLflow opens it.

MLflow makes its tables by some fifty migrations in place, and retries a file that it can't open for a minute. So
a new database is built aside and put in place by one rename, and an existing one is looked at first.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from forestay import project
from forestay.errors import InputError

ARTIFACTS_TAG = "forestay.artifacts"
"""An experiment's tag: the name of its folder under the store's artifacts."""


def lock_path(database: Path) -> Path:
    """The lock that every write to this database holds."""
    return database.with_name(f"{database.name}.lock")


def exists(database: Path) -> bool:
    """Whether there is a database; an empty file holds nothing and counts as none."""
    try:
        return database.stat().st_size > 0
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unreadable(database, error.strerror or "no access") from error


def create(database: Path, artifacts: Path) -> None:
    """Make the database unless it is there; safe when two processes do it at once or one is killed in between.

    Parameters
    ----------
    artifacts: the folder for the files of runs, kept in the database as an absolute path.

    Raises InputError when the folder can't be written.
    """
    if exists(database):
        return
    project.ensure_folder(database.parent)
    if not os.access(database.parent, os.W_OK):
        raise InputError(
            "cannot write here",
            where=str(database.parent),
            fix="choose a folder that you may write to (FORESTAY_HOME moves .forestay)",
        )
    with project.lock(lock_path(database), "the run store"):
        if exists(database):
            return
        for left in database.parent.glob(f".{database.name}.new-*"):  # of a process killed while it held the lock
            shutil.rmtree(left, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(dir=database.parent, prefix=f".{database.name}.new-"))
        try:
            _build(scratch / database.name, artifacts)
            os.replace(scratch / database.name, database)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _build(database: Path, artifacts: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(f"sqlite:///{database}", artifacts.as_uri()).engine.dispose()
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def relocate(database: Path, artifacts: Path) -> None:
    """Let what will be written go to `artifacts`, where the database names another folder for it.

    MLflow keeps absolute paths. In a project that was moved or copied they lead to the old place, which may be another
    project by now. Only paths under a folder that we made are changed, and only where the files came along.
    """
    ours = "SELECT artifact_location, value FROM experiments JOIN experiment_tags USING (experiment_id) WHERE key = ?"
    with opened(database) as connection:
        stale = [
            (str(old), (artifacts / name).as_uri())
            for old, name in connection.execute(ours, (ARTIFACTS_TAG,))
            if old != (artifacts / name).as_uri() and (artifacts / name).is_dir()
        ]
    if not stale:
        return
    with (
        project.lock(lock_path(database), "the run store"),
        contextlib.closing(sqlite3.connect(database, timeout=20)) as connection,
        connection,
    ):
        for old, new in stale:
            for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?)"  # noqa: S608  (names from above)
                    f" WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (new, len(old) + 1, old, len(old) + 1, old + "/"),
                )


@contextlib.contextmanager
def opened(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection for reading the database; SQLite's complaints come as InputError. No file is made."""
    uri = f"file:{quote(str(database))}?mode=rw"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=20, isolation_level=None)) as connection:
            connection.execute("PRAGMA query_only = 1")
            yield connection
    except sqlite3.DatabaseError as error:
        raise told(database, str(error)) from error


def check(database: Path) -> None:
    """Raise InputError unless the file is a database that MLflow made with a schema that this version knows."""
    with opened(database) as connection:
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    revision = str(found[0]) if found else ""
    if not _knows(revision):
        raise InputError(
            f"the run store was made by a newer MLflow (schema {revision or 'unknown'})",
            where=str(database),
            fix="update forestay, or set FORESTAY_HOME to another folder; nothing was changed",
        )


def _knows(revision: str) -> bool:
    """Whether the installed MLflow has the migration `revision`: its file's name starts with it."""
    spec = find_spec("mlflow")
    folder = Path(str(spec.origin)).parent / "store" / "db_migrations" / "versions" if spec else Path()
    return bool(revision) and any(file.name.startswith(f"{revision}_") for file in folder.glob("*.py"))


def told(database: Path, text: str) -> InputError:
    """What SQLite says about a file, as an error for the user."""
    if "no such table" in text:
        return InputError(
            "this database was not made by MLflow",
            where=str(database),
            fix="name another file, or move it away: a new run store is made in its place",
        )
    if any(word in text for word in ("unable to open", "readonly", "permission", "locked", "disk I/O", "disk is full")):
        return _unreadable(database, text)
    return InputError(
        f"the run store is damaged: {text}",
        where=str(database),
        fix="nothing was changed: put back a copy, or move it away to begin anew (trained files stay in artifacts/)",
    )


def _unreadable(database: Path, text: str) -> InputError:
    return InputError(
        f"cannot use the run store: {text}",
        where=str(database),
        fix="check the space and the rights there (the file and its folder must be writable), or set FORESTAY_HOME",
    )
