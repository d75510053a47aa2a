"""What the tests of the run store share: a store to fill, and trials to fill it with."""

from __future__ import annotations

import atexit
import functools
import os
import pickle
import shutil
import tempfile
from pathlib import Path
from typing import Any

from automl_jobs.runs import JobStart, JobWriter, RunStore, TrialResult

MATRIX = {
    "schema_type": "confusion_matrix",
    "schema_version": "1.0.0",
    "data": {"class_labels": ["no", "yes"], "matrix": [[5, 1], [2, 3]]},
}
METRIC = "AUC_weighted"


def outputs_folder(folder: Path, content: object = "a model") -> Path:
    """A trial's outputs under their real names; the model is any object."""
    (folder / "mlflow-model").mkdir(parents=True)
    (folder / "mlflow-model" / "MLmodel").write_text("flavors: {}\n", encoding="utf-8")
    (folder / "model.pkl").write_bytes(pickle.dumps(content))
    for name in ("conda_env_v_1_0_0.yml", "scoring_file_v_2_0_0.py", "model_schema.json", "golden.json"):
        (folder / name).write_text(f"# {name}\n", encoding="utf-8")
    return folder


def job_start(name: str | None = None, **changes: Any) -> JobStart:
    values: dict[str, Any] = {
        "name": name,
        "experiment": "bank",
        "task": "classification",
        "primary_metric": METRIC,
        "spec_text": "type: automl\n",
        "target": "y",
        "path": "/jobs/job.yml",
    }
    return JobStart(**{**values, **changes})


def trial(identity: str, score: float | None, outputs: Path | None = None, **changes: Any) -> TrialResult:
    values: dict[str, Any] = {
        "id": identity,
        "algorithm": "LightGBM",
        "preprocessor": "",
        "status": "Completed",
        "score": score,
        "duration_seconds": 1.5,
        "metrics": {"accuracy": 0.5},
        "artifacts": {"confusion_matrix": MATRIX},
        "parameters": {"learning_rate": "0.05"},
        "outputs": outputs,
    }
    return TrialResult(**{**values, **changes})


def finished_job(store: RunStore, outputs: Path, name: str = "calm_bay_aaaaaa") -> JobWriter:
    """Three trials: the second is the best, the third failed."""
    writer = store.start_job(job_start(name, tags={"team": "risk"}, parameters={"max_trials": "3"}))
    writer.status("Running")
    writer.log_trial(trial("t1", 0.7, outputs, algorithm="DummyClassifier"))
    writer.log_trial(trial("t2", 0.9, outputs, metrics={"accuracy": 0.8, "log_loss": float("nan")}))
    writer.log_trial(trial("t3", None, status="Failed", error="it ran out of memory", artifacts={}))
    writer.finish("Completed", test_metrics={METRIC: 0.85, "accuracy": float("inf")})
    return writer


@functools.cache
def _empty_database() -> Path:
    """Made once for all tests: MLflow's fifty migrations take two seconds."""
    folder = tempfile.mkdtemp(prefix="forestay-empty-store-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    RunStore.open(Path(folder))
    return Path(folder) / "runs.db"


def give_store(home: Path) -> None:
    """An empty store in the folder `home`, where there is none and a job would make it there."""
    database = home / "runs.db"
    if not database.exists() and "MLFLOW_TRACKING_URI" not in os.environ:
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(_empty_database(), database)


def new_store(home: Path) -> RunStore:
    """An empty store in the new folder `home`."""
    home.mkdir(parents=True)
    shutil.copy(_empty_database(), home / "runs.db")
    return RunStore.open(home)
