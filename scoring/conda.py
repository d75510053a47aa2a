"""A conda environment file of another trainer, such as Azure's `conda_env_v_1_0_0.yml`, as exact pins of PyPI packages.

Azure's AutoML pins in the conda section as well as in pip's. conda packages are mapped by `conda_names.json`. Nothing
is loosened: what has no name on PyPI and what has no single version is named, and refused.
https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-environments.html
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from forestay.errors import InputError, OutsideError

NAMES = Path(__file__).with_name("conda_names.json")
# What installs packages, or is the server's own and pinned by the scoring folder: a version of them is kept where it is
# exact, and no obstacle where it is not.
TOOLS = frozenset({"pip", "setuptools", "wheel"})
SERVERS = frozenset({"azureml-inference-server-http", "inference-schema"})
# `name=1.5.1` matches 1.5.1.* in conda: with this many parts there is but one release that it can mean.
EXACT_PARTS = 3
_SPEC = re.compile(r"(?:[^\s:]+::)?([A-Za-z0-9_][A-Za-z0-9._-]*)\s*(.*)", re.DOTALL)
_BRACKETS = re.compile(r"\[\s*version\s*=\s*['\"]?([^'\"\]]+)['\"]?\s*\]")
_INDEX = re.compile(r"(--extra-index-url|--index-url|-i)(?:[\s=]+)(\S+)")


@dataclass(frozen=True)
class CondaFile:
    """What a conda file pins.

    Attributes
    ----------
    python: as 3.N.N.
    packages: version by name on PyPI, an extra in brackets allowed.
    system: what came from conda and is no Python package.
    indexes: other package indexes that it names, without what an address may hold of user and password.
    """

    python: str
    packages: dict[str, str]
    system: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()


@dataclass
class _Found:
    """What reading gathers; `unmapped` and `loose` are told all at once."""

    python: str | None = None
    packages: dict[str, str] = field(default_factory=dict)
    system: list[str] = field(default_factory=list)
    indexes: list[str] = field(default_factory=list)
    unmapped: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)

    def pin(self, name: str, version: str | None, line: str) -> None:
        """Keep a pin; the same package twice must be of one version."""
        plain = canonicalize_name(name.partition("[")[0])
        if version is None:
            if plain not in SERVERS | TOOLS:
                self.loose.append(line)
            return
        before = next((key for key in self.packages if canonicalize_name(key.partition("[")[0]) == plain), None)
        if before is not None and self.packages[before] != version:
            self.loose.append(f"{line} (and {self.packages[before]} before it)")
        elif before is None:
            self.packages[name] = version


@cache
def _names() -> tuple[dict[str, str], frozenset[str]]:
    """Name on PyPI by conda's name in lower case, and conda's packages that are none of Python's."""
    table = json.loads(NAMES.read_text(encoding="utf-8"))
    known = {name.lower(): str(canonicalize_name(name)) for name in table["same"]}
    known |= {name.lower(): pypi for name, pypi in table["renamed"].items()}
    return known, frozenset(table["system"])


def read(text: str, where: str) -> CondaFile:
    """The pins of a conda file.

    Raises
    ------
    InputError: it is no conda file.
    OutsideError: something in it has no name on PyPI, or no single version; all of it is named.
    """
    found = _Found()
    for entry in _entries(text, where):
        if isinstance(entry, dict) and entry.keys() == {"pip"} and isinstance(entry["pip"], list):
            for line in entry["pip"]:
                _pip(str(line).strip(), found)
        elif isinstance(entry, str) and entry.strip():
            _conda(entry.strip(), found)
        else:
            raise InputError(
                f"not a dependency: {str(entry)[:80]!r}", where=where, fix="give the trial's own conda file"
            )
    if found.python is None and not any(line.startswith("python") for line in found.loose):
        found.loose.append("python (no version)")
    problems = [f"no name on PyPI is known for {line!r}" for line in found.unmapped]
    problems += [f"{_masked(line)!r} is no single version" for line in found.loose]
    if problems or found.python is None:
        raise OutsideError(
            f"this environment can't be made exact: {'; '.join(problems)}",
            where=where,
            fix="write what the trial really had (its log lists it) as name==version into the pip section of a copy, "
            "and give that copy",
        )
    return CondaFile(found.python, found.packages, tuple(found.system), tuple(found.indexes))


def _entries(text: str, where: str) -> list[Any]:
    fix = "give the trial's own file, outputs/conda_env_v_1_0_0.yml"
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark is not None else where
        raise InputError(f"not YAML: {getattr(error, 'problem', None) or error}", where=place, fix=fix) from error
    entries = document.get("dependencies") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise InputError("not a conda environment: it has no dependencies", where=where, fix=fix)
    return entries


def _conda(line: str, found: _Found) -> None:
    match = _SPEC.fullmatch(line)
    if match is None:
        found.unmapped.append(line)
        return
    name, version = match[1].lower(), _conda_version(match[2].strip())
    known, system = _names()
    if name == "python":
        found.python = version if version and re.fullmatch(r"3\.\d+\.\d+", version) else None
        if found.python is None:
            found.loose.append(line)
    elif name in system:
        found.system.append(name)
    elif name in known:
        found.pin(known[name], version, line)
    else:
        found.unmapped.append(line)


def _conda_version(spec: str) -> str | None:
    """The one version that a conda spec means: `==1.5`, `=1.5.1`, `=1.5=build`, `1.5.1 build`; None for any other."""
    inside = _BRACKETS.fullmatch(spec)
    spec = inside[1].strip() if inside else spec
    strict = spec.startswith("==") or (inside is not None and not spec.startswith("="))
    parts = re.split(r"[=\s]+", spec.lstrip("= ").strip())
    version = parts[0]
    if not spec or not _is_version(version) or len(parts) > 2:
        return None
    exact = strict or len(parts) == 2 or version.count(".") + 1 >= EXACT_PARTS
    return version if exact else None


def _pip(line: str, found: _Found) -> None:
    index = _INDEX.fullmatch(line)
    if index:
        found.indexes.append(_masked(index[2]))
        return
    try:
        wanted = Requirement(line)
    except InvalidRequirement:
        found.unmapped.append(_masked(line))
        return
    if wanted.url is not None or wanted.marker is not None:
        found.unmapped.append(_masked(line))
        return
    pins = [one.version for one in wanted.specifier if one.operator in ("==", "===") and _is_version(one.version)]
    version = pins[0] if len(pins) == len(wanted.specifier) == 1 else None
    name = canonicalize_name(wanted.name)
    if name in TOOLS:
        found.system.append(name)
        return
    found.pin(name + (f"[{','.join(sorted(wanted.extras))}]" if wanted.extras else ""), version, line)


def _is_version(text: str) -> bool:
    """Whether it is a version, as a lock writes it."""
    try:
        Version(text)
    except InvalidVersion:
        return False
    return re.fullmatch(r"[A-Za-z0-9._+!-]+", text) is not None


def _masked(text: str) -> str:
    return re.sub(r"://[^/\s@]*@", "://", text)
