"""The parts of a job file that every task has: data, where it would run in Azure, identity, outputs.

Key sets, casing and requirements are those of azure-ai-ml's schemas (_schema/job, _schema/automl/automl_job.py).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from forestay.documents.names import refuse, shown
from forestay.documents.values import (
    AsMapping,
    Count,
    FreeMap,
    Name,
    Number,
    Scalar,
    Text,
    Whole,
    kind,
    names_or_one,
    one_of,
    taking,
)

_REMOTE = re.compile(r"^(azureml|https?|wasbs?|abfss?|adl|s3|gs):", re.IGNORECASE)
_ASSET = re.compile(r"^azureml:(//.+|/?subscriptions/.+|registries/.+|[^:@/]+[:@][^:@/]+)$", re.IGNORECASE)


class Section(BaseModel):
    """A mapping of a job file: unknown keys are refused, and it doesn't change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _has_value(cls, value: Any, info: ValidationInfo) -> Any:
        """`key:` with nothing behind it is refused, as in azure-ai-ml; None is only the default of what is left out."""
        if value is None and cls.model_fields[str(info.field_name)].annotation is not Any:
            raise refuse("has no value", "give it a value, or remove the line")
        return value


def task_of(info: ValidationInfo) -> str:
    """The task of the job being read, which the loader puts into the context."""
    return str((info.context or {})["task"])


@taking("a folder, a file, or an address such as `azureml:name:version`")
def _path(value: Any) -> str:
    if not isinstance(value, str):
        raise refuse(f"must be a path, not {kind(value)}", "write a folder, a file or azureml:name:version")
    if not value.strip() or "\0" in value:
        raise refuse("is no path", "write a folder, a file or azureml:name:version")
    if value.lower().startswith("azureml:") and not _ASSET.match(value):
        raise refuse(
            f"{shown(value)!r} lacks a version",
            f"write {shown(value.rstrip(':@'))}:1 or {shown(value.rstrip(':@'))}@latest",
        )
    return value


class DataInput(Section):
    """Where a table lies: a folder with an MLTable, or an address in Azure.

    `path` is as written; `local(base)` gives the file or folder on this machine, if it is one.

    Attributes
    ----------
    path: relative to the job file. type: always `mltable`; a plain file is taken as one here.
    mode, path_on_compute, datastore: for Azure only.
    """

    path: Annotated[str, BeforeValidator(_path)]
    type: Annotated[str, BeforeValidator(one_of("mltable"))] = "mltable"
    mode: (
        Annotated[str, BeforeValidator(one_of("ro_mount", "download", "direct", "eval_mount", "eval_download"))] | None
    ) = None
    path_on_compute: Text | None = None
    datastore: Text | None = None

    @property
    def remote(self) -> bool:
        """Whether the data lies in Azure or on the web, out of this machine's reach."""
        return bool(_REMOTE.match(self.path))

    def local(self, base: Path) -> Path | None:
        """The path on this machine, relative ones taken from `base` (the job file's folder); None when remote."""
        if self.remote:
            return None
        text = re.sub(r"^file:(//)?", "", self.path)
        return base / Path(text).expanduser()


def _data(value: Any) -> Any:
    if isinstance(value, str):
        raise refuse(
            "must be a mapping with the key path", f"write `path: {shown(value)}` on a line of its own under it"
        )
    if not isinstance(value, dict):
        raise refuse(f"must be a mapping with the key path, not {kind(value)}", "write `path: ./folder` under it")
    return value


Data = Annotated[DataInput, BeforeValidator(_data)]


class Resources(Section):
    """The machines of a serverless job in Azure."""

    instance_type: Name | None = None
    instance_count: Count | None = None
    max_instance_count: Count | None = None
    properties: FreeMap | None = None
    locations: Annotated[tuple[Name, ...], BeforeValidator(names_or_one)] | None = None
    shm_size: Text | None = None
    docker_args: Annotated[tuple[Text, ...], BeforeValidator(names_or_one)] | None = None


class QueueSettings(Section):
    job_tier: Annotated[str, BeforeValidator(one_of("spot", "basic", "standard", "premium", "null"))] | None = None
    priority: Annotated[str, BeforeValidator(one_of("low", "medium", "high"))] | None = None


class Identity(Section):
    """The identity that a job uses in Azure; the ids belong to a managed one."""

    type: Annotated[str, BeforeValidator(one_of("managed", "managed_identity", "user_identity", "aml_token"))]
    client_id: Text | None = None
    object_id: Text | None = None
    msi_resource_id: Text | None = None


_OUTPUT_TYPES = ("uri_file", "uri_folder", "custom_model", "mlflow_model", "mltable", "triton_model")


class Output(Section):
    name: Text | None = None
    version: (
        Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, int | float) else value)] | None
    ) = None
    mode: Annotated[str, BeforeValidator(one_of("mount", "upload", "rw_mount", "direct"))] | None = None
    type: Annotated[str, BeforeValidator(one_of(*_OUTPUT_TYPES))] | None = None
    path: Text | None = None


_DISTRIBUTIONS = (
    "choice",
    "randint",
    *("uniform", "quniform", "loguniform", "qloguniform"),
    *("normal", "qnormal", "lognormal", "qlognormal"),
)


class Distribution(Section):
    """How a swept parameter varies, in the search space of a text task."""

    type: Annotated[str, BeforeValidator(one_of(*_DISTRIBUTIONS))]
    values: Annotated[list[Any], Field(min_length=1)] | None = None
    min_value: Number | None = None
    max_value: Number | None = None
    mu: Number | None = None
    sigma: Number | None = None
    q: Number | None = None
    upper: Whole | None = None


class Sampling(Section):
    type: Annotated[str, BeforeValidator(one_of("random", "grid", "bayesian"))]
    seed: Whole | None = None
    logbase: Scalar = None
    rule: Annotated[str, BeforeValidator(one_of("random", "sobol"))] | None = None


class EarlyTermination(Section):
    type: Annotated[str, BeforeValidator(one_of("bandit", "median_stopping", "truncation_selection"))]
    evaluation_interval: Whole | None = None
    delay_evaluation: Whole | None = None
    slack_factor: Number | None = None
    slack_amount: Number | None = None
    truncation_percentage: Whole | None = None


@taking("a sampling, or its type alone")
def _sampling(value: Any) -> Any:
    """The short form `sampling_algorithm: random` stands for `{type: random}`."""
    return {"type": value} if isinstance(value, str) else value


class Sweep(Section):
    """How the trials of a text or image task are drawn, and stopped early."""

    sampling_algorithm: Annotated[Sampling, AsMapping, BeforeValidator(_sampling)]
    early_termination: Annotated[EarlyTermination, AsMapping] | None = None
