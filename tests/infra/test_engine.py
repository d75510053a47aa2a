"""The commands against Pulumi's real engine, with providers that stand for Azure and a cluster.

One lab serves the whole file. The stacks `test` (an estate), `test-services` (what it serves) and `prod` are made once;
a test that changes one puts it back.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.infra.engine import Lab, binary, lab
from tests.infra.providers import schemas

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

KEYS = {"primary": "primary-key-in-clear-" + "p" * 20, "secondary": "secondary-key-in-clear-" + "s" * 20}
SUBSCRIPTIONS = {name: f"{number}{number}{number}" for name, number in (("test", "22222222"), ("prod", "33333333"))}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Everything lies in one subscription, so that names can collide."""
    path = binary()
    if path is None:
        pytest.skip("no engine in .tools: `make engine` builds it where Go and its modules are at hand")
    with lab(tmp_path_factory.mktemp("engine"), path) as found:
        yield found
