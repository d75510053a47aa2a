"""A registered version ready to be asked: its schema, what its scores are measured by, and the model itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.engine import outputs
from automl_jobs.prepare.label_lists import TASK as MULTILABEL
from automl_jobs.prepare.labels import CLASSIFIES, find_label
from automl_jobs.spec.metrics import PRIMARY_METRICS, higher_is_better, run_name
from forestay.errors import InputError

if TYPE_CHECKING:
    from automl_jobs.azure.arm import Arm
    from automl_jobs.azure.storage import Progress
    from automl_jobs.runs import JobDetail, RunStore
    from automl_jobs.runs.rows import RegisteredModel
    from forestay_forecasting import Key

TASKS = (*CLASSIFIES, MULTILABEL, "regression", "forecasting")


@dataclass(frozen=True)
class Measure:
    """What scores are measured by; it has what `engine.spread.primary` asks of a problem.

    Attributes
    ----------
    metric: the primary one, or the one that was asked for, in Azure's run names.
    span: smallest and largest target that a regression's errors are divided by; (0, 0) where it is not known.
    positive: number of the class that the `_binary` metrics are about; None takes the second of two.
    minority: number of the class that was the rarest in training; -1 where that is not known.
    series: of a forecast: smallest and largest training value and mean absolute seasonal difference by series.
    weights: the column with the rows' weights; "" where each row counts one.
    known: whether the job says so; else the rows that are scored are their own measure.
    """

    task: str
    metric: str
    span: tuple[float, float] = (0.0, 0.0)
    positive: int | None = None
    minority: int = -1
    series: Mapping[Key, tuple[float, float, float]] = field(default_factory=dict)
    weights: str = ""
    known: bool = False

    @property
    def classification(self) -> bool:
        return self.task in CLASSIFIES

    @property
    def multilabel(self) -> bool:
        return self.task == MULTILABEL

    @property
    def higher(self) -> bool:
        return higher_is_better(self.metric)


@dataclass(frozen=True)
class LoadedModel:
    """A version of a model that can be asked.

    Attributes
    ----------
    schema: its model_schema.json.
    model: has `predict`, and `predict_proba` and `forecast` where its kind has them.
    measure: see Measure. detail: the job that made it; None for a model from elsewhere, or where the job is gone.
    """

    name: str
    version: str
    path: Path
    schema: Mapping[str, Any]
    model: Any
    measure: Measure
    detail: JobDetail | None = None

    @property
    def label(self) -> str:
        return f"{self.name}:{self.version}"

    @property
    def task(self) -> str:
        return str(self.schema["task"])

    @property
    def target(self) -> str:
        return str(self.schema["target"])

    @property
    def classes(self) -> list[Any] | None:
        found: list[Any] | None = self.schema["classes"]
        return found

    @property
    def probabilities(self) -> bool:
        """Whether a classifier gives them."""
        return bool(self.schema.get("probabilities", True))

    @property
    def columns(self) -> list[str]:
        """What a row must have; of a forecast what is not known ahead may be left out."""
        ahead = self.task == "forecasting"
        return [one["name"] for one in self.schema["columns"] if one["used"] and not (ahead and one["nullable"])]

    def same_as(self, other: LoadedModel) -> bool:
        """Whether the two are one model, whatever they are called."""
        return bool(self.schema["files"][outputs.MODEL] == other.schema["files"].get(outputs.MODEL))

    def measured_by(self, metric: str | None) -> LoadedModel:
        """The same with another metric in the first place; None leaves the job's. Raises InputError for no metric."""
        if metric is None:
            return self
        name = run_name(metric)
        try:
            higher_is_better(name)
        except KeyError:
            raise InputError(
                f"{metric!r} is no metric of Azure's",
                where="--metric",
                fix=f"of this task are, among others, {', '.join(map(run_name, PRIMARY_METRICS[self.task]))}",
            ) from None
        return replace(self, measure=replace(self.measure, metric=name))


def open_model(store: RunStore, given: str, say: Callable[[str], None] = lambda _: None) -> LoadedModel:
    """The version that `M`, `M:3`, `M@alias` or `local:M` names, loaded.

    Parameters
    ----------
    say: told what takes a while: a model that can't be loaded here is asked in its own environment, which is made.

    Raises InputError for a model that is not there, has no known task, or has files that are not those recorded;
    OutsideError when its environment can't be made.
    """
    found = store.model(given)
    return load(store, found, found.path, say)


def open_in_azure(arm: Arm, store: RunStore, given: str, progress: Progress, say: Callable[[str], None]) -> LoadedModel:
    """A version in the registry of a workspace, loaded here: its trial is fetched, unless it is in the run store.

    Raises as open_model() and models.fetched().
    """
    from automl_jobs.azure import models

    found, _, folder = models.fetched(arm, store, given, progress, say)
    return load(store, found, folder, say)


def open_served(store: RunStore, folder: Path, say: Callable[[str], None]) -> LoadedModel:
    """The model of a scoring folder, loaded, as an endpoint serves it. Raises as open_model()."""
    from automl_jobs.runs.rows import RegisteredModel
    from scoring.folder import open_folder
    from scoring.styles import MLFLOW

    made = open_folder(folder)
    if made.style == MLFLOW:  # whose files lie as MLflow has them
        registered = store.model(made.model, made.version)
        if (registered.job, registered.trial) != (made.job, made.trial):
            raise InputError(
                f"{made.model}:{made.version} is another model here than the one that is served",
                where=str(folder),
                fix="deploy it in another style once, or compare where it was registered",
            )
        return load(store, registered, registered.path, say)
    found = RegisteredModel(
        name=made.model,
        version=made.version,
        job=made.job,
        trial=made.trial,
        rank=None,
        algorithm="",
        metric="",
        score=None,
        created=None,
    )
    return load(store, found, folder / "model", say, folder)


def load(
    store: RunStore, found: RegisteredModel, folder: Path, say: Callable[[str], None], served: Path | None = None
) -> LoadedModel:
    """A version of a registry, loaded from `folder`; `served` is the scoring folder that this is a part of."""
    from scoring import asked

    schema = _schema(folder, found)
    detail = _job(store, found)
    return LoadedModel(
        name=found.name,
        version=found.version,
        path=folder,
        schema=schema,
        model=asked.model(found.name, found.version, folder, say, served),
        measure=_measure(schema, found, detail),
        detail=detail,
    )


def _schema(folder: Path, found: RegisteredModel) -> dict[str, Any]:
    """The schema of a model of a known task."""
    label = f"{found.name}:{found.version}"
    try:
        schema = outputs.read_schema(folder)
        task = schema.get("task")
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"{label} does not say which columns it takes and what it predicts",
            where=str(folder / outputs.SCHEMA),
            fix="ask it as its own maker does; what was trained here, or registered with --file --sample, says so",
        ) from error
    if task not in TASKS:
        raise InputError(
            f"{label} has the task {task!r}, which is not known here" if task else f"{label} has no known task",
            where=str(folder / outputs.SCHEMA),
            fix=f"rows are predicted and judged for {', '.join(TASKS)}",
        )
    return schema


def _job(store: RunStore, found: RegisteredModel) -> JobDetail | None:
    if not found.job:
        return None
    try:
        return store.job(found.job)
    except InputError:  # it was deleted; the model is there all the same
        return None


def _measure(schema: Mapping[str, Any], found: RegisteredModel, detail: JobDetail | None) -> Measure:
    task = schema["task"]
    metric = found.metric or (detail.primary_metric if detail else "") or run_name(PRIMARY_METRICS[task][0])
    kept = ((detail.documents.get("submit") or {}) if detail else {}).get("measured_by")
    classes = schema["classes"]
    positive = _positive(schema, classes)
    if kept is None:
        return Measure(task, metric, positive=positive)
    if kept["positive"] is not None and classes is not None:
        positive = classes.index(kept["positive"]) if kept["positive"] in classes else positive
    sizes = kept["sizes"]
    return Measure(
        task=task,
        metric=metric,
        span=tuple(kept["span"]) if kept["span"] else (0.0, 0.0),
        positive=positive,
        # Of equally rare classes the last one, which is the positive one of two.
        minority=max(range(len(sizes)), key=lambda place: (-sizes[place], place)) if sizes else -1,
        series={tuple(key): (low, high, scale) for key, low, high, scale in kept["series"] or ()},
        weights=kept.get("weights") or "",
        known=True,
    )


def _positive(schema: Mapping[str, Any], classes: list[Any] | None) -> int | None:
    """The positive class that a model's decision names."""
    named = (schema.get("decision") or {}).get("positive_label")
    label = None if named is None or classes is None else find_label(str(named), classes)
    return None if label is None or classes is None else classes.index(label)


def open_trial(
    store: RunStore, job: str, rank: int | None = None, say: Callable[[str], None] = lambda _: None
) -> LoadedModel:
    """A trial of a job, loaded without being registered; without a rank the job's choice. Its label is `JOB:RANK`.

    Raises InputError for a trial without a model, and as open_model().
    """
    from automl_jobs.runs.read import no_model
    from automl_jobs.runs.rows import RegisteredModel

    detail = store.job(job)
    found = store.trial(detail.job, rank)
    if found.outputs is None:
        raise no_model(detail, found.row)
    row = found.row
    trial = RegisteredModel(
        name=detail.job,
        version=str(row.rank),
        job=detail.job,
        trial=row.id,
        rank=row.rank,
        algorithm=row.algorithm,
        metric=detail.primary_metric,
        score=row.score,
        created=None,
    )
    return load(store, trial, found.outputs, say)
