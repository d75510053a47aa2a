"""The top-level packages that Forestay is made of, and what can hide them.

They lie beside `forestay` and are imported by their plain names: a `scoring.py` in a folder that comes earlier on
`sys.path` would be imported in the place of `scoring`.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from forestay.errors import InputError, Problem

PACKAGES = ("automl_jobs", "infra", "scoring", "studio", "templates")
HOME = Path(__file__).resolve().parent.parent
"""The folder that holds them all: the repository's, or site-packages."""


def leave_current_folder() -> None:
    """Take off `sys.path` what `python -m forestay` puts before everything, the current folder, as pip's `__main__`
    does; it stays where Forestay itself lies in it."""
    if not sys.flags.safe_path and Path(sys.path[0]).resolve() != HOME:
        del sys.path[0]


def refuse_hidden() -> None:
    """Raises InputError naming every file or folder that hides a package or module of Forestay's."""
    problems = [
        Problem(
            str(path),
            f"hides Forestay's own `{name}`",
            f"take {path.parent} out of PYTHONPATH (sys.path), or rename {path.name}",
        )
        for name, path in _hidden()
    ]
    if problems:
        raise InputError.of(problems)


def _hidden() -> Iterator[tuple[str, Path]]:
    modules = (entry.name.removesuffix(".py") for entry in os.scandir(HOME) if _ours(entry.name))
    for name in (*PACKAGES, *sorted(modules)):
        spec = importlib.util.find_spec(name)
        if spec is None:
            continue  # an installation without it fails where it is needed
        # A folder without __init__.py has no origin.
        path = Path(spec.origin) if spec.origin else Path(next(iter(spec.submodule_search_locations or ())))
        path = path.parent if path.name == "__init__.py" else path
        if path.resolve().parent != HOME and not _copied(path):
            yield name, path


def _copied(path: Path) -> bool:
    """Whether it is ours: MLflow puts the modules that lie beside a model it loads before all others."""
    return path.is_file() and (HOME / path.name).is_file() and path.read_bytes() == (HOME / path.name).read_bytes()


def _ours(file: str) -> bool:
    return file.startswith("forestay_") and file.endswith(".py")
