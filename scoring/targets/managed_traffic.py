"""Which deployments an endpoint has, and how its callers are shared among them: arithmetic, nothing asked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forestay.errors import InputError, RunFailed
from scoring.folder import ScoringFolder
from scoring.targets import nothing_before
from scoring.targets.managed_requests import OnlineDeployment, OnlineEndpoint

LONGEST_NAME = 32
MOST_MIRRORED = 50


@dataclass(frozen=True)
class Seen:
    """How things stand with an endpoint."""

    endpoint: OnlineEndpoint
    deployments: dict[str, OnlineDeployment]

    @property
    def served(self) -> list[OnlineDeployment]:
        """Those that passed their test and are there, the one that was served last first."""
        return [self.deployments[name] for name in self.endpoint.order or () if name in self.deployments]

    @property
    def current(self) -> OnlineDeployment | None:
        """What was served last; of an endpoint whose first deploy did not come so far, what there is."""
        return next(iter([*self.served, *self.deployments.values()]), None)

    @property
    def previous(self) -> str | None:
        """The deployment to which a rollback returns."""
        return self.served[1].name if len(self.served) > 1 else None

    def reached(self) -> set[str]:
        """The deployments that get requests, or copies of some."""
        return {*self.endpoint.traffic, *self.endpoint.mirror}

    def named(self, given: Mapping[str, int], where: str) -> dict[str, int]:
        """Percents by deployment, where these may be named by their models' versions. Raises InputError."""
        return {self.find(name, where).name: percent for name, percent in given.items()}

    def find(self, name: str, where: str) -> OnlineDeployment:
        """The deployment of this name, or the newest of this version of a model. Raises InputError."""
        every = [*self.served, *self.deployments.values()]
        found = self.deployments.get(name) or next((one for one in every if one.version == name), None)
        if found is None:
            there = ", ".join(f"{one.name} (version {one.version})" for one in self.deployments.values())
            what = f"{self.endpoint.name} has no deployment {name!r}"
            raise InputError(what, where=where, fix=f"there is {there}" if there else "deploy it")
        return found


def deployment_name(folder: ScoringFolder, folder_hash: str, image: str | None, size: str) -> str:
    """`churn-3-1a2b3c4d`: the model, its version, and a mark of the folder and of what it runs on.

    What differs in any of these is another deployment, which is tried beside the one that runs.
    """
    mark = hashlib.sha256("\n".join((folder_hash, image or "", size)).encode()).hexdigest()[:8]
    tail = re.sub(r"[^a-z0-9-]", "-", f"-{folder.version}-{mark}".lower())
    word = re.sub(r"[^a-z0-9]+", "-", folder.model.lower()).strip("-")
    if not word[:1].isalpha():
        word = f"m-{word}".strip("-")
    return word[: LONGEST_NAME - len(tail)].strip("-") + tail[-LONGEST_NAME + 1 :]


def shared(before: Mapping[str, int], deployment: str, percent: int) -> dict[str, int]:
    """Traffic in which a deployment has `percent`, and the others what is left, in the proportions they had.

    The first deployment has all of it, unless it shall have none.
    """
    others = {name: part for name, part in before.items() if name != deployment and part}
    if not others:
        return {deployment: 100} if percent else dict(before)
    left, whole = 100 - percent, sum(others.values())
    parts = {name: part * left // whole for name, part in others.items()}
    parts[max(parts, key=lambda name: parts[name])] += left - sum(parts.values())
    return {name: part for name, part in {deployment: percent, **parts}.items() if part}


def ordered(order: Sequence[str], deployment: str, percent: int) -> tuple[str, ...]:
    """The order of deployments once this one has its traffic; one without any has not been served yet."""
    others = [one for one in order if one != deployment]
    return (deployment, *others) if percent else (*others, deployment)


def check_mirror(traffic: Mapping[str, int], mirror: Mapping[str, int]) -> None:
    """Raise InputError for copies of requests that Azure would refuse to make."""
    copies = {name: percent for name, percent in mirror.items() if percent}
    for name, percent in copies.items():
        if percent > MOST_MIRRORED:
            fix = f"say {name}={MOST_MIRRORED} or less"
            raise InputError(f"Azure copies at most {MOST_MIRRORED} % of the requests", where="--mirror", fix=fix)
        if traffic.get(name):
            fix = "mirror to one that no caller reaches"
            raise InputError(f"{name} has traffic, and can't have copies as well", where="--mirror", fix=fix)
    if len(copies) > 1:
        raise InputError("Azure copies requests to one deployment only", where="--mirror", fix="name one")


def require_good(deployment: OnlineDeployment) -> None:
    """Raise RunFailed for a deployment that Azure could not make, or still makes."""
    if deployment.state != "Succeeded":
        fix = f"deploy it again: --model {deployment.model}:{deployment.version}"
        raise RunFailed(f"{deployment.name} is {deployment.state or 'in no known state'}", where="Azure", fix=fix)


def earlier(seen: Seen, to: str | None, env: str) -> OnlineDeployment:
    """What a rollback in `env` serves: the deployment before, or the one that `to` names. Raises InputError."""
    if to is not None:
        return seen.find(to, "--to")
    if not seen.served:
        there = ", ".join(f"{one.model} {one.version}" for one in seen.deployments.values())
        raise nothing_before(seen.endpoint.name, there or "which Azure has not made", env)
    if seen.previous is None:
        fix = "deploy that version again; one that was pruned is made anew"
        raise InputError(f"{seen.endpoint.name} has no earlier deployment", where="NAME", fix=fix)
    return seen.deployments[seen.previous]
