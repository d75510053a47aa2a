"""A project whose services stack is brought up here: images go to a real registry, and what serves is a process.

`Monitor` stands where Pulumi's engine is not at hand: it runs the real program for the stack's outputs and does with
the services what the engine and Azure would, in the order in which they do it. tests.infra.test_services_engine does
the same with the engine.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from forestay.errors import RunFailed
from infra import operate, stackedit, upkeep
from infra.components.aks_pods import own_labels
from infra.engine_errors import Locked
from infra.operate import Outcome
from infra.plan.run import Declare, record
from infra.services import AUTH_VARIABLE, KEY_VARIABLES, NO_AUTH, Service, part_of, state_of
from infra.stackfile import Stack
from scoring.folder import open_folder
from scoring.targets import inspect
from scoring.targets.services import ServicesTarget
from scoring.targets.watchers import Condition
from tests import quick_builder, quick_server, served
from tests.conftest import ROOT
from tests.image_support import Registry, find
from tests.infra.providers.kubernetes import BALANCER, PODS
from tests.infra.providers.machines import ANSWERS, Machines, NotPulled

ENV, STACK = "test", "test-services"
BODY = json.dumps({"data": [{"a": 1}]}).encode()


@dataclass
class World:
    """A project, its registry and what runs.

    Attributes
    ----------
    images: a repository that worlds share: what one has published the next one finds. said: what the target told.
    """

    folder: Path
    registry: Registry
    machines: Machines
    images: str = ""
    said: list[str] = field(default_factory=list)

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def home(self) -> Path:
        return self.project / ".forestay"

    @property
    def store(self) -> Path:
        """The builder's."""
        return self.folder / "store"

    @property
    def repository(self) -> str:
        """Where images go: in a registry that others use, too, one of this world's own unless one is shared."""
        return (
            f"127.0.0.1:{self.registry.port}/{self.images or hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]}"
        )

    @property
    def file(self) -> Path:
        return self.project / "stacks" / f"Pulumi.{STACK}.yaml"

    def target(self, kind: str) -> ServicesTarget:
        return ServicesTarget(kind, ENV, self.home, self.said.append)

    def make(self, version: str, *more: str, home: Path | None = None) -> Path:
        """A proven folder of a version: `make("2", "broken")` is one with that file in it."""
        path = self.folder / "folders" / "-".join([version, *more])
        if path.is_dir():
            return path
        quick_server.scoring_folder(path, version, "Dockerfile", *more)
        (path / ANSWERS).write_text(json.dumps(quick_server.GOLDEN))  # an image has no golden.json
        served.keep_proof(open_folder(path), home or self.home)
        return path

    def front(self, name: str) -> None:
        """Put a traffic manager before a service that is there."""
        text = self.file.read_text()
        path = stackedit.service_path(name)
        text = stackedit.put(text, (*path, "public"), True)
        self.file.write_text(stackedit.put(text, (*path, "front"), "traffic_manager"))


@dataclass(frozen=True)
class Watching:
    """See scoring.targets.watchers.Watcher; looks at a process."""

    machines: Machines
    key: str

    def condition(self) -> Condition:
        found = self.machines.find(self.key)
        if found is None:
            return Condition(stopped=True)
        if not found["alive"]:
            return Condition(problem="the container ends again and again (exit code 1, 3 restarts)")
        return Condition()

    def logs(self, tail: int, *, timestamps: bool = False) -> list[str]:
        found = self.machines.find(self.key)
        time = "2026-01-31T10:00:00Z " if timestamps else ""
        return [f"{time}{line}" for line in (found["log"] if found else "").splitlines()][-tail:]

    def events(self) -> list[str]:
        found = self.machines.find(self.key)
        return [f"2026-01-31T10:00:00Z Started: {found['image']}"] if found else []

    def stop(self) -> None:
        self.machines.stop(self.key)

    def start(self) -> None: ...


def key_of(name: str, service: Service) -> str:
    """Under which a service's process runs."""
    if service.target == "aks":
        return f"{PODS}/{part_of(name, service)}"
    return f"aci/{name}/{state_of(service)}" if service.front != "none" else f"aci/{name}"


class Monitor:
    """The stack without an engine. What it holds lies in a file, for other processes.

    Attributes
    ----------
    fail: raised by the next `up`, after so many services have changed. locked: whether another run holds the stack.
    """

    def __init__(self, folder: Path, machines: Machines) -> None:
        self.path, self.machines = folder / "engine.json", machines
        self.fail: int | None = None
        self.locked = False
        self.ups = 0
        if not self.path.exists():
            self._write({"outputs": {}, "tags": {}, "keys": {}})

    def install(self, patch: pytest.MonkeyPatch) -> None:
        for name in ("ensure", "bring_up", "tag", "tags", "encrypted", "decrypted"):
            patch.setattr(upkeep, name, getattr(self, name))
        patch.setattr(operate, "outputs", lambda _: self._read()["outputs"])
        patch.setattr(
            inspect, "watcher", lambda _env, _settings, name, service: Watching(self.machines, key_of(name, service))
        )

    def ensure(self, stack: Stack) -> None: ...

    def tag(self, stack: Stack, name: str, value: str) -> None:
        self._write({**self._read(), "tags": {**self._read()["tags"], name: value}})

    def tags(self, stack: Stack) -> dict[str, str]:
        return dict(self._read()["tags"])

    def encrypted(self, stack: Stack, text: str, values: Mapping[Any, str]) -> tuple[dict[Any, Any], str]:
        return {path: {"secure": base64.b64encode(one.encode()).decode()} for path, one in values.items()}, text

    def decrypted(self, stack: Stack, path: Any) -> str:
        return _clear(stackedit.get(stackedit.read(stack.path), path))

    def bring_up(self, stack: Stack, declare: Declare, say: Callable[[str], None]) -> Outcome:
        if self.locked:
            raise Locked("the stack is locked by another run")
        self.ups += 1
        exported = record(stack, declare).exports
        text = stackedit.read(stack.path)
        urls, candidates, wanted, leading = {}, {}, {}, {}
        for name, service in stack.settings.services.items():
            candidate = service.as_candidate()
            keys = stackedit.get(text, stackedit.service_path(name)).get("keys") or {}
            variables = {KEY_VARIABLES[which]: _clear(one) for which, one in keys.items()}
            variables = variables or {AUTH_VARIABLE: NO_AUTH}
            for one in (candidate, service) if candidate else (service,):
                key = key_of(name, one)
                wanted[key] = (name, one, variables)
                if one.target == "aks":
                    key = f"{BALANCER}/{part_of(name, one) if one is candidate else name}"
                    leading[key] = (own_labels(name, one), one.port)
                url = f"http://{self.machines.address(key)}:{service.port}"
                (candidates if one is candidate else urls)[name] = url
        held = self._read()
        for key, (name, service, variables) in wanted.items():
            self._serve(key, name, service, variables)
        for key, (selector, port) in leading.items():
            self.machines.lead(key, selector, port)
        for path in (self.machines.folder / "running").glob("*.json"):
            key = json.loads(path.read_text())["key"]
            if key not in wanted and key not in leading:
                self.machines.stop(key)
        outputs = {"services": urls, "candidates": candidates, "deployed": exported["deployed"]}
        self._write({**held, "outputs": outputs})
        return Outcome(stack.name, "up", (), outputs)

    def _serve(self, key: str, name: str, service: Service, variables: Mapping[str, str]) -> None:
        made_of = f"{service.image} {service.cpu} {json.dumps(variables, sort_keys=True)}"
        note = self.machines.folder / "running" / f"{key.replace('/', '_')}.made"
        running = self.machines.find(key)
        if note.exists() and note.read_text() == made_of and running:
            return
        if self.fail is not None:
            self.fail -= 1
            if self.fail < 0:
                self.fail = None
                raise RunFailed("Pulumi failed: Code=InternalServerError")
        note.unlink(missing_ok=True)
        try:
            rolling, labels = service.target == "aks", own_labels(name, service)
            self.machines.serve(key, service.image, variables, service.port, rolling=rolling, labels=labels)
        except NotPulled as error:
            raise RunFailed(f"InaccessibleImage: {error}") from error
        except RuntimeError as error:
            raise RunFailed(f"Pulumi failed: {error}") from error
        note.write_text(made_of)

    def _read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path.read_text())
        return found

    def _write(self, content: dict[str, Any]) -> None:
        self.path.write_text(json.dumps(content))


def _clear(secret: Mapping[str, str]) -> str:
    return base64.b64decode(secret["secure"]).decode()


@contextmanager
def world(folder: Path, registry: Registry, patch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world in an empty folder; what runs in it is ended with it."""
    if find("docker-registry") is None:
        pytest.skip("no registry: apt-get install docker-registry")
    project = folder / "project"
    project.mkdir()
    shutil.copy(ROOT / "Pulumi.yaml", project)
    shutil.copytree(ROOT / "stacks", project / "stacks")
    (project / "infra").symlink_to(ROOT / "infra")
    (folder / "bin").mkdir()
    quick_builder.install(folder / "bin", folder / "store")
    found = World(folder, registry, Machines(folder / "machines"))
    patch.chdir(project)
    patch.setenv("FORESTAY_HOME", str(found.home))
    patch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")
    try:
        yield found
    finally:
        found.machines.stop_all()
