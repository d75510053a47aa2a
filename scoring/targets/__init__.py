"""Where a proven scoring folder can be deployed to: one interface, and one record of what is deployed.

local     a server on this machine, in the background
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from forestay.errors import InputError
from scoring.server import Answer

TARGETS = ("local", "aci", "aks", "managed")
_NAME = re.compile(r"[a-z0-9-]{3,32}")


@dataclass(frozen=True)
class DeploymentRecord:
    """What an endpoint serves; the same on every target.

    Attributes
    ----------
    status: Healthy, Unhealthy (it runs and does not answer) or Stopped.
    traffic: percent by deployment. previous: the deployment before this one, to which a rollback returns.
    auth: whether callers must show a key (keys) or not (none).
    changed: whether the call that gave this record changed anything.
    """

    name: str
    target: str
    env: str
    model: str
    version: str
    deployment: str
    status: str
    scoring_uri: str
    traffic: dict[str, int]
    previous: str | None
    auth: str = "none"
    changed: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The JSON of `endpoint deploy` and `endpoint show`."""
        return asdict(self)


class Target(Protocol):
    """One kind of place. Every call that names an endpoint raises InputError when there is none of that name."""

    def deploy(self, name: str, folder: Path, *, port: int | None = None, auth: str | None = None) -> DeploymentRecord:
        """Serve a proven scoring folder under `name`. Nothing changes when it is served already.

        Parameters
        ----------
        port: where callers ask, on targets that can choose; None leaves it, or takes a free one.
        auth: whether callers must show a key (keys) or not (none); None leaves it, or takes the target's default.

        Raises InputError when the folder is not proven, RunFailed when the deployment does not pass its smoke test;
        what was served before is served again then.
        """
        ...

    def names(self) -> list[str]:
        """The endpoints, by name."""
        ...

    def status(self, name: str) -> DeploymentRecord:
        """What `name` serves, and whether it answers now."""
        ...

    def assets(self, name: str) -> Path:
        """The scoring folder that is deployed."""
        ...

    def invoke(self, name: str, body: bytes) -> Answer:
        """POST a request. Raises OutsideError when nothing answers."""
        ...

    def logs(self, name: str, tail: int, follow: bool) -> Iterator[str]:
        """The last `tail` lines that the server wrote; with `follow` also those to come, until interrupted."""
        ...

    def rollback(self, name: str, to: str | None = None) -> DeploymentRecord:
        """Serve the previous deployment again, or the one that `to` names, by itself or by its model's version.

        Raises InputError when there is none, and what deploy() raises.
        """
        ...

    def keys(self, name: str) -> dict[str, str]:
        """The two keys that callers can show, primary and secondary. Raises InputError where none is asked for."""
        ...

    def rotate_keys(self, name: str, which: str) -> dict[str, str]:
        """Make one of the keys anew and give both. Callers that show the other one notice nothing."""
        ...

    def delete(self, name: str) -> None:
        """Stop serving and remove the endpoint."""
        ...


def check_name(name: str) -> str:
    """`name`, if an endpoint can be called so on every target."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} can't name an endpoint",
            where="NAME",
            fix="use 3 to 32 lower-case letters, digits and hyphens, as in churn-api",
        )
    return name


def choose(target: str, env: str, home: Path, say: Callable[[str], None] = lambda _: None) -> Target:
    """The target of these names. Raises InputError for one that this installation can't deploy to."""
    fix = "deploy on this machine: leave --target and --env out"
    if target != "local":
        raise InputError(f"{target} needs Azure, which is not set up here", where="--target", fix=fix)
    if env != "local":
        raise InputError(f"the environment {env!r} needs Azure, which is not set up here", where="--env", fix=fix)
    from scoring.targets.local import LocalTarget

    return LocalTarget(home, say)


def find_proven(home: Path, model: str, folder: Path | None = None) -> Path:
    """The scoring folder to deploy for `M`, `M:3` or `local:M`.

    Parameters
    ----------
    folder: the one to take, made from that model; its version if none is named. None takes the one proven last.

    Raises InputError when the model is not registered, or there is no proven folder of that version. Whether the folder
    still is as it was proven is for deploy() to check.
    """
    from automl_jobs.runs.names import split_model
    from scoring import proofs
    from scoring.folder import open_folder
    from scoring.registry import model_version

    if folder is None:
        source = model_version(model)
        return proofs.require_last(home, source.name, source.version)
    name, version = split_model(model)
    found = open_folder(folder.absolute())
    if found.model != name or version not in (None, found.version):
        raise InputError(
            f"was made from {found.model} {found.version}, not from {model}",
            where=str(folder),
            fix=f"deploy that with --model {found.model}:{found.version}, or leave --from out",
        )
    return found.path
