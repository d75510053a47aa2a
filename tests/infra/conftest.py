"""What the tests of the program share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from infra import stackfile
from infra.settings import StackSettings
from tests.image_support import Registry
from tests.infra.recording import ROOT, Recorded, record

Changed = Callable[..., StackSettings]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry of images on a free port, for the tests of a file."""
    found = Registry(tmp_path_factory.mktemp("registry"))
    yield found
    found.stop()


@pytest.fixture(scope="session")
def shipped() -> Callable[[str], Recorded]:
    """What a stack that ships declares."""

    @cache
    def recorded(name: str) -> Recorded:
        return record(stackfile.load(ROOT, name).settings)

    return recorded


@pytest.fixture(scope="session")
def changed() -> Changed:
    """The settings of a stack that ships with some of them replaced, in the file's spelling."""

    def settings(name: str, **sections: Any) -> StackSettings:
        data = stackfile.load(ROOT, name).settings.model_dump(by_alias=True, exclude_none=True)
        return StackSettings.model_validate({**data, **sections})

    return settings
