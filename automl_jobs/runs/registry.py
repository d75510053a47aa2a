"""Registered models: names and versions in MLflow's registry, each with the trial that it came from.

A version's source is the trial's `outputs/mlflow-model`, so that `models:/M/1` loads with MLflow's own tools; its
folder for everything of ours is `outputs/`, or that of the same trial fitted again on all rows (see `files.place`).
Registering a trial again under the same name gives the version that is there: versions differ, always, and what was
registered before the trial was fitted again stays what it is.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.runs import files, names, tags
from automl_jobs.runs.read import find_trial, no_model, trial_run
from automl_jobs.runs.rows import ModelVersion
from forestay.errors import InputError

if TYPE_CHECKING:
    from automl_jobs.runs.source import Run, Version
    from automl_jobs.runs.store import RunStore


def register(store: RunStore, given: str, rank: int | None, name: str) -> ModelVersion:
    """See `RunStore.register`. Raises InputError for a trial without a model."""
    name = name.removeprefix("local:")
    names.check_model_name(name)
    job, row = find_trial(store, given, rank)
    if not row.has_model:
        raise no_model(job, row)
    run = trial_run(store, row)
    folder = files.outputs(store, run)
    with store.writing() as client:
        part = files.place(run.tags)
        same = (version for version in versions(store, name) if version.run_id == row.run_id)
        before = [version for version in same if files.place(version.tags) == part]
        if before:
            return replace(_found(store, before[0]), existing=True)
        source = f"{part}/mlflow-model" if (folder / "mlflow-model").is_dir() else part
        labels = {
            tags.JOB: job.job,
            tags.TRIAL: row.id,
            tags.RANK: str(row.rank),
            tags.ALGORITHM: row.algorithm,
            tags.PRIMARY_METRIC: job.primary_metric,
            tags.SCORE: repr(row.score),
            **({tags.REFITTED: "yes"} if part == files.REFITTED else {}),
        }
        made = new_version(client, name, row.run_id, source, labels)
    return model(store, name, made)


def new_version(client: Any, name: str, run_id: str, source: str, labels: dict[str, str]) -> str:
    """The number of a new version of `name`, whose files lie under `source` in a run's artifacts."""
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    made = client.create_model_version(name, source=f"runs:/{run_id}/{source}", run_id=run_id, tags=labels)
    return str(made.version)


def versions(store: RunStore, name: str | None = None) -> list[Version]:
    """Versions that come from our trials, or from files, by name, newest first."""
    found = store.source.versions(name) if store.source else []
    ours = [version for version in found if tags.TRIAL in version.tags or tags.FILE in version.tags]
    return sorted(ours, key=lambda version: (version.name, -int(version.version)))


def _found(store: RunStore, version: Version) -> ModelVersion:
    """A version with its files on this machine. Raises InputError when they are gone."""
    run = _run(store, version)
    if run is None:
        raise InputError(
            f"the files of model {version.name}:{version.version} are gone: its run was removed from MLflow",
            fix=f"register another one as {version.name}",
        )
    folder = files.outputs(store, run, files.place(version.tags))
    return replace(_row(version, folder), decision=_decision(folder))


def _decision(folder: Path) -> dict[str, Any] | None:
    """What a model's schema says of its decision; None where it says nothing."""
    try:
        schema = json.loads((folder / "model_schema.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    found = schema.get("decision") if isinstance(schema, dict) else None
    return found if isinstance(found, dict) else None


def _run(store: RunStore, version: Version) -> Run | None:
    return store.source.run(version.run_id) if store.source else None


def _row(version: Version, path: Path) -> ModelVersion:
    labels = version.tags
    rank, score = labels.get(tags.RANK), labels.get(tags.SCORE)
    return ModelVersion(
        name=version.name,
        version=version.version,
        job=labels.get(tags.JOB, ""),
        trial=labels.get(tags.TRIAL, ""),
        path=path,
        rank=int(rank) if rank else None,
        algorithm=labels[tags.ALGORITHM],
        metric=labels.get(tags.PRIMARY_METRIC, ""),
        score=float(score) if score else None,
        created=version.created,
        run_id=version.run_id,
        file=labels.get(tags.FILE),
    )


def model(store: RunStore, given: str, version: str | None = None) -> ModelVersion:
    """See `RunStore.model`."""
    name, asked = names.split_model(given)
    asked = version or asked
    there = versions(store, name)
    if not there:
        raise names.unknown_model(name, sorted({found.name for found in versions(store)}))
    if asked is None:
        return _found(store, there[0])
    for found in there:
        if found.version == asked:
            return _found(store, found)
    numbers = ", ".join(found.version for found in reversed(there))
    raise InputError(f"model {name!r} has no version {asked}", fix=f"there are: {numbers}")


def models(store: RunStore) -> list[ModelVersion]:
    """See `RunStore.models`."""
    found = ((version, _run(store, version)) for version in versions(store))
    return [
        _row(version, files.outputs_path(store, run, files.place(version.tags)))
        for version, run in found
        if run is not None
    ]
