"""The model of a scoring folder in a form that runs no code when it is loaded: skops, where every type is known.

A pickle runs what it says. skops builds objects of the types that it is told to trust and of no other. A model is
written so when its folder is generated, not with every trial: nearly all trials are never served. `to_skops.py` does it
in a process of its own and compares what comes back with the pickle, attribute by attribute and on the golden rows.
What can't be written so stays a pickle, whose hash `score.py` compares before it loads it.

The result is kept under `.forestay/models` by hash of all that went into it: skops names its parts at random, so that
only the same file makes a folder equal to the last one, which keeps its proof.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forestay import project
from scoring import process
from scoring.schema import GOLDEN, SCHEMA, ModelSchema

SKOPS_MODEL = "model.skops"
RESULT = "result.json"
PROGRAM = Path(__file__).with_name("to_skops.py")
# Enough for a forest of a gigabyte; what takes longer would take as long to load.
SECONDS = 600.0
KEPT = 16


@dataclass(frozen=True)
class Converted:
    """What came of a model.

    Attributes
    ----------
    file: the skops file, or None where the pickle stays.
    trusted: the types to trust when it is loaded, beside those that skops always does.
    reason: why the pickle stays; None where it does not.
    """

    file: Path | None
    trusted: tuple[str, ...] = ()
    reason: str | None = None

    def into(self, document: dict[str, Any]) -> dict[str, Any]:
        """A model_schema.json that says how the model is to be loaded."""
        if self.file is None:
            return {**document, "pickle_reason": self.reason}
        return {
            **document,
            "packages": {**document["packages"], "skops": skops_version()},
            "files": {**document["files"], SKOPS_MODEL: project.sha256(self.file)},
            "trusted_types": list(self.trusted),
        }


def skops_version() -> str:
    return importlib.metadata.version("skops")


def convert(outputs: Path, schema: ModelSchema, home: Path, say: Callable[[str], None]) -> Converted:
    """The model of an outputs folder, whose files have been compared with their hashes, as skops; kept in `home`."""
    stranger = _other_version(schema)
    if stranger is not None:
        return Converted(None, reason=stranger)
    place = home / "models" / _key(outputs, schema)
    with project.lock(place.with_name(f".{place.name}.guard"), "the conversion of this model", wait_seconds=SECONDS):
        if (place / RESULT).is_file():
            os.utime(place)
        else:
            say("writing the model in a form that runs no code when it is loaded")
            with project.new_folder(place) as scratch:
                project.write_json(scratch / RESULT, _run(outputs, scratch / SKOPS_MODEL))
    _prune(place.parent)
    found = json.loads((place / RESULT).read_bytes())
    if "reason" in found:
        return Converted(None, reason=str(found["reason"]))
    return Converted(place / SKOPS_MODEL, tuple(found["trusted"]))


def _other_version(schema: ModelSchema) -> str | None:
    """What trained the model and is here in another version: such a pickle must not be loaded here."""
    if schema.python.split(".")[:2] != list(platform.python_version_tuple()[:2]):
        return f"it was trained with Python {schema.python}, and this is {platform.python_version()}"
    for name, version in schema.packages.items():
        try:
            here = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            here = "not installed"
        if here != version:
            return f"it was trained with {name} {version}, which is {here} here"
    return None


def _key(outputs: Path, schema: ModelSchema) -> str:
    """What the conversion depends on."""
    parts = [schema.files, project.sha256(outputs / SCHEMA), project.sha256(outputs / GOLDEN), skops_version()]
    parts += [platform.python_version(), project.sha256(PROGRAM)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _run(outputs: Path, target: Path) -> dict[str, Any]:
    """The answer of to_skops.py, or why there is none."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        running = process.start(
            [sys.executable, "-I", "-B", PROGRAM, outputs, target],
            environment={key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH", "TMPDIR") if key in os.environ},
            folder=target.parent,
            output=output,
            errors=errors,
        )
        try:
            code = running.wait(SECONDS)
        except subprocess.TimeoutExpired:
            return {"reason": f"writing it with skops took over {SECONDS:.0f} s"}
        finally:
            process.stop(running)
        output.seek(0)
        errors.seek(0)
        told = errors.read().decode("utf-8", "replace").strip().splitlines()
        if code != 0:
            target.unlink(missing_ok=True)
            return {"reason": f"it can't be loaded here: {told[-1][:300] if told else f'exit code {code}'}"}
        answer: dict[str, Any] = json.loads(output.read())
    if "reason" in answer:
        target.unlink(missing_ok=True)
    return answer


def _prune(place: Path) -> None:
    """Remove all but the conversions that were used last."""
    folders = [path for path in place.iterdir() if path.is_dir() and not path.name.startswith(".")]
    for path in sorted(folders, key=lambda path: path.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)
