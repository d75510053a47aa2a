"""Names of jobs and models: made, checked, and found from what a user typed."""

from __future__ import annotations

import difflib
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from forestay.errors import InputError

LATEST = "latest"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,254}")
_LIKE_VERSION = re.compile(r"latest|v[0-9]+", re.IGNORECASE)
_ADJECTIVES = (
    "amber ample bold brave bright brisk calm clear cool crisp deep eager early fair fine firm fresh gentle glad "
    "golden good grand green honest humble keen kind lively loyal lucid merry mild modest neat noble patient plain "
    "proud quick quiet ready rosy salty serene sharp silver smooth steady strong sunny swift tidy tranquil upbeat "
    "vivid warm wide wise"
)
_NOUNS = (
    "anchor bay beacon bell boat bow breeze bridge buoy canvas cape chart cliff coast compass coral cove current deck "
    "delta dock dune falcon fjord gale garden glacier gull harbor haven helm horizon island jetty keel lagoon lake "
    "lantern mast meadow mist moon oak ocean orchard pebble pier pine reef ridge river rope sail sand shell shore "
    "sky spruce star strait sun tide valley wave wharf wind yard"
)
_SUFFIX = "abcdefghijklmnopqrstuvwxyz0123456789"


def new_job_name() -> str:
    """A name like those that Azure ML gives: `quiet_harbor_x8k2m1`."""
    suffix = "".join(secrets.choice(_SUFFIX) for _ in range(6))
    return f"{secrets.choice(_ADJECTIVES.split())}_{secrets.choice(_NOUNS.split())}_{suffix}"


def is_job_name(text: str) -> bool:
    """Whether a job could have this name."""
    return text != LATEST and _NAME.fullmatch(text) is not None


def check_job_name(name: str) -> None:
    """Azure ML's rule for job names. Raises InputError."""
    if name == LATEST:
        raise InputError("'latest' stands for the newest job and can't be a job's name", where="name")
    if not is_job_name(name):
        raise InputError(
            f"{name!r} is not a job name",
            where="name",
            fix="letters, digits, '-' and '_', starting with a letter or digit, at most 255",
        )


def check_model_name(name: str) -> None:
    """Azure ML's rule for model names. Raises InputError."""
    if not _MODEL.fullmatch(name):
        raise InputError(
            f"{name!r} is not a model name",
            fix="letters, digits, '-', '_' and '.', starting with a letter or digit, at most 255",
        )


class ModelReference(NamedTuple):
    """What of a registry is meant: a version, an alias, or with neither the newest version."""

    name: str
    version: str | None = None
    alias: str | None = None


def split_model(reference: str) -> ModelReference:
    """`M`, `M:3`, `M@champion`, or one of these after `local:`, in its parts. Raises InputError."""
    plain = reference.removeprefix("local:")
    if "@" in plain:
        name, _, alias = plain.partition("@")
        check_model_name(name)
        check_alias(alias)
        return ModelReference(name, alias=alias)
    name, _, version = plain.partition(":")
    check_model_name(name)
    if version in ("", LATEST) and not reference.endswith(":"):
        return ModelReference(name)
    if not _VERSION.fullmatch(version):
        raise InputError(
            f"{version!r} is not a version of a model",
            where=reference,
            fix="a whole number or an alias: M:2, M@champion",
        )
    return ModelReference(name, version)


def check_alias(alias: str) -> None:
    """MLflow's rule for aliases, narrowed to names that can't be taken for a version. Raises InputError."""
    if not _ALIAS.fullmatch(alias) or _LIKE_VERSION.fullmatch(alias):
        raise InputError(
            f"{alias!r} is not an alias",
            fix="letters, digits, '-' and '_', starting with a letter, at most 255; not latest, not v1",
        )


def find_job(given: str, names: Sequence[str]) -> str:
    """The job that a user means: its name, a prefix of only one name, or `latest`.

    Parameters
    ----------
    names: all jobs, newest first.

    Raises InputError naming the nearest ones.
    """
    if given in names:
        return given
    if not names:
        raise InputError(f"there is no job {given!r}: no job has run here", fix="forestay job submit JOB.yml")
    if given == LATEST:
        return names[0]
    fits = [name for name in names if given and name.startswith(given)]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise InputError(f"{given!r} fits {len(fits)} jobs", fix=f"more of the name: {_some(fits)}")
    raise InputError(f"there is no job {given!r}", fix=f"nearest: {_some(_near(given, names))}")


def unknown_model(name: str, names: Sequence[str]) -> InputError:
    """The error for a model that is not registered."""
    if not names:
        return InputError(f"there is no model {name!r}: none is registered", fix="forestay model register JOB --name M")
    return InputError(f"there is no model {name!r}", fix=f"nearest: {_some(_near(name, names))}")


def unknown_alias(name: str, alias: str, aliases: Mapping[str, str]) -> InputError:
    """The error for an alias that no version of the model has; `aliases` are those it has, with their versions."""
    there = _some([f"{one} ({name}:{version})" for one, version in sorted(aliases.items())])
    fix = f"there are: {there}" if aliases else f"give one: forestay model alias {name}:VERSION {alias}"
    return InputError(f"model {name!r} has no alias {alias!r}", fix=fix)


def _near(given: str, names: Sequence[str]) -> list[str]:
    return difflib.get_close_matches(given, names, n=3, cutoff=0.5) or list(names[:3])


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
