"""The proofs: what verify() found, kept in the folder itself and under `.forestay/proofs/MODEL/VERSION/HASH.json`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forestay import project
from scoring.generate import safe_name


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

    def as_dict(self) -> dict[str, Any]:
        """The JSON of `score verify`, as also kept."""
        document = asdict(self)
        document["checks"] = [asdict(check) for check in self.checks]
        return document

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


def _folder(home: Path, model: str, version: str) -> Path:
    return home / "proofs" / safe_name(model) / safe_name(version)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and {"path", "at", "verified"} <= document.keys() else None
