"""Remove environments under `.forestay` that nothing uses any more.

Kept are the environments of proven folders that are still there, of endpoints, and the few used last. A proof builds
one when it is needed again, so nothing is lost but time.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from forestay import project
from forestay.errors import ForestayError, OutsideError
from scoring import environment, proofs


@dataclass(frozen=True)
class Pruned:
    """What prune() did: folders of environments removed and kept, and the megabytes that came free."""

    removed: tuple[str, ...]
    kept: tuple[str, ...]
    freed_mb: float

    def as_dict(self) -> dict[str, Any]:
        return {"removed": list(self.removed), "kept": list(self.kept), "freed_mb": self.freed_mb}


def prune(home: Path, keep: int) -> Pruned:
    """Remove environments of `home` that no proof, endpoint or running process uses, but the `keep` used last."""
    removed, freed = [], 0
    for folder in spare(home, keep):
        size = remove(folder)
        if size is not None:
            removed.append(folder.name)
            freed += size
    return Pruned(
        tuple(sorted(removed)), tuple(sorted(path.name for path in _environments(home))), round(freed / 1e6, 1)
    )


def spare(home: Path, keep: int) -> list[Path]:
    """The environments that `prune` would remove, the longest unused last."""
    newest_first = sorted(_environments(home), key=environment.last_used, reverse=True)
    used = _used(home) | _running(home)
    return [path for path in newest_first if path.name not in used][keep:]


def remove(folder: Path) -> int | None:
    """Remove an environment; the bytes that came free, None where it is being built or used right now."""
    try:
        with project.lock(environment.guard(folder), "the environment", wait_seconds=0.0):
            size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
            # Renamed first: a kill midway leaves a name that no proof takes for an environment.
            gone = folder.with_name(f".{folder.name}.new-removed")
            folder.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)
            return size
    except OutsideError:
        return None


def _environments(home: Path) -> list[Path]:
    return [path for path in (home / "envs").glob("[!.]*") if path.is_dir()]


def _used(home: Path) -> set[str]:
    """Names of the environments that proven folders and deployed ones need."""
    found = set()
    for folder in (*proofs.proven_folders(home), *(home / "endpoints").glob("*/deployments/*")):
        try:
            pins = environment.read_pins((folder / "conda_env.yaml").read_text(encoding="utf-8"), "conda_env.yaml")
            lock = (folder / "requirements.lock").read_text(encoding="utf-8")
        except (ForestayError, OSError, UnicodeDecodeError):
            continue  # no scoring folder any more: it can't be served either
        found.add(environment.folder_of(lock, pins.python, home).name)
    return found


def _running(home: Path) -> set[str]:
    """Names of the environments whose Python runs at this moment."""
    place = home / "envs"
    return {Path(line).relative_to(place).parts[0] for line in _programs() if Path(line).is_relative_to(place)}


def _programs() -> Iterator[str]:
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"]
        if line:
            yield line[0]
