"""What every room shares: errors, console, project layout, the command tree, the whole loop (ship), the Python API.

`import forestay` loads nothing but this: the functions of the API are imported when they are used.

    import forestay

    job = forestay.submit("sales.csv", target="amount", max_trials=20)
    forestay.leaderboard(job)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forestay.api import (
        charts,
        code,
        deploy,
        evaluate,
        generate,
        job,
        jobs,
        leaderboard,
        load_model,
        predict,
        register,
        rerun,
        submit,
        verify,
    )
    from forestay.errors import ForestayError, InputError, Interrupted, OutsideError, RunFailed, Unreachable
    from forestay.inline import Charts, Job, Scores

__version__ = "0.1.0"

LOCAL = "local"
"""The environment that is this machine; any other is a stack's."""

__all__ = [
    "LOCAL",
    "Charts",
    "ForestayError",
    "InputError",
    "Interrupted",
    "Job",
    "OutsideError",
    "RunFailed",
    "Scores",
    "Unreachable",
    "__version__",
    "charts",
    "code",
    "deploy",
    "evaluate",
    "generate",
    "job",
    "jobs",
    "leaderboard",
    "load_model",
    "predict",
    "register",
    "rerun",
    "submit",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'forestay' has no attribute {name!r}")
    import importlib

    errors = ("ForestayError", "InputError", "Interrupted", "OutsideError", "RunFailed", "Unreachable")
    shown = ("Charts", "Job", "Scores")
    module = "forestay.errors" if name in errors else "forestay.inline" if name in shown else "forestay.api"
    if module == "forestay.api":
        from forestay.rooms import refuse_hidden

        refuse_hidden()  # a notebook has its own folder on Python's path
    return getattr(importlib.import_module(module), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
