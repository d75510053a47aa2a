"""The project's folder and what lies in `.forestay`: the run store, its jobs, endpoints, locks."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from forestay import project
from forestay.doctor.model import Finding, ok, problem, told, warning
from forestay.errors import ForestayError, InputError
from forestay.words import some

TOLD_NAMES = 3
LOCKS = ("*.owner", "*/*.owner", "*/*/*.owner")
CHECKED_BYTES = 200 * 1024**2
"""A larger database is not read through: that would take longer than a look may."""


def folder() -> Finding:
    """Which project this is, and whether it can be written to."""
    home = project.home()
    existing = project.nearest(home)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        fix = "choose a folder that you may write to (FORESTAY_HOME moves .forestay)"
        return problem("project", f"cannot write to {existing}", fix)
    try:
        root = project.root()
    except InputError:
        return ok("project", f"no Pulumi.yaml here or above: jobs and models lie in {home}, and there is no --env")
    stacks = project.environments()
    return ok("project", f"{root}, environments: {', '.join(stacks) or 'none'}")


def store() -> Iterator[Finding]:
    """The run store: whether it is whole, and jobs that did not come to their end."""
    from automl_jobs.runs import RunStore, database, liveness, tags
    from automl_jobs.runs.rows import INTERRUPTED
    from automl_jobs.runs.source import SqliteSource

    opened = RunStore.open(create=False)
    file = opened.place.database
    if file is None:
        yield ok("run store", f"{opened.place.shown} answers")
        return
    if not database.exists(file):
        yield ok("run store", f"no jobs yet: {file} is made by the first one")
        return
    if not os.access(file, os.W_OK) or not os.access(file.parent, os.W_OK):
        fix = f"give yourself the right to write there: chmod u+w {file.parent} {file}"
        yield problem("run store", f"cannot write to {file}", fix)
        return
    if file.stat().st_size <= CHECKED_BYTES and (damage := _damage(file)):
        yield from told("run store", database.told(file, damage))
        return
    jobs = SqliteSource(file).runs(tags.KIND, "job")
    running = [one for one in jobs if one.ended is None and not liveness.is_dead(one.tags)]
    yield ok("run store", f"{len(jobs)} jobs, {len(running)} under way ({file})")
    cut_off = sorted(
        (
            one
            for one in jobs
            if one.tags.get(tags.ERROR) == INTERRUPTED or (one.ended is None and liveness.is_dead(one.tags))
        ),
        key=lambda one: int(one.tags[tags.CREATED]),
        reverse=True,
    )
    if cut_off:
        names = [one.tags[tags.JOB] for one in cut_off]
        yield warning(
            "jobs",
            f"{len(names)} did not come to their end: {some(names, TOLD_NAMES)}",
            f"go on with one: forestay job resume {names[0]}",
        )


def _damage(file: Path) -> str:
    """What SQLite finds wrong with a database; empty for nothing."""
    from automl_jobs.runs.database import opened

    try:
        with opened(file) as connection:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except (InputError, sqlite3.DatabaseError) as error:
        return str(error)
    return "" if found == "ok" else found


def locks() -> Finding:
    """Whether another command holds what this one may need."""
    import filelock

    home = project.home()
    held = []
    # A held lock has its holder's name beside it; one that was left behind by a killed process is free.
    for owner in sorted(path for depth in LOCKS for path in home.glob(depth)):
        lock = owner.with_name(owner.name.removesuffix(".owner"))
        if not lock.is_file():
            continue
        try:
            with filelock.FileLock(str(lock), timeout=0):
                pass
        except filelock.Timeout:
            held.append(f"{lock.name} by process {_text(owner)}")
        except OSError:
            continue  # another user's
    if held:
        return warning("locks", f"held: {some(held, TOLD_NAMES)}", "wait for that command to end, or end that process")
    return ok("locks", "none is held")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return "unknown"


def endpoints() -> Finding:
    """Whether the endpoints on this machine serve."""
    from scoring.targets import records, supervision

    known = [path for path in sorted((project.home() / "endpoints").glob("[!.]*")) if (path / records.WANTED).is_file()]
    asleep = []
    for path in known:
        try:
            state = supervision.read(path)
        except ForestayError as error:
            (first, *_) = told("endpoints", error)
            return first
        if state is not None and not (state.supervised or state.runs):
            asleep.append(path.name)
    if asleep:
        return warning(
            "endpoints",
            f"{len(asleep)} of {len(known)} are stopped: {some(asleep, TOLD_NAMES)}",
            f"forestay endpoint start {asleep[0]}, or delete it",
        )
    return ok("endpoints", f"{len(known)} on this machine" + (", all are up" if known else ""))
