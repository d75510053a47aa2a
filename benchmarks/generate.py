"""`score generate` of a trained model with a known lock, against importing what it is made of: MLflow and pandas.

The peer reads the model's version from the same registry through MLflow's own client, which is the least that any tool
must do before it can write a scoring folder.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from benchmarks.harness import Measured, compare, forestay, python

JOB = Path(__file__).parent.parent / "examples" / "categorize_transactions" / "job.yml"
PEER = (
    "import mlflow; client = mlflow.MlflowClient('sqlite:///{database}', 'sqlite:///{database}'); "
    "print(client.get_model_version('Benchmark', '1').source)"
)
BOUND = 1.0


def measure() -> list[Measured]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        env = dict(os.environ, FORESTAY_HOME=str(home))
        env.pop("MLFLOW_TRACKING_URI", None)
        to = str(Path(folder) / "scoring")
        for words in (
            ("job", "submit", str(JOB), "--set", "limits.max_trials=2"),
            ("model", "register", "latest", "--name", "Benchmark"),
            ("score", "generate", "Benchmark", "--to", to),
        ):
            subprocess.run(forestay("--quiet", *words), env=env, check=True, capture_output=True)
        return [
            compare(
                "forestay score generate, lock known",
                forestay("--quiet", "score", "generate", "Benchmark", "--to", to),
                "MLflow's client reading the version",
                python(PEER.format(database=home / "runs.db")),
                BOUND,
                home=home,
            )
        ]
