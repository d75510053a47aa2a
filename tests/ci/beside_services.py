"""`forestay` in a step whose services stack is brought up on this machine: see tests.infra.services_world."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest


def main() -> None:
    from forestay.cli import main as forestay
    from scoring.targets import smoke, trial
    from tests.infra.providers.machines import Machines
    from tests.infra.services_world import Monitor

    folder, words = Path(os.environ["FORESTAY_TESTS_WORLD"]), sys.argv[1:]
    if words[:2] == ["endpoint", "deploy"]:
        # The environment's own registry is in Azure; this one is on this machine.
        words += ["--registry", os.environ["FORESTAY_TESTS_REGISTRY"]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smoke, "LOOK_SECONDS", 0.05)
        patch.setattr(trial, "HOPELESS_SECONDS", 0.05)
        Monitor(folder, Machines(folder / "machines")).install(patch)
        forestay(words)


if __name__ == "__main__":
    main()
