"""Images of several projects in one builder's store and one registry: each folder's proof goes with its own image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from scoring.folder import open_folder
from scoring.images import build, builders, publish
from scoring.images.context import CONTENT_LABEL
from scoring.images.registry import Registry as Asked
from scoring.images.registry import place_of
from tests import served
from tests.image_support import Registry
from tests.infra.services_world import World, world


@pytest.fixture
def here(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with world(tmp_path, registry, monkeypatch) as found:
        yield found


def another(here: World) -> tuple[Path, Path]:
    """A folder of version 1 with another content, and the home of the project that it was proven in."""
    folder, home = here.make("1", "wrong"), here.folder / "another"
    served.keep_proof(open_folder(folder), home)
    return folder, home


def test_what_is_pushed_is_what_was_built_whoever_has_its_tag_by_now(here: World) -> None:
    repository = f"{here.repository}/quick"
    builder, (folder, home) = builders.choose(None), another(here)
    ours, _ = build.build(here.make("1"), f"{repository}:1", builder=builder, home=here.home)
    theirs, _ = build.build(folder, f"{repository}:1", builder=builder, home=home)
    asked = Asked(*place_of(repository))
    for made, home_ in ((ours, here.home), (theirs, home), (ours, here.home)):
        pushed = build.push(build.find(f"{repository}:1", home_), home=home_)
        assert pushed.content == made.content
        assert asked.labels(pushed.digest)[CONTENT_LABEL] == made.content
        assert asked.digest(made.own_tag.rpartition(":")[2]) == asked.digest("1") == pushed.digest


def test_whichever_machine_publishes_the_image_is_the_same(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    repository = f"{here.repository}/quick"
    made = publish.publish(here.make("1"), repository, home=here.home)
    [config] = [json.loads(path.read_bytes()) for path in here.store.glob("*.json") if path.name != "images.json"]
    assert (config["os"], config["architecture"]) == ("linux", "amd64")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert publish.find(here.make("1"), repository, home=here.home) == made


def test_an_image_is_believed_by_its_label_and_not_by_its_tag(here: World) -> None:
    repository = f"{here.repository}/quick"
    folder, home = another(here)
    theirs = publish.publish(folder, repository, home=home)
    content = build.build(here.make("1"), "quick:1", builder=builders.choose(None), home=here.home)[0].content
    asked, tag = Asked(*place_of(repository)), build.own_tag(f"{repository}:1", content).rpartition(":")[2]
    asked.name(theirs.partition("@")[2], tag)
    assert publish.find(here.make("1"), repository, home=here.home) is None
    ours = publish.publish(here.make("1"), repository, home=here.home)
    assert asked.labels(ours.partition("@")[2])[CONTENT_LABEL] == content
    assert publish.find(here.make("1"), repository, home=here.home) == ours
    assert asked.digest(tag) == ours.partition("@")[2] != theirs.partition("@")[2]
