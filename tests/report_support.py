"""Jobs as a report has them, made without training: predictions are drawn, documents are the engine's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from automl_jobs.engine import metrics
from automl_jobs.engine.forecasting.backtest import Forecasts
from automl_jobs.engine.forecasting.outline import Window
from automl_jobs.engine.forecasting.panel import Series
from automl_jobs.engine.forecasting.table import forecast_table
from automl_jobs.runs import BestTrial, JobDetail, TrialDetail, TrialRow
from automl_jobs.runs.report.content import Content
from forestay_forecasting import Spread

HOSTILE = "<img src=x onerror=alert(1)>"
CLASSES = ["low", HOSTILE, "high"]
CREATED = 1_767_225_600_000
METRICS = {"classification": "AUC_weighted", "regression": "r2_score", "forecasting": "r2_score"}


def drawn(rows: int = 600, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Class numbers, and probabilities that know something of them."""
    draw = np.random.default_rng(seed)
    truth = draw.choice(classes, rows, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    scores = draw.normal(0, 1, (rows, classes))
    scores[np.arange(rows), truth] += 1.6
    odds = np.exp(scores)
    return truth, odds / odds.sum(axis=1, keepdims=True)


def classification_documents(labels: list[str] | None = None) -> dict[str, Any]:
    labels = CLASSES if labels is None else labels
    truth, probabilities = drawn(classes=len(labels))
    return {
        "confusion_matrix": metrics.confusion_matrix(truth, probabilities.argmax(axis=1), labels),
        "accuracy_table": metrics.accuracy_table(truth, probabilities, labels),
    }


def regression_documents() -> dict[str, Any]:
    draw = np.random.default_rng(1)
    truth = draw.gamma(4.0, 50.0, 800)
    predicted = truth * 0.9 + 20 + draw.normal(0, 22, 800)
    return {
        "residuals": metrics.residuals(truth, predicted),
        "predicted_true": metrics.predicted_true(truth, predicted),
    }


def forecasting_documents(series: int = 2) -> dict[str, Any]:
    draw = np.random.default_rng(2)
    every, parts, windows = [], [], []
    for number in range(series):
        values = 100 + 20 * np.sin(np.arange(90) / 7 * 2 * np.pi) + draw.normal(0, 4, 90)
        times = pd.date_range("2026-01-01", periods=90)
        every.append(
            Series((f"store {number}",), times, values, np.ones(90, dtype=bool), pd.DataFrame(index=range(90)))
        )
        windows.append(Window(number, 76, 76, 90))
        parts.append(values[76:] + draw.normal(0, 5, 14))
    steps = np.tile(np.arange(1, 15), series)
    truth = np.concatenate([one.values[76:] for one in every])
    found = Forecasts(np.repeat(np.arange(series), 14), steps, truth, np.concatenate(parts))
    spread = Spread(np.full(14, 1.0), np.linspace(-2, 2, 41), {one.key: 4.0 for one in every}, 4.0)
    return regression_documents() | {
        "forecast_table": forecast_table(every, ["store"], windows, found, 14, spread, 0.0)
    }


DOCUMENTS = {
    "classification": classification_documents,
    "regression": regression_documents,
    "forecasting": forecasting_documents,
}


def rows_of(metric: str, count: int, extra: dict[str, float] | None = None) -> tuple[TrialRow, ...]:
    """A leaderboard: the best first, a baseline among them, the last one failed where there are more than three."""
    draw = np.random.default_rng(3)
    scores = np.sort(np.append(0.9 - draw.gamma(2.0, 0.008, max(count - 1, 1)), 0.5))[::-1][:count]
    order = draw.permutation(count) + 1
    rows = []
    for place, score in enumerate(scores):
        failed = place == count - 1 and count > 3
        rows.append(
            TrialRow(
                rank=place + 1,
                id=str(order[place]),
                run_id=f"{place:032x}",
                algorithm=["LightGBM", "XGBoostClassifier", "ExtremeRandomTrees"][place % 3],
                preprocessor="TargetEncoding+TfIdf",
                score=None if failed else round(float(score), 6),
                status="Failed" if failed else "Completed",
                duration_seconds=1.5 + place,
                metrics={} if failed else {metric: round(float(score), 6), **(extra or {})},
                error=f"it fell over {HOSTILE}" if failed else None,
                has_model=not failed,
                score_std=None if failed else 0.01,
                score_se=None if failed else 0.004,
                train_score=None if failed else 0.95,
                predict_ms=2.5,
                model_mb=0.4,
                chosen=place == 0,
                order=int(order[place]),
            )
        )
    return tuple(rows)


def content(task: str = "classification", trials: int = 12, name: str = "calm_bay_aaaaaa", **job: Any) -> Content:
    """A finished job of that task."""
    metric = METRICS[task]
    rows = rows_of(metric, trials, {"accuracy": 0.8})
    best = rows[0]
    assert best.score is not None
    chosen = BestTrial(best.id, best.algorithm, best.preprocessor, best.score, best.run_id)
    values: dict[str, Any] = {
        "job": name,
        "run_id": "f" * 32,
        "experiment": "boxes",
        "env": "local",
        "status": "Completed",
        "task": task,
        "primary_metric": metric,
        "trials": trials,
        "best": chosen,
        "created": CREATED,
        "ended": CREATED + 60_000,
        "duration_seconds": 60.0,
        "error": None,
        "target": "size" if task == "classification" else "amount",
        "path": "/jobs/job.yml",
        "started": CREATED,
        "parameters": {"validation": "cross_validation", "folds": "3", "rows": "1200", "columns": "2", "seed": "7"},
        "test_metrics": {metric: 0.87, "accuracy": 0.78},
        "tags": {},
        "documents": job_documents(best.id, metric),
    }
    detail = JobDetail(**{**values, **job})
    documents = dict.fromkeys(("decision", "calibration", "refit")) | DOCUMENTS[task]()
    trial = TrialDetail(name, task, metric, best, {"learning_rate": "0.05"}, documents, (), None)
    return Content(detail, rows, trial, f"task: {task}\ntarget_column_name: {detail.target}\n")


def job_documents(trial: str, metric: str) -> dict[str, Any]:
    def column(name: str, kind: str, missing: int) -> dict[str, Any]:
        return {
            "name": name,
            "type": kind,
            "used": True,
            "reason": "",
            "missing": missing,
            "distinct": 40,
            "examples": ["1.5", HOSTILE],
            "warnings": [],
        }

    return {
        "guardrails": [
            {"name": "Missing feature values imputation", "status": "Done", "description": "60 of 1200", "fix": ""},
            {"name": "High cardinality feature detection", "status": "Passed", "description": "none", "fix": ""},
            {"name": "Leakage", "status": "Alerted", "description": f"{HOSTILE} is it", "fix": "leave it out"},
        ],
        "data_profile": {
            "schema_version": 1,
            "rows": 1200,
            "columns": [column("weight", "numeric", 60), column(HOSTILE, "categorical", 0)],
            "left_out": 0,
        },
        "test_metrics_interval": {metric: {"low": 0.84, "high": 0.9, "level": 0.95, "resamples": 1000, "rows": 300}},
        "explanation": {
            "rank": 1,
            "trial": trial,
            "metric": metric,
            "score": 0.9,
            "data": "validation",
            "rows": 300,
            "repeats": 5,
            "importances": [
                {"column": HOSTILE, "mean": 0.21, "std": 0.02},
                {"column": "weight", "mean": -0.002, "std": 0.004},
            ],
            "left_out": [],
        },
        "submit": {
            "schema_version": 1,
            "options": {"seed": 7},
            "data": {"training_data": {"rows": 1200, "columns": ["weight", HOSTILE, "size"], "sha256": "0" * 64}},
        },
    }
