"""Deleting a job: what goes with it, and the removal, which a kill at any moment leaves to be finished by `gc`.

First the job is marked as deleted, and is listed nowhere from then on; then its files go, then its rows. What was
marked and is still there is found by `left`.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from automl_jobs.runs import files, read, registry, tags
from automl_jobs.runs.database import opened
from automl_jobs.runs.reopen import half_written, require_ended
from automl_jobs.runs.writer import alive_file, cancel_file
from forestay.errors import InputError

if TYPE_CHECKING:
    from automl_jobs.runs.source import Run
    from automl_jobs.runs.store import RunStore

GONE = ".deleted-"
"""In the hidden name of what is being removed."""


@dataclass(frozen=True)
class Removal:
    """What goes with a job.

    Attributes
    ----------
    runs: MLflow's ids of the job and its trials, the job's first. folders: their files. size: of these, in bytes.
    versions: (model, version) that were registered from its trials.
    """

    job: str
    trials: int
    runs: tuple[str, ...]
    folders: tuple[Path, ...]
    size: int
    versions: tuple[tuple[str, str], ...]


def removal(store: RunStore, given: str) -> Removal:
    """What deleting a job would remove. Raises InputError when there is none, OutsideError when it is running."""
    detail = store.job(given)
    require_ended(store, detail.job)
    source = store.source
    parent = source.run(detail.run_id) if source is not None else None
    if source is None or parent is None:
        raise InputError(f"there is no job {given!r}")
    runs = [parent, *read.children_of(source, parent)]
    ids = {run.run_id for run in runs}
    versions = sorted(
        ((found.name, found.version) for found in registry.versions(store) if found.run_id in ids),
        key=lambda pair: (pair[0], int(pair[1])),
    )
    folders = tuple(folder for run in runs for folder in _folders(store, run) if folder.is_dir())
    size = sum(bytes_of(folder) for folder in folders)
    return Removal(detail.job, len(runs) - 1, tuple(run.run_id for run in runs), folders, size, tuple(versions))


def _folders(store: RunStore, run: Run) -> Iterator[Path]:
    """Where a run's files lie on this machine: its own, or what was fetched from a server."""
    own = files.local_folder(store, run)
    if own is None:
        yield store.place.folder / "cache" / run.run_id
    elif store.place.database is not None and own.is_relative_to(store.place.artifacts):
        yield own.parent


def remove(store: RunStore, found: Removal) -> None:
    """Remove a job, its trials, their files, and the model versions registered from them."""
    for name, version in found.versions:
        registry.delete(store, name, version)
    with store.writing() as client:
        for run_id in found.runs:
            client.delete_run(run_id)
    for path in (cancel_file(store, found.job), alive_file(store, found.job)):
        path.unlink(missing_ok=True)
    for folder in found.folders:
        discard(folder)
    forget(store, found.runs)


def mark(store: RunStore, runs: Collection[str]) -> None:
    """Mark runs as deleted that are not yet: trials of a job whose deletion was cut short."""
    source = store.source
    with store.writing() as client:
        for run_id in runs:
            if source is not None and source.run(run_id) is not None:
                client.delete_run(run_id)


def forget(store: RunStore, runs: Collection[str]) -> None:
    """Remove the rows of runs that are marked as deleted. A server keeps them until its own `mlflow gc`."""
    if store.place.database is None or not runs:
        return
    from automl_jobs.runs.store import quiet_mlflow

    quiet_mlflow()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with store.writing():
        database = SqlAlchemyStore(store.place.uri, store.place.artifacts.as_uri())
        try:
            for run_id in runs:
                # What `mlflow gc` calls; that command would load a second copy of the store's settings.
                database._hard_delete_run(run_id)
        finally:
            database.engine.dispose()


def discard(path: Path) -> None:
    """Remove a file or a folder. A kill midway leaves a hidden name that nobody takes for what it was."""
    if path.is_file() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    with contextlib.suppress(FileNotFoundError):
        gone = path.with_name(f".{path.name.lstrip('.')}{GONE}{uuid.uuid4().hex[:8]}")
        path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def bytes_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; of what goes meanwhile, none."""
    total = 0
    for one in (path,) if path.is_file() else path.rglob("*"):
        with contextlib.suppress(OSError):
            total += one.lstat().st_size if one.is_file() or one.is_symlink() else 0
    return total


@dataclass(frozen=True)
class Left:
    """What deleted and killed jobs left in a run store.

    Attributes
    ----------
    runs: that are marked as deleted, or whose job is, and of which no model version was registered.
    folders: pairs of a folder that nothing refers to and why.
    """

    runs: tuple[str, ...]
    folders: tuple[tuple[Path, str], ...]


def left(store: RunStore) -> Left:
    """What nothing in the store refers to any more; nothing where the store is no database of this machine's."""
    database, source = store.place.database, store.source
    if database is None or source is None:
        return Left((), ())
    with opened(database) as connection:
        stages = _stages(connection)
        registered = {
            row[0]
            for row in connection.execute("SELECT run_id FROM model_versions WHERE current_stage <> 'Deleted_Internal'")
            if row[0]
        }
    known = set(stages)
    gone = {run_id for run_id, (stage, parent) in stages.items() if stage != "active"}
    # Of a deletion that was cut short: trials of a job that is marked, or not there.
    gone |= {run_id for run_id, (_, parent) in stages.items() if parent and (parent in gone or parent not in known)}
    gone -= registered
    folders = [
        (folder, "files of a deleted run" if folder.name in gone else "files of no run")
        for folder in sorted(store.place.artifacts.glob("[!.]*/[!.]*"))
        if folder.is_dir() and _is_run(folder.name) and (folder.name in gone or folder.name not in known)
    ]
    folders += [
        (folder, "a copy of a run that is gone")
        for folder in sorted((store.place.folder / "cache").glob("[!.]*"))
        if folder.name not in known or folder.name in gone
    ]
    return Left(tuple(sorted(gone)), (*folders, *_partial(store)))


def _is_run(name: str) -> bool:
    """Whether a folder has the name of a run's id; MLflow keeps others beside them."""
    return len(name) == 32 and all(sign in "0123456789abcdef" for sign in name)


def _stages(connection: sqlite3.Connection) -> dict[str, tuple[str, str | None]]:
    """The stage of every run, deleted where its experiment is, and its parent."""
    query = (
        "SELECT r.run_uuid, CASE WHEN e.lifecycle_stage = 'active' THEN r.lifecycle_stage ELSE 'deleted' END, t.value"
        " FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id"
        " LEFT JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = ?"
    )
    return {run_id: (stage, parent) for run_id, stage, parent in connection.execute(query, (tags.PARENT,))}


def _partial(store: RunStore) -> Iterator[tuple[Path, str]]:
    """Files of trials of ended jobs whose writer was killed before it had all of them."""
    source = store.source
    assert source is not None
    ended = {run.run_id for run in source.runs(tags.KIND, "job") if run.ended is not None}
    for run in source.runs(tags.KIND, "trial"):
        folder = files.local_folder(store, run)
        if folder is None or run.tags.get(tags.PARENT) not in ended or not folder.is_dir():
            continue
        if half_written(run):
            yield folder, "half a trial of a killed job"
        elif tags.REFITTED not in run.tags and (folder / files.REFITTED).is_dir():
            yield (folder / files.REFITTED).parent, "half a model of a killed job"


def job_names(store: RunStore) -> set[str]:
    """The names of all jobs."""
    return {str(run.tags[tags.JOB]) for run in (store.source.runs(tags.KIND, "job") if store.source else ())}


def left_signs(store: RunStore) -> list[Path]:
    """Signs of life and requests to stop of jobs that are not there any more."""
    known = job_names(store)
    places = (store.place.folder / "alive", store.place.folder / "cancel")
    return [path for place in places if place.is_dir() for path in sorted(place.iterdir()) if path.name not in known]
