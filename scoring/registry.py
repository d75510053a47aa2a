"""Model versions of the run store, or of a workspace's registry, as generate(), verify() and deploy ask for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forestay.errors import ForestayError, InputError
from scoring.schema import ModelSource

if TYPE_CHECKING:
    from automl_jobs.azure.arm import Arm
    from automl_jobs.azure.storage import Progress


@dataclass(frozen=True)
class Fetched:
    """A version of a workspace's registry, whose trial was fetched into the run store here."""

    name: str
    version: str
    job: str
    trial: str
    path: Path
    card: str | None


def model_version(given: str) -> ModelSource:
    """The model version that `M`, `M:3`, `M@alias` or `local:M` names, `M` the newest. Raises InputError."""
    from automl_jobs.runs import RunStore

    return RunStore.open(create=False).model(given)


def version_in_azure(arm: Arm, given: str, progress: Progress, say: Callable[[str], None]) -> Fetched:
    """The version that `M` or `M:3` names in a workspace's registry, under the number that it has there.

    Raises InputError where it is of no job that is known, or of a trial without a model; OutsideError.
    """
    from automl_jobs.azure import models
    from automl_jobs.azure.fetch import fetch
    from automl_jobs.runs import RunStore, card

    found = models.find(arm, given)
    where = f"{found.name}:{found.version}"
    if not found.job:
        fix = "register a trial: forestay model register JOB --name M"
        raise InputError("was registered by other means than forestay", where=where, fix=fix)
    store = RunStore.open()
    job, rank = fetch(arm, store, found.job, found.rank, progress, say)
    kept = store.trial(job, rank)
    if kept.row.id != found.trial or kept.outputs is None:
        raise InputError(f"its trial {found.trial} is not in {job} any more", where=where, fix="register it again")
    text = card.text(found, card.schema_of(kept.outputs), store.job(job), kept.row)
    return Fetched(found.name, found.version, job, found.trial, kept.outputs, text)


def registered(model: str, version: str, trial: str) -> ModelSource | None:
    """A model version if the run store of this project has it, of that trial, and can be read."""
    from automl_jobs.runs import RunStore

    try:
        found = RunStore.open(create=False).model(model, version)
    except ForestayError:
        return None
    return found if found.trial == trial else None  # another registry counts its versions by itself
