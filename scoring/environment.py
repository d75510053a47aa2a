"""From `conda_env.yaml` to a lock with hashes, and from the lock to a clean virtual environment.

conda is not needed to prove what conda would install: everything but Python itself comes from the file's pip section.
Both steps are uv's and both are kept under `.forestay`: `locks/` by hash of the pins, `envs/` by hash of the lock.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml
from packaging.utils import canonicalize_name

import templates
from forestay import project
from forestay.errors import InputError, OutsideError, RunFailed
from scoring import process, serving_packages
from scoring.schema import ModelSchema

Say = Callable[[str], None]

PLATFORM = "x86_64-manylinux_2_28"
# A second command that needs the same environment, or its lock, waits for the first one to make it.
BUILD_WAIT_SECONDS = 600.0
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(\[[A-Za-z0-9._,-]+\])?==([A-Za-z0-9._+!-]+)")
_UNREACHABLE = re.compile(
    r"failed to fetch|error sending request|dns error|connection|timed? ?out|network|unreachable|could not connect"
    r"|certificate|status server error|status client error|failed to download",
    re.IGNORECASE,
)


# Asked of a clean environment's Python, from 3.8 on: what is installed in it, and whether it could import forestay.
QUESTION = (
    "import importlib.metadata as m, importlib.util as u, json;"
    "found = [(d.metadata['Name'], d.version) for d in m.distributions()];"
    "print(json.dumps([found, u.find_spec('forestay') is not None]))"
)


class NoPython(OutsideError):
    """The Python that a folder asks for is not on this machine, and uv can't fetch it."""


@dataclass(frozen=True)
class Pins:
    """What conda_env.yaml asks for: Python exactly, and `name==version` lines, an extra in brackets allowed."""

    python: str
    pip: tuple[str, ...]

    def versions(self) -> dict[str, str]:
        """Version by canonical package name."""
        found: dict[str, str] = {}
        for line in self.pip:
            match = _PIN.fullmatch(line)
            if match:
                found[canonicalize_name(match[1])] = match[3]
        return found


@dataclass(frozen=True)
class Environment:
    """A virtual environment that has just what a lock names.

    Attributes
    ----------
    python: its interpreter.
    built: whether it was built by this call.
    """

    python: Path
    built: bool


def conda_env(schema: ModelSchema) -> str:
    """The text of conda_env.yaml for a model. Raises OutsideError for a Python that the server is not made for."""
    serving_packages.check_python(schema.python)
    return templates.render("scoring/conda_env.yaml.j2", python=schema.python, packages=schema.packages)


def read_pins(text: str, where: str) -> Pins:
    """The pins in a conda_env.yaml. Raises InputError where one is missing or not exact."""
    fix = "generate the folder again: forestay score generate"
    try:
        document = yaml.safe_load(text)
        entries = document["dependencies"]
        python = next(entry for entry in entries if isinstance(entry, str) and entry.startswith("python="))
        pip = next(entry["pip"] for entry in entries if isinstance(entry, dict) and "pip" in entry)
    except (yaml.YAMLError, TypeError, KeyError, StopIteration) as error:
        raise InputError("not a conda environment with python and a pip section", where=where, fix=fix) from error
    version = python.removeprefix("python=").removeprefix("=")
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise InputError(f"python must be pinned as 3.N.N, not {version!r}", where=where, fix=fix)
    loose = [line for line in pip if not (isinstance(line, str) and _PIN.fullmatch(line))]
    if loose:
        raise InputError(f"not an exact pin: {loose[0]!r}", where=where, fix="write it as name==version")
    return Pins(version, tuple(pip))


def lock_path(pins: Pins, home: Path) -> Path:
    """Where the lock of these pins is kept."""
    key = hashlib.sha256(json.dumps([pins.python, PLATFORM, sorted(pins.pip)]).encode()).hexdigest()[:32]
    return home / "locks" / f"{key}.lock"


def lock(pins: Pins, home: Path, say: Say) -> str:
    """The text of requirements.lock: the pins and all they pull in, with hashes and no registry's address.

    The same pins give the same lock from then on, without the network.

    Raises
    ------
    OutsideError: the package registry can't be reached.
    RunFailed: the pins can't be met together.
    """
    kept = lock_path(pins, home)
    if kept.is_file():
        return kept.read_text(encoding="utf-8")
    say("resolving the packages that serving needs")
    with (
        project.lock(kept.with_suffix(".guard"), "the resolver", wait_seconds=BUILD_WAIT_SECONDS),
        tempfile.TemporaryDirectory() as scratch,
    ):
        if kept.is_file():  # by another command meanwhile
            return kept.read_text(encoding="utf-8")
        wanted, made = Path(scratch, "wanted.txt"), Path(scratch, "made.lock")
        wanted.write_text("\n".join(sorted(pins.pip)) + "\n", encoding="utf-8")
        _uv(
            "pip", "compile", wanted, "--output-file", made, "--generate-hashes", "--no-emit-index-url", "--no-header",
            "--no-annotate", "--python-version", pins.python, "--python-platform", PLATFORM,
            what="resolve the packages of conda_env.yaml",
        )  # fmt: skip
        text = made.read_text(encoding="utf-8")
        project.write_atomic(kept, text)
    return text


def locked_versions(lock_text: str) -> dict[str, str]:
    """Version by canonical package name, of every package in a lock."""
    found: dict[str, str] = {}
    for line in lock_text.splitlines():
        match = _PIN.match(line)
        if match:
            found[canonicalize_name(match[1])] = match[3]
    return found


def unmet_pins(pins: Pins, lock_text: str) -> list[str]:
    """Pins of conda_env.yaml that the lock does not meet, one line each; also packages without a hash."""
    locked = locked_versions(lock_text)
    lines = [
        f"{name}: conda_env.yaml asks for {version}, requirements.lock has {locked.get(name, 'nothing')}"
        for name, version in pins.versions().items()
        if locked.get(name) != version
    ]
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", lock_text)
    lines += [f"{entry.split()[0]}: has no hash" for entry in entries if _PIN.match(entry) and "--hash=" not in entry]
    return lines


def folder_of(lock_text: str, python: str, home: Path) -> Path:
    """Where the environment of a lock is kept."""
    key = hashlib.sha256(f"{python}\n{lock_text}".encode()).hexdigest()[:32]
    return home / "envs" / key


def guard(folder: Path) -> Path:
    """The lock file to hold while an environment's folder is made or removed."""
    return folder.with_name(f".{folder.name}.guard")


def last_used(folder: Path) -> float:
    """When ensure() last gave this environment out, in seconds since 1970."""
    return folder.stat().st_mtime


def ensure(lock_text: str, python: str, home: Path, say: Say) -> Environment:
    """The environment of a lock, built when it is not there yet; what a killed build left is removed first.

    Raises OutsideError when packages can't be fetched, NoPython when the Python can't.
    """
    folder = folder_of(lock_text, python, home)
    interpreter = folder / "bin" / "python"
    with project.lock(guard(folder), "the environment", wait_seconds=BUILD_WAIT_SECONDS):
        if interpreter.exists():
            os.utime(folder)
            return Environment(interpreter, built=False)
        for left in folder.parent.glob(f".{folder.name}.new-*"):
            say("removing what an interrupted build of this environment left")
            shutil.rmtree(left, ignore_errors=True)
        say(f"building a clean environment with Python {python} ({len(locked_versions(lock_text))} packages)")
        started = time.monotonic()
        with project.new_folder(folder) as scratch:
            try:
                _uv("venv", "--python", _interpreter(python), "--relocatable", scratch, what=f"find Python {python}")
            except (OutsideError, RunFailed) as error:
                problem = error.problems[0]
                raise NoPython(problem.message, fix="install that Python, or train again with this one") from error
            wanted = scratch / "requirements.lock"
            wanted.write_text(lock_text, encoding="utf-8")
            _uv(
                "pip", "install", "--python", scratch / "bin" / "python", "--require-hashes", "--compile-bytecode",
                "--requirements", wanted,
                what="install the packages of requirements.lock",
            )  # fmt: skip
        say(f"environment built in {time.monotonic() - started:.1f} s")
    return Environment(interpreter, built=True)


def installed_versions(environment: Environment) -> tuple[dict[str, str], bool]:
    """What an environment has: version by canonical package name, and whether it could import forestay."""
    done = subprocess.run(
        [environment.python, "-I", "-c", QUESTION], capture_output=True, text=True, cwd="/", check=False, timeout=120
    )
    if done.returncode != 0:
        raise RunFailed(
            f"the environment's Python does not run: {done.stderr.strip()[-300:]}",
            where=str(environment.python),
            fix=f"remove {environment.python.parent.parent} and run this again",
        )
    pairs, has_forestay = json.loads(done.stdout)
    return {canonicalize_name(name): version for name, version in pairs}, has_forestay


def _interpreter(python: str) -> str:
    """The interpreter to ask uv for: the one that runs us when its version fits, else any of that version."""
    ours = ".".join(str(part) for part in sys.version_info[:3])
    base = getattr(sys, "_base_executable", "")
    return base if python == ours and base else python


def _uv(*words: str | Path, what: str) -> None:
    """Run uv. Its own words are shown when it fails, without what an address may hold of user and password."""
    from uv import find_uv_bin

    # An environment that happens to be active is none of uv's business here.
    environment = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    with tempfile.TemporaryFile() as output:
        running = process.start(
            [find_uv_bin(), "--quiet", "--color", "never", *words],
            environment=environment,
            folder=Path.cwd(),
            output=output,
        )
        try:
            code = running.wait()
        finally:
            process.stop(running)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    if code == 0:
        return
    text = re.sub(r"://[^/\s@]*@", "://", text)
    told = " ".join(text.split())[-600:]
    if "No solution found" in text or "unsatisfiable" in text:
        raise RunFailed(f"cannot {what}: {told}", fix="train with versions that fit together, then generate again")
    if _UNREACHABLE.search(text):
        raise OutsideError(
            f"cannot {what}: the package registry can't be reached ({told})",
            fix="check the network and uv's index settings, then run this again",
        )
    raise RunFailed(f"cannot {what}: {told}", fix="run this again with --verbose")
