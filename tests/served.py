"""A proven model without the work of proving it, and what tests of served models look at."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from scoring import proofs
from scoring.folder import ScoringFolder, open_folder


def bank(home: Path, place: Path) -> Path:
    """The scoring folder of Bank 1, taken as proven in `home`; both in `place`."""
    from scoring.generate import generate
    from tests import scoring_models

    (place / "outputs").mkdir()
    made = generate(scoring_models.bank(place / "outputs"), place / "bank-1", home=home)
    keep_proof(made, home)
    return made.path


def version(folder: Path, number: str, home: Path) -> Path:
    """The same model as another version, taken as proven."""
    target = folder.with_name(f"bank-{number}")
    shutil.copytree(folder, target)
    for name in ("forestay.json", "service.json"):
        document = json.loads((target / name).read_text())
        (target / name).write_text(json.dumps({**document, "version": number}))
    keep_proof(open_folder(target), home)
    return target


def keep_proof(folder: ScoringFolder, home: Path) -> None:
    """A proof as verify() leaves it, without the work."""
    at = f"2024-01-{int(folder.version):02}T00:00:00+00:00"
    proofs.keep(proofs.Proof(str(folder.path), folder.model, folder.version, folder.hash(), True, (), at, 1.0), home)


def processes(tag: str) -> list[psutil.Process]:
    """The processes on whose command line a word begins so."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if process.info["status"] != psutil.STATUS_ZOMBIE:
            found += [process] if any(word.startswith(tag) for word in process.info["cmdline"] or ()) else []
    return found


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("did not come true in time")
