"""Two checkouts of one project change the endpoints of the same services stack: none takes back what the other did."""
# ruff: noqa: F811 - fixtures of another file are arguments here

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from forestay.errors import InputError
from scoring import server
from scoring.targets.services import ServicesTarget
from tests.infra.services_world import Monitor, World
from tests.infra.test_services_target import (  # noqa: F401
    NAME,
    deployed,
    engine,
    here,
    options,
    registry,
    repository,
)

OTHER = "other-api"
ROWS = {"data": [{"a": 1}]}


def copied(here: World, patch: pytest.MonkeyPatch) -> ServicesTarget:
    """Another checkout, as this one is now."""
    folder = here.folder / "copied"
    shutil.copytree(here.project, folder)
    target = ServicesTarget("aks", "test", folder / ".forestay", here.said.append)
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
