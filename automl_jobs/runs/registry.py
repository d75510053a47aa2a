"""Registered models: names and versions in MLflow's registry, each with the trial that it came from.

A version's source is the trial's `outputs/mlflow-model`, so that `models:/M/1` loads with MLflow's own tools; its
folder for everything of ours is `outputs/`, or that of the same trial fitted again on all rows (see `files.place`).
Registering a trial again under the same name gives the version that is there: versions differ, always, and what was
registered before the trial was fitted again stays what it is.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.runs import card, files, names, tags
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
            return replace(with_card(store, _found(store, before[0])), existing=True)
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
        return with_card(store, model(store, name, made))


def with_card(store: RunStore, found: ModelVersion) -> ModelVersion:
    """The version with its model card, which is written now where it has none: a kill may have come before."""
    if found.card is not None:
        return found
    detail, trial = None, None
    if found.job:
        detail, rows = store.job(found.job), store.leaderboard(found.job)
        trial = next((row for row in rows if row.id == found.trial), None)
    text = card.text(found, card.schema_of(found.path), detail, trial)
    store.client.log_text(found.run_id, text, card.place(found.name, found.version))
    return replace(found, card=text)


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
    return replace(
        _row(version, folder, _aliases(store, version.name)),
        decision=_decision(folder),
        card=files.text(store, run, card.place(version.name, version.version)),
    )


def _aliases(store: RunStore, name: str | None = None) -> dict[str, dict[str, str]]:
    return store.source.aliases(name) if store.source else {}


def _decision(folder: Path) -> dict[str, Any] | None:
    """What a model's schema says of its decision; None where it says nothing."""
    found = card.schema_of(folder).get("decision")
    return found if isinstance(found, dict) else None


def _run(store: RunStore, version: Version) -> Run | None:
    return store.source.run(version.run_id) if store.source else None


def _row(version: Version, path: Path, aliases: dict[str, dict[str, str]]) -> ModelVersion:
    labels = version.tags
    named = aliases.get(version.name, {})
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
        aliases=tuple(sorted(alias for alias, number in named.items() if number == version.version)),
    )


def model(store: RunStore, given: str, version: str | None = None) -> ModelVersion:
    """See `RunStore.model`."""
    return _found(store, _version(store, given, version))


def _version(store: RunStore, given: str, version: str | None = None) -> Version:
    """The version that is meant. Raises InputError, naming what there is."""
    name, asked, alias = names.split_model(given)
    there = versions(store, name)
    if not there:
        raise names.unknown_model(name, sorted({found.name for found in versions(store)}))
    if alias is not None and version is None:
        aliases = _aliases(store, name).get(name, {})
        if alias not in aliases:
            raise names.unknown_alias(name, alias, aliases)
        asked = aliases[alias]
    asked = version or asked
    if asked is None:
        return there[0]
    for found in there:
        if found.version == asked:
            return found
    numbers = ", ".join(found.version for found in reversed(there))
    raise InputError(f"model {name!r} has no version {asked}", fix=f"there are: {numbers}")


def models(store: RunStore) -> list[ModelVersion]:
    """See `RunStore.models`."""
    aliases = _aliases(store)
    found = ((version, _run(store, version)) for version in versions(store))
    return [
        _row(version, files.outputs_path(store, run, files.place(version.tags)), aliases)
        for version, run in found
        if run is not None
    ]


def named(store: RunStore, given: str) -> ModelVersion:
    """The version that is meant, whether its files are there or not. Raises InputError for none."""
    found = _version(store, given)
    run = _run(store, found)
    folder = Path() if run is None else files.outputs_path(store, run, files.place(found.tags))
    return _row(found, folder, _aliases(store, found.name))


def alias(store: RunStore, given: str, alias: str) -> tuple[ModelVersion, str | None]:
    """Give a version an alias, which its model has once: the version, and the one that had it before. InputError."""
    names.check_alias(alias)
    meant = _version(store, given)
    before = _aliases(store, meant.name).get(meant.name, {}).get(alias)
    if before != meant.version:
        with store.writing() as client:
            client.set_registered_model_alias(meant.name, alias, meant.version)
    return named(store, f"{meant.name}:{meant.version}"), before


def drop_alias(store: RunStore, given: str, alias: str) -> ModelVersion:
    """Take an alias away; the version that had it. Raises InputError where none has, or another than the one named."""
    names.check_alias(alias)
    name, version, _ = names.split_model(given)
    found = _version(store, f"{name}@{alias}")
    if version not in (None, found.version):
        raise InputError(f"{alias!r} is {name}:{found.version}, not {name}:{version}", where="MODEL")
    with store.writing() as client:
        client.delete_registered_model_alias(name, alias)
    return named(store, f"{name}:{found.version}")


def delete(store: RunStore, name: str, version: str) -> None:
    """Remove a version and its aliases; its number is never given again. Files of a job's trial stay with the job.

    Those of a model that was registered from a file are marked as deleted, as MLflow does it, and go with `mlflow gc`.
    Raises InputError where there is no such version.
    """
    found = _version(store, name, version)
    with store.writing() as client:
        for one, number in _aliases(store, name).get(name, {}).items():
            if number == version:
                client.delete_registered_model_alias(name, one)
        client.delete_model_version(name, version)
        run = _run(store, found)
        if run is None:
            return
        files.remove(store, run, card.place(name, version))
        if tags.FILE in found.tags:
            client.delete_run(found.run_id)
