"""Models in the workspace's registry: made from a trial's files where they lie, without a download.

A version keeps in its tags which job, trial and score it came from. The same trial registered again under the same name
is the version that is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.azure import jobs, storage
from automl_jobs.azure.arm import Arm
from automl_jobs.azure.fetch import choose
from automl_jobs.runs import names
from automl_jobs.runs.read import no_model
from automl_jobs.runs.rows import RegisteredModel
from forestay import project
from forestay.errors import InputError

if TYPE_CHECKING:
    from automl_jobs.azure.storage import Progress

MODELS = "2023-08-01-preview"
TRIES = 5
_JOB, _TRIAL, _RANK, _ALGORITHM, _METRIC, _SCORE = (
    f"forestay.{word}" for word in ("job", "trial", "rank", "algorithm", "primary_metric", "score")
)
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
    if arm.find(f"{arm.place.path}/models/{name}", MODELS, what) is None:
        return []
    found = arm.pages(f"{arm.place.path}/models/{name}/versions", MODELS, what)
    return sorted((_read(arm, name, document) for document in found), key=_place)


def listed(arm: Arm) -> list[AzureModel]:
    """All versions of all models, by name, the newest first."""
    containers = list(arm.pages(f"{arm.place.path}/models", MODELS, "the models"))
    return [one for document in sorted(containers, key=_named) for one in versions(arm, str(document["name"]))]


def _named(document: Mapping[str, Any]) -> str:
    return str(document.get("name"))


def _place(one: AzureModel) -> tuple[int, str]:
    return (-int(one.version), "") if one.version.isdigit() else (0, one.version)


def find(arm: Arm, given: str) -> AzureModel:
    """The version that `M` or `M:3` names. Raises InputError."""
    name, asked = names.split_model(given)
    there = versions(arm, name)
    if not there:
        known = sorted(
            str(document["name"]) for document in arm.pages(f"{arm.place.path}/models", MODELS, "the models")
        )
        raise names.unknown_model(name, known)
    found = there[0] if asked is None else next((one for one in there if one.version == asked), None)
    if found is None:
        numbers = ", ".join(one.version for one in reversed(there))
        raise InputError(f"model {name!r} has no version {asked}", fix=f"there are: {numbers}")
    return found


def _read(arm: Arm, name: str, document: Mapping[str, Any]) -> AzureModel:
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
    )


def download(arm: Arm, found: AzureModel, to: Path, progress: Progress, say: Callable[[str], None]) -> list[str]:
    """Copy a version's files into the new folder `to`, whole or not at all; their names. Raises InputError."""
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise InputError("there is something here already", where=str(to), fix="name a new folder with --to")
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
