"""One cell measured: the system trains in a process of its own, and predicts in another."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.automl import process, scores, sets
from benchmarks.automl.cells import UNBUDGETED, Cell, Record
from benchmarks.environments import locked
from forestay import project
from forestay.errors import OutsideError

THREADS = 2
# A system is ended when it has taken this many times its budget, and what a start may take.
MOST_BUDGETS, START_SECONDS = 3, 30
UNBUDGETED_SECONDS = 600
PREDICT_SECONDS = 300


class CellFailed(Exception):
    """Why a cell has no score, in one line."""


@dataclass(frozen=True)
class Place:
    """Folders of a cell: what is kept of the trained system, and the rest."""

    scratch: Path
    model: Path
    log: Path


@contextmanager
def place(cell: Cell, work: Path) -> Iterator[Place]:
    """Empty folders for a cell, gone at its end; the log stays in `work`/logs."""
    scratch = work / "scratch"
    process.end_leftover(scratch)
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "model").mkdir(parents=True)
    log = project.ensure_folder(work / "logs") / f"{cell.key}.log"
    log.unlink(missing_ok=True)
    try:
        yield Place(scratch, scratch / "model", log)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def surroundings(scratch: Path) -> dict[str, str]:
    """The environment of every system: the same threads, no settings of the caller's that one of them reads."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "FORESTAY_", "PYTHON"))}
    env |= {name: str(THREADS) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    return env | {"FORESTAY_HOME": str(scratch / "home")}


def limit(cell: Cell) -> float:
    """Seconds after which a training process is ended."""
    return UNBUDGETED_SECONDS if cell.system in UNBUDGETED else MOST_BUDGETS * cell.budget + START_SECONDS


def python(system: str) -> Path:
    """The interpreter that a system lies in; LightGBM and Forestay's models use the project's own."""
    if system in ("flaml", "autogluon"):
        return locked(sets.LOCKS / f"{system}.lock") / "python"
    return Path(sys.executable)


def measure_table(cell: Cell, work: Path) -> Record:
    """Train, predict the test rows and single rows, and score. What goes wrong is told in the record."""
    one = sets.SETS[cell.data]
    split = sets.split(one, cell.seed, work)
    with place(cell, work) as here:
        found: dict[str, Any] = {}
        try:
            train = train_forestay if cell.system == "forestay" else train_peer
            train(cell, one, split, here, found)
            found["model_mb"] = megabytes(here.model)
            answer = step("predict", cell, one, split, here, PREDICT_SECONDS, {})
            found["row_ms"] = answer["row_ms"]
            found |= _scored(cell, one, split, answer, here)
        except CellFailed as error:
            found["error"] = str(error)
        return record(cell, found)


def record(cell: Cell, found: Mapping[str, Any]) -> Record:
    return Record(cell, day=datetime.date.today().isoformat(), **found)


def train_peer(cell: Cell, one: sets.TableSet, split: sets.Split, here: Place, found: dict[str, Any]) -> None:
    answer = step("fit", cell, one, split, here, limit(cell), found)
    found |= {name: answer[name] for name in ("seconds", "models", "version")}


def step(
    name: str,
    cell: Cell,
    one: sets.TableSet,
    split: sets.Split,
    here: Place,
    seconds: float,
    found: dict[str, Any],
) -> dict[str, Any]:
    """Run peers/run.py; `found` takes what the process cost, also when it fails. Raises CellFailed."""
    answer = here.scratch / f"{name}.json"
    request = here.scratch / f"{name}-request.json"
    project.write_json(
        request,
        {
            "system": cell.system,
            "task": one.task,
            "target": one.target,
            "train": str(split.train / "data.csv"),
            "test": str(split.test / "data.csv"),
            "budget": cell.budget,
            "seed": cell.seed,
            "threads": THREADS,
            "model": str(here.model),
            "scratch": str(here.scratch),
            "answer": str(answer),
        },
    )
    command: list[str | Path] = [python(cell.system), sets.PEERS / "run.py", name, request]
    watched(command, here, seconds, found)
    document: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return document


def watched(
    command: list[str | Path], here: Place, seconds: float, found: dict[str, Any], out: Path | None = None
) -> None:
    """Run a command in the cell's scratch folder; `found` takes what it cost. Raises CellFailed."""
    env = surroundings(here.scratch)
    ended = process.run(command, env=env, cwd=here.scratch, limit=seconds, log=here.log, out=out)
    found |= {"wall_seconds": ended.seconds, "peak_mb": ended.peak_mb}
    if ended.code is None:
        raise CellFailed(f"ended after {seconds:.0f} s")
    if ended.code != 0:
        raise CellFailed(reason(here.log, ended.code))


def reason(log: Path, code: int) -> str:
    """What a process wrote last, which names what went wrong; its code when it was killed by a signal."""
    lines = [line.rstrip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    if code < 0 or not lines:
        return f"ended with code {code}"
    # Forestay says what to do in a second, indented line.
    said = lines[-2:] if lines[-1].startswith("  ") else lines[-1:]
    return "; ".join(line.strip() for line in said)[:300]


def train_forestay(cell: Cell, one: sets.TableSet, split: sets.Split, here: Place, found: dict[str, Any]) -> None:
    """Submit a job file that says no more than task, metric, target and data; then take the best trial's model."""
    metric = "AUC_weighted" if one.task == "classification" else "normalized_root_mean_squared_error"
    job = {
        "type": "automl",
        "experiment_name": "benchmark",
        "task": one.task,
        "primary_metric": metric,
        "target_column_name": one.target,
        "training_data": {"path": str(split.train), "type": "mltable"},
        # Every system has its whole budget.
        "limits": {"enable_early_termination": False},
    }
    found["seconds"], found["models"] = submit(job, cell, here, found)
    found["version"] = forestay_version()


def submit(job: dict[str, Any], cell: Cell, here: Place, found: dict[str, Any]) -> tuple[float, int]:
    """Run a job within the cell's budget and lay its best model into the cell's model folder.

    Returns the job's seconds and its number of trials. Raises CellFailed.
    """
    file = here.scratch / "job.yml"
    # JSON is YAML.
    project.write_json(file, job)
    out = here.scratch / "submit.json"
    command: list[str | Path] = [Path(sys.executable).with_name("forestay"), "-o", "json", "job", "submit", file]
    command += ["--seed", str(cell.seed)]
    if cell.budget:
        command += ["--time-budget", f"{cell.budget:g}s"]
    watched(command, here, limit(cell), found, out)
    done = json.loads(out.read_text(encoding="utf-8"))
    show = [Path(sys.executable).with_name("forestay"), "-o", "json", "job", "trial", done["job"]]
    shown = subprocess.run(show, env=surroundings(here.scratch), capture_output=True, text=True, check=False)
    if shown.returncode != 0:
        raise CellFailed(f"the best trial can't be shown: {shown.stderr.strip()[-300:]}")
    outputs = Path(json.loads(shown.stdout)["path"])
    # Only what predicting needs: the model and the modules that it refers to.
    for path in [outputs / "model.pkl", *outputs.glob("forestay_*.py")]:
        shutil.copy2(path, here.model)
    found["facts"] = {"algorithm": done["best_trial"]["algorithm"], "validation_score": done["best_trial"]["score"]}
    return float(done["duration_seconds"]), int(done["trials"])


def forestay_version() -> str:
    """The commit that was measured."""
    command = ["git", "-C", str(sets.ROOT), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OutsideError("the version can't be told: this is no git repository", where=str(sets.ROOT))
    return done.stdout.strip()


def megabytes(folder: Path) -> float:
    """Size of all files of a folder, 10^6 bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _scored(cell: Cell, one: sets.TableSet, split: sets.Split, answer: dict[str, Any], here: Place) -> dict[str, Any]:
    import numpy as np
    import pandas as pd

    test = pd.read_csv(split.test / "data.csv", usecols=[one.target], dtype=str, keep_default_na=False)
    predictions = np.load(here.scratch / "predict.npy")
    if not np.isfinite(predictions).all():
        raise CellFailed("some predictions are not numbers")
    return scores.of_table(one.task, test[one.target], answer, predictions, cell.seed)
