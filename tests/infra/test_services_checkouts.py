"""Two checkouts of one project change the endpoints of the same services stack: none takes back what the other did."""
# ruff: noqa: F811 - fixtures of another file are arguments here

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forestay.errors import InputError, RunFailed
from infra import stackedit
from scoring import server
from scoring.targets import rollout, smoke
from scoring.targets.services import ServicesTarget
from tests.infra.services_world import Monitor, World
from tests.infra.test_services_target import (  # noqa: F401
    NAME,
    deployed,
    engine,
    here,
    killed_in,
    options,
    repository,
)

OTHER = "other-api"
ROWS = {"data": [{"a": 1}]}


def copied(here: World, patch: pytest.MonkeyPatch, kind: str = "aks") -> ServicesTarget:
    """Another checkout, as this one is now."""
    folder = here.folder / "copied"
    shutil.copytree(here.project, folder)
    target = ServicesTarget(kind, "test", folder / ".forestay", here.said.append)
    with patch.context() as within:
        within.chdir(folder)
        assert target.rollout.root == folder
    return target


def made(here: World, number: str, by: ServicesTarget) -> Path:
    return here.make(number, home=by.home)


def status_for(target: ServicesTarget, key: str = "") -> int:
    """What a caller of the endpoint gets."""
    return server.post(target.status(NAME).scoring_uri.removesuffix("/score"), ROWS, key=key).status


def test_an_older_checkout_brings_no_rotated_key_back(
    repository: World, engine: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = repository
    ours = deployed(here, "aks", commit=True)
    ours.deploy(OTHER, here.make("1"), options(here, auth="none", commit=True))
    theirs = copied(here, monkeypatch)
    old, new = ours.keys(NAME)["primary"], ours.rotate_keys(NAME, "primary")["primary"]
    ups = engine.ups
    with pytest.raises(InputError, match=f"this would also change {NAME}: it is deployed with other settings or keys"):
        theirs.deploy(OTHER, made(here, "3", theirs), options(here))
    with pytest.raises(InputError, match=f"{NAME}: it is deployed with other settings or keys") as caught:
        theirs.rotate_keys(NAME, "secondary")
    assert "git pull" in str(caught.value.problems[0].fix)
    with pytest.raises(InputError, match="other settings or keys"):
        theirs.deploy(NAME, made(here, "3", theirs), options(here))
    assert (status_for(ours, new), status_for(ours, old), engine.ups) == (200, 401, ups)
    assert ours.rotate_keys(NAME, "secondary")["primary"] == new


def test_an_older_checkout_opens_no_endpoint_that_was_closed(
    repository: World, engine: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = repository
    ours = deployed(here, "aks", auth="none", commit=True)
    theirs = copied(here, monkeypatch)
    ours.deploy(NAME, here.make("1"), options(here, auth="keys", cpu=2.0))
    with pytest.raises(InputError, match=f"{NAME}: it is deployed with other settings or keys"):
        theirs.deploy(NAME, made(here, "3", theirs), options(here))
    assert status_for(ours) == 401
    shutil.copy(here.file, theirs.rollout.path)  # git pull
    assert theirs.deploy(NAME, made(here, "3", theirs), options(here)).auth == "keys"
    assert theirs.rollout.load().settings.services[NAME].cpu == 2


def test_an_older_checkout_turns_no_key_of_a_version_that_is_not_deployed_any_more(
    repository: World, engine: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = repository
    ours = deployed(here, "aks", commit=True)
    theirs = copied(here, monkeypatch)
    ours.deploy(NAME, here.make("2"), options(here))
    with pytest.raises(InputError, match=r"Quick 2 .* is deployed and the file says Quick 1"):
        theirs.rotate_keys(NAME, "primary")
    assert ours.status(NAME).version == "2"


def test_what_is_written_by_hand_where_it_was_deployed_goes_along(here: World, engine: Monitor) -> None:
    target = deployed(here, "aks", auth="none")
    here.file.write_text(here.file.read_text().replace("auth: anonymous", "auth: anonymous\n      cpu: 2"))
    assert target.deploy(NAME, here.make("2"), options(here)).version == "2"
    assert target.rollout.load().settings.services[NAME].cpu == 2


def meanwhile(patch: pytest.MonkeyPatch, work: Callable[[], object]) -> None:
    """Do something once, during the next smoke test."""
    real, left = smoke.require_golden, [work]

    def require_golden(*given: Any) -> None:
        if left:
            left.pop()()
        real(*given)

    patch.setattr(smoke, "require_golden", require_golden)


def versions(engine: Monitor) -> dict[str, str]:
    return {name: state["version"] for name, state in engine._read()["outputs"]["deployed"].items()}


@pytest.mark.parametrize("number", ["2", "wrong"])
def test_of_two_deploys_at_once_neither_takes_the_other_back(
    repository: World, engine: Monitor, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    """The one that ends first counts; the other one brings up no more, whether it would go on or back."""
    here = repository
    ours = deployed(here, "aks", auth="none", commit=True)
    ours.deploy(OTHER, here.make("1"), options(here, auth="none", commit=True))
    theirs = copied(here, monkeypatch)
    before, new = here.file.read_bytes(), made(here, "3", theirs)
    folder = here.make("2", "wrong") if number == "wrong" else here.make("2")
    meanwhile(monkeypatch, lambda: theirs.deploy(OTHER, new, options(here)))
    with pytest.raises((InputError, RunFailed)):
        ours.deploy(NAME, folder, options(here))
    assert versions(engine) == {NAME: "1", OTHER: "3"}
    assert any(f"somebody else deployed since: {OTHER} is Quick 3" in line for line in here.said)
    assert (here.file.read_bytes(), ours.rollout.interrupted) == (before, None)
    shutil.copy(theirs.rollout.path, here.file)  # git pull
    assert ours.deploy(NAME, here.make("2"), options(here)).version == "2"
    assert versions(engine) == {NAME: "2", OTHER: "3"}


def test_of_two_deploys_of_one_endpoint_at_once_the_one_that_ends_first_counts(
    repository: World, engine: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = repository
    ours = deployed(here, "aci", auth="none", commit=True)
    theirs = copied(here, monkeypatch, "aci")
    new = made(here, "3", theirs)
    meanwhile(monkeypatch, lambda: theirs.deploy(NAME, new, options(here)))
    with pytest.raises(InputError, match=f"somebody else deployed since: {NAME} is Quick 3"):
        ours.deploy(NAME, here.make("2"), options(here))
    assert versions(engine) == {NAME: "3"}
    assert ours.rollout.load().settings.services[NAME].version == "1"
    assert theirs.status(NAME).status == "Healthy"


@pytest.mark.parametrize("place", [("_note", "after"), ("_forget", "before")], ids=["noted", "up"])
def test_what_an_interrupted_deploy_left_takes_no_later_deploy_back(
    repository: World, engine: Monitor, monkeypatch: pytest.MonkeyPatch, place: tuple[str, str]
) -> None:
    here = repository
    ours = deployed(here, "aks", auth="none", commit=True)
    ours.deploy(OTHER, here.make("1"), options(here, auth="none", commit=True))
    theirs, before = copied(here, monkeypatch), here.file.read_bytes()
    killed_in(lambda: ours.deploy(NAME, here.make("2"), options(here)), rollout.Rollout, *place)
    if place[0] == "_forget":  # it had come so far that others see it: they pulled, and went on from there
        shutil.copy(here.file, theirs.rollout.path)
    theirs.deploy(OTHER, made(here, "3", theirs), options(here))
    theirs.deploy(NAME, made(here, "4", theirs), options(here))
    here.said.clear()
    with pytest.raises(InputError):
        here.target("aks").rollback(NAME)
    assert any(f"the interrupted change of {NAME} is given up, nothing is put back" in line for line in here.said)
    with pytest.raises(InputError, match=f"this would also change {OTHER}"):
        here.target("aks").deploy(NAME, here.make("2"), options(here))
    assert versions(engine) == {NAME: "4", OTHER: "3"}
    assert (here.file.read_bytes(), ours.rollout.interrupted) == (before, None)
    shutil.copy(theirs.rollout.path, here.file)  # git pull
    assert here.target("aks").deploy(NAME, here.make("2"), options(here)).version == "2"


def test_a_first_deploy_that_was_interrupted_removes_no_later_one(
    repository: World, engine: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = repository
    here.target("aks").deploy(OTHER, here.make("1"), options(here, auth="none", commit=True))
    theirs = copied(here, monkeypatch)
    deploy = options(here, auth="none")
    killed_in(lambda: here.target("aks").deploy(NAME, here.make("2"), deploy), stackedit, "write", "after")
    theirs.deploy(NAME, made(here, "3", theirs), deploy)
    with pytest.raises(InputError, match=f"no endpoint '{NAME}'"):
        here.target("aks").delete(NAME)
    assert versions(engine) == {NAME: "3", OTHER: "1"}
    assert NAME not in here.file.read_text()


def test_a_file_that_was_pulled_meanwhile_stays_as_it_is(
    repository: World, engine: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = repository
    ours = deployed(here, "aks", auth="none", commit=True)
    theirs = copied(here, monkeypatch)
    killed_in(lambda: ours.deploy(NAME, here.make("2"), options(here)), rollout.Rollout, "_note", "after")
    theirs.deploy(NAME, made(here, "3", theirs), options(here))
    shutil.copy(theirs.rollout.path, here.file)  # git pull
    assert here.target("aks").rollback(NAME).version == "1"
    assert here.target("aks").status(NAME).previous.startswith("Quick-3")  # type: ignore[union-attr]
