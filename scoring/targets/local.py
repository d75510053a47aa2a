"""An endpoint on this machine: the real server in the background on 127.0.0.1, from the environment that was proven.

    .forestay/endpoints/NAME/endpoint.json     what is served, where, by which process
                             starting.json     only while a deployment is under way: what to clean when it is killed
                             deployments/ID/   the proven folder, copied
                             logs/ID.log       what the server of that deployment wrote
                             work/             empty, the server's current folder

A deployment that replaces a running one is first tried on another port, so a bad one never stops a good one.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from forestay import project
from forestay.errors import ForestayError, InputError, OutsideError, RunFailed
from scoring import checks, environment, proofs, server, styles
from scoring.folder import ScoringFolder, open_folder
from scoring.generate import safe_name
from scoring.schema import read_golden, read_schema
from scoring.targets import DeploymentRecord, background, check_name

Say = Callable[[str], None]

FOLLOW_SECONDS = 0.3
SHOWN_LOG_LINES = 15


@dataclass(frozen=True)
class Endpoint:
    """endpoint.json. `pid`, `created` (seconds since 1970) and `tag` tell the server's process from any other."""

    name: str
    model: str
    version: str
    deployment: str
    previous: str | None
    port: int
    pid: int
    created: float
    tag: str

    @property
    def url(self) -> str:
        return f"http://{server.HOST}:{self.port}"

    @property
    def process(self) -> psutil.Process | None:
        return background.find(self.pid, self.created, self.tag)


class LocalTarget:
    """Endpoints under one `.forestay` folder; see scoring.targets.Target. `say` is told of each stage."""

    def __init__(self, home: Path | None = None, say: Say = lambda _: None) -> None:
        self.home = home or project.home()
        self.say = say

    def deploy(self, name: str, folder: Path, *, port: int | None = None) -> DeploymentRecord:
        check_name(name)
        proven, folder_hash = proofs.require(self.home, folder)
        deployment = f"{safe_name(proven.model)}-{proven.version}-{folder_hash[:8]}"
        with self._lock(name):
            self._clean(name)
            old = self._read(name)
            if old and old.deployment == deployment and port in (None, old.port) and _state(old) == "Healthy":
                self.say(f"{name} serves this already; nothing changed")
                return _record(old)
            self._place(self._deployment(name, deployment), proven, folder_hash)
            return self._switch(name, old, deployment, port)

    def names(self) -> list[str]:
        folders = [path for path in (self.home / "endpoints").glob("[!.]*") if path.is_dir()]
        for folder in folders:
            self._clean_if_free(folder.name)
        return sorted(folder.name for folder in folders if (folder / "endpoint.json").is_file())

    def status(self, name: str) -> DeploymentRecord:
        return _record(self._known(name))

    def assets(self, name: str) -> Path:
        folder = self._deployment(name, self._known(name).deployment)
        if not (folder / "forestay.json").is_file():
            raise InputError("the deployed folder is gone", where=str(folder), fix=f"deploy {name} again")
        return folder

    def invoke(self, name: str, body: bytes) -> server.Answer:
        known = self._known(name)
        if known.process is None:
            fix = f"start it again: forestay endpoint deploy {name} --model {known.model}:{known.version}"
            raise OutsideError(f"{name} is stopped", where=known.url, fix=fix)
        return server.ask(known.url, "POST", "/score", body, headers={"Content-Type": "application/json"})

    def logs(self, name: str, tail: int, follow: bool) -> Iterator[str]:
        path = self._log(name, self._known(name).deployment)
        path.touch()
        with path.open(encoding="utf-8", errors="replace") as stream:
            lines = stream.read().splitlines()
            yield from lines[-tail:] if tail else []
            while follow:
                line = stream.readline()
                if line:
                    yield line.rstrip("\n")
                else:
                    time.sleep(FOLLOW_SECONDS)

    def rollback(self, name: str) -> DeploymentRecord:
        with self._lock(name):
            self._clean(name)
            old = self._known(name)
            if old.previous is None:
                raise InputError(f"{name} has no earlier deployment", where="NAME", fix="deploy another version")
            proofs.require(self.home, self._deployment(name, old.previous))
            return self._switch(name, old, old.previous, None)

    def delete(self, name: str) -> None:
        with self._lock(name):
            self._clean(name)
            known = self._known(name)
            if known.process is not None:
                background.end(known.process)
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

    def _switch(self, name: str, old: Endpoint | None, deployment: str, port: int | None) -> DeploymentRecord:
        """Serve `deployment` instead of what is served; when it fails, what was served is served again."""
        running = old.process if old else None
        tag = f"forestay:{name}:{uuid.uuid4().hex}"
        attempt = self._folder(name) / "starting.json"
        project.write_json(attempt, {"deployment": deployment, "tag": tag})
        try:
            if old and running:
                if port not in (None, old.port):
                    server.listen(port or 0).close()
                self.say("trying the new deployment beside the one that runs")
                tried = self._start(name, deployment, 0, tag, detached=False)
                tried.stop()
                background.end(running)
            self.say("starting the server")
            made = self._start(name, deployment, port or (old.port if old else 0), tag, detached=True)
            previous = None if old is None else old.previous if old.deployment == deployment else old.deployment
            record = self._write(name, deployment, previous, made, tag)
        except BaseException:
            if old and running and not running.is_running():
                self._restart(old, tag)
            raise
        finally:
            attempt.unlink(missing_ok=True)
        self._prune(record)
        return replace(_record(record), changed=True)

    def _restart(self, old: Endpoint, tag: str) -> None:
        """Serve again what was served before; a failure is only said, since another one is on its way up."""
        self.say(f"starting {old.deployment} again")
        try:
            made = self._start(old.name, old.deployment, old.port, tag, detached=True)
            self._write(old.name, old.deployment, old.previous, made, tag)
        except ForestayError as error:
            self.say(f"it does not start: {error}; deploy it again")

    def _start(self, name: str, deployment: str, port: int, tag: str, *, detached: bool) -> server.Server:
        """A server of a deployment that passed its smoke test; one that does not is stopped, and RunFailed raised."""
        folder = self._deployment(name, deployment)
        pins = environment.read_pins((folder / "conda_env.yaml").read_text(encoding="utf-8"), str(folder))
        lock = (folder / "requirements.lock").read_text(encoding="utf-8")
        made = environment.ensure(lock, pins.python, self.home, self.say)
        log = self._log(name, deployment)
        work = project.ensure_folder(self._folder(name) / "work")
        project.ensure_folder(log.parent)
        bound = server.listen(port)
        running = server.start(made.python, folder, bound, log=log, work=work, tag=tag, detached=detached)
        try:
            server.wait_healthy(running)
            self.say("smoke test with golden rows")
            style = styles.of(open_folder(folder).style, read_schema(folder / "model"))
            smoke = checks.golden(running.url, style.forms[0], styles.golden(style, read_golden(folder)))
            if not smoke.passed:
                raise RunFailed(f"the smoke test failed: {smoke.detail}", where=str(log), fix="read the log")
        except RunFailed:
            for line in server.log_tail(log, SHOWN_LOG_LINES).splitlines():
                self.say(f"  log | {line}")
            running.stop()
            raise
        except BaseException:
            running.stop()
            raise
        return running

    def _write(self, name: str, deployment: str, previous: str | None, made: server.Server, tag: str) -> Endpoint:
        """Record what is served now; a server that can't be recorded is stopped."""
        try:
            folder = open_folder(self._deployment(name, deployment))
            created = psutil.Process(made.process.pid).create_time()
            record = Endpoint(
                name, folder.model, folder.version, deployment, previous, made.port, made.process.pid, created, tag
            )
            project.write_json(self._folder(name) / "endpoint.json", asdict(record))
        except BaseException:
            made.stop()
            raise
        return record

    def _prune(self, record: Endpoint) -> None:
        """Remove the copies and logs of deployments that no rollback returns to."""
        kept = {record.deployment, record.previous}
        for path in (self._folder(record.name) / "deployments").iterdir():
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)
                self._log(record.name, path.name).unlink(missing_ok=True)

    # ---- what a killed command left ----

    def _clean(self, name: str) -> None:
        """Undo what an interrupted deploy or delete left, and say so. Needs the endpoint's lock."""
        folder = self._folder(name)
        attempt = folder / "starting.json"
        if attempt.is_file():
            tag = str(json.loads(attempt.read_bytes())["tag"])
            known = self._read(name)
            if known is None or known.tag != tag:
                self.say(f"a deploy of {name} was interrupted; cleaning up what it left")
                killed = background.kill_tagged(tag)
                if killed:
                    self.say(f"its server was stopped (process {killed[0]})")
            attempt.unlink()
        for left in [*(folder / "deployments").glob(".*"), *folder.parent.glob(f".{name}.deleted-*")]:
            self.say(f"removing what an interrupted command left of {name}")
            shutil.rmtree(left, ignore_errors=True)

    def _clean_if_free(self, name: str) -> None:
        """The same before a command that only reads; skipped while another command works on the endpoint."""
        if (self._folder(name) / "starting.json").is_file():
            with contextlib.suppress(OutsideError), self._lock(name, wait_seconds=0):
                self._clean(name)

    # ---- records and places ----

    def _known(self, name: str) -> Endpoint:
        check_name(name)
        self._clean_if_free(name)
        found = self._read(name)
        if found is None:
            there = ", ".join(self.names())
            fix = f"there is {there}" if there else f"make it: forestay endpoint deploy {name} --model MODEL"
            raise InputError(f"no endpoint {name!r} on this machine", where="NAME", fix=fix)
        return found

    def _read(self, name: str) -> Endpoint | None:
        path = self._folder(name) / "endpoint.json"
        try:
            return Endpoint(**json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                "not an endpoint's record", where=str(path), fix=f"remove {path.parent} and deploy again"
            ) from error

    def _lock(
        self, name: str, wait_seconds: float = project.LOCK_WAIT_SECONDS
    ) -> contextlib.AbstractContextManager[None]:
        return project.lock(self.home / "endpoints" / f".{name}.guard", f"endpoint {name}", wait_seconds)

    def _folder(self, name: str) -> Path:
        return self.home / "endpoints" / name

    def _deployment(self, name: str, deployment: str) -> Path:
        return self._folder(name) / "deployments" / deployment

    def _log(self, name: str, deployment: str) -> Path:
        return self._folder(name) / "logs" / f"{deployment}.log"


def _state(known: Endpoint) -> str:
    if known.process is None:
        return "Stopped"
    return "Healthy" if server.is_healthy(known.url) else "Unhealthy"


def _record(known: Endpoint) -> DeploymentRecord:
    return DeploymentRecord(
        name=known.name,
        target="local",
        env="local",
        model=known.model,
        version=known.version,
        deployment=known.deployment,
        status=_state(known),
        scoring_uri=f"{known.url}/score",
        traffic={known.deployment: 100},
        previous=known.previous,
    )
