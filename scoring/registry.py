"""Model versions of the run store, or of a workspace's registry, as generate(), verify() and deploy ask for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from forestay.errors import ForestayError
from scoring.schema import ModelSource, Source

if TYPE_CHECKING:
    from automl_jobs.azure.arm import Arm
    from automl_jobs.azure.storage import Progress


def model_version(given: str) -> ModelSource:
    """The model version that `M`, `M:3`, `M@alias` or `local:M` names, `M` the newest. Raises InputError."""
    from automl_jobs.runs import RunStore

    return RunStore.open(create=False).model(given)


def version_in_azure(arm: Arm, given: str, progress: Progress, say: Callable[[str], None]) -> Source:
    """The version that `M` or `M:3` names in a workspace's registry, under the number that it has there.

    Raises InputError where it is of no job that is known, or of a trial without a model; OutsideError.
    """
    from automl_jobs.azure import models
    from automl_jobs.runs import RunStore, card

    store = RunStore.open()
    found, kept, folder = models.fetched(arm, store, given, progress, say)
    text = card.text(found, card.schema_of(folder), store.job(found.job), kept.row)
    return Source(found.name, found.version, folder, found.job, found.trial, text)


def registered(model: str, version: str, trial: str) -> ModelSource | None:
    """A model version if the run store of this project has it, of that trial, and can be read."""
    from automl_jobs.runs import RunStore

    try:
        found = RunStore.open(create=False).model(model, version)
    except ForestayError:
        return None
    return found if found.trial == trial else None  # another registry counts its versions by itself
