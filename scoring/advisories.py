"""Known vulnerabilities of what a lock pins, and the versions that mend them.

Two sources: `pip-audit` (extra `audit`), which asks the network, and a file of advisories in the OSV form, which needs
none: one advisory, a list of them, or `{"vulns": [...]}`. https://ossf.github.io/osv-schema/
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict, ValidationError

from forestay.errors import InputError
from scoring.environment import locked_versions

ECOSYSTEM = "PyPI"
AUDIT_SECONDS = 120


class _Package(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str
    ecosystem: str


class _Range(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: str
    events: list[dict[str, str]]


class _Affected(BaseModel):
    model_config = ConfigDict(extra="ignore")

    package: _Package | None = None
    ranges: list[_Range] = []
    versions: list[str] = []


class _Osv(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str
    aliases: list[str] = []
    withdrawn: str | None = None
    affected: list[_Affected] = []


@dataclass(frozen=True)
class Advisory:
    """A known vulnerability of a pinned version.

    Attributes
    ----------
    package, version: what is pinned. id: the advisory's; aliases: its other names (CVE).
    fixed: versions that mend it, the lowest first; empty when none is known.
    """

    package: str
    version: str
    id: str
    aliases: tuple[str, ...]
    fixed: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "aliases": list(self.aliases), "fixed": list(self.fixed)}

    def line(self) -> str:
        names = ", ".join([self.id, *self.aliases])
        mended = f"mended in {' and '.join(self.fixed)}" if self.fixed else "no version that mends it is known"
        return f"{self.package} {self.version}: {names}; {mended}"


@dataclass(frozen=True)
class Audit:
    """What was found; `note` says in one line why nothing could be asked, and is empty otherwise."""

    advisories: tuple[Advisory, ...]
    note: str = ""


def from_file(path: Path, lock_text: str) -> Audit:
    """The advisories of an OSV file that the versions of a lock fall under. Raises InputError naming the file."""
    fix = "give advisories of an OSV source as JSON"
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror}", where=str(path), fix=fix) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}", where=str(path), fix=fix) from error
    entries = document.get("vulns", [document]) if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise InputError("not a list of advisories", where=str(path), fix=fix)
    pinned = locked_versions(lock_text)
    found: list[Advisory] = []
    for number, entry in enumerate(entries):
        try:
            osv = _Osv.model_validate(entry)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "it"
            raise InputError(f"advisory {number}: {place}: {first['msg']}", where=str(path), fix=fix) from error
        if not osv.withdrawn:
            found += _matches(osv, pinned)
    return Audit(tuple(sorted(found, key=lambda one: (one.package, one.id))))


def from_network(lock_text: str) -> Audit:
    """What pip-audit says of a lock; what keeps it from saying anything becomes the note, and is not an error."""
    if importlib.util.find_spec("pip_audit") is None:
        return Audit((), "advisories were not asked: pip-audit is not installed (pip install 'forestay[audit]')")
    with tempfile.TemporaryDirectory() as scratch:
        lock = Path(scratch, "requirements.lock")
        lock.write_text(lock_text, encoding="utf-8")
        command = [
            sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--require-hashes", "--disable-pip",
            "--format", "json", "--progress-spinner", "off", "--timeout", "10",
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, cwd=scratch, capture_output=True, text=True, timeout=AUDIT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return Audit((), f"advisories were not asked: pip-audit took more than {AUDIT_SECONDS} s")
    try:
        return Audit(_audited(json.loads(done.stdout)))
    except (ValueError, KeyError, TypeError):
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reason = lines[-1][:200] if lines else "it said nothing"
        return Audit((), f"advisories were not asked: pip-audit can't reach its source ({reason})")


def _audited(document: Any) -> tuple[Advisory, ...]:
    return tuple(
        Advisory(
            canonicalize_name(one["name"]),
            one["version"],
            found["id"],
            tuple(found["aliases"]),
            tuple(sorted(found["fix_versions"], key=Version)),
        )
        for one in document["dependencies"]
        for found in one.get("vulns", ())
    )


def _matches(osv: _Osv, pinned: dict[str, str]) -> list[Advisory]:
    found: list[Advisory] = []
    for affected in osv.affected:
        if affected.package is None or affected.package.ecosystem != ECOSYSTEM:
            continue
        name = canonicalize_name(affected.package.name)
        version = pinned.get(name)
        if version is None or any(one.package == name for one in found):
            continue
        ranges = [one for one in affected.ranges if one.type in ("ECOSYSTEM", "SEMVER")]
        named = any(_equal(version, other) for other in affected.versions)
        if named or any(_inside(version, one.events) for one in ranges):
            fixed = {event["fixed"] for one in ranges for event in one.events if "fixed" in event}
            newer = sorted((one for one in fixed if _later(one, version)), key=Version)
            found.append(Advisory(name, version, osv.id, tuple(osv.aliases), tuple(newer)))
    return found


def _inside(version: str, events: list[dict[str, str]]) -> bool:
    """Whether a version lies in a range: the algorithm of OSV's schema, events in the order of their versions."""
    ordered: list[tuple[Version, str]] = []
    for event in events:
        for kind, given in event.items():
            text = "0.dev0" if given == "0" else given
            try:
                ordered.append((Version(text), kind))
            except InvalidVersion:
                return False
    inside = False
    mine = Version(version)
    for at, kind in sorted(ordered):
        if kind == "introduced" and mine >= at:
            inside = True
        elif (kind == "fixed" and mine >= at) or (kind == "last_affected" and mine > at):
            inside = False
    return inside


def _equal(one: str, other: str) -> bool:
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other


def _later(one: str, other: str) -> bool:
    try:
        return Version(one) > Version(other)
    except InvalidVersion:
        return False
