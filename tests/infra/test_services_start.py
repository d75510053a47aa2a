"""A container group that was stopped is started; in a network it has another address then, to which callers are led."""
# ruff: noqa: F811 - fixtures of another file are arguments here

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field

import pytest

from forestay.errors import InputError
from infra import operate
from infra.services import Service
from infra.settings import StackSettings
from scoring import server
from scoring.targets import inspect
from scoring.targets.services import ServicesTarget
from scoring.targets.watchers import Condition
from tests.infra.services_world import Monitor, Watching, World, key_of
from tests.infra.test_services_target import NAME, deployed, engine, here, options  # noqa: F401
from tests.served import wait_for


@dataclass
class Azure:
    """Gives a group another address when it is started; the stack knows of that once it was refreshed."""

    here: World
    kept: str = ""
    calls: list[str] = field(default_factory=list)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        machines, own = self.here.machines, self.here.machines.address
        patch.setattr(machines, "address", lambda key: own(key + "again" * ("refresh" in self.calls)))
        patch.setattr(operate, "refresh", lambda *_: self.refresh())
        patch.setattr(inspect, "watcher", self.watcher)

    def refresh(self) -> None:
        assert self.calls == ["start"]
        self.calls.append("refresh")
        self.here.machines.stop(self.kept)  # from now on it is at its new address

    def watcher(self, _: str, __: StackSettings, name: str, service: Service) -> Watching:
        self.kept = key_of(name, service)
        return Group(self.here.machines, self.kept, self)


@dataclass(frozen=True)
class Group(Watching):
    azure: Azure

    def condition(self) -> Condition:
        found = self.machines.find(self.key)
        return Condition(stopped=not found or not found["alive"])

    def stop(self) -> None:
        found = self.machines.find(self.key)
        assert found is not None
        os.kill(found["pid"], signal.SIGKILL)
        wait_for(lambda: self.condition().stopped, 10)

    def start(self) -> None:
        self.azure.calls.append("start")


@pytest.fixture
def azure(here: World, engine: Monitor, monkeypatch: pytest.MonkeyPatch) -> Azure:
    """One with a private estate."""
    private = "forestay:network: private\n  forestay:registry: {sku: premium}"
    here.file.write_text(here.file.read_text().replace("forestay:network: public", private))
    here.file.with_name("Pulumi.test.yaml").unlink()
    found = Azure(here)
    found.install(monkeypatch)
    return found


def stopped(here: World) -> tuple[ServicesTarget, str]:
    target = deployed(here, "aci", auth="none")
    uri = target.status(NAME).scoring_uri
    assert target.stop(NAME).status == "Stopped"
    return target, uri


def test_what_leads_to_a_private_group_follows_it_when_it_is_started(here: World, azure: Azure) -> None:
    target, uri = stopped(here)
    started = target.start(NAME)
    assert (started.status, azure.calls) == ("Healthy", ["start", "refresh"])
    assert started.scoring_uri != uri
    assert server.is_healthy(started.scoring_uri.removesuffix("/score"))


def test_a_deploy_to_a_stopped_private_group_starts_it_and_follows_it(here: World, azure: Azure) -> None:
    target, uri = stopped(here)
    again = target.deploy(NAME, here.make("1"), options(here))
    assert (again.status, again.version, azure.calls) == ("Healthy", "1", ["start", "refresh"])
    assert again.scoring_uri != uri


def test_a_private_group_is_not_started_where_the_file_is_outdated(here: World, azure: Azure) -> None:
    target, _ = stopped(here)
    here.file.write_text(here.file.read_text().replace("auth: anonymous", "auth: anonymous\n      cpu: 2"))
    with pytest.raises(InputError, match=f"this would also change {NAME}: it is deployed with other settings"):
        target.start(NAME)
    assert azure.calls == []
