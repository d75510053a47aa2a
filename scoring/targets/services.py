"""Endpoints on ACI and AKS: entries of an environment's services stack, each an image that was proven before.

    proven folder -> image by digest, kept in the registry -> lines in stacks/Pulumi.ENV-services.yaml -> `up` of that
    stack alone -> healthy -> golden rows over HTTP -> the commit that was applied, as the stack's tag

The file in git is the record: what an endpoint serves, and what it served before. `.forestay/services/ENV/NAME/` keeps
the proven folders, for the golden rows of a rollback. A new version is tried beside the old one before callers are led
to it: on AKS in pods, on ACI behind a front in a group of its own. Without a front there is an outage, which is told.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from forestay import project
from forestay.errors import ForestayError, InputError, OutsideError, RunFailed
from infra import stackedit, stackgit, upkeep
from infra.services import SERVED, Earlier, Served, Service, states_of
from infra.stackfile import Stack
from scoring import openapi, proofs, server
from scoring.folder import open_folder
from scoring.images import publish
from scoring.images.registry import Registry, place_of
from scoring.requests import SAMPLE
from scoring.targets import (
    ACI,
    AKS,
    DeploymentRecord,
    DeployOptions,
    DeployPlan,
    Say,
    bills,
    check_name,
    entries,
    inspect,
    never_passed,
    nothing_before,
    smoke,
    watchers,
)
from scoring.targets import tail as tails
from scoring.targets.records import KEY_NAMES, KEYS, NO_AUTH, new_key
from scoring.targets.rollout import Rollout, Stage
from scoring.targets.trial import WAIT_SECONDS, Trial

DEFAULTS = DeployOptions()
LOCK_WAIT_SECONDS = 180.0
FOLLOW_SECONDS, FOLLOWED_LINES = 5.0, 1000
TAKEN = ("auth", "cpu", "memory_gb", "public", "registry", "apply", "commit", "wait_seconds")
LAST_REQUEST_LINES = 200


class ServicesTarget:
    """Endpoints of one kind, `aci` or `aks`, in one environment; see scoring.targets.Target."""

    def __init__(self, kind: str, env: str, home: Path, say: Say = lambda _: None) -> None:
        self.kind, self.env, self.home, self.say = kind, env, home, say
        self._outputs: dict[str, Any] | None = None

    @cached_property
    def rollout(self) -> Rollout:
        return Rollout(self.env, inspect.root_of(self.env), self.home, self.say)

    # ---- what changes something ----

    def deploy(self, name: str, folder: Path, options: DeployOptions = DEFAULTS) -> DeploymentRecord:
        stack, old = self._ready(name, options)
        proven, _ = proofs.require(self.home, folder)
        repository = inspect.repository(stack.settings, old, proven.model, options.registry)
        self._refuse_early(name, old, _unbuilt(repository, proven.model, proven.version), options)
        image = publish.publish(folder, repository, home=self.home, env=self.env, say=self.say)
        new = Served(image=image, model=proven.model, version=proven.version)
        with self._lock():
            if options.apply or _needs_keys(old, options):
                upkeep.ensure(stack)
            recovered = self.rollout.recover(name if options.apply else "")
            self._keep_folder(name, new, folder)
            return self._change(name, new, options, again=recovered)

    def plan(self, name: str, folder: Path, options: DeployOptions = DEFAULTS) -> DeployPlan:
        stack, old = self._ready(name, options)
        proven, _ = proofs.require(self.home, folder)
        repository = inspect.repository(stack.settings, old, proven.model, options.registry)
        found = self._published(folder, repository)
        new = _unbuilt(repository, proven.model, proven.version)
        if found:
            new = new.model_copy(update={"image": found})
        before = self.rollout.read()
        after = self._foreseen(name, old, before, new, options)
        lines = [] if found else [f"build an image and push it to {repository}"]
        outage = None
        if after != before:
            lines += inspect.file_changes(self.rollout.path, before, after)
            planned = self.rollout.planned(self.rollout.checked(after))
            lines += inspect.resource_changes(self.rollout.planned(stack), planned)
            outage = inspect.outage(planned, name) if old else None
        return DeployPlan(
            name, self.kind, self.env, new.model, new.version, entries.deployment_of(new),
            entries.deployment_of(old) if old else None, tuple(lines), outage,
        )  # fmt: skip

    def rollback(self, name: str, to: str | None = None) -> DeploymentRecord:
        with self._lock():
            self.rollout.drop_overtaken()
            first = self._known(name)
            if name in self.rollout.first_versions:
                raise nothing_before(name, f"{first.model} {first.version}", self.env)
            if self.rollout.interrupted == name:
                self.rollout.recover(back=self._trial(name).is_back)
                found = (self._deployed(fresh=True) or {}).get(name)
                if self.rollout.interrupted or found != self._known(name).state:
                    fix = f"when its cause is mended: forestay endpoint rollback {name} --env {self.env}"
                    raise RunFailed(f"{name} is not back to what it was; the warning says why", where=name, fix=fix)
                return replace(self.status(name), changed=True)
            self.rollout.recover()
            old = self._known(name)
            new = _earlier(name, old, to)
            host, path = place_of(new.image)
            if Registry(host, path).digest(new.image.partition("@")[2]) is None:
                raise InputError(
                    f"the registry has no {new.image} any more", where=name, fix="deploy that version again"
                )
            back = entries.options_back(old, new)
            return self._change(name, entries.served_of(new), back, kept=entries.kept_keys(old))

    def rotate_keys(self, name: str, which: str) -> dict[str, str]:
        with self._lock():
            self.rollout.recover()
            keys = {**self.keys(name), which: new_key()}
            stack, before = self.rollout.load(), self.rollout.read()
            self._announce(name, stack)
            self._refuse_others(name, stack)
            # With the lines of an older file, what it says of version, settings and the other key would come back.
            self.rollout.refuse_outdated(name, stack, self._deployed(), *stack.settings.services[name].state)
            entry = stackedit.service_path(name)
            path = (*entry, "keys", which)
            secret, text = upkeep.encrypted(stack, before, {path: keys[which]})
            text = stackedit.put(stackedit.put(text, path, secret[path]), (*entry, entries.KEYS_SINCE), entries.now())
            trial = self._trial(name)
            stage = Stage(text, trial.passed(key=keys[which]))
            self.rollout.carry_out(name, before, self._deployed(), [stage], trial.look, trial.is_back)
            upkeep.keep_commit(stack, self.say)
            return keys

    def stop(self, name: str) -> DeploymentRecord:
        with self._lock():
            watcher = self._watcher(name, self._known(name))
            changed = not watcher.condition().stopped
            watcher.stop()
            return replace(self.status(name), status="Stopped", bills=None, changed=changed)

    def start(self, name: str) -> DeploymentRecord:
        with self._lock():
            service = self._known(name)
            if service.inside(private=self.rollout.load().settings.network.private):
                self.rollout.recover()
                self._refuse_others("", self.rollout.load())  # its address may change, and `up` lets its front follow
            self._trial(name).start(service)
            self._outputs = None
            smoke.wait_healthy(self._url(name), WAIT_SECONDS, lambda: "")
            return replace(self.status(name), changed=True)

    def delete(self, name: str) -> None:
        with self._lock():
            self.rollout.drop_overtaken()
            first = name in self.rollout.first_versions
            self.rollout.recover()  # of a first version that never passed nothing is left then
            if first and self.rollout.interrupted:
                fix = f"when its cause is mended: forestay endpoint delete {name} --env {self.env}"
                raise RunFailed(f"{name} is not removed; the warning says why", where=name, fix=fix)
            stack, before = self.rollout.load(), self.rollout.read()
            if not first:
                self._known(name)
                self._refuse_others(name, stack)
                gone = Stage(stackedit.remove(before, stackedit.service_path(name)), lambda _: None)
                self.rollout.carry_out(name, before, self._deployed(), [gone], lambda _: None)
            upkeep.keep_commit(stack, self.say)
            shutil.rmtree(self._folder(name), ignore_errors=True)

    # ---- what only reads ----

    def names(self) -> list[str]:
        if not self.rollout.path.is_file():
            return []  # an environment of managed endpoints alone
        return sorted(name for name, service in self._services().items() if service.target == self.kind)

    def status(self, name: str) -> DeploymentRecord:
        service, outputs = self._known(name), self._there()
        if name in self.rollout.first_versions:
            self.say(f"warning: the first deploy of {name} was interrupted; {never_passed(name, self.env)}")
        elif self.rollout.interrupted == name:
            self.say(f"warning: a change of {name} was interrupted; deploy it again, or roll it back")
        url = str(outputs.get("services", {}).get(name, ""))
        lines: list[str] = []
        if outputs.get("deployed", {}).get(name) != service.state:
            status = "Pending"
        elif server.is_healthy(url):
            status = "Healthy"
        else:
            status = "Unhealthy"
        with contextlib.suppress(ForestayError):  # Azure itself may be out of reach
            watcher = self._watcher(name, service)
            if status == "Unhealthy" and watcher.condition().stopped:
                status = "Stopped"
            lines = watcher.logs(LAST_REQUEST_LINES, timestamps=True)
        return self._record(
            name, service, status, scoring_uri=f"{url}/score" if url else "", bills=bills.of(service, status),
            last_request=watchers.last_request(lines),
        )  # fmt: skip

    def assets(self, name: str) -> Path:
        service = self._known(name)
        found = self._kept(name, entries.served_of(service))
        return found or proofs.require_last(self.home, service.model, service.version)

    def sample(self, name: str) -> bytes:
        """That of the proven folder; where it was proven on another machine, what its own interface shows."""
        self._known(name)
        try:
            return (self.assets(name) / SAMPLE).read_bytes()
        except InputError:
            answer = self._ask(name, "GET", "/openapi.json")
            found = openapi.example(answer.body) if answer.status == 200 else None
            if found is None:
                raise
            return found

    def invoke(self, name: str, body: bytes) -> server.Answer:
        return self._ask(name, "POST", "/score", body)

    def _ask(self, name: str, method: str, path: str, body: bytes | None = None) -> server.Answer:
        headers = server.json_headers(self.keys(name)["primary"] if self._known(name).keys else "")
        return server.ask(self._url(name), method, path, body, headers=headers)

    def logs(self, name: str, tail: int, follow: bool) -> Iterator[str]:
        watcher = self._watcher(name, self._known(name))
        yield from tails.lines(watcher.logs, tail, follow=follow, pause_seconds=FOLLOW_SECONDS, most=FOLLOWED_LINES)

    def keys(self, name: str) -> dict[str, str]:
        if not self._known(name).keys:
            fix = f"let it: forestay endpoint deploy {name} --env {self.env} --auth keys with --model"
            raise InputError(f"{name} asks callers for no key", where="NAME", fix=fix)
        path = (*stackedit.service_path(name), "keys")
        return {which: upkeep.decrypted(self.rollout.load(), (*path, which)) for which in KEY_NAMES}

    # ---- one change ----

    def _change(
        self,
        name: str,
        new: Served,
        options: DeployOptions,
        *,
        again: bool = False,
        kept: Mapping[str, Any] = MappingProxyType({}),
    ) -> DeploymentRecord:
        """Serve `new`.

        Parameters
        ----------
        again: an interrupted change may have left the stack in between, so that all is done anew. kept: encrypted keys
            that are written where the entry lacks some; without any, new ones are made.
        """
        stack, before = self.rollout.load(), self.rollout.read()
        old = stack.settings.services.get(name)
        if options.apply:
            old, before = self._taken_over(name, stack, before, again=again)
        after = self._written(name, old, stack, before, new, options, kept)
        if after == self.rollout.read() and not again and self._serves(name, options):
            self.say(f"{name} serves this already; nothing changed")
            self._commit(name, new, options)
            if not options.apply:
                return self.status_of_file(name)
            if states_of(stack.settings.services) == self._deployed():
                upkeep.keep_commit(stack, self.say)
            return self.status(name)
        if not options.apply:
            stackedit.write(self.rollout.path, self.rollout.read(), after)
            self._commit(name, new, options)
            self.say(f"{self.rollout.path.name} says so; apply it: forestay infra up --env {self.rollout.name}")
            return replace(self.status_of_file(name), changed=True)
        self.rollout.refuse_others(name, stack, self._deployed())
        stages, trial = self._stages(name, old, before, after, new, options), self._trial(name)
        self._announce(name, stack, after)
        self.rollout.carry_out(name, before, self._deployed(), stages, trial.look, trial.is_back)
        self._commit(name, new, options)
        upkeep.keep_commit(stack, self.say)
        self._prune(name)
        self._outputs = None
        return replace(self.status(name), changed=True)

    def _foreseen(self, name: str, old: Service | None, before: str, new: Served, options: DeployOptions) -> str:
        """The text of the stack's file as a deploy would write it, were there keys already."""
        keys = {which: {"secure": "made by the deploy"} for which in KEY_NAMES} if _needs_keys(old, options) else {}
        return entries.put(before, name, entries.changes(old, self.kind, new, options, keys))

    def _refuse_early(self, name: str, old: Service | None, new: Served, options: DeployOptions) -> None:
        """Raises before an image is made what _change() would raise after it.

        While another change is under way, or one was interrupted, file and stack are between two states: what they
        say then is looked at under the lock alone.
        """
        text = self.rollout.read()
        self.rollout.planned(self.rollout.checked(self._foreseen(name, old, text, new, options)))
        if not options.apply or self.rollout.interrupted:
            return
        stack, there = self.rollout.checked(text), self._deployed(fresh=True)
        if not self.rollout.interrupted and self.rollout.read() == text:
            self.rollout.refuse_others(name, stack, there)
            self.rollout.refuse_outdated(name, stack, there, "settings")

    def _published(self, folder: Path, repository: str) -> str | None:
        """The image that the registry has of a folder's content, where that can be reached without a login."""
        try:
            return publish.find(folder, repository, home=self.home, say=self.say)
        except OutsideError as error:
            self.say(f"whether {repository} has the image already is not known: {error}")
            return None

    def _stages(
        self, name: str, old: Service | None, before: str, after: str, new: Served, options: DeployOptions
    ) -> list[Stage]:
        """Where the new state can stand beside the old one, it is tried there first."""
        trial = self._trial(name)
        last = Stage(after, trial.passed(new, options.wait_seconds))
        if old is None or not old.beside or old.image == new.image:
            return [last]
        text = entries.put(before, name, entries.as_candidate(new, options))
        self.rollout.checked(text)
        return [Stage(text, trial.passed(new, options.wait_seconds, candidate=True)), last]

    def _written(
        self,
        name: str,
        old: Service | None,
        stack: Stack,
        before: str,
        new: Served,
        options: DeployOptions,
        kept: Mapping[str, Any],
    ) -> str:
        """The text of the stack's file with the entry as it shall be, checked. Raises InputError."""
        needed = _needs_keys(old, options)
        keys, text = kept if needed else {}, before
        if needed and not kept:
            root = (*stackedit.service_path(name), "keys")
            given = {(*root, which): new_key() for which in KEY_NAMES}
            secret, text = upkeep.encrypted(stack, text, given)
            keys = {path[-1]: value for path, value in secret.items()}
        after = entries.put(text, name, entries.changes(old, self.kind, new, options, keys))
        self.rollout.planned(self.rollout.checked(after))
        return after

    def _taken_over(self, name: str, stack: Stack, before: str, *, again: bool) -> tuple[Service | None, str]:
        """The entry with what is deployed, where the file says something else: that is what to go back to."""
        self.rollout.warn_outdated(stack)
        old = stack.settings.services.get(name)
        found = self._deployed(fresh=True)
        there = (found or {}).get(name)
        if old is None or there is None or again:
            return old, before
        self.rollout.refuse_outdated(name, stack, found, "settings")
        if all(there[key] == old.state[key] for key in SERVED):
            return old, before
        self.rollout.refuse_others(name, stack, found)
        deployed = Served(**{key: there[key] for key in SERVED})
        self.say(
            f"warning: {entries.deployment_of(deployed)} is deployed and the file says {entries.deployment_of(old)}; "
            "somebody deployed since, or it was never applied: what is deployed is what a rollback returns to"
        )
        text = entries.put(before, name, entries.changes(old, self.kind, deployed, DEFAULTS, {}))
        stackedit.write(self.rollout.path, before, text)
        return self.rollout.load().settings.services[name], text

    def _serves(self, name: str, options: DeployOptions) -> bool:
        return not options.apply or self.status(name).status == "Healthy"

    def _refuse_others(self, name: str, stack: Stack) -> None:
        self.rollout.refuse_others(name, stack, self._deployed(fresh=True))

    def _announce(self, name: str, stack: Stack, after: str = "") -> None:
        """Say beforehand what callers will notice."""
        planned = self.rollout.planned(self.rollout.checked(after) if after else stack)
        outage = inspect.outage(planned, name) if name in stack.settings.services else None
        if outage:
            self.say(f"warning: {name}: {outage}")

    def _commit(self, name: str, new: Served, options: DeployOptions) -> None:
        if not options.commit or not (stackgit.head(self.rollout.path) or "").endswith(stackgit.UNCOMMITTED):
            return
        commit = stackgit.commit(self.rollout.path, f"Serve {new.model} {new.version} as {name} in {self.env}")
        self.say(f"committed as {commit[:12]}")

    # ---- records and places ----

    def status_of_file(self, name: str) -> DeploymentRecord:
        """The record of what the file says and nobody has applied: nothing is asked."""
        return self._record(name, self._known(name), "Pending")

    def _record(self, name: str, service: Service, status: str, **more: Any) -> DeploymentRecord:
        deployment = entries.deployment_of(service)
        return DeploymentRecord(
            name=name, target=self.kind, env=self.env, model=service.model, version=service.version,
            deployment=deployment, status=status, traffic={deployment: 100},
            previous=entries.deployment_of(service.earlier[0]) if service.earlier else None,
            auth=KEYS if service.keys else NO_AUTH, **{"scoring_uri": "", **more},
        )  # fmt: skip

    def _ready(self, name: str, options: DeployOptions) -> tuple[Stack, Service | None]:
        """The stack and the entry as it is. Raises InputError for what can't be deployed here."""
        check_name(name)
        options.only(self.kind, *TAKEN, *(() if self.kind == ACI else ("replicas",)))
        stack = self.rollout.load()
        old = stack.settings.services.get(name)
        if old is not None and old.target != self.kind:
            fix = f"deploy to {old.target}, choose another name, or delete it first"
            raise InputError(f"{name} is on {old.target}", where="--target", fix=fix)
        if old is None and self.kind == AKS and stack.settings.aks is None and not stack.settings.existing.aks:
            fix = f"write forestay:aks into {self.rollout.path.name} and the estate's, then forestay infra up"
            raise InputError(f"{self.env} has no cluster", where="--target", fix=fix)
        return stack, old

    def _known(self, name: str) -> Service:
        check_name(name)
        found = self._services().get(name)
        if found is None or found.target != self.kind:
            there = ", ".join(self.names())
            fix = f"there is {there}" if there else f"make it: forestay endpoint deploy {name} --target {self.kind}"
            raise InputError(f"no endpoint {name!r} on {self.kind} in {self.env}", where="NAME", fix=fix)
        return found

    def _services(self) -> dict[str, Service]:
        """What the file says; of a first deploy that was interrupted also what it would have been."""
        return {**self.rollout.first_versions, **self.rollout.load().settings.services}

    def _url(self, name: str) -> str:
        url = str(self._there().get("services", {}).get(name, ""))
        if not url:
            fix = f"apply it: forestay infra up --env {self.rollout.name}"
            raise InputError(f"{name} is in the stack's file and was never applied", where="NAME", fix=fix)
        return url

    def _there(self, *, fresh: bool = False) -> dict[str, Any]:
        """The stack's outputs: for reading they are asked once, for each change anew."""
        if fresh or self._outputs is None:
            self._outputs = self.rollout.outputs()
        return self._outputs

    def _deployed(self, *, fresh: bool = False) -> dict[str, Any] | None:
        """The state of each service; None where the stack does not tell."""
        return self._there(fresh=fresh).get("deployed")

    def _trial(self, name: str) -> Trial:
        def key() -> str:
            return self.keys(name)["primary"] if self._known(name).keys else ""

        return Trial(
            name, self.rollout, lambda served: self._kept(name, served), key, lambda one: self._watcher(name, one)
        )

    def _watcher(self, name: str, service: Service) -> watchers.Watcher:
        return inspect.watcher(self.env, self.rollout.load().settings, name, service)

    def _lock(self) -> contextlib.AbstractContextManager[None]:
        guard = self.home / "services" / f".{self.env}.guard"
        return project.lock(guard, f"the services stack of {self.env}", LOCK_WAIT_SECONDS)

    def _folder(self, name: str) -> Path:
        return self.home / "services" / self.env / name

    def _kept(self, name: str, served: Served) -> Path | None:
        """The proven folder of a deployment, where this machine has it."""
        kept = self._folder(name) / entries.deployment_of(served)
        if (kept / "forestay.json").is_file():
            return kept
        return proofs.last_proven(self.home, served.model, served.version)

    def _keep_folder(self, name: str, served: Served, folder: Path) -> None:
        target = self._folder(name) / entries.deployment_of(served)
        if not target.is_dir():
            with project.new_folder(target) as scratch:
                open_folder(folder.absolute()).copy_to(scratch)

    def _prune(self, name: str) -> None:
        service = self._known(name)
        kept = {entries.deployment_of(one) for one in (entries.served_of(service), *service.earlier)}
        for path in self._folder(name).glob("*"):
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)


def _unbuilt(repository: str, model: str, version: str) -> Served:
    """What a deploy would serve, under a digest that no image has."""
    return Served(image=f"{repository}@sha256:{'0' * 64}", model=model, version=version)


def _needs_keys(old: Service | None, options: DeployOptions) -> bool:
    wanted = options.auth or (NO_AUTH if old is not None and old.auth == "anonymous" else KEYS)
    return wanted == KEYS and (old is None or old.keys is None)


def _earlier(name: str, service: Service, to: str | None) -> Earlier:
    """What to go back to: the last, or the newest earlier one of this name or version. Raises InputError."""
    if not service.earlier:
        raise InputError(f"{name} has no earlier deployment", where="NAME", fix="deploy another version")
    for one in service.earlier:
        if to is None or to in (entries.deployment_of(one), one.version):
            return one
    kept = ", ".join(entries.deployment_of(one) for one in service.earlier)
    raise InputError(f"{name} keeps no earlier deployment {to}", where="--to", fix=f"choose one of {kept}")
