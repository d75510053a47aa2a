"""Deleting a job, and what nothing refers to any more: partial files of killed commands, files of deleted jobs, scoring
folders and proofs of model versions that are gone, environments that nothing uses, what an endpoint left.

Finding and removing are two steps, so that a person sees what would go; a kill in the middle leaves names that the next
`gc` finds again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forestay.errors import ForestayError, InputError, OutsideError
from forestay.words import some

if TYPE_CHECKING:
    from automl_jobs.runs import RunStore
    from automl_jobs.runs.removal import Removal

QUIET_SECONDS = 3600.0
"""A scratch folder that nothing has touched for so long is nobody's any more."""
_SCRATCH = (".new-", ".old-", ".deleted-")
_SHOWN = 5


@dataclass(frozen=True)
class Item:
    """One thing to remove.

    Attributes
    ----------
    kind: run, scratch, scoring, proof, environment, endpoint or sign. reason: why nothing needs it.
    """

    kind: str
    path: Path
    size: int
    reason: str

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "path": str(self.path), "bytes": self.size, "reason": self.reason}


@dataclass(frozen=True)
class Garbage:
    """What nothing refers to: things on the disk, and rows of deleted runs."""

    items: tuple[Item, ...]
    runs: tuple[str, ...]

    @property
    def size(self) -> int:
        return sum(item.size for item in self.items)

    def as_dict(self) -> dict[str, Any]:
        return {
            "items": [item.as_dict() for item in self.items],
            "runs": len(self.runs),
            "bytes": self.size,
        }


def garbage(home: Path, keep: int) -> Garbage:
    """What could be removed of a `.forestay` folder.

    Parameters
    ----------
    keep: how many environments used last stay though nothing needs them.
    """
    from automl_jobs.runs import RunStore, removal
    from scoring import prune

    if not home.is_dir():
        return Garbage((), ())
    store = RunStore.open(create=False)
    store.jobs()  # a job whose process is gone is closed by this
    left = removal.left(store)
    items = [_item("run", path, why) for path, why in left.folders]
    items += [_item("sign", path, "of a job that is gone") for path in removal.left_signs(store)]
    items += [_item("scratch", path, why) for path, why in _scratch(home)]
    items += _scoring(store, home)
    items += [_item("endpoint", path, why) for path, why in _endpoints(home)]
    items += [_item("environment", path, "no proof or endpoint uses it") for path in prune.spare(home, keep)]
    return Garbage(tuple(items), left.runs)


def _item(kind: str, path: Path, reason: str) -> Item:
    from automl_jobs.runs.removal import bytes_of

    return Item(kind, path, bytes_of(path), reason)


def _scratch(home: Path) -> Iterator[tuple[Path, str]]:
    """What commands that were killed were building, and what was being removed."""
    import psutil

    for place in ("tmp", "copies"):
        for path in sorted((home / place).glob("*")):
            words = path.name.split(".")[1:2] if place == "tmp" else path.name.split("-")[:1]
            owner = words[0] if words and words[0].isdigit() else ""
            if (owner and not psutil.pid_exists(int(owner))) or (not owner and _quiet(path)):
                yield path, "of a command that was killed"
    for pattern in (".*", "*/.*", "*/*/.*", "*/*/*/.*"):
        for path in sorted(home.glob(pattern)):
            removed = _SCRATCH[-1] in path.name
            if removed or (any(word in path.name for word in _SCRATCH) and _quiet(path)):
                yield path, "half removed" if removed else "half written by a command that was killed"


def _quiet(path: Path) -> bool:
    """Whether nothing at the top of a folder has changed for a while."""
    try:
        moments = [path.stat().st_mtime, *(one.lstat().st_mtime for one in (path.iterdir() if path.is_dir() else ()))]
    except OSError:
        return False
    return max(moments) < time.time() - QUIET_SECONDS


def _scoring(store: RunStore, home: Path) -> list[Item]:
    """Scoring folders under `.forestay`, and proofs, of model versions that are not registered any more."""
    import json

    from scoring.folder import open_folder
    from scoring.generate import safe_name

    registered = {(found.name, found.version) for found in store.models()}
    items = []
    for folder in sorted((home / "scoring").glob("[!.]*")):
        try:
            opened = open_folder(folder)
        except ForestayError:
            continue  # it is not ours to remove
        if (opened.model, opened.version) not in registered:
            items.append(_item("scoring", folder, f"{opened.model}:{opened.version} is not registered any more"))
    places = {(safe_name(name), safe_name(version)) for name, version in registered}
    gone = {item.path for item in items}
    for file in sorted((home / "proofs").glob("*/*/*.json")):
        if (file.parent.parent.name, file.parent.name) in places:
            continue
        try:
            folder = Path(str(json.loads(file.read_bytes())["path"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if folder in gone or not folder.is_dir():
            items.append(_item("proof", file, "its scoring folder and its model version are gone"))
    return items


def _endpoints(home: Path) -> Iterator[tuple[Path, str]]:
    """Folders of endpoints that a deploy was killed before it had made, and that no command works on."""
    from forestay import project
    from scoring.targets import records

    for folder in sorted((home / "endpoints").glob("[!.]*")):
        if not folder.is_dir() or (folder / records.WANTED).is_file():
            continue
        try:
            with project.lock(home / "endpoints" / f".{folder.name}.guard", "the endpoint", wait_seconds=0.0):
                yield folder, "a deploy was killed before it served"
        except OutsideError:
            continue


def collect(home: Path, found: Garbage) -> None:
    """Remove what `garbage` found; what has come into use since is left."""
    from automl_jobs.runs import RunStore, removal
    from scoring import prune

    for item in found.items:
        if item.kind == "environment":
            prune.remove(item.path)
        else:
            removal.discard(item.path)
    if found.runs:
        store = RunStore.open(create=False)
        removal.mark(store, found.runs)
        removal.forget(store, found.runs)


@dataclass(frozen=True)
class Deletion:
    """A job that is to be deleted, and what would be lost with it.

    Attributes
    ----------
    deployed: "M:3 by churn-api (local)" for each of its model versions that an endpoint serves or can return to.
    """

    removal: Removal
    deployed: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        found = self.removal
        return {
            "job": found.job,
            "trials": found.trials,
            "models": [f"{name}:{version}" for name, version in found.versions],
            "deployed": list(self.deployed),
            "bytes": found.size,
        }


def deletion(home: Path, job: str, with_models: bool) -> Deletion:
    """What deleting a job of this machine means.

    Parameters
    ----------
    with_models: whether model versions registered from its trials go too.

    Raises OutsideError while it runs, InputError where versions were registered and are not to go.
    """
    from automl_jobs.runs import RunStore
    from automl_jobs.runs.removal import removal
    from scoring.targets import uses

    found = removal(RunStore.open(create=False), job)
    serving = {f"{name}:{version}": uses.endpoints(home, name, version) for name, version in found.versions}
    told = tuple(f"{version} by {', '.join(endpoints)}" for version, endpoints in serving.items() if endpoints)
    if found.versions and not with_models:
        names = [f"{name}:{version}" for name, version in found.versions]
        what = f"{some(names, _SHOWN)} {'was' if len(names) == 1 else 'were'} registered from it"
        if told:
            what += f", and served: {'; '.join(told)}"
        raise InputError(
            f"{found.job} was not deleted: {what}",
            where="JOB",
            fix="--with-models deletes these as well; endpoints go on with the copy that they have",
        )
    return Deletion(found, told)


def delete(home: Path, found: Deletion) -> None:
    """Delete a job of this machine; see `deletion`."""
    from automl_jobs.runs import RunStore
    from automl_jobs.runs.removal import remove
    from scoring import proofs

    remove(RunStore.open(), found.removal)
    for name, version in found.removal.versions:
        proofs.forget(home, name, version)
