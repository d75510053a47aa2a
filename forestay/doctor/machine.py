"""This machine: Python and what is installed in it, uv, room on the disk and in memory, container engine, kubectl."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from forestay import project
from forestay.doctor.model import Finding, ok, problem, told, warning
from forestay.errors import OutsideError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

GB = 1024**3
DISK_WARNED, DISK_LEAST = 5 * GB, 1 * GB
"""A proof's environment takes about 1 GB, an image with its layers several."""
MEMORY_WARNED = 2 * GB
ASK_SECONDS = 8.0
SLOW_TO_COMPILE = ("pandas", "sklearn", "scipy", "mlflow", "azure.ai.ml", "pulumi", "pulumi_azure_native")
"""Packages whose import takes seconds longer while they are not compiled to bytecode."""
EXTRAS = ("azure", "infra", "audit")
CGROUP = Path("/sys/fs/cgroup")


def asked(program: str, *words: str, seconds: float = ASK_SECONDS) -> str | None:
    """What a program writes; None where it fails or takes longer than that."""
    try:
        done = subprocess.run([program, *words], capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def python() -> Finding:
    """Its version, and whether it is a virtual environment's."""
    from packaging.specifiers import SpecifierSet

    version = platform.python_version()
    asks = importlib.metadata.metadata("forestay")["Requires-Python"] or ""
    if not SpecifierSet(asks).contains(version, prereleases=True):
        return problem(
            "python",
            f"{version} ({sys.executable}), and Python {asks} is asked for",
            "make an environment with it: uv venv --python 3.11, then install forestay there",
        )
    if sys.prefix == sys.base_prefix and not os.environ.get("CONDA_PREFIX"):
        return warning(
            "python",
            f"{version} ({sys.executable}), in no virtual environment: other programs' packages can break this one",
            "make one: uv venv --python 3.11, then install forestay there",
        )
    return ok("python", f"{version}, in {sys.prefix}")


def bytecode() -> Finding:
    """Whether the large packages are compiled; uv, other than pip, leaves that to the first start."""
    rough = [name for name in SLOW_TO_COMPILE if (folder := _folder(name)) is not None and not _is_compiled(folder)]
    if not rough:
        return ok("bytecode", "the large packages are compiled")
    site = sysconfig.get_path("purelib")
    never = " (PYTHONDONTWRITEBYTECODE is set)" if sys.dont_write_bytecode else ""
    return warning(
        "bytecode",
        f"not compiled: {', '.join(rough)}; every start takes seconds longer{never}",
        f"{sys.executable} -m compileall -q -j 0 {site}",
    )


def _folder(name: str) -> Path | None:
    """Where a package lies, without importing it; None where it isn't installed."""
    top, *below = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place, *below)
        if (folder / "__init__.py").is_file():
            return folder
    return None


def _is_compiled(folder: Path) -> bool:
    """Whether at least half of a package's own modules have bytecode of this Python."""
    sources = list(folder.glob("*.py"))
    tag = sys.implementation.cache_tag
    made = sum((folder / "__pycache__" / f"{path.stem}.{tag}.pyc").is_file() for path in sources)
    return made * 2 >= len(sources)


def packages(needed: Sequence[str] = ()) -> Iterator[Finding]:
    """Whether what is installed is what this version asks for.

    Parameters
    ----------
    needed: the extras that must be there; the others are only told.
    """
    lacking, other = _unmet("")
    if lacking or other:
        yield problem("packages", _said(lacking, other), "install it anew: pip install --upgrade forestay")
    else:
        have = [extra for extra in EXTRAS if not any(_unmet(extra))]
        beside = f", with the extras {', '.join(have)}" if have else ", without extras: enough for this machine"
        yield ok("packages", f"forestay {importlib.metadata.version('forestay')}{beside}")
    for extra in EXTRAS:
        lacking, other = _unmet(extra)
        fix = f"pip install 'forestay[{extra}]', or make setup-dev in the sources"
        if extra in needed and (lacking or other):
            yield problem("packages", f"the extra {extra}: {_said(lacking, other)}", fix)
        elif other and not lacking:
            yield warning("packages", f"the extra {extra}: {_said(lacking, other)}", fix)


def _unmet(extra: str) -> tuple[list[Requirement], list[tuple[Requirement, str]]]:
    """Requirements of an extra, "" for the core, that are not installed, and those installed in another version."""
    from packaging.requirements import Requirement

    lacking: list[Requirement] = []
    other: list[tuple[Requirement, str]] = []
    for text in importlib.metadata.requires("forestay") or ():
        one = Requirement(text)
        of_extra = one.marker is not None and "extra" in str(one.marker)
        if of_extra != bool(extra) or (one.marker is not None and not one.marker.evaluate({"extra": extra})):
            continue
        try:
            version = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            lacking.append(one)
            continue
        if not one.specifier.contains(version, prereleases=True):
            other.append((one, version))
    return lacking, other


def _said(lacking: Sequence[Requirement], other: Sequence[tuple[Requirement, str]]) -> str:
    wrong = [f"{one.name} is {version}, and {one.specifier} is asked for" for one, version in other]
    return "; ".join([f"not installed: {', '.join(one.name for one in lacking)}"] * bool(lacking) + wrong)


def uv() -> Finding:
    """What makes the environments in which scoring folders are proven."""
    fix = "pip install uv, into the environment of forestay"
    try:
        from uv import find_uv_bin

        program = find_uv_bin()
    except (ImportError, FileNotFoundError):
        return problem("uv", "not found: no scoring folder can be proven without it", fix)
    version = asked(program, "--version")
    if version is None:
        return problem("uv", f"{program} does not run", fix)
    return ok("uv", version)


def disk() -> Iterator[Finding]:
    """Room where the project keeps its files, and where temporary ones are made."""
    home = project.home()
    places = {os.stat(path).st_dev: path for path in (Path(tempfile.gettempdir()), project.nearest(home))}
    for place in places.values():
        free = shutil.disk_usage(place).free
        detail = f"{free / GB:.1f} GB free in {place}"
        fix = "free some space (forestay score prune removes environments), or set FORESTAY_HOME and TMPDIR"
        if free < DISK_LEAST:
            yield problem("disk", detail, fix)
        elif free < DISK_WARNED:
            yield warning("disk", f"{detail}: little for an environment or an image", fix)
        else:
            yield ok("disk", detail)


def memory() -> Finding:
    """What is free, of this machine or of the container that this runs in."""
    import psutil

    free = min(int(psutil.virtual_memory().available), _left_in_container())
    detail = f"{free / GB:.1f} GB free"
    if free < MEMORY_WARNED:
        fix = "end other programs, or train fewer trials at a time (limits.max_concurrent_trials)"
        return warning("memory", f"{detail}: a training may be killed", fix)
    return ok("memory", detail)


def _left_in_container() -> float:
    """Of the control group's limit (cgroup v2); infinite without one."""
    try:
        most = (CGROUP / "memory.max").read_text(encoding="ascii").strip()
        used = (CGROUP / "memory.current").read_text(encoding="ascii").strip()
        return max(0, int(most) - int(used))
    except (OSError, ValueError):
        return float("inf")


def engine() -> Finding:
    """What builds images here, and proves those whose Python is not on this machine."""
    from scoring import engines
    from scoring.images import builders

    try:
        name, program = engines.first_running(builders.NAMES, "container engine", builders.INSTALL)
    except OutsideError as error:
        (found,) = told("container engine", error)
        fix = f"{found.fix}; or let Azure build: forestay image build --builder acr"
        return warning("container engine", f"{found.detail}; images can't be built here", fix)
    return ok("container engine", f"{name} ({program})")


def kubectl(needed: bool = False) -> Iterator[Finding]:
    """What deploys to AKS. `needed`: the stack has a cluster."""
    for name, use in (("kubectl", "talks to clusters"), ("kubelogin", "logs in to clusters of Entra ID")):
        program = shutil.which(name)
        fix = "az aks install-cli"
        if program is None and needed:
            yield warning(name, f"not on PATH: it {use}, and this environment has one", fix)
        elif program is None:
            yield ok(name, "not on PATH; only AKS needs it")
        elif name == "kubectl":
            version = _kubectl_version(program)
            yield ok(name, f"{version} ({program})") if version else warning(name, f"{program} does not run", fix)
        else:
            yield ok(name, program)


def _kubectl_version(program: str) -> str | None:
    try:
        found = json.loads(asked(program, "version", "--client", "--output", "json") or "")
        return str(found["clientVersion"]["gitVersion"])
    except (ValueError, KeyError, TypeError):
        return None
