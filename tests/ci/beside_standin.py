"""`forestay` in a step that is led to Azure's stand-in.

It makes no long pauses, finds environments that other tests made, and its uv asks the real registry of packages: the
variables in FORESTAY_TESTS_BEFORE lead there.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any
from unittest import mock


def main() -> None:
    from automl_jobs import watch
    from automl_jobs.azure import arm
    from forestay import project
    from forestay.cli import main as forestay
    from scoring import environment
    from scoring.targets import managed, managed_call, managed_requests

    before = json.loads(os.environ["FORESTAY_TESTS_BEFORE"])
    home = project.home()
    home.mkdir(parents=True, exist_ok=True)
    for name in ("envs", "locks"):
        if not (home / name).exists():
            (home / name).symlink_to(Path(os.environ["FORESTAY_TESTS_ENVIRONMENTS"]) / name)
    run = environment._uv

    def uv(*words: Any, **more: Any) -> None:
        with mock.patch.dict(os.environ):
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})
            run(*words, **more)

    environment._uv = uv
    watch.FIRST_SECONDS = watch.LONGEST_SECONDS = 0.05
    watch.watch.__defaults__ = (0.05, 5.0)
    arm.BACKOFF_SECONDS = managed.POLL_SECONDS = managed_requests.POLL_SECONDS = 0.05
    managed_call.PAUSES_SECONDS = (0.01, 0.01)
    forestay(sys.argv[1:])


if __name__ == "__main__":
    main()
