"""Managed online endpoints of Azure ML: a deployment a version, and traffic that moves only to what passed its test.

Stages of a deployment: the proven folder, the network and the quota are looked at -> code, model and environment are
uploaded -> the endpoint is made, once -> the deployment is made beside what runs, without traffic -> golden rows are
sent to it alone -> traffic moves, by the request that writes down what is served. A command that is killed before that
has changed nothing for callers, and the same command goes on where it was; the earlier deployment stays for rollback().

managed_traffic    who gets how much
managed_requests   endpoints and deployments as they are, and the requests that change them
managed_assets     code, model and environment from a proven folder
managed_machines   sizes, quota, and the request for a deployment
managed_call       requests to the endpoint itself
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from automl_jobs.azure import refusals, storage
from automl_jobs.azure.arm import POLL_SECONDS, Arm
from automl_jobs.azure.refusals import Conflict
from forestay import project
from forestay.console import visible
from forestay.errors import ForestayError, InputError, OutsideError, RunFailed
from scoring import checks, proofs
from scoring.folder import ScoringFolder
from scoring.images import publish
from scoring.requests import SAMPLE
from scoring.server import Answer
from scoring.targets import MANAGED, DeploymentRecord, DeployOptions, DeployPlan, Say, check_name, never_passed, smoke
from scoring.targets import managed_machines as machinery
from scoring.targets import tail as tails
from scoring.targets.managed_assets import Storehouse
from scoring.targets.managed_call import TOKENS, Caller
from scoring.targets.managed_machines import SIZE, Machines
from scoring.targets.managed_requests import Online, OnlineDeployment, OnlineEndpoint
from scoring.targets.managed_traffic import (
    Seen,
    check_mirror,
    deployment_name,
    earlier,
    ordered,
    require_good,
    shared,
)

T = TypeVar("T")
Change = tuple[dict[str, int], dict[str, int], tuple[str, ...]]
"""Traffic, mirrored traffic and order, as they shall be."""

DEFAULTS = DeployOptions()
TAKEN = ("auth", "traffic", "replicas", "instance_type", "image", "wait_seconds")
DEPLOY_SECONDS = 3600.0  # a first environment is built for a quarter of an hour, and machines are waited for
DEPLOY_WAIT_SECONDS = 180.0  # for another command of this machine
CONFLICT_SECONDS = 600.0  # for one of another machine
FOLLOW_SECONDS, FOLLOWED_LINES = 3.0, 500
SHOWN_LOG_LINES = 30
WHERE = "DEPLOYMENT=PERCENT"
_BUSY = re.compile(r"progress|another operation|concurrent|updating|creating|deleting|retry|try again", re.IGNORECASE)
_DIGEST = re.compile(r"[a-z0-9.-]+(:[0-9]+)?/\S+@sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Wanted:
    """What a deploy asks for: of the endpoint, and of the deployment that is to serve."""

    name: str
    deployment: str
    folder: ScoringFolder
    folder_hash: str
    machines: Machines
    image: str | None
    auth: str
    traffic: int
    seconds: float


class ManagedTarget:
    """The online endpoints of an environment's workspace; see scoring.targets.Target. `say` is told of each stage."""

    def __init__(self, env: str, home: Path | None = None, say: Say = lambda _: None) -> None:
        self.env, self.home, self.say = env, home or project.home(), say

    @functools.cached_property
    def arm(self) -> Arm:
        return Arm.of(self.env)

    @functools.cached_property
    def online(self) -> Online:
        return Online(self.arm)

    @functools.cached_property
    def storehouse(self) -> Storehouse:
        store = storage.open_store(self.arm)
        refusals.require_inside(f"the storage account {store.account}", self.arm.place, store.host)
        return Storehouse(self.arm, store, self.home, self.say)

    # ---- the interface of targets ----

    def deploy(self, name: str, folder: Path, options: DeployOptions = DEFAULTS) -> DeploymentRecord:
        proven, folder_hash = self._require(name, folder, options)
        with self._lock(name):
            seen = self._seen(name)
            wanted = self._wanted(name, seen, proven, folder_hash, options)
            if not self._changes(seen, wanted):
                assert seen is not None
                self.say(f"{name} serves this already; nothing changed")
                return self._record(seen)
            self._check_room(seen, wanted)
            return replace(self._carry_out(seen, wanted), changed=True)

    def plan(self, name: str, folder: Path, options: DeployOptions = DEFAULTS) -> DeployPlan:
        proven, folder_hash = self._require(name, folder, options)
        seen = self._seen(name)
        wanted = self._wanted(name, seen, proven, folder_hash, options)
        changes = self._changes(seen, wanted)
        if changes:
            self._check_room(seen, wanted)
        served = seen.endpoint.order if seen else ()
        return DeployPlan(
            name,
            MANAGED,
            self.env,
            proven.model,
            proven.version,
            wanted.deployment,
            served[0] if served else None,
            changes,
        )

    def names(self) -> list[str]:
        return sorted(one.name for one in self.online.endpoints())

    def status(self, name: str) -> DeploymentRecord:
        seen = self._known(name)
        if not seen.served:
            told = "no version has passed its test: the first deploy is under way, or was interrupted"
            self.say(f"warning: {name}: {told}; {never_passed(name, self.env)}")
        return self._record(seen)

    def assets(self, name: str) -> Path:
        return self._folder(self._current(self._known(name)))

    def sample(self, name: str) -> bytes:
        return (self.assets(name) / SAMPLE).read_bytes()

    def invoke(self, name: str, body: bytes) -> Answer:
        return Caller(self.arm, self.online, self._known(name).endpoint).ask(body)

    def logs(self, name: str, tail: int, follow: bool) -> Iterator[str]:
        deployment = self._current(self._known(name)).name
        yield from tails.lines(
            lambda last: self.online.logs(name, deployment, last),
            tail,
            follow=follow,
            pause_seconds=FOLLOW_SECONDS,
            most=FOLLOWED_LINES,
        )

    def rollback(self, name: str, to: str | None = None) -> DeploymentRecord:
        with self._lock(name):
            seen = self._known(name)
            chosen = earlier(seen, to, self.env)
            self._smoke(seen.endpoint, chosen, self._folder(chosen))
            return replace(self._shift(name, chosen.name, 100), changed=True)

    def keys(self, name: str) -> dict[str, str]:
        endpoint = self._known(name).endpoint
        if endpoint.auth != "keys":
            fix = f"they show a token of Entra ID for {TOKENS}, and need the role AzureML Data Scientist"
            raise InputError(f"{name} asks callers for no key", where="NAME", fix=fix)
        return self.online.keys(name)

    def rotate_keys(self, name: str, which: str) -> dict[str, str]:
        self.keys(name)
        with self._lock(name):
            self.online.rotate(name, which)
        return self.online.keys(name)

    def stop(self, name: str) -> DeploymentRecord:
        raise InputError(
            "Azure can't stop a managed endpoint: its machines bill until they are removed",
            where="NAME",
            fix=f"remove it: forestay endpoint delete {name} --env {self.env}; or serve it on aci",
        )

    def start(self, name: str) -> DeploymentRecord:
        fix = f"forestay endpoint show {name} --env {self.env}"
        raise InputError("a managed endpoint is never stopped", where="NAME", fix=fix)

    def delete(self, name: str) -> None:
        with self._lock(name):
            self._known(name)
            self.say("Azure removes the endpoint and its machines, which takes some minutes")
            self.online.remove(name)

    # ---- what only managed endpoints can ----

    def split(self, name: str, traffic: Mapping[str, int], mirror: Mapping[str, int] | None = None) -> DeploymentRecord:
        """Send callers to deployments in these percents, and copies of their requests to one more.

        Parameters
        ----------
        traffic: percent by deployment, or by its model's version; together 100. Empty leaves it as it is.
        mirror: percent for one deployment without traffic, whose answers nobody gets. None leaves it as it is, but for
            a deployment that now has traffic.

        Raises InputError for what is not there, or not possible.
        """
        with self._lock(name):
            seen = self._known(name)
            wanted = seen.named(traffic, WHERE) or seen.endpoint.traffic
            if sum(wanted.values()) != 100:
                fix = f"as in {next(iter(wanted))}=100"
                raise InputError(f"the percents make {sum(wanted.values())}, not 100", where=WHERE, fix=fix)
            kept = {one: percent for one, percent in seen.endpoint.mirror.items() if not wanted.get(one)}
            copies = kept if mirror is None else seen.named(mirror, "--mirror")
            check_mirror(wanted, copies)
            for deployment in {**wanted, **copies}:
                require_good(seen.deployments[deployment])
            if (wanted, copies) == (seen.endpoint.traffic, seen.endpoint.mirror):
                return self._record(seen)

            def change(endpoint: OnlineEndpoint) -> Change:
                order = [*(endpoint.order or ()), *(one for one in wanted if one not in (endpoint.order or ()))]
                return wanted, copies, tuple(sorted(order, key=lambda one: not wanted.get(one)))

            self.say("traffic moves")
            return replace(self._move(name, change), changed=True)

    def prune(self, name: str, everything: bool = False) -> list[str]:
        """Remove the deployments that no caller reaches; their names. They bill as long as they are there.

        The one to which a rollback returns is kept, unless `everything` is said.
        """
        with self._lock(name):
            gone = self.unreached(name, everything)
            for deployment in gone:
                self.say(f"removing {deployment}")
                self.online.remove_deployment(name, deployment)
            if gone:
                self._move(
                    name,
                    lambda found: (found.traffic, found.mirror, tuple(o for o in found.order or () if o not in gone)),
                )
            return gone

    def unreached(self, name: str, everything: bool = False) -> list[str]:
        """What prune() would remove."""
        seen = self._known(name)
        kept = seen.reached() | (set() if everything or seen.previous is None else {seen.previous})
        return [one for one in seen.deployments if one not in kept]

    # ---- from what is to what shall be ----

    def _require(self, name: str, folder: Path, options: DeployOptions) -> tuple[ScoringFolder, str]:
        check_name(name)
        if not name[0].isalpha() or name.endswith("-"):
            fix = "use a letter first, and no hyphen at the end"
            raise InputError(f"{name!r} can't name a managed endpoint", where="NAME", fix=fix)
        options.only(MANAGED, *TAKEN)
        if options.auth == "none":
            fix = "leave --auth out, or say --auth token"
            raise InputError("a managed endpoint always asks its callers who they are", where="--auth", fix=fix)
        if options.image is not None and not _DIGEST.fullmatch(options.image):
            fix = "write it as forestay image push prints it: REGISTRY/NAME@sha256:..."
            raise InputError(f"{options.image!r} is no image by digest", where="--image", fix=fix)
        proven, folder_hash = proofs.require(self.home, folder)
        if options.image is not None:
            publish.require_of(options.image, proven, folder_hash, home=self.home, say=self.say)
        return proven, folder_hash

    def _wanted(
        self, name: str, seen: Seen | None, folder: ScoringFolder, folder_hash: str, options: DeployOptions
    ) -> Wanted:
        """The options, with what the endpoint has for what they leave open."""
        current = seen.current if seen else None
        size = machinery.check_size(options.instance_type or (current.size if current else SIZE))
        deployment = deployment_name(folder, folder_hash, options.image, size)
        before = (seen.deployments.get(deployment) if seen else None) or current
        counts = options.replicas
        if counts is None and before is not None:
            counts = self.online.scaled(name, before.name) or (before.instances, before.instances)
        least, most = counts or (1, 1)
        if seen and options.auth and options.auth != seen.endpoint.auth:
            raise InputError(
                f"{name} asks callers for {seen.endpoint.auth}, which stays so as long as it is there",
                where="--auth",
                fix="leave --auth out, or deploy under another name",
            )
        return Wanted(
            name=name,
            deployment=deployment,
            folder=folder,
            folder_hash=folder_hash,
            machines=Machines(size, least, most),
            image=options.image,
            auth=options.auth or (seen.endpoint.auth if seen else "keys"),
            traffic=100 if options.traffic is None else options.traffic,
            seconds=options.wait_seconds or DEPLOY_SECONDS,
        )

    def _changes(self, seen: Seen | None, wanted: Wanted) -> tuple[str, ...]:
        """What a deploy would do, a line for each thing; nothing where all is so already."""
        lines = [] if seen else [f"make the endpoint {wanted.name}, which asks callers for {wanted.auth}"]
        there = seen.deployments.get(wanted.deployment) if seen else None
        made_from = wanted.image or "code and environment"
        if there is None or there.state != "Succeeded":
            lines.append(f"make {wanted.deployment}: {wanted.machines}, from {made_from}, without traffic")
        elif self._resizes(there, wanted):
            lines.append(f"let {wanted.deployment} have {wanted.machines} instead of {there.instances}")
        if seen is None or wanted.deployment not in (seen.endpoint.order or ()):
            lines.append("send it the golden rows")
        before = seen.endpoint.traffic if seen else {}
        then = shared(before, wanted.deployment, wanted.traffic)
        if then != before:
            lines.append("traffic: " + ", ".join(f"{one} {percent} %" for one, percent in then.items()))
        return tuple(lines)

    def _resizes(self, there: OnlineDeployment, wanted: Wanted) -> bool:
        scaled = self.online.scaled(wanted.name, there.name)
        if scaled is None and wanted.machines.scaled is None:
            return there.instances != wanted.machines.least
        return scaled != wanted.machines.scaled

    def _check_room(self, seen: Seen | None, wanted: Wanted) -> None:
        """What stops a deploy, found before anything is made: the network, and the quota."""
        _ = self.storehouse
        there = seen.deployments.get(wanted.deployment) if seen else None
        machinery.require_quota(self.arm, wanted.machines, there.instances if there else 0)

    def _carry_out(self, seen: Seen | None, wanted: Wanted) -> DeploymentRecord:
        name, deployment = wanted.name, wanted.deployment
        if wanted.image is not None:
            publish.keep(wanted.image)
        assets = self.storehouse.ensure(wanted.folder, wanted.folder_hash, wanted.image)
        if seen is None:
            self.say(f"making the endpoint {name}")
        endpoint = seen.endpoint if seen else self._waiting_out(lambda: self.online.make(name, wanted.auth))
        try:
            self._make(
                wanted, endpoint, machinery.body(self.arm, wanted.folder, wanted.folder_hash, assets, wanted.machines)
            )
            there = self.online.deployments(name)[deployment]
            if deployment not in (endpoint.order or ()):
                self._smoke(endpoint, there, wanted.folder.path)
        except RunFailed:
            self._give_up(wanted, endpoint)
            raise
        return self._shift(name, deployment, wanted.traffic)

    def _make(self, wanted: Wanted, endpoint: OnlineEndpoint, body: dict[str, object]) -> None:
        """The deployment as it shall be, waited for. Raises RunFailed when Azure makes it and it does not come up."""
        name, deployment = wanted.name, wanted.deployment
        there = self.online.settled(name, deployment, wanted.seconds)
        if there is not None and there.state != "Succeeded":
            if deployment not in endpoint.traffic:
                self.say(f"removing what is left of {deployment}, which did not come up")
                self._waiting_out(lambda: self.online.remove_deployment(name, deployment))
            there = None
        try:
            if there is None:
                self.say(f"making {deployment} beside what runs, {wanted.machines}; this takes minutes")
                self._waiting_out(lambda: self.online.deploy(name, deployment, body, wanted.seconds))
            elif self._resizes(there, wanted):
                self.say(f"letting {deployment} have {wanted.machines}")
                resized = machinery.resized(dict(there.document), wanted.machines.least)
                self._waiting_out(lambda: self.online.deploy(name, deployment, resized, wanted.seconds))
        except OutsideError as error:
            left = None
            with contextlib.suppress(ForestayError):
                left = self.online.deployments(name).get(deployment)
            if left is None or left.state not in ("Failed", "Canceled"):
                raise
            problem = error.problems[0]
            raise RunFailed(problem.message, where=problem.where, fix=problem.fix) from error
        if wanted.machines.scaled:
            self.online.scale(name, deployment, *wanted.machines.scaled)
        elif there is not None:
            self.online.unscale(name, deployment)

    def _give_up(self, wanted: Wanted, endpoint: OnlineEndpoint) -> None:
        """Show why a deployment failed and remove it; with it the endpoint, where it was to be the first."""
        name, deployment = wanted.name, wanted.deployment
        if deployment in (endpoint.order or ()):  # callers may reach it: it passed once
            return
        with contextlib.suppress(ForestayError):
            for line in self.online.logs(name, deployment, SHOWN_LOG_LINES):
                self.say(f"  log | {visible(line)}")
        self.say(f"removing {deployment}; " + ("what was served goes on" if endpoint.order else f"{name} as well"))
        try:
            if endpoint.order or len(self.online.deployments(name)) > 1:
                self._waiting_out(lambda: self.online.remove_deployment(name, deployment))
            else:
                self._waiting_out(lambda: self.online.remove(name))
        except ForestayError as error:  # only said, since another one is on its way up
            self.say(f"it can't be removed: {error}; forestay endpoint prune {name} --env {self.env}")

    def _smoke(self, endpoint: OnlineEndpoint, there: OnlineDeployment, folder: Path) -> None:
        """Golden rows, to one deployment alone. Raises RunFailed."""
        require_good(there)
        self.say(f"smoke test of {there.name} with golden rows")
        caller = Caller(self.arm, self.online, endpoint)
        form, rows = smoke.golden_rows(folder)
        found = checks.golden_by(lambda sent: caller.ask(json.dumps(sent).encode(), there.name), form, rows)
        if not found.passed:
            fix = "see what its server wrote, above" if there.name not in (endpoint.order or ()) else "see its log"
            raise RunFailed(f"the smoke test failed: {found.detail}", where=there.name, fix=fix)

    def _shift(self, name: str, deployment: str, percent: int) -> DeploymentRecord:
        """Let a deployment that passed have so much of the traffic, and be the one that was served last."""

        def change(endpoint: OnlineEndpoint) -> Change:
            traffic = shared(endpoint.traffic, deployment, percent)
            mirror = {one: part for one, part in endpoint.mirror.items() if not traffic.get(one)}
            return traffic, mirror, ordered(endpoint.order or (), deployment, percent)

        self.say("traffic moves")
        return self._move(name, change)

    def _move(self, name: str, change: Callable[[OnlineEndpoint], Change]) -> DeploymentRecord:
        """Write what `change` makes of the endpoint as it is then; again where somebody else changes it just now."""

        def once() -> OnlineEndpoint:
            endpoint = self.online.find(name)
            if endpoint is None:
                raise InputError(f"the endpoint {name} was removed meanwhile", where="NAME", fix="deploy it again")
            traffic, mirror, order = change(endpoint)
            return self.online.move(endpoint, traffic, mirror, order)

        moved = self._waiting_out(once)
        return self._record(Seen(moved, self.online.deployments(name)))

    def _waiting_out(self, act: Callable[[], T]) -> T:
        """Do something to an endpoint once Azure has ended what somebody else began with it."""
        until, told = time.monotonic() + CONFLICT_SECONDS, False
        while True:
            try:
                return act()
            except Conflict as error:
                if not _BUSY.search(str(error)) or time.monotonic() > until:
                    raise
            if not told:
                self.say("waiting for what somebody else does with the endpoint")
                told = True
            time.sleep(POLL_SECONDS)

    # ---- what there is ----

    def _seen(self, name: str) -> Seen | None:
        endpoint = self.online.find(name)
        if endpoint is None:
            return None
        if endpoint.order is None:
            fix = "choose another name, or remove that one in the studio"
            raise InputError(f"there is an endpoint {name} that was made by other means", where="NAME", fix=fix)
        return Seen(endpoint, self.online.deployments(name))

    def _known(self, name: str) -> Seen:
        check_name(name)
        seen = self._seen(name)
        if seen is None:
            there = ", ".join(self.names())
            make = f"make it: forestay endpoint deploy {name} --model MODEL --target managed --env {self.env}"
            fix = f"there is {there}" if there else make
            raise InputError(f"no managed endpoint {name!r} in {self.env}", where="NAME", fix=fix)
        return seen

    def _current(self, seen: Seen) -> OnlineDeployment:
        if seen.current is None:
            name = seen.endpoint.name
            fix = f"deploy it again, or remove it: forestay endpoint delete {name} --env {self.env}"
            raise InputError(f"{name} has no deployment: its first deploy was interrupted", where="NAME", fix=fix)
        return seen.current

    def _folder(self, deployment: OnlineDeployment) -> Path:
        return self.storehouse.fetch(deployment.model, deployment.version, deployment.folder)

    def _record(self, seen: Seen) -> DeploymentRecord:
        endpoint, current = seen.endpoint, seen.current
        reached = [one.state for one in seen.deployments.values() if one.name in endpoint.traffic]
        good = all(state == "Succeeded" for state in (endpoint.state, *reached))
        return DeploymentRecord(
            name=endpoint.name,
            target=MANAGED,
            env=self.env,
            model=current.model if current else "",
            version=current.version if current else "",
            deployment=current.name if current else "",
            status=("Healthy" if good else "Unhealthy") if reached else "Stopped",
            scoring_uri=endpoint.scoring_uri,
            traffic={one: endpoint.traffic.get(one, 0) for one in seen.deployments},
            previous=seen.previous,
            auth=endpoint.auth,
            bills=machinery.bills([(one.size, one.instances) for one in seen.deployments.values()]),
        )

    def _lock(self, name: str) -> contextlib.AbstractContextManager[None]:
        guard = self.home / "endpoints" / f".{self.env}.{name}.guard"
        return project.lock(guard, f"endpoint {name}", DEPLOY_WAIT_SECONDS)
