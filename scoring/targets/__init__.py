"""Where a proven scoring folder can be deployed to: one interface, and one record of what is deployed.

local      a server on this machine, in the background
services   an environment's stack of served models: container groups (aci) and deployments on the cluster (aks)
managed    online endpoints of Azure ML
smoke      golden rows over HTTP, the same for all
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from forestay import LOCAL
from forestay.errors import InputError, OutsideError
from scoring.server import Answer

Say = Callable[[str], None]

ACI, AKS, MANAGED = "aci", "aks", "managed"
SERVICES = (ACI, AKS)
TARGETS = (LOCAL, *SERVICES, MANAGED)
STOPPED = (LOCAL, ACI)
"""Where an endpoint can be stopped: on a cluster idle copies go by themselves, machines of managed ones stay."""
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
    bills: what it costs while nobody asks, in words; None where that is nothing.
    last_request: when somebody last asked, ISO 8601 in UTC; None where that is not known.
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
    bills: str | None = None
    last_request: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON of `endpoint deploy` and `endpoint show`."""
        return asdict(self)


@dataclass(frozen=True)
class DeployOptions:
    """What a deploy may be told. None leaves it as it was, and takes the target's default at first.

    Attributes
    ----------
    auth: whether callers must show a key (keys), a token of Entra ID (token, managed only) or neither (none).
    port: on this machine. container: whether it runs there as a container of its image.
    traffic: percent that a new deployment begins with.
    cpu, memory_gb: of one copy. replicas: the fewest and the most copies.
    public: whether it has a public address.
    registry: where its image goes, REGISTRY or REGISTRY/PATH.
    instance_type: the size of a managed endpoint's machines. image: one by digest that it runs, instead of the folder.
    apply: whether the stack is changed, or its file alone. commit: whether the file is committed to git.
    wait_seconds: how long a new deployment may take until it is healthy.
    """

    auth: str | None = None
    port: int | None = None
    container: bool | None = None
    traffic: int | None = None
    cpu: float | None = None
    memory_gb: float | None = None
    replicas: tuple[int, int] | None = None
    public: bool | None = None
    registry: str | None = None
    instance_type: str | None = None
    image: str | None = None
    apply: bool = True
    commit: bool = False
    wait_seconds: float | None = None

    def only(self, target: str, *taken: str) -> None:
        """Raises InputError, naming the flag, when anything else than `taken` was said, which `target` can't do."""
        if self.auth == "token" and target != MANAGED:
            fix = "say --auth keys"
            raise InputError(f"tokens of Entra ID are for managed endpoints, not for {target}", where="--auth", fix=fix)
        for one in fields(self):
            if one.name not in taken and getattr(self, one.name) != one.default:
                flag = _FLAGS.get(one.name, f"--{one.name.replace('_', '-')}")
                raise InputError(f"is not for the target {target}", where=flag, fix=f"leave {flag} out")


_FLAGS = {"memory_gb": "--memory", "apply": "--no-apply", "wait_seconds": "--wait"}


@dataclass(frozen=True)
class DeployPlan:
    """What a deploy would change; `deploy --plan` prints it.

    Attributes
    ----------
    deployment: what would be served. previous: what is; None where nothing is.
    changes: one a line, in the order in which they would be made; empty where nothing would change.
    outage: what callers would notice; None where they would not.
    """

    name: str
    target: str
    env: str
    model: str
    version: str
    deployment: str
    previous: str | None
    changes: tuple[str, ...]
    outage: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON of `endpoint deploy --plan`."""
        return asdict(self)


class Target(Protocol):
    """One kind of place. Every call that names an endpoint raises InputError when there is none of that name."""

    def deploy(self, name: str, folder: Path, options: DeployOptions = ...) -> DeploymentRecord:
        """Serve a proven scoring folder under `name`. Nothing changes when it is served already.

        Raises InputError when the folder is not proven or an option is not for this target, RunFailed when the
        deployment does not pass its smoke test; what was served before is served again then.
        """
        ...

    def plan(self, name: str, folder: Path, options: DeployOptions = ...) -> DeployPlan:
        """What deploy() would change; changes nothing. Raises as deploy() does before it changes anything."""
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

    def sample(self, name: str) -> bytes:
        """A request that the endpoint takes. Raises InputError where none is known."""
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

    def stop(self, name: str) -> DeploymentRecord:
        """Serve nothing and bill nothing until start(). Raises InputError where the target can't."""
        ...

    def start(self, name: str) -> DeploymentRecord:
        """Serve again what stop() ended."""
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


def choose(target: str, env: str, home: Path, say: Say = lambda _: None) -> Target:
    """The target of these names. Raises InputError where they don't go together, or packages are missing.

    Parameters
    ----------
    target: one of TARGETS. env: `local`, or a stack of the project.
    say: told of each stage of what the target does.
    """
    if (target == LOCAL) != (env == LOCAL):
        here = "deploy on this machine: leave --target and --env out"
        if env == LOCAL:
            raise InputError(f"{target} needs an environment in Azure", where="--env", fix=f"add --env dev; or {here}")
        raise InputError(f"{env!r} is an environment in Azure", where="--env", fix=f"add --target aci; or {here}")
    if target == LOCAL:
        from scoring.targets.local import LocalTarget

        return LocalTarget(home, say)
    if target == MANAGED:
        from scoring.targets.managed import ManagedTarget

        found: Target = ManagedTarget(env, home, say)
        return found
    from scoring.targets.services import ServicesTarget

    return ServicesTarget(target, env, home, say)


def targets_of(env: str, home: Path, say: Say = lambda _: None) -> list[Target]:
    """Every target of an environment, those that answer without a network first."""
    if env == LOCAL:
        return [choose(LOCAL, env, home, say)]
    from forestay import project
    from infra import settings, stackfile

    served = stackfile.stack_path(project.root(), f"{env}-{settings.SERVICES}").is_file()
    return [choose(name, env, home, say) for name in (*(SERVICES if served else ()), MANAGED)]


def listed(places: Sequence[Target], warn: Say = lambda _: None) -> list[DeploymentRecord]:
    """What the endpoints of these targets serve. `warn` is told of a target that can't be reached.

    Raises OutsideError where that is the only one.
    """
    found: list[DeploymentRecord] = []
    for place in places:
        try:
            found += [place.status(name) for name in place.names()]
        except OutsideError as error:
            if len(places) == 1:
                raise
            warn(f"{error}; its endpoints are not listed")
    return found


def having(
    name: str, target: str | None, env: str, home: Path, say: Say = lambda _: None
) -> tuple[Target | None, list[str]]:
    """The target that is named, else the first of the environment's that has the endpoint, None where none has.

    Also the names of the endpoints that were seen. Raises OutsideError where the only target can't be reached.
    """
    if target is not None or env == LOCAL:
        return choose(target or LOCAL, env, home, say), []
    there: list[str] = []
    places = targets_of(env, home, say)
    for one in places:
        try:
            names = one.names()
        except OutsideError as error:  # what a file says of the others still holds
            if len(places) == 1:
                raise
            say(f"warning: managed endpoints were not asked: {error}")
            continue
        if name in names:
            return one, names
        there += names
    return None, there


def find(name: str, target: str | None, env: str, home: Path, say: Say = lambda _: None) -> Target:
    """As having(). Raises InputError when no target of the environment has it, OutsideError as having() does."""
    check_name(name)
    found, there = having(name, target, env, home, say)
    if found is not None:
        return found
    fix = f"there is {', '.join(there)}" if there else f"make it: forestay endpoint deploy {name} --env {env} --target"
    raise InputError(f"no endpoint {name!r} in {env}", where="NAME", fix=fix)


def never_passed(name: str, env: str) -> str:
    """What is told of an endpoint whose first version has not passed its test, and what is to be done."""
    where = "" if env == LOCAL else f" --env {env}"
    return f"deploy it again, which tests it; or remove it: forestay endpoint delete {name}{where}"


def nothing_before(name: str, what: str, env: str) -> InputError:
    """What a rollback of such an endpoint raises; `what` is the version that is there."""
    told = f"{name} has only its first version, {what}, which never passed its test: its deploy was interrupted"
    return InputError(told, where="NAME", fix=never_passed(name, env))


def find_proven(home: Path, model: str, folder: Path | None = None, env: str = LOCAL) -> Path:
    """The scoring folder to deploy for `M`, `M:3`, `M@alias` or `local:M`.

    Parameters
    ----------
    folder: the one to take, made from that model; its version if none is named. None takes the one proven last.
    env: where it is to serve; whichever it is, a model without a folder is one of the registry here.

    Raises InputError when the model is not registered, or there is no proven folder of that version. Whether the folder
    still is as it was proven is for deploy() to check.
    """
    from automl_jobs.runs.names import split_model
    from scoring import proofs
    from scoring.folder import open_folder
    from scoring.registry import model_version

    if folder is None:
        try:
            source = model_version(model)
        except InputError as error:
            if env == LOCAL:
                raise
            make = f"forestay score generate {model} --env {env} --to scoring && forestay score verify scoring"
            fix = f"take the one of {env}: {make}; then the same again with --from scoring"
            raise InputError(f"on this machine {error}", where="--model", fix=fix) from error
        return proofs.require_last(home, source.name, source.version)
    name, version, alias = split_model(model)
    if alias is not None:
        version = model_version(model).version
    found = open_folder(folder.absolute())
    if found.model != name or version not in (None, found.version):
        raise InputError(
            f"was made from {found.model} {found.version}, not from {model}",
            where=str(folder),
            fix=f"deploy that with --model {found.model}:{found.version}, or leave --from out",
        )
    return found.path


def to_deploy(
    name: str,
    model: str,
    folder: Path | None,
    target: str | None,
    env: str,
    home: Path,
    allow_breaking: bool,
    say: Say = lambda _: None,
) -> tuple[Target, Path]:
    """The target that an endpoint is deployed to, and the proven scoring folder.

    Parameters
    ----------
    model, folder: see find_proven. target: None for where the endpoint is already.
    allow_breaking: also where callers of what it serves would break.

    Raises InputError for an endpoint that is new and has no target, a model that is not proven; RunFailed where callers
    would break.
    """
    from scoring.diff import guard
    from scoring.folder import open_folder

    check_name(name)
    chosen, _ = having(name, target, env, home, say)
    if chosen is None:
        raise InputError(f"{name} is new in {env}", where="--target", fix="say --target aci, aks or managed")
    proven = find_proven(home, model, folder, env)
    if env != LOCAL and folder is None:
        made = open_folder(proven)
        say(f"{made.model} {made.version} of the registry on this machine, made by job {made.job}: {proven}")
    guard(chosen, name, proven, allow_breaking)
    return chosen, proven
