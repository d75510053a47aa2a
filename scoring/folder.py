"""A scoring folder on disk: which files it has, their hashes, and the proof in its `forestay.json`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from forestay import project
from forestay.errors import InputError

RECORD = "forestay.json"


@dataclass(frozen=True)
class ScoringFolder:
    """A folder that generate() wrote.

    Attributes
    ----------
    path: where it lies.
    model, version, job, trial: what it was made from.
    files: the SHA-256 of every file as it was written, by path inside the folder; `forestay.json` is not among them.
    proof: the last result of verify(), or None.
    pickle_reason: why the model is loaded from a pickle; None where it is loaded with skops.
    style: which frame it puts round the model (see styles).
    """

    path: Path
    model: str
    version: str
    job: str
    trial: str
    forestay: str
    files: dict[str, str]
    proof: dict[str, Any] | None
    pickle_reason: str | None = None
    style: str = "azureml"

    def as_dict(self) -> dict[str, Any]:
        """The JSON of `score generate`."""
        return {
            "path": str(self.path),
            "model": self.model,
            "version": self.version,
            "model_format": "skops" if self.pickle_reason is None else "pickle",
            "pickle_reason": self.pickle_reason,
            "style": self.style,
            "files": sorted([*self.files, RECORD]),
        }

    def record(self) -> dict[str, Any]:
        """The content of `forestay.json` without the proof."""
        return {
            "generator": "forestay",
            "forestay": self.forestay,
            "model": self.model,
            "version": self.version,
            "job": self.job,
            "trial": self.trial,
            "pickle_reason": self.pickle_reason,
            "style": self.style,
            "files": dict(sorted(self.files.items())),
        }

    def hash(self) -> str:
        """The SHA-256 of the folder as it lies there now: every file and what made it, without the proof.

        A file that was changed, removed or added changes it. Bytecode that Python leaves behind does not count.
        """
        found = {name: _digest(self.path / name) for name in present_files(self.path)}
        document = {**self.record(), "found": dict(sorted(found.items()))}
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()

    def changes(self) -> list[str]:
        """What differs from what was generated, one line a file."""
        present = set(present_files(self.path))
        lines = [f"{name}: is missing" for name in sorted(self.files.keys() - present)]
        lines += [f"{name}: was not generated" for name in sorted(present - self.files.keys())]
        for name in sorted(present & self.files.keys()):
            found = _digest(self.path / name)
            if found != self.files[name]:
                lines.append(f"{name}: sha256 is {found[:12]}..., was {self.files[name][:12]}... when generated")
        return lines

    def copy_to(self, target: Path) -> None:
        """Copy what is there, without bytecode, into the empty folder `target`."""
        for name in [*present_files(self.path), RECORD]:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.path / name, target / name)

    def write_proof(self, proof: dict[str, Any] | None) -> None:
        """Put a result of verify() into `forestay.json`."""
        project.write_json(self.path / RECORD, {**self.record(), "proof": proof})


def present_files(folder: Path) -> list[str]:
    """The files in a scoring folder but `forestay.json`, as sorted relative POSIX paths; no bytecode."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if (path.is_file() or path.is_symlink())
        and "__pycache__" not in path.relative_to(folder).parts
        and path != folder / RECORD
    )


def open_folder(path: Path) -> ScoringFolder:
    """Read a scoring folder. Raises InputError when `path` is not one that was generated."""
    record = path / RECORD
    try:
        document = json.loads(record.read_bytes())
        if not isinstance(document, dict) or document.get("generator") != "forestay":
            raise ValueError("it was not written by forestay score generate")
        files = document["files"]
        if not isinstance(files, dict) or not all(_inside(name) for name in files):
            raise ValueError("files must name files of this folder")
        texts = {key: document[key] for key in ("model", "version", "job", "trial", "forestay")}
        texts["style"] = document.get("style", "azureml")
        if not all(isinstance(value, str) for value in [*texts.values(), *files.values()]):
            raise ValueError("model, version, job, trial, style and hashes must be text")
        proof, reason = document.get("proof"), document.get("pickle_reason", "it was generated by an earlier version")
        if not isinstance(reason, str | None):
            raise ValueError("pickle_reason must be text")
        return ScoringFolder(
            path=path,
            files=files,
            proof=proof if isinstance(proof, dict) else None,
            pickle_reason=reason,
            **texts,
        )
    except OSError as error:
        raise InputError(
            f"not a scoring folder: {error.strerror}",
            where=str(record),
            fix="make one: forestay score generate MODEL --to DIR",
        ) from error
    except (ValueError, KeyError, RecursionError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"not a scoring folder: {reason}",
            where=str(record),
            fix="make it again: forestay score generate MODEL --to DIR",
        ) from error


@contextlib.contextmanager
def scratch_folder(home: Path, say: Callable[[str], None]) -> Iterator[Path]:
    """An empty folder in `.forestay/copies`; gone at the end, or after a kill when the next one is made."""
    place = project.ensure_folder(home / "copies")
    for left in place.iterdir():
        owner = left.name.split("-")[0]
        if not (owner.isdigit() and psutil.pid_exists(int(owner))):
            say("removing what an interrupted command left")
            shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(dir=place, prefix=f"{os.getpid()}-"))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def snapshot(original: ScoringFolder, home: Path, say: Callable[[str], None]) -> Iterator[ScoringFolder]:
    """A copy of the folder in a scratch folder."""
    with scratch_folder(home, say) as scratch:
        copy = scratch / "folder"
        copy.mkdir()
        original.copy_to(copy)
        yield open_folder(copy)


def is_ours(path: Path) -> bool:
    """Whether generate() wrote this folder and may write it again."""
    try:
        open_folder(path)
    except InputError:
        return False
    return True


def _digest(path: Path) -> str:
    return project.sha256(path) if path.is_file() else "not a file"


def _inside(name: object) -> bool:
    return isinstance(name, str) and name != RECORD and not Path(name).is_absolute() and ".." not in Path(name).parts
