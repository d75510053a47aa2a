"""Model versions of the run store, as generate(), verify() and deploy ask for them."""

from __future__ import annotations

from forestay.errors import ForestayError
from scoring.schema import ModelSource


def model_version(given: str) -> ModelSource:
    """The model version that `M`, `M:3`, `M@alias` or `local:M` names, `M` the newest. Raises InputError."""
    from automl_jobs.runs import RunStore

    return RunStore.open(create=False).model(given)


def registered(model: str, version: str) -> ModelSource | None:
    """A model version if the run store of this project has it and can be read."""
    from automl_jobs.runs import RunStore

    try:
        return RunStore.open(create=False).model(model, version)
    except ForestayError:
        return None
