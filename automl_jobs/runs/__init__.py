"""The run store: jobs, their trials, and the models registered from them, in MLflow.

A job is a parent run, a trial its child run; metrics and files have Azure's names, so that stock `mlflow ui` and
scripts written for Azure's runs read them. In order: `RunStore.open`, `store.start_job` (one writer a job), then
anybody reads `jobs`, `job`, `leaderboard`, `trial`, and registers what they like with `register`.

Cheap to import: MLflow is loaded when a store is opened.
"""

from __future__ import annotations

from automl_jobs.runs.files import copy as copy_files
from automl_jobs.runs.reopen import EarlierTrial, Reopened
from automl_jobs.runs.rows import (
    BestTrial,
    JobDetail,
    JobRow,
    JobStart,
    ModelVersion,
    TrialDetail,
    TrialResult,
    TrialRow,
)
from automl_jobs.runs.store import RunStore, quiet_mlflow
from automl_jobs.runs.writer import JobWriter

__all__ = [
    "BestTrial",
    "EarlierTrial",
    "JobDetail",
    "JobRow",
    "JobStart",
    "JobWriter",
    "ModelVersion",
    "Reopened",
    "RunStore",
    "TrialDetail",
    "TrialResult",
    "TrialRow",
    "copy_files",
    "quiet_mlflow",
]
