"""`job list` of a hundred jobs of twenty trials each, against importing MLflow."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.harness import Measured, compare, forestay, python

JOBS, TRIALS = 100, 20
BOUND = 1.5


def fill(home: Path) -> None:
    """Write the jobs through the run store, as a run does."""
    from automl_jobs.runs import JobStart, RunStore, TrialResult

    store = RunStore.open(home)
    for job in range(JOBS):
        writer = store.start_job(
            JobStart(
                name=f"job_{job:03d}",
                experiment="benchmark",
                task="classification",
                primary_metric="accuracy",
                spec_text="type: automl\n",
                target="y",
            )
        )
        writer.status("Running")
        for trial in range(TRIALS):
            score = 0.5 + 0.4 * trial / TRIALS
            writer.log_trial(TrialResult(str(trial), "LightGBM", "Codes", "Completed", score, 1.0, {"accuracy": score}))
        writer.finish("Completed")


def measure() -> list[Measured]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        fill(home)
        return [
            compare(
                f"forestay job list, {JOBS} jobs",
                forestay("job", "list", "--output", "json"),
                "python -c 'import mlflow'",
                python("import mlflow"),
                BOUND,
                home=home,
            )
        ]
