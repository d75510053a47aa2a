"""The proofs: what verify() found, kept in the folder itself and under `.forestay/proofs/MODEL/VERSION/HASH.json`."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from forestay import project
from forestay.errors import InputError
from scoring import styles
from scoring.folder import ScoringFolder, open_folder
from scoring.generate import default_folder, safe_name


@dataclass(frozen=True)
class Check:
    """One thing that was checked. `detail` says what was found; on failure also what to try."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Proof:
    """The result of verify().

    Attributes
    ----------
    path: the scoring folder. folder_hash: its hash without the proof.
    verified: whether every check passed.
    at: when, ISO 8601 in UTC. duration_seconds: how long it took.
    startup_seconds, p50_ms, p99_ms, memory_mb: the server's start, one row's answer, and its memory; None where the
        server never ran.
    answers: what the model itself predicted for golden rows that nobody had predicted before, as golden.json has it;
        a deploy's smoke test compares with them. None for all other folders.
    """

    path: str
    model: str
    version: str
    folder_hash: str
    verified: bool
    checks: tuple[Check, ...]
    at: str
    duration_seconds: float
    startup_seconds: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    memory_mb: float | None = None
    answers: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON of `score verify`, as also kept."""
        document = asdict(self)
        document["checks"] = [asdict(check) for check in self.checks]
        return document

    def having(self, *checks: Check) -> Proof:
        """The proof with these checks after those that it has."""
        return replace(self, checks=(*self.checks, *checks))

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.passed)


def keep(proof: Proof, home: Path) -> None:
    """Write a proof under `home`; a later one of the same folder content replaces it."""
    project.write_json(_folder(home, proof.model, proof.version) / f"{proof.folder_hash}.json", proof.as_dict())


def find(home: Path, model: str, version: str, folder_hash: str) -> dict[str, Any] | None:
    """The proof of just this content, if it passed."""
    found = _read(_folder(home, model, version) / f"{folder_hash}.json")
    return found if found is not None and found.get("verified") is True else None


def last_proven(home: Path, model: str, version: str) -> Path | None:
    """The folder of this model version that was proven last and is still there."""
    passed = [found for path in _folder(home, model, version).glob("*.json") if (found := _read(path)) is not None]
    passed = [found for found in passed if found.get("verified") is True and Path(found["path"]).is_dir()]
    return Path(max(passed, key=lambda found: str(found["at"]))["path"]) if passed else None


def proven_folders(home: Path) -> set[Path]:
    """The folders of all passed proofs that are still there."""
    found = [_read(path) for path in (home / "proofs").glob("*/*/*.json")]
    return {Path(one["path"]) for one in found if one and one.get("verified") is True and Path(one["path"]).is_dir()}


def require(home: Path, path: Path) -> tuple[ScoringFolder, str]:
    """The scoring folder at `path` and its hash, if just this content was proven. Raises InputError if not."""
    folder = open_folder(path.absolute())
    found = folder.hash()
    if find(home, folder.model, folder.version, found) is None:
        changes = folder.changes()
        reason = f" ({changes[0]})" if changes else ""
        raise InputError(
            f"not proven as it is now{reason}",
            where=str(folder.path),
            fix=f"prove it first: forestay score verify {shlex.quote(str(folder.path))}",
        )
    return folder, found


def require_last(home: Path, model: str, version: str) -> Path:
    """Where the folder of this model version lies that was proven last. Raises InputError when there is none."""
    path = last_proven(home, model, version)
    if path is None:
        folder = shlex.quote(str(default_folder(home, model, version)))
        source = shlex.quote(f"{model}:{version}")
        raise InputError(
            f"{model} {version} is not proven",
            where="--model",
            fix=f"forestay score generate {source} --to {folder} && forestay score verify {folder}",
        )
    return path


def forget(home: Path, model: str, version: str) -> list[Path]:
    """Remove the proofs of a version, and its scoring folders where they lie by default; what was removed."""
    places = [default_folder(home, model, version, style) for style in styles.NAMES]
    there = [path for path in (_folder(home, model, version), *places) if path.is_dir()]
    for path in there:
        shutil.rmtree(path, ignore_errors=True)
    return there


def _folder(home: Path, model: str, version: str) -> Path:
    return home / "proofs" / safe_name(model) / safe_name(version)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and {"path", "at", "verified"} <= document.keys() else None
