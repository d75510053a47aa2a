"""One class for each AutoML task: a whole job file.

All tasks have the same attributes, so that what reads a job need not ask for its task; the keys that a task's schema
lacks are marked FOREIGN, keep their defaults and are refused in a file.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from automl_jobs.spec import algorithms, metrics, settings
from automl_jobs.spec.common import Data, DataInput, Identity, Output, QueueSettings, Resources, Section, Sweep, task_of
from automl_jobs.spec.sections import (
    Featurization,
    Forecasting,
    ImageLimits,
    Limits,
    TextFeaturization,
    TextLimits,
    TextParameters,
    TextSearchSpace,
    Training,
)
from forestay.documents.names import refuse, shown, snake, suggest
from forestay.documents.values import (
    FOREIGN,
    AsList,
    AsMapping,
    Fraction,
    FreeMap,
    Name,
    Names,
    Text,
    TextMap,
    TextOrNoneMap,
    auto_or,
    kind,
    one_of,
    taking,
    whole_from,
)

VERBOSITIES = ("not_set", "debug", "info", "warning", "error", "critical")
_JOB_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}")


@taking("letters, digits, - and _, a letter or digit first")
def _job_name(value: Any) -> str:
    if isinstance(value, str) and _JOB_NAME.fullmatch(value):
        return value
    raise refuse(
        f"{shown(value)!r} can't be a job's name" if isinstance(value, str) else f"must be a text, not {kind(value)}",
        "letters, digits, - and _, a letter or digit first, 255 at most",
    )


@taking(", ".join(f"`{task}`" for task in metrics.PRIMARY_METRICS))
def _task(value: Any) -> str:
    """As azure-ai-ml reads it: lower case with underscores, and no other spelling."""
    if isinstance(value, str) and value in metrics.PRIMARY_METRICS:
        return value
    if isinstance(value, str):
        raise refuse(f"{shown(value)!r} is not an AutoML task", suggest(value, metrics.PRIMARY_METRICS))
    raise refuse(f"must be the name of a task, not {kind(value)}", f"valid: {', '.join(metrics.PRIMARY_METRICS)}")


def _properties(value: Any) -> Any:
    """Numbers and truth values given to `forestay.*` become texts, as which Azure wants them."""
    if not isinstance(value, dict):
        return value
    return {
        key: str(item).lower() if key.startswith(settings.PREFIX) and isinstance(item, int | float) else item
        for key, item in value.items()
    }


class JobSpec(Section):
    """A job of any task. Attributes are named as the keys of the file; see the sections for those that are mappings.

    Attributes
    ----------
    runs_here: whether the local engine trains this task.
    schema_: the address of Azure's schema, for editors. type: always `automl`. task: what is to be learned.
    name: the job's; without it one is made up. display_name, description, tags: for people.
    experiment_name: what jobs are grouped by; `Default` without it.
    properties: texts that Azure keeps, those named `forestay.*` among them.
    compute: the cluster that trains in Azure, as `azureml:cpu-cluster`; on this machine the job runs here.
    resources: instead of `compute`, the machines of a serverless job in Azure. queue_settings: of a serverless job.
    identity, environment_id, environment_variables, outputs, services: for Azure only.
    log_verbosity: of Azure's log.
    primary_metric: what trials are compared by; see the table of tasks.
    target_column_name: the column to predict; for named entities none. positive_label: the class that binary metrics
        are about; without it the second of the two, as in Azure.
    training_data: the table to learn from. validation_data: rows that trials are compared on; without it, and without
        the keys below, the number of rows decides between folds and a hold-out. test_data: rows for one last score.
    validation_data_size, test_data_size: a share of the training rows, held out.
    n_cross_validations: how many folds; with `validation_data_size` so many random splits.
    cv_split_column_names: columns that say by 0 and 1 which rows train and which validate, one column a fold.
    weight_column_name: the column with the rows' weights, in validation and test data too: each row counts one where
        that lacks it. limits: when to stop.
    featurization: how columns become features. training: which models to train.
    forecasting: what a forecast needs to know of time. sweep: how trials are drawn.
    training_parameters: fixed parameters of Azure's language or vision model.
    search_space: parameters of that model to sweep over.
    """

    runs_here: ClassVar[bool] = False
    first_metric: ClassVar[str] = "accuracy"

    # What Azure writes into a file that it gives back; taken and ignored, as there.
    schema_: Any = Field(default=None, alias="$schema")
    id: Any = None
    status: Any = None
    creation_context: Any = None
    log_files: Any = None

    type: Annotated[str, BeforeValidator(one_of("automl"))]
    task: Annotated[str, BeforeValidator(_task)]
    name: Annotated[str, BeforeValidator(_job_name)] | None = None
    experiment_name: Name | None = None
    display_name: Text | None = None
    description: Text | None = None
    tags: TextOrNoneMap = Field(default_factory=dict)
    properties: Annotated[TextOrNoneMap, BeforeValidator(_properties)] = Field(default_factory=dict)
    compute: Name | None = None
    resources: Annotated[Resources, AsMapping] | None = None
    queue_settings: Annotated[QueueSettings, AsMapping] | None = None
    identity: Annotated[Identity, AsMapping] | None = None
    environment_id: Text | None = None
    environment_variables: TextMap = Field(default_factory=dict)
    outputs: Annotated[dict[str, Annotated[Output, AsMapping] | None], AsMapping] = Field(default_factory=dict)
    services: FreeMap | None = None
    log_verbosity: Annotated[str, BeforeValidator(one_of(*VERBOSITIES))] = "info"

    primary_metric: str = Field(default="", validate_default=True)
    target_column_name: Name
    training_data: Data
    validation_data: Data | None = None
    test_data: Data | None = None
    validation_data_size: Fraction | None = None
    cv_split_column_names: Names | None = None
    n_cross_validations: Annotated[int | str, BeforeValidator(auto_or(whole_from(2)))] | None = None
    test_data_size: Fraction | None = None
    weight_column_name: Name | None = None
    positive_label: Annotated[Text | None, FOREIGN] = None
    limits: Annotated[Limits, AsMapping] = Limits()
    featurization: Annotated[Featurization, AsMapping] = Featurization()
    training: Annotated[Training, AsMapping] = Training()
    forecasting: Annotated[Forecasting | None, FOREIGN] = None
    sweep: Annotated[Sweep | None, FOREIGN] = None
    training_parameters: Annotated[Any, FOREIGN] = None
    search_space: Annotated[Any, FOREIGN] = None

    @field_validator("primary_metric", mode="before")
    @classmethod
    def _metric_of_task(cls, value: Any, info: ValidationInfo) -> str:
        task = task_of(info)
        valid = metrics.PRIMARY_METRICS[task]
        if value == "":
            return valid[0]
        if isinstance(value, str) and snake(value) in valid:
            return snake(value)
        if not isinstance(value, str):
            raise refuse(f"must be the name of a metric, not {kind(value)}", f"valid: {', '.join(valid)}")
        raise refuse(f"{shown(value)!r} can't be the primary metric of {task}", suggest(value, valid))

    @field_validator("validation_data_size", "cv_split_column_names", "n_cross_validations")
    @classmethod
    def _one_way_to_validate(cls, value: Any, info: ValidationInfo) -> Any:
        """Azure refuses these together; `n_cross_validations` with `validation_data_size` is Monte Carlo validation."""
        earlier = {"validation_data", "cv_split_column_names"}
        if info.field_name == "cv_split_column_names":
            earlier.add("validation_data_size")
        clash = [name for name in sorted(earlier) if name != info.field_name and info.data.get(name) is not None]
        if value is not None and clash:
            raise refuse(f"can't be given together with {clash[0]}", "keep one of the two")
        return value

    @field_validator("test_data_size")
    @classmethod
    def _one_way_to_test(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and info.data.get("test_data") is not None:
            raise refuse("can't be given together with test_data", "keep one of the two")
        return value

    @property
    def metric(self) -> str:
        """The primary metric as a run logs it, such as AUC_weighted."""
        return metrics.run_name(self.primary_metric)

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The run names of the algorithms that may be tried; empty where Azure alone knows the task."""
        allowed = self.training.allowed_training_algorithms
        blocked = self.training.blocked_training_algorithms or ()
        return tuple(
            name
            for name in algorithms.BY_TASK.get(self.task, ())
            if (allowed is None or name in allowed) and name not in blocked
        )

    @property
    def forestay(self) -> settings.ForestaySettings:
        """What the properties named `forestay.*` say."""
        return settings.read(self.properties)

    @property
    def time_budget_seconds(self) -> float:
        """How long a local search may take: `forestay.time_budget`, else `limits.timeout_minutes`."""
        return self.forestay.time_budget_seconds or self.limits.timeout_minutes * 60.0

    def inputs(self) -> dict[str, DataInput]:
        """The data of the job by key: training_data, and validation_data and test_data if given."""
        found = {
            "training_data": self.training_data,
            "validation_data": self.validation_data,
            "test_data": self.test_data,
        }
        return {name: data for name, data in found.items() if data is not None}


class ClassificationJob(JobSpec):
    runs_here: ClassVar[bool] = True
    positive_label: Text | None = None


class RegressionJob(JobSpec):
    runs_here: ClassVar[bool] = True


class ForecastingJob(JobSpec):
    runs_here: ClassVar[bool] = True
    forecasting: Annotated[Forecasting, AsMapping]


class _LanguageOrVision(JobSpec):
    """What text and image tasks have in common, and lack."""

    sweep: Annotated[Sweep, AsMapping] | None = None
    n_cross_validations: Annotated[int | str | None, FOREIGN] = None
    cv_split_column_names: Annotated[tuple[str, ...] | None, FOREIGN] = None
    weight_column_name: Annotated[str | None, FOREIGN] = None
    training: Annotated[Training, FOREIGN] = Training()


class TextJob(_LanguageOrVision):
    """What the text tasks have in common."""

    limits: Annotated[TextLimits, AsMapping] = TextLimits()
    featurization: Annotated[TextFeaturization, AsMapping] = TextFeaturization()
    training_parameters: Annotated[TextParameters, AsMapping] | None = None
    search_space: Annotated[tuple[Annotated[TextSearchSpace, AsMapping], ...], AsList] | None = None
    validation_data_size: Annotated[float | None, FOREIGN] = None
    test_data: Annotated[DataInput | None, FOREIGN] = None
    test_data_size: Annotated[float | None, FOREIGN] = None


class TextClassificationJob(TextJob):
    runs_here: ClassVar[bool] = True


class TextMultilabelJob(TextJob):
    runs_here: ClassVar[bool] = True


class TextNerJob(TextJob):
    target_column_name: Name = ""


class ImageJob(_LanguageOrVision):
    """The four image tasks. Their many model parameters are taken as they are."""

    limits: Annotated[ImageLimits, AsMapping] = ImageLimits()
    featurization: Annotated[Featurization, FOREIGN] = Featurization()
    training_parameters: FreeMap | None = None
    search_space: Annotated[tuple[FreeMap, ...], AsList] | None = None


BY_TASK: dict[str, type[JobSpec]] = {
    "classification": ClassificationJob,
    "regression": RegressionJob,
    "forecasting": ForecastingJob,
    "text_classification": TextClassificationJob,
    "text_classification_multilabel": TextMultilabelJob,
    "text_ner": TextNerJob,
    "image_classification": ImageJob,
    "image_classification_multilabel": ImageJob,
    "image_object_detection": ImageJob,
    "image_instance_segmentation": ImageJob,
}


def runnable() -> tuple[str, ...]:
    """The tasks that the local engine trains."""
    return tuple(task for task, kind in BY_TASK.items() if kind.runs_here)
