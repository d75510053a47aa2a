"""Models in the workspace's registry: made from a trial's files where they lie, without a download.

A version keeps in its tags which job, trial and score it came from. The same trial registered again under the same name
is the version that is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from automl_jobs.azure import jobs, storage
from automl_jobs.azure.arm import Arm
from automl_jobs.azure.fetch import choose, fetch
from automl_jobs.runs import card, names
from automl_jobs.runs.read import no_model
from automl_jobs.runs.rows import RegisteredModel
from forestay import project
from forestay.errors import InputError

if TYPE_CHECKING:
    from automl_jobs.azure.storage import Progress
    from automl_jobs.runs import RunStore, TrialDetail

MODELS = "2023-08-01-preview"
TRIES = 5
_JOB, _TRIAL, _RANK, _ALGORITHM, _METRIC, _SCORE = (
    f"forestay.{word}" for word in ("job", "trial", "rank", "algorithm", "primary_metric", "score")
)
_ALIAS = "forestay.alias."
_LINEAGE = (jobs.FILE, jobs.COMMIT, jobs.DATA)
"""Of the job's tags those that say where its model comes from."""


@dataclass(frozen=True, kw_only=True)
class AzureModel(RegisteredModel):
    """A version of a model in the workspace of `env`; its tags tell its origin.

    Attributes
    ----------
    uri: where its files are.
    tags: all of them, the job's file, commit and data among them.
    """

    env: str
    uri: str
    tags: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {**self.described(self.uri), "env": self.env, "tags": dict(self.tags)}


def register(arm: Arm, given: str, rank: int | None, name: str) -> AzureModel:
    """Register a trial of a job, None for the one that Azure chose. Raises InputError, OutsideError."""
    names.check_model_name(name)
    seen = jobs.find(arm, given)
    row = choose(seen, rank)
    if row.score is None:
        raise no_model(seen.row, row)
    there = versions(arm, name)
    before = next((one for one in there if one.job == seen.row.job and one.trial == row.id), None)
    if before is not None:
        return replace(before, existing=True)
    uri = f"azureml://jobs/{row.run_id}/outputs/artifacts/paths/outputs/"
    tags = {
        _JOB: seen.row.job,
        _TRIAL: row.id,
        _RANK: str(row.rank),
        _ALGORITHM: row.algorithm,
        _METRIC: seen.row.primary_metric,
        _SCORE: repr(row.score),
        **{key: seen.tags[key] for key in _LINEAGE if key in seen.tags},
    }
    body = {
        "properties": {
            "modelType": "custom_model",
            "modelUri": uri,
            "description": f"{row.algorithm} of {seen.row.job}",
            "jobName": row.run_id,
            "isAnonymous": False,
            "isArchived": False,
            "properties": {},
            "tags": tags,
            "flavors": {},
        }
    }
    newest = max((int(one.version) for one in there if one.version.isdigit()), default=0)
    for attempt in range(1, TRIES + 1):  # somebody else may register at the same moment
        version = str(newest + attempt)
        try:
            made = arm.put(
                f"{arm.place.path}/models/{name}/versions/{version}", MODELS, f"the model {name}:{version}", body
            )
        except InputError:
            if (
                attempt == TRIES
                or arm.find(f"{arm.place.path}/models/{name}/versions/{version}", MODELS, f"the model {name}:{version}")
                is None
            ):
                raise
            continue
        return _read(arm, name, {**body, **made, "name": version})
    raise AssertionError("unreachable")


def versions(arm: Arm, name: str) -> list[AzureModel]:
    """The versions of a model, the newest first; none where there is no such model."""
    what = f"the model {name}"
    container = arm.find(f"{arm.place.path}/models/{name}", MODELS, what)
    if container is None:
        return []
    found = arm.pages(f"{arm.place.path}/models/{name}/versions", MODELS, what)
    named = _aliases(container)
    return sorted((_read(arm, name, document, named) for document in found), key=_place)


def listed(arm: Arm) -> list[AzureModel]:
    """All versions of all models, by name, the newest first."""
    containers = list(arm.pages(f"{arm.place.path}/models", MODELS, "the models"))
    return [one for document in sorted(containers, key=_named) for one in versions(arm, str(document["name"]))]


def _named(document: Mapping[str, Any]) -> str:
    return str(document.get("name"))


def _place(one: AzureModel) -> tuple[int, str]:
    return (-int(one.version), "") if one.version.isdigit() else (0, one.version)


def find(arm: Arm, given: str) -> AzureModel:
    """The version that `M`, `M:3` or `M@alias` names. Raises InputError."""
    name, asked, alias = names.split_model(given)
    there = versions(arm, name)
    if not there:
        known = sorted(
            str(document["name"]) for document in arm.pages(f"{arm.place.path}/models", MODELS, "the models")
        )
        raise names.unknown_model(name, known)
    if alias is not None:
        named = {one: version.version for version in there for one in version.aliases}
        if alias not in named:
            raise names.unknown_alias(name, alias, named)
        asked = named[alias]
    found = there[0] if asked is None else next((one for one in there if one.version == asked), None)
    if found is None:
        numbers = ", ".join(one.version for one in reversed(there))
        raise InputError(f"model {name!r} has no version {asked}", fix=f"there are: {numbers}")
    return found


def fetched(
    arm: Arm, store: RunStore, given: str, progress: Progress, say: Callable[[str], None]
) -> tuple[AzureModel, TrialDetail, Path]:
    """A version, its trial in the run store here, and that trial's outputs; fetched unless it is there already.

    Raises InputError for a version that no job of Azure's made, or whose trial is another now; OutsideError.
    """
    found = find(arm, given)
    label = f"{found.name}:{found.version}"
    if not found.job:
        fix = (
            f"register a trial of a job, or take its files: forestay model download {label} --to DIR --env {found.env}"
        )
        raise InputError("was registered by other means than forestay: its job is not known", where=label, fix=fix)
    job, rank = fetch(arm, store, found.job, found.rank, progress, say)
    kept = store.trial(job, rank)
    if kept.row.id != found.trial or kept.outputs is None:
        raise InputError(f"its trial {found.trial} is not in {job} any more", where=label, fix="register it again")
    return found, kept, kept.outputs


def alias(arm: Arm, given: str, alias: str) -> tuple[AzureModel, str | None]:
    """Give a version an alias, which its model has once: the version, and the one that had it before. InputError.

    Azure ML's registry has no aliases: each is a tag of the model, beside those of others.
    """
    names.check_alias(alias)
    found = find(arm, given)
    before = _retag(arm, found.name, alias, found.version)
    return find(arm, f"{found.name}:{found.version}"), before


def drop_alias(arm: Arm, given: str, alias: str) -> AzureModel:
    """Take an alias away; the version that had it. Raises InputError where none has, or another than the one named."""
    names.check_alias(alias)
    name, version, _ = names.split_model(given)
    found = find(arm, f"{name}@{alias}")
    if version not in (None, found.version):
        raise InputError(f"{alias!r} is {name}:{found.version}, not {name}:{version}", where="MODEL")
    _retag(arm, name, alias, None)
    return find(arm, f"{name}:{found.version}")


def card_of(arm: Arm, found: AzureModel) -> str:
    """The model card of a version, from what Azure keeps of its job. Raises InputError where no job is known."""
    if not found.job:
        raise InputError(
            f"{found.name}:{found.version} was registered by other means than forestay: its job is not known",
            where="--card",
            fix=f"see what is: forestay model show {found.name}:{found.version} --env {found.env}",
        )
    seen = jobs.find(arm, found.job)
    detail = jobs.detail(arm, seen)
    trial = next((row for row in jobs.with_metrics(arm, seen) if row.id == found.trial), None)
    lineage = [(key.removeprefix("forestay."), found.tags[key]) for key in _LINEAGE if key in found.tags]
    return card.text(found, {"task": detail.task, "target": detail.target}, detail, trial, lineage)


def delete(arm: Arm, found: AzureModel) -> None:
    """Remove a version and its aliases; files of a job's trial stay with the job."""
    for alias in found.aliases:
        _retag(arm, found.name, alias, None)
    arm.delete(
        f"{arm.place.path}/models/{found.name}/versions/{found.version}",
        MODELS,
        f"the model {found.name}:{found.version}",
    )


def _retag(arm: Arm, name: str, alias: str, version: str | None) -> str | None:
    """Set the tag of an alias, or remove it for None; what it was."""
    path, what = f"{arm.place.path}/models/{name}", f"the model {name}"
    properties = dict(arm.get(path, MODELS, what).get("properties") or {})
    tags = dict(properties.get("tags") or {})
    before = tags.pop(f"{_ALIAS}{alias}", None)
    if before == version:
        return before
    if version is not None:
        tags[f"{_ALIAS}{alias}"] = version
    kept = {key: properties[key] for key in ("description", "properties", "isArchived") if key in properties}
    arm.put(path, MODELS, what, {"properties": {**kept, "tags": tags}})
    return before


def _aliases(container: Mapping[str, Any]) -> dict[str, str]:
    """The aliases among a model's tags, each with its version."""
    tags = (container.get("properties") or {}).get("tags") or {}
    return {key.removeprefix(_ALIAS): str(value) for key, value in tags.items() if key.startswith(_ALIAS)}


def _read(
    arm: Arm, name: str, document: Mapping[str, Any], aliases: Mapping[str, str] = MappingProxyType({})
) -> AzureModel:
    properties = document.get("properties") or {}
    tags = properties.get("tags") or {}
    rank, score = tags.get(_RANK), tags.get(_SCORE)
    return AzureModel(
        env=arm.place.env,
        name=name,
        version=str(document["name"]),
        uri=str(properties.get("modelUri") or ""),
        job=str(tags.get(_JOB) or ""),
        trial=str(tags.get(_TRIAL) or ""),
        rank=int(rank) if rank else None,
        algorithm=str(tags.get(_ALGORITHM) or ""),
        metric=str(tags.get(_METRIC) or ""),
        score=float(score) if score else None,
        created=jobs.moment((document.get("systemData") or {}).get("createdAt")),
        tags={str(key): str(value or "") for key, value in tags.items()},
        aliases=tuple(sorted(alias for alias, version in aliases.items() if version == str(document["name"]))),
    )


def download(arm: Arm, found: AzureModel, to: Path, progress: Progress, say: Callable[[str], None]) -> list[str]:
    """Copy a version's files into the new folder `to`, whole or not at all; their names. Raises InputError."""
    project.require_free(to)
    datastore, prefix = _where(found)
    store = storage.open_store(arm, datastore)
    listed_names = store.names(prefix)
    if not listed_names:
        raise InputError(f"the files of {found.name}:{found.version} are gone", where=found.uri, fix="register another")
    say(f"downloading {len(listed_names)} files of {found.name}:{found.version}")
    with project.new_folder(to.absolute()) as scratch:
        return store.download(prefix, scratch, progress, listed_names)


def _where(found: AzureModel) -> tuple[str, str]:
    """The datastore and the prefix of a model's files. Raises InputError for an address of another kind."""
    if found.uri.startswith("azureml://jobs/") and "/outputs/artifacts/paths/" in found.uri:
        run, _, path = found.uri.removeprefix("azureml://jobs/").partition("/outputs/artifacts/paths/")
        return storage.ARTIFACT_STORE, f"ExperimentRun/dcid.{run}/{path}"
    datastore, _, path = found.uri.partition("/datastores/")[2].partition("/paths/")
    if datastore and path:
        return datastore, path
    raise InputError(f"{found.name}:{found.version} lies where it can't be read from here", where=found.uri)
