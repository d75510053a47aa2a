"""Which packages serving a model imports: found by loading it and predicting in a fresh process, not guessed.

The process runs the folder's own score.py with the golden rows and says which installed packages its modules came from.
Some import others only where they happen to be installed (pandas takes pyarrow when it is there). A second process
hides those that nothing recorded requires; when it answers the same, they are not needed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from forestay import __version__, project
from forestay.errors import RunFailed
from scoring import requests, server
from scoring.safe import SKOPS_MODEL
from scoring.schema import Golden, ModelSchema
from scoring.serving_packages import PARSER

Say = Callable[[str], None]

CHILD = Path(__file__).with_name("traced_child.py")
CHILD_SECONDS = 600  # of a large model on a busy machine


class _Failed(Exception):
    """The process did not get to an answer; the last line it wrote."""


def kept_path(schema: ModelSchema, home: Path) -> Path:
    """Where the packages found for a model are kept: the same files under the same versions import the same."""
    trained = {name: found for name, found in sorted(schema.files.items()) if name != SKOPS_MODEL}
    key = [__version__, schema.python, dict(sorted(schema.packages.items())), trained]
    return home / "traces" / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]}.json"


def traced(
    schema: ModelSchema,
    model: Mapping[str, Path],
    code: Mapping[str, str],
    golden: Golden,
    home: Path,
    say: Say = lambda _: None,
) -> dict[str, str]:
    """Version by name of the packages that serving a model imports.

    Parameters
    ----------
    schema: what training recorded; its packages must be those installed here, else they stay as recorded and `say` is
        told: another environment than the one that trained shows nothing.
    model: the model's files by name.
    code: text by name of score.py and what it reads beside itself, the schema in model/ too.

    Raises RunFailed when the model can't be loaded or does not answer.
    """
    other = differing(schema)
    if other:
        say(f"the packages to pin are those that training recorded, not traced: here is {other}")
        return schema.packages
    kept = kept_path(schema, home)
    if kept.is_file():
        found: dict[str, str] = json.loads(kept.read_bytes())
        return found
    say("tracing what serving imports")
    everything, answer = _first(model, code, golden)
    needed = {*schema.packages, PARSER}  # the model's, and what score.py reads requests with
    everything = _without_optional(everything, answer, needed, model, code, golden)
    everything = dict(sorted(everything.items()))  # as it is read again: the same model gives the same folder
    project.write_json(kept, everything)
    return everything


def _without_optional(
    everything: dict[str, str],
    answer: str,
    needed: set[str],
    model: Mapping[str, Path],
    code: Mapping[str, str],
    golden: Golden,
) -> dict[str, str]:
    """What is still imported when all that nothing requires is hidden, and the answer is the same."""
    while optional := everything.keys() - _required(needed):
        try:
            less, same = _run(model, code, golden, optional)
        except _Failed as error:
            missing = re.search(r"No module named '([^'.]+)", str(error))
            owners = set(importlib.metadata.packages_distributions().get(missing[1], ())) if missing else set()
            found = {canonicalize_name(owner) for owner in owners} & optional
            if not found:
                return everything  # it fails in a way that does not tell what it needs
            needed = needed | found
            continue
        return less if same == answer else everything
    return everything


def _first(model: Mapping[str, Path], code: Mapping[str, str], golden: Golden) -> tuple[dict[str, str], str]:
    try:
        return _run(model, code, golden, ())
    except _Failed as error:
        raise RunFailed(
            f"the model can't be loaded and asked as it will be served: {error}",
            where="model.pkl",
            fix="train again, or register a trial whose model loads",
        ) from error


def _run(
    model: Mapping[str, Path], code: Mapping[str, str], golden: Golden, hide: Iterable[str]
) -> tuple[dict[str, str], str]:
    """Versions by canonical name of what was imported, and the answer to the golden rows."""
    with tempfile.TemporaryDirectory() as scratch:
        place, question = Path(scratch, "folder"), Path(scratch, "question.json")
        (place / "model").mkdir(parents=True)
        for name, text in code.items():
            (place / name).write_text(text, encoding="utf-8")
        for name, file in model.items():
            (place / "model" / name).symlink_to(file.absolute())
        body = requests.request("data", golden.rows)
        question.write_text(json.dumps({"folder": str(place), "request": body, "hide": sorted(hide)}), encoding="utf-8")
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-B", CHILD, question],
                env=server.variables(place),
                cwd=scratch,
                capture_output=True,
                text=True,
                timeout=CHILD_SECONDS,
                check=False,
            )
            found: dict[str, Any] = json.loads(done.stdout)
        except subprocess.TimeoutExpired as error:
            raise _Failed(f"no answer within {CHILD_SECONDS} s") from error
        except ValueError as error:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            raise _Failed(lines[-1][:300] if lines else f"exit code {done.returncode}") from error
    return {canonicalize_name(name): version for name, version in found["distributions"].items()}, found["answer"]


def differing(schema: ModelSchema) -> str | None:
    """How this Python or a package differs from what trained; None when nothing does."""
    here = platform.python_version()
    if here != schema.python:
        return f"Python {here}, it was trained with {schema.python}"
    for name, version in schema.packages.items():
        try:
            installed = importlib.metadata.version(name.partition("[")[0])
        except importlib.metadata.PackageNotFoundError:
            return f"no {name}, it was trained with {version}"
        if installed != version:
            return f"{name} {installed}, it was trained with {version}"
    return None


def _required(packages: Iterable[str]) -> set[str]:
    """The canonical names of installed packages and all that they require, extras aside."""
    found: set[str] = set()
    waiting = [canonicalize_name(name.partition("[")[0]) for name in packages]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for line in lines:
            try:
                wanted = Requirement(line)
            except InvalidRequirement:
                continue
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(wanted.name))
    return found
