"""The files of a run on this machine: where they lie, or a copy brought from a server once."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from automl_jobs.runs import tags
from forestay import project
from forestay.errors import InputError

if TYPE_CHECKING:
    from automl_jobs.runs.source import Run
    from automl_jobs.runs.store import RunStore


def local_folder(store: RunStore, run: Run) -> Path | None:
    """The folder of a run's artifacts; None where they lie on a server.

    A project that was moved or copied has the old path in its database: the last three parts of it
    (experiment, run, `artifacts`) are then looked for under this store's own folder.
    """
    uri = urlsplit(run.artifact_uri)
    if uri.scheme not in ("", "file"):
        return None
    written = Path(unquote(uri.path))
    own = store.place.artifacts.joinpath(*written.parts[-3:])
    if store.place.database is not None and own.exists():
        return own
    return written


FIRST, REFITTED = "outputs", "refitted/outputs"
"""Where a trial has its files: of the model that its score is of, and of the same fitted again on all rows."""


def place(labels: Mapping[str, str]) -> str:
    """Which of the two the tags of a trial or of a model version speak of."""
    return REFITTED if tags.REFITTED in labels else FIRST


def outputs_path(store: RunStore, run: Run, part: str | None = None) -> Path:
    """Where `outputs` has the folder of a trial, whether it is there by now or not."""
    folder = local_folder(store, run) or store.place.folder / "cache" / run.run_id
    return folder / (part or place(run.tags))


def outputs(store: RunStore, run: Run, part: str | None = None) -> Path:
    """The folder with the files of a trial. Raises InputError when it was removed.

    Parameters
    ----------
    part: FIRST or REFITTED; None for its model as it is served, which is the latter where there is one.
    """
    part = part or place(run.tags)
    kept = outputs_path(store, run, part)
    if local_folder(store, run) is not None:
        if not kept.is_dir():
            raise InputError(
                "the files of this trial are gone", where=str(kept), fix="train again: forestay job submit"
            )
        return kept
    if not kept.is_dir():
        with project.new_folder(kept) as scratch:
            store.client.download_artifacts(run.run_id, part, dst_path=str(scratch))
            for item in (scratch / part).iterdir():
                item.rename(scratch / item.name)
            shutil.rmtree(scratch / part)
            if part == REFITTED:
                (scratch / part).parent.rmdir()
    return kept


def trial_folder(store: RunStore, run: Run, beside: str) -> Path | None:
    """The folder of a trial with `outputs/` of the model that its score is of, and the files `beside` it (a pattern).

    None where it was removed.
    """
    if local_folder(store, run) is not None:
        folder = outputs_path(store, run, FIRST).parent
        return folder if (folder / FIRST).is_dir() else None
    folder = outputs(store, run, FIRST).parent
    for item in store.client.list_artifacts(run.run_id):
        if fnmatch(item.path, beside) and not (folder / item.path).is_file():
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                os.replace(store.client.download_artifacts(run.run_id, item.path, dst_path=scratch), folder / item.path)
    return folder


def document(store: RunStore, run: Run, name: str) -> Any | None:
    """A JSON artifact; None where the run has none."""
    found = text(store, run, name)
    return None if found is None else json.loads(found)


def text(store: RunStore, run: Run, name: str) -> str | None:
    """An artifact as text; None where the run has none."""
    folder = local_folder(store, run)
    if folder is not None:
        with contextlib.suppress(FileNotFoundError):
            return (folder / name).read_text(encoding="utf-8")
        return None
    if not any(item.path == name for item in store.client.list_artifacts(run.run_id)):
        return None
    kept = store.place.folder / "cache" / run.run_id / "documents"
    project.ensure_folder(kept)
    path = Path(store.client.download_artifacts(run.run_id, name, dst_path=str(kept)))
    return path.read_text(encoding="utf-8")


def remove(store: RunStore, run: Run, name: str) -> None:
    """Remove an artifact and its folder, where the artifacts are on this machine: a server keeps what it has."""
    folder = local_folder(store, run)
    if folder is not None:
        shutil.rmtree((folder / name).parent, ignore_errors=True)


def documents(store: RunStore, run: Run, names: Iterable[str]) -> dict[str, Any]:
    """The JSON artifacts `{name}.json` that a run has, by name; read as they are now, since a running job adds some."""
    folder = local_folder(store, run)
    if folder is not None:
        found = {name: document(store, run, f"{name}.json") for name in names}
        return {name: content for name, content in found.items() if content is not None}
    there = {item.path for item in store.client.list_artifacts(run.run_id)}
    with tempfile.TemporaryDirectory() as scratch:
        paths = {
            name: Path(store.client.download_artifacts(run.run_id, f"{name}.json", dst_path=scratch))
            for name in names
            if f"{name}.json" in there
        }
        return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items()}


def listed(folder: Path) -> tuple[tuple[str, int], ...]:
    """The files under `folder`, by path, with their sizes in bytes."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return tuple((path.relative_to(folder).as_posix(), path.stat().st_size) for path in found)


def copy(folder: Path, to: Path) -> tuple[str, ...]:
    """Copy `folder` to `to`, whole or not at all; the files copied.

    Raises InputError when `to` holds something already.
    """
    project.require_free(to)
    with project.new_folder(to.absolute()) as scratch:
        try:
            shutil.copytree(folder, scratch, dirs_exist_ok=True)
        except (OSError, shutil.Error) as error:
            raise InputError(
                f"cannot copy here: {error}", where=str(to), fix="check the rights and the space"
            ) from error
    return tuple(path for path, _ in listed(to))
