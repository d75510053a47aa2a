"""Which installed distributions imported modules came from. Standard library only: fresh processes start with it."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterable
from pathlib import Path


def of_modules(names: Iterable[str], ours: Iterable[Path] = ()) -> dict[str, str]:
    """Version by name of the distributions that these imported modules came from.

    Parameters
    ----------
    names: as in sys.modules.
    ours: folders whose modules belong to no distribution.
    """
    owners, places = importlib.metadata.packages_distributions(), tuple(ours)
    found: set[str] = set()
    for name in names:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is None or any(Path(file).is_relative_to(place) for place in places):
            continue
        candidates = set(owners.get(name.partition(".")[0], ()))
        if len(candidates) > 1:  # a namespace that several share, or one package under two names: whose file is it?
            candidates = {one for one in candidates if _owns(one, Path(file))}
        found |= candidates
    return {one: importlib.metadata.version(one) for one in found}


def _owns(distribution: str, file: Path) -> bool:
    files = importlib.metadata.files(distribution) or ()
    return any(one.name == file.name and Path(str(one.locate())) == file for one in files)
