"""What serving needs beside a model's own packages, by the Python that the model was trained with.

Azure has trained on Python 3.8 and 3.9, for which newer versions of the server and of what reads requests are not made.
"""

from __future__ import annotations

import importlib.metadata
import re

from forestay.errors import OutsideError

PARSER = "msgspec"  # of scoring_input.py
OLDEST = (3, 8)  # that Azure ML's server is made for, and that the templates are written for
# From which Python on, and which version; the newest first.
_PARSERS = (((3, 10), importlib.metadata.version(PARSER)), ((3, 9), "0.20.0"), (OLDEST, "0.18.6"))
# gunicorn opens a socket to be controlled by, unless it is told not to, from this version on.
_CONTROLLED = (25, 1)


def check_python(python: str) -> None:
    """Raises OutsideError for a Python that Azure ML's server is not made for."""
    if minor(python) < OLDEST:
        raise OutsideError(
            f"Azure ML's inference server is not made for Python {python}",
            where="python",
            fix="train again with Python 3.8 or a later one",
        )


def parser_version(python: str) -> str:
    """The newest version of what reads requests in score.py that is made for a Python from OLDEST on."""
    return next((version for since, version in _PARSERS if minor(python) >= since), _PARSERS[-1][1])


def gunicorn_options(lock: str) -> tuple[str, ...]:
    """The options that the gunicorn of a lock needs to open no other socket than the one it serves on."""
    found = re.search(r"(?m)^gunicorn==([0-9]+\.[0-9]+)", lock)
    return () if found and minor(found[1]) < _CONTROLLED else ("--no-control-socket",)


def minor(version: str) -> tuple[int, int]:
    """The first two numbers of a version."""
    first, second = version.split(".")[:2]
    return int(first), int(second)
