"""Environments of their own for what tests compare with; where one can't be made, the test skips and says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.environments import environment as made
from forestay.errors import OutsideError


def environment(name: str, python: str, packages: tuple[str, ...]) -> Path:
    """The `bin` folder of an environment with these packages; parameters as in `benchmarks.environments`."""
    try:
        return made(name, python, packages, timeout=280)
    except OutsideError as error:
        pytest.skip(str(error))
