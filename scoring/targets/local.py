"""An endpoint on this machine: the real server in the background on 127.0.0.1, from the environment that was proven.

    .forestay/endpoints/NAME/endpoint.json     what shall be served
                             serving.json      what is, by which processes
                             keys-N.json       the keys that callers must show, where they must
                             deployments/ID/   the proven folder, copied
                             logs/ID.log       what the server of that deployment wrote
                             work/             empty, the server's current folder

Stages of a deployment: the proven folder is copied -> where one is served already, the new one is tried on a port of
its own with golden rows -> endpoint.json names it -> the supervisor, which holds the port, serves it instead -> golden
rows again, in its place. No request is lost on the way. A command that is killed before endpoint.json is written has
changed nothing; after that, the supervisor goes on alone, and the next command cleans up.
"""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from forestay import LOCAL, project
from forestay.errors import ForestayError, InputError, OutsideError, RunFailed
from scoring import engines, environment, proofs, server
from scoring.folder import ScoringFolder, open_folder
from scoring.generate import safe_name
from scoring.requests import SAMPLE
from scoring.targets import (
    DeploymentRecord,
    DeployOptions,
    DeployPlan,
    Say,
    check_name,
    launch,
    never_passed,
    nothing_before,
    records,
    smoke,
    supervision,
)
from scoring.targets.records import KEYS, NO_AUTH, Endpoint
from scoring.targets.supervision import State

DEFAULTS = DeployOptions()
TAKEN = ("port", "auth", "container")
FOLLOW_SECONDS = 0.3
DEPLOY_WAIT_SECONDS = 180.0  # for another deploy of the same endpoint
SHOWN_LOG_LINES = 15
KEPT_DEPLOYMENTS = 5
INSTALL = "install and start docker or podman, or leave --container out"


class LocalTarget:
    """Endpoints under one `.forestay` folder; see scoring.targets.Target. `say` is told of each stage."""

    def __init__(self, home: Path | None = None, say: Say = lambda _: None) -> None:
        self.home = home or project.home()
        self.say = say

    def deploy(self, name: str, folder: Path, options: DeployOptions = DEFAULTS) -> DeploymentRecord:
        check_name(name)
        options.only(LOCAL, *TAKEN)
        proven, folder_hash = proofs.require(self.home, folder)
        deployment = _deployment_name(proven, folder_hash)
        with self._lock(name, DEPLOY_WAIT_SECONDS):
            self._clean(name)
            state = self._read(name)
            if state is not None and _serves(state, deployment, options):
                self.say(f"{name} serves this already; nothing changed")
                return _record(state)
            if options.port is not None and (state is None or options.port != state.wanted.port):
                server.listen(options.port).close()  # before anything is written
            self._place(self._deployment(name, deployment), proven, folder_hash)
            return self._switch(name, state, deployment, options)

    def plan(self, name: str, folder: Path, options: DeployOptions = DEFAULTS) -> DeployPlan:
        check_name(name)
        options.only(LOCAL, *TAKEN)
        proven, folder_hash = proofs.require(self.home, folder)
        deployment, state = _deployment_name(proven, folder_hash), self._read(name)
        same = state is not None and _serves(state, deployment, options)
        old = state.wanted if state else None
        changes = [f"serve {deployment}" + (f" instead of {old.deployment}" if old else "")]
        if old and options.port not in (None, old.port):
            changes.append(f"move from port {old.port} to {options.port}")
        if options.container not in (None, bool(old and old.image)):
            changes.append(f"run {'a container of its image' if options.container else 'its environment'}")
        if options.auth not in (None, old.auth if old else NO_AUTH):
            changes.append("ask callers for a key" if options.auth == KEYS else "let callers in without a key")
        moved = old is not None and options.port not in (None, old.port)
        return DeployPlan(
            name, LOCAL, LOCAL, proven.model, proven.version, deployment, old.deployment if old else None,
            () if same else tuple(changes), "callers must ask another port" if moved else None,
        )  # fmt: skip

    def names(self) -> list[str]:
        folders = [path for path in (self.home / "endpoints").glob("[!.]*") if path.is_dir()]
        for folder in folders:
            self._clean_if_free(folder.name)
        return sorted(folder.name for folder in folders if (folder / records.WANTED).is_file())

    def status(self, name: str) -> DeploymentRecord:
        state = self._known(name)
        if not state.wanted.tested:
            with contextlib.suppress(OutsideError), self._lock(name, 0):  # held: a deploy is under way
                self.say(f"warning: {name} was not tested to the end; {never_passed(name, LOCAL)}")
        return _record(state)

    def assets(self, name: str) -> Path:
        folder = self._deployment(name, self._known(name).wanted.deployment)
        if not (folder / "forestay.json").is_file():
            raise InputError("the deployed folder is gone", where=str(folder), fix=f"deploy {name} again")
        return folder

    def sample(self, name: str) -> bytes:
        return (self.assets(name) / SAMPLE).read_bytes()

    def invoke(self, name: str, body: bytes) -> server.Answer:
        state = self._known(name)
        wanted = state.wanted
        if not (state.supervised or state.runs):
            raise OutsideError(f"{name} is stopped", where=wanted.url, fix=f"forestay endpoint start {name}")
        key = self._key(wanted)
        return server.ask(wanted.url, "POST", "/score", body, headers=server.json_headers(key))

    def logs(self, name: str, tail: int, follow: bool) -> Iterator[str]:
        path = self._log(name, self._known(name).wanted.deployment)
        path.touch()
        with path.open(encoding="utf-8", errors="replace") as stream:
            lines = stream.read().splitlines()
            yield from lines[-tail:] if tail else []
            while follow:
                line = stream.readline()
                if line:
                    yield line.rstrip("\n")
                    continue
                if path.stat().st_size < stream.tell():  # it was put aside, and begins anew
                    stream.seek(0)
                time.sleep(FOLLOW_SECONDS)

    def rollback(self, name: str, to: str | None = None) -> DeploymentRecord:
        with self._lock(name, DEPLOY_WAIT_SECONDS):
            state = self._known(name, locked=True)
            if state.wanted.previous is None and not state.wanted.tested:
                raise nothing_before(name, f"{state.wanted.model} {state.wanted.version}", LOCAL)
            if state.wanted.previous is None:
                raise InputError(f"{name} has no earlier deployment", where="NAME", fix="deploy another version")
            chosen = state.wanted.previous if to is None else self._earlier(state.wanted, to)
            proofs.require(self.home, self._deployment(name, chosen))
            return self._switch(name, state, chosen, DEFAULTS)

    def keys(self, name: str) -> dict[str, str]:
        return self._with_keys(self._known(name).wanted)

    def rotate_keys(self, name: str, which: str) -> dict[str, str]:
        with self._lock(name, DEPLOY_WAIT_SECONDS):
            state = self._known(name, locked=True)
            keys = {**self._with_keys(state.wanted), which: records.new_key()}
            revision = state.next_revision
            written = records.write_keys(self._folder(name), revision, keys)
            self._follow(state, replace(state.wanted, revision=revision, keys=written, tested=False))
            return keys

    def stop(self, name: str) -> DeploymentRecord:
        with self._lock(name, DEPLOY_WAIT_SECONDS):
            state = self._known(name, locked=True)
            supervision.stop(state)
            return replace(_record(self._known(name, locked=True)), changed=state.supervised or state.runs)

    def start(self, name: str) -> DeploymentRecord:
        with self._lock(name, DEPLOY_WAIT_SECONDS):
            state = self._known(name, locked=True)
            if state.supervised and state.status == "Healthy":
                return _record(state)
            wanted = replace(state.wanted, revision=state.next_revision, tested=False)
            return replace(_record(self._follow(state, wanted)), changed=True)

    def delete(self, name: str) -> None:
        with self._lock(name, DEPLOY_WAIT_SECONDS):
            supervision.stop(self._known(name, locked=True))
            gone = self._folder(name).with_name(f".{name}.deleted-{uuid.uuid4().hex[:8]}")
            self._folder(name).rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    # ---- from what is served to what shall be ----

    def _place(self, target: Path, proven: ScoringFolder, folder_hash: str) -> None:
        """Copy the proven folder under the endpoint, unless it is there already just as proven."""
        with contextlib.suppress(ForestayError):
            if open_folder(target).hash() == folder_hash:
                return
        self.say("copying the proven folder")
        with project.new_folder(target) as scratch:
            proven.copy_to(scratch)
            if open_folder(scratch).hash() != folder_hash:
                fix = f"prove it again: forestay score verify {proven.path}"
                raise RunFailed("the folder changed while it was copied", where=str(proven.path), fix=fix)

    def _switch(self, name: str, state: State | None, deployment: str, options: DeployOptions) -> DeploymentRecord:
        """Serve `deployment` instead of what is served; when it fails, what was served goes on."""
        folder, old, port = self._folder(name), state.wanted if state else None, options.port
        opened = open_folder(self._deployment(name, deployment))
        contained = bool(old and old.image) if options.container is None else options.container
        engine, image = self._image(opened) if contained else ("", "")
        python = "" if contained else self._python(opened)
        project.ensure_folder(folder / "work")
        project.ensure_folder(folder / "logs")
        earlier = [] if old is None else [one for one in (old.deployment, *old.earlier) if one != deployment]
        revision = state.next_revision if state else 1
        auth = options.auth or (old.auth if old else NO_AUTH)
        wanted = Endpoint(
            name=name, revision=revision, model=opened.model, version=opened.version, deployment=deployment,
            earlier=tuple(earlier[: KEPT_DEPLOYMENTS - 1]), port=port or (old.port if old else server.free_port()),
            python=python, auth=auth, keys=self._keys_for(folder, old, auth, revision), engine=engine, image=image,
        )  # fmt: skip
        if state is not None and state.runs:
            self.say("trying the new deployment beside the one that runs")
            self._try(wanted)
        followed = self._follow(state, wanted)
        return replace(_record(followed), changed=True)

    def _python(self, folder: ScoringFolder) -> str:
        """The interpreter of a folder's environment."""
        pins = environment.read_pins((folder.path / "conda_env.yaml").read_text(encoding="utf-8"), str(folder.path))
        lock = (folder.path / "requirements.lock").read_text(encoding="utf-8")
        return str(environment.ensure(lock, pins.python, self.home, self.say).python)

    def _image(self, folder: ScoringFolder) -> tuple[str, str]:
        """A container engine's program, and the id of the folder's image, built where it has none of its content."""
        from scoring.images import build, builders

        name, program = engines.first_running(launch.ENGINES, "container engine", INSTALL)
        tag = f"forestay-endpoint:{safe_name(folder.model).lower()}-{folder.version}"
        builder = builders.Builder(name, program)
        made, _ = build.build(folder.path, tag, builder=builder, home=self.home, say=self.say)
        return program, made.digest

    def _keys_for(self, folder: Path, old: Endpoint | None, auth: str, revision: int) -> str:
        """The file of the keys to ask for: the endpoint's own where it has some, else new ones."""
        if auth == NO_AUTH or (old is not None and old.keys):
            return old.keys if old is not None and auth == KEYS else ""
        project.ensure_folder(folder)
        return records.write_keys(folder, revision, {name: records.new_key() for name in records.KEY_NAMES})

    def _try(self, wanted: Endpoint) -> None:
        """Start a server of a deployment that ends with us, and replay the golden rows. Raises RunFailed."""
        folder, log = self._folder(wanted.name), self._log(wanted.name, wanted.deployment)
        running, _ = launch.start(folder, wanted)
        try:
            server.wait_healthy(running)
            self._smoke(wanted, running.url)
        except RunFailed:
            self._show_log(log)
            raise
        finally:
            running.stop()

    def _smoke(self, wanted: Endpoint, url: str) -> None:
        self.say("smoke test with golden rows")
        folder = self._deployment(wanted.name, wanted.deployment)
        log = str(self._log(wanted.name, wanted.deployment))
        smoke.require_golden(url, folder, log, self._key(wanted))

    def _follow(self, state: State | None, wanted: Endpoint) -> State:
        """Let the supervisor serve `wanted`, and test it in its place; when that fails, what was served is back."""
        folder = self._folder(wanted.name)
        ran = state is not None and (state.supervised or state.runs)
        try:
            if state is not None and state.wanted.port != wanted.port:
                supervision.stop(state)
            records.write_wanted(folder, wanted)
            serving = supervision.serve(folder, wanted, self.say)
            self._smoke(wanted, f"http://{server.HOST}:{serving.private_port}")
            wanted = replace(wanted, tested=True)
            records.write_wanted(folder, wanted)
        except BaseException as error:
            if isinstance(error, RunFailed):
                self._show_log(self._log(wanted.name, wanted.deployment))
            self._go_back(state, ran, wanted)
            raise
        self._prune(wanted)
        return State(wanted, records.read_serving(folder))

    def _go_back(self, state: State | None, ran: bool, failed: Endpoint) -> None:
        """What was served before is what shall be served; without anything before, the endpoint is gone."""
        folder, now = self._folder(failed.name), self._read(failed.name)
        if now is not None and (state is None or not ran or state.wanted.port != failed.port):
            supervision.stop(now)
        if state is None:
            (folder / records.WANTED).unlink(missing_ok=True)
            (folder / records.SERVED).unlink(missing_ok=True)
            return
        serving = records.read_serving(folder)
        never_left = serving is not None and serving.revision == state.wanted.revision
        old = state.wanted if never_left else replace(state.wanted, revision=failed.revision + 1)
        records.write_wanted(folder, old)
        if not ran:
            return
        self.say(f"{old.deployment} goes on")
        try:
            supervision.serve(folder, old, self.say)
        except ForestayError as error:  # only said, since another one is on its way up
            self.say(f"it does not start: {error}; deploy it again")

    def _prune(self, kept: Endpoint) -> None:
        """Remove the copies and logs of deployments that no rollback returns to, and keys that were replaced."""
        folder = self._folder(kept.name)
        for path in (folder / "deployments").iterdir():
            if path.name not in (kept.deployment, *kept.earlier):
                shutil.rmtree(path, ignore_errors=True)
                for log in (folder / "logs").glob(f"{path.name}.log*"):
                    log.unlink(missing_ok=True)
        for path in folder.glob("keys-*.json"):
            if path.name != kept.keys:
                path.unlink(missing_ok=True)

    # ---- what a killed command left ----

    def _clean(self, name: str) -> None:
        """Undo what an interrupted deploy or delete left, and say so. Needs the endpoint's lock."""
        folder = self._folder(name)
        for left in [*(folder / "deployments").glob(".*"), *folder.parent.glob(f".{name}.deleted-*")]:
            self.say(f"removing what an interrupted command left of {name}")
            shutil.rmtree(left, ignore_errors=True)
        state = self._read(name)
        if state is None or state.serving is None or state.serving.failed != state.wanted.revision:
            return
        served = state.serving.endpoint
        if served is None or not state.supervised:
            return
        self.say(f"a deploy of {name} was interrupted and could not be served; {served.deployment} goes on")
        records.write_wanted(folder, served)

    def _clean_if_free(self, name: str) -> None:
        """The same before a command that only reads; skipped while another command works on the endpoint."""
        with contextlib.suppress(OutsideError), self._lock(name, 0):
            self._clean(name)

    # ---- records and places ----

    def _known(self, name: str, locked: bool = False) -> State:
        check_name(name)
        if locked:
            self._clean(name)
        elif self._folder(name).is_dir():
            self._clean_if_free(name)
        found = self._read(name)
        if found is None:
            there, make = ", ".join(self.names()), f"forestay endpoint deploy {name} --model MODEL"
            if any((self._folder(name) / "deployments").glob("*")):
                told = f"no endpoint {name!r} on this machine: its first deploy ended before anything was served"
                raise InputError(told, where="NAME", fix=f"deploy it again: {make}")
            fix = f"there is {there}" if there else f"make it: {make}"
            raise InputError(f"no endpoint {name!r} on this machine", where="NAME", fix=fix)
        return found

    def _read(self, name: str) -> State | None:
        return supervision.read(self._folder(name))

    def _earlier(self, wanted: Endpoint, to: str) -> str:
        """The newest earlier deployment of this name, or of this version of a model."""
        for deployment in wanted.earlier:
            version = open_folder(self._deployment(wanted.name, deployment)).version
            if to in (deployment, version):
                return deployment
        raise InputError(
            f"{wanted.name} keeps no earlier deployment {to}",
            where="--to",
            fix=f"choose one of {', '.join(wanted.earlier)}",
        )

    def _with_keys(self, wanted: Endpoint) -> dict[str, str]:
        if wanted.auth != KEYS:
            fix = f"let it: forestay endpoint deploy {wanted.name} --model {wanted.model} --auth keys"
            raise InputError(f"{wanted.name} asks callers for no key", where="NAME", fix=fix)
        return records.read_keys(self._folder(wanted.name), wanted)

    def _key(self, wanted: Endpoint) -> str:
        return records.read_keys(self._folder(wanted.name), wanted).get("primary", "")

    def _lock(
        self, name: str, wait_seconds: float = project.LOCK_WAIT_SECONDS
    ) -> contextlib.AbstractContextManager[None]:
        return project.lock(self.home / "endpoints" / f".{name}.guard", f"endpoint {name}", wait_seconds)

    def _folder(self, name: str) -> Path:
        return self.home / "endpoints" / name

    def _deployment(self, name: str, deployment: str) -> Path:
        return self._folder(name) / "deployments" / deployment

    def _log(self, name: str, deployment: str) -> Path:
        return records.log_path(self._folder(name), deployment)

    def _show_log(self, log: Path) -> None:
        for line in server.log_tail(log, SHOWN_LOG_LINES).splitlines():
            self.say(f"  log | {line}")


def _deployment_name(proven: ScoringFolder, folder_hash: str) -> str:
    return f"{safe_name(proven.model)}-{proven.version}-{folder_hash[:8]}"


def _serves(state: State, deployment: str, options: DeployOptions) -> bool:
    """Whether all is as a deploy of this would leave it."""
    wanted = state.wanted
    same = (
        wanted.deployment == deployment
        and options.port in (None, wanted.port)
        and options.auth in (None, wanted.auth)
        and options.container in (None, bool(wanted.image))
    )
    followed = state.serving is not None and state.serving.revision == wanted.revision
    return same and wanted.tested and followed and state.supervised and state.status == "Healthy"


def _record(state: State) -> DeploymentRecord:
    wanted = state.wanted
    return DeploymentRecord(
        name=wanted.name,
        target=LOCAL,
        env=LOCAL,
        model=wanted.model,
        version=wanted.version,
        deployment=wanted.deployment,
        status=state.status,
        scoring_uri=f"{wanted.url}/score",
        traffic={wanted.deployment: 100},
        previous=wanted.previous,
        auth=wanted.auth,
    )
