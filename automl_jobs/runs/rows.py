"""What the run store takes and gives: frozen rows, and their JSON (see "JSON that scripts rely on" in the docs)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forestay import LOCAL

ENDED = ("Completed", "Failed", "Canceled")
"""The statuses after which nothing changes any more; before them come Queued, Preparing, Running (Azure's names)."""

INTERRUPTED = "interrupted"
"""The error of a job whose process ended without saying so: killed, or the machine went down."""

SUBMITTED = "submit"
"""The document that says how a job was submitted, on what data, and what its scores are measured by."""

PROFILE = "data_profile"
"""The document that says what the columns of the training data hold."""

JOB_DOCUMENTS = (
    PROFILE,
    "guardrails",
    "featurization_summary",
    "explanation",
    "test_metrics_interval",
    "forecast",
    SUBMITTED,
)
"""JSON documents that a job may have, kept as artifacts of its run (`guardrails.json`)."""


def finite(value: float | None) -> float | None:
    """`value`, or None where JSON has no word for it (NaN, infinity)."""
    return None if value is None or not math.isfinite(value) else value


def moment(milliseconds: int | None) -> str | None:
    """A time as ISO 8601 in UTC with seconds."""
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat("T", "seconds")


@dataclass(frozen=True)
class JobStart:
    """A job about to run.

    Parameters
    ----------
    name: the job's name; None has one generated, like `quiet_harbor_x8k2m1`.
    primary_metric: Azure's run name, such as `AUC_weighted`.
    spec_text: the job file as text, kept as the artifact `job.yml`.
    path: where the job file lies, "" when there is none.
    documents: JSON documents of the job by their names in JOB_DOCUMENTS, kept from the start.
    prefer: what its choice among the trials goes by: see `choice.choose`.
    """

    name: str | None
    experiment: str
    task: str
    primary_metric: str
    spec_text: str
    target: str
    path: str = ""
    env: str = LOCAL
    prefer: str = "balanced"
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    documents: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialResult:
    """A trial that has ended.

    Parameters
    ----------
    id: unique in its job.
    status: Completed, Failed or Canceled.
    score: the primary metric; None or NaN counts as failed.
    artifacts: documents kept as JSON under their key: `confusion_matrix`, `accuracy_table`.
    duration_seconds: how long the trial took.
    outputs: the folder with model.pkl and its company; copied whole to `outputs/`.
    files: copied beside `outputs/`, under their own names.
    """

    id: str
    algorithm: str
    preprocessor: str
    status: str
    score: float | None
    duration_seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    artifacts: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    outputs: Path | None = None
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class BestTrial:
    """The trial that is a job's model, short.

    Attributes
    ----------
    run_id: MLflow's. rank: its place on the leaderboard. reason: why that is not the first, "" where it is.
    """

    id: str
    algorithm: str
    preprocessor: str
    score: float
    run_id: str
    rank: int = 1
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "rank": self.rank,
            "id": self.id,
            "algorithm": self.algorithm,
            "preprocessor": self.preprocessor,
            "score": self.score,
            "run_id": self.run_id,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class JobRow:
    """A job as `job list` shows it. Times are milliseconds since 1970."""

    job: str
    run_id: str
    experiment: str
    env: str
    status: str
    task: str
    primary_metric: str
    trials: int
    best: BestTrial | None
    created: int
    ended: int | None
    duration_seconds: float | None
    error: str | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "job": self.job,
            "experiment": self.experiment,
            "status": self.status,
            "task": self.task,
            "best_score": self.best.score if self.best else None,
            "created": moment(self.created),
            "primary_metric": self.primary_metric,
            "trials": self.trials,
            "duration_seconds": self.duration_seconds,
            "env": self.env,
        }


@dataclass(frozen=True)
class JobDetail(JobRow):
    """A job as `job show` shows it.

    Attributes
    ----------
    tags: the user's and Azure's. documents: those of JOB_DOCUMENTS it has. decision: how the best trial decides.
    quality: the best trial's (see TrialRow).
    """

    target: str
    path: str
    started: int | None
    parameters: Mapping[str, str]
    test_metrics: Mapping[str, float] | None
    tags: Mapping[str, str]
    documents: Mapping[str, Any] = field(default_factory=dict)
    decision: Mapping[str, Any] | None = None
    quality: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "job": self.job,
            "experiment": self.experiment,
            "env": self.env,
            "status": self.status,
            "task": self.task,
            "primary_metric": self.primary_metric,
            "duration_seconds": self.duration_seconds,
            "trials": self.trials,
            "best_trial": self.best.as_dict() if self.best else None,
            "error": self.error,
            "target": self.target or None,
            "path": self.path or None,
            "created": moment(self.created),
            "started": moment(self.started),
            "ended": moment(self.ended),
            "run_id": self.run_id,
            "parameters": dict(self.parameters),
            "tags": dict(self.tags),
            "guardrails": self.documents.get("guardrails", []),
            "featurization_summary": self.documents.get("featurization_summary", []),
            "explanation": self.documents.get("explanation"),
            "decision": self.decision,
            **self.quality,
        }
        if self.test_metrics is not None:
            document["test_metrics"] = dict(self.test_metrics)
            document["test_metrics_interval"] = self.documents.get("test_metrics_interval", {})
        if "forecast" in self.documents:
            document["forecast"] = self.documents["forecast"]
        return document


@dataclass(frozen=True)
class TrialRow:
    """A row of a leaderboard; `rank` is counted from 1, failed trials come last.

    Attributes
    ----------
    score_std, score_se: standard deviation of the score over the folds, and standard error; None where there was one.
    train_score: the primary metric on rows that the model was fitted on: far better than `score`, it was overfitted.
    predict_ms, model_mb: what the model costs to serve: milliseconds of predicting one row, megabytes of model.pkl.
    chosen: whether it is the job's model.
    quality: of a classifier: minority_recall, minority_average_precision, expected_calibration_error, brier_score.
    rows: how many rows the model was fitted on: fewer than there are for an early trial on a large table.
    order: its place in the order in which the job's trials ended, counted from 1.
    """

    rank: int
    id: str
    run_id: str
    algorithm: str
    preprocessor: str
    score: float | None
    status: str
    duration_seconds: float | None
    metrics: Mapping[str, float]
    error: str | None
    has_model: bool
    score_std: float | None = None
    score_se: float | None = None
    train_score: float | None = None
    predict_ms: float | None = None
    model_mb: float | None = None
    chosen: bool = False
    quality: Mapping[str, float] = field(default_factory=dict)
    rows: int | None = None
    order: int = 0

    def as_dict(self) -> dict[str, Any]:
        document = {
            "rank": self.rank,
            "id": self.id,
            "algorithm": self.algorithm,
            "preprocessor": self.preprocessor,
            "score": self.score,
            "score_std": self.score_std,
            "score_se": self.score_se,
            "train_score": self.train_score,
            "predict_ms": self.predict_ms,
            "model_mb": self.model_mb,
            "chosen": self.chosen,
            "rows": self.rows,
            "order": self.order,
            "status": self.status,
            "duration_seconds": self.duration_seconds,
            "metrics": dict(self.metrics),
            **self.quality,
            "run_id": self.run_id,
        }
        if self.error is not None:
            document["error"] = self.error
        return document


@dataclass(frozen=True)
class TrialDetail:
    """One trial whole.

    Attributes
    ----------
    outputs: the folder of its model on this machine, None where the trial has no model.
    judged: that of the model that its score and charts are of: another where it was fitted again on all rows, so that
        what is measured on validation rows is measured by a model that never saw them.
    """

    job: str
    task: str
    primary_metric: str
    row: TrialRow
    parameters: Mapping[str, str]
    documents: Mapping[str, Any]
    files: tuple[tuple[str, int], ...]
    outputs: Path | None
    judged: Path | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "job": self.job,
            "task": self.task,
            "primary_metric": self.primary_metric,
            **self.row.as_dict(),
            "parameters": dict(self.parameters),
            "files": [{"path": path, "bytes": size} for path, size in self.files],
            "path": str(self.outputs) if self.outputs else None,
            "confusion_matrix": self.documents.get("confusion_matrix"),
            "accuracy_table": self.documents.get("accuracy_table"),
            "decision": self.documents.get("decision"),
            "calibration": self.documents.get("calibration"),
            "refit": self.documents.get("refit"),
        }


@dataclass(frozen=True, kw_only=True)
class RegisteredModel:
    """A version of a registered model, wherever its files are.

    Attributes
    ----------
    job, trial: where it came from; "" for a model that was registered from a `file`, or by other means than ours. Such
        a one has no metric, rank and score either, and perhaps no known algorithm.
    rank: the trial's rank when it was registered. created: in milliseconds since 1970.
    existing: the trial had been registered under this name before, and this is that version.
    decision: how its probabilities become labels; None for other models, in a list of models, and for those of Azure.
    aliases: its names beside the number, such as champion.
    """

    name: str
    version: str
    job: str
    trial: str
    rank: int | None
    algorithm: str
    metric: str
    score: float | None
    created: int | None
    existing: bool = False
    decision: Mapping[str, Any] | None = None
    file: str | None = None
    aliases: tuple[str, ...] = ()

    def described(self, path: str) -> dict[str, Any]:
        """What the JSON of every model version has; `path` is where its files are."""
        return {
            "name": self.name,
            "version": self.version,
            "job": self.job or None,
            "trial": self.trial or None,
            "file": self.file,
            "path": path,
            "rank": self.rank,
            "algorithm": self.algorithm or None,
            "metric": self.metric or None,
            "score": self.score,
            "created": moment(self.created),
            "aliases": list(self.aliases),
        }


@dataclass(frozen=True, kw_only=True)
class ModelVersion(RegisteredModel):
    """A version whose files are here; `path` is its outputs folder.

    Attributes
    ----------
    card: its model card, None for one that was registered before there were any, and in a list of models.
    """

    path: Path
    run_id: str
    card: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {**self.described(str(self.path)), "run_id": self.run_id, "decision": self.decision}
