"""What MLflow and the run history say of a job's trials: all metrics, times, why they failed, scores on test data.

Jobs on texts and images have no lists in their tags. Their trials are the children of a sweep, the run `JOB_HD`, with
the model's name among their parameters.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from automl_jobs.azure.arm import Arm
from automl_jobs.azure.refusals import said
from automl_jobs.runs.rows import TrialRow

SWEEP = "_HD"
NO_SCORE = "no value of the primary metric"
MODEL_TEST = "automl.model_test"
"""The type of the run below a trial that measures it on test data."""
_NUMBER = re.compile(r"_(\d+)$")
_STATUS = {"FINISHED": "Completed", "FAILED": "Failed", "KILLED": "Canceled"}


def measured(arm: Arm, job: str, rows: Sequence[TrialRow]) -> list[TrialRow]:
    """The leaderboard with all metrics, durations, and the reasons of failed trials."""
    parent = _parent_of(job, rows)
    runs = _mlflow_runs(arm, job, parent) if rows else {}
    failed = any(row.score is None for row in rows)
    reasons = _reasons(arm, parent) if failed else {}
    found = []
    for row in rows:
        run = runs.get(row.run_id, {})
        killed = (run.get("info") or {}).get("status") == "KILLED" and row.score is None
        found.append(
            replace(
                row,
                metrics={**row.metrics, **_metrics(run)},
                duration_seconds=_seconds(run),
                error=reasons.get(row.run_id, row.error) if row.score is None else None,
                status="Canceled" if killed else row.status,
            )
        )
    return found


def swept(arm: Arm, job: str, metric: str, best: str | None) -> list[TrialRow]:
    """The trials that have ended of a job's sweep, by their numbers; `best` is the run that Azure chose."""
    rows = []
    for run_id, run in _mlflow_runs(arm, job, job + SWEEP).items():
        status, number = _STATUS.get(run["info"].get("status")), _NUMBER.search(run_id)
        if status is None or number is None:
            continue
        score = _metrics(run).get(metric) if status == "Completed" else None
        rows.append(
            TrialRow(
                rank=0,
                id=number[1],
                run_id=run_id,
                algorithm=_model_name(run),
                preprocessor="",
                score=score,
                status="Failed" if score is None and status == "Completed" else status,
                duration_seconds=_seconds(run),
                metrics={} if score is None else {metric: score},
                error=NO_SCORE if score is None else None,
                has_model=score is not None,
                chosen=run_id == best,
            )
        )
    return sorted(rows, key=lambda row: int(row.id))


def tested(arm: Arm, run_id: str) -> dict[str, float] | None:
    """The metrics of a trial on the job's test data; None where no test of it has completed."""
    tests = [
        child
        for child in arm.children(run_id, f"the test of {run_id}")
        if child.get("runType") == MODEL_TEST and child.get("status") == "Completed"
    ]
    if not tests:
        return None
    test = str(tests[-1].get("runId"))
    run = (arm.mlflow("runs/get", f"the run {test}", run_id=test) or {}).get("run")
    return None if run is None else _metrics(run)


def error_of(history: Mapping[str, Any]) -> str | None:
    """What the run history says of a failure, in one line with its code."""
    error = (history.get("error") or {}).get("error")
    if not isinstance(error, dict):
        return None
    code, message = said(error)
    return f"{message} ({code})" if code else message or None


def _parent_of(job: str, rows: Sequence[TrialRow]) -> str:
    return job + SWEEP if any(row.run_id.startswith(f"{job}{SWEEP}_") for row in rows) else job


def _mlflow_runs(arm: Arm, job: str, parent: str) -> dict[str, Mapping[str, Any]]:
    """MLflow's runs below `parent` by their ids."""
    run = (arm.mlflow("runs/get", f"the run {job}", run_id=job) or {}).get("run")
    found: dict[str, Mapping[str, Any]] = {}
    if run is None:  # MLflow sees a run some seconds after Azure ML does
        return found
    token: str | None = None
    while True:
        body: dict[str, Any] = {
            "experiment_ids": [run["info"]["experiment_id"]],
            "filter": f"tags.mlflow.parentRunId = '{parent}'",
            "max_results": 1000,
        }
        asked = body | ({"page_token": token} if token else {})
        page = arm.mlflow("runs/search", f"the trials of {job}", asked) or {}
        found.update({str(one["info"]["run_id"]): one for one in page.get("runs") or ()})
        token = page.get("next_page_token")
        if not token:
            return found


def _metrics(run: Mapping[str, Any]) -> dict[str, float]:
    """A run's metrics by name; what JSON has no number for is left out."""
    found = {one["key"]: float(one["value"]) for one in (run.get("data") or {}).get("metrics") or ()}
    return {key: value for key, value in sorted(found.items()) if math.isfinite(value)}


def _seconds(run: Mapping[str, Any]) -> float | None:
    info = run.get("info") or {}
    begun, ended = info.get("start_time"), info.get("end_time")
    return (int(ended) - int(begun)) / 1000 if begun and ended else None


def _model_name(run: Mapping[str, Any]) -> str:
    """The model of a sweep's trial: a parameter of its own, or in the tag with all of them; "" where neither says."""
    data = run.get("data") or {}
    given = {one["key"]: one["value"] for one in data.get("params") or ()}
    tags = {one["key"]: one["value"] for one in data.get("tags") or ()}
    try:
        drawn = json.loads(tags.get("hyperparameters") or "{}")
    except ValueError:
        drawn = {}
    return str(given.get("model_name") or (drawn.get("model_name") if isinstance(drawn, dict) else "") or "")


def _reasons(arm: Arm, parent: str) -> dict[str, str]:
    """Why trials failed, by their run ids."""
    found = {}
    for run in arm.children(parent, f"the trials of {parent}"):
        reason = error_of({"error": run.get("error")})
        if reason:
            found[str(run.get("runId"))] = reason
    return found
