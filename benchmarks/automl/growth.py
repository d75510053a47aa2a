"""How Forestay grows: seconds and memory over rows, columns and trials, on tables made from a seed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.automl import sets, systems
from benchmarks.automl.cells import GROWTH, Cell, Record
from benchmarks.environments import locked
from forestay import project
from forestay.errors import OutsideError

AXES = {
    "rows": (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000),
    "columns": (10, 30, 100, 300, 1_000),
    "trials": (10, 30, 100, 200, 500),
}
# What the other two are while one grows.
SHAPES = {
    "rows": {"columns": 20, "trials": 6},
    "columns": {"rows": 5_000, "trials": 6},
    "trials": {"rows": 1_000, "columns": 20},
}
# Enough seconds that the number of trials, not time, is the limit.
BUDGET = 1_800.0
LEVELS = 12


def cells() -> list[Cell]:
    """Every point, the small ones first."""
    points = [(axis, size) for axis, sizes in AXES.items() for size in sizes]
    return [Cell(GROWTH, f"{axis}-{size}", "forestay", BUDGET, 0) for axis, size in points]


def measure(cell: Cell, work: Path) -> Record:
    """One job with a fixed number of trials. What goes wrong is told in the record."""
    axis, size = point(cell)
    shape = SHAPES[axis] | {axis: size}
    with systems.place(cell, work) as here:
        table_mb = _write(here.scratch / "train", shape["rows"], shape["columns"], cell.seed)
        job = {
            "type": "automl",
            "experiment_name": "growth",
            "task": "classification",
            "primary_metric": "AUC_weighted",
            "target_column_name": "target",
            "training_data": {"path": str(here.scratch / "train"), "type": "mltable"},
            "limits": {"max_trials": shape["trials"], "enable_early_termination": False},
        }
        found: dict[str, Any] = {}
        try:
            found["seconds"], found["models"] = systems.submit(job, cell, here, found)
            found["version"] = systems.forestay_version()
            found["model_mb"] = systems.megabytes(here.model)
        except systems.CellFailed as error:
            found["error"] = str(error)
        found["facts"] = {**found.get("facts", {}), "table_mb": table_mb}
        return systems.record(cell, found)


def point(cell: Cell) -> tuple[str, int]:
    """Axis and size."""
    axis, _, size = cell.data.partition("-")
    return axis, int(size)


def _write(folder: Path, rows: int, columns: int, seed: int) -> float:
    """A table of numbers and, every fifth column, categories; returns its megabytes in memory."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(seed)
    names = np.array([f"level {number}" for number in range(LEVELS)])
    data: dict[str, Any] = {}
    signal = random.normal(0, 1, rows)
    for place in range(columns):
        # A few columns count, the first ones most.
        weight = 1.0 / (1 + place)
        if place % 5 == 4:
            codes = random.integers(0, LEVELS, rows)
            signal += weight * np.cos(codes)
            data[f"category_{place}"] = names[codes]
        else:
            values = random.normal(0, 1, rows).round(4)
            signal += weight * (values + np.abs(values))
            data[f"number_{place}"] = values
    data["target"] = np.where(signal > np.median(signal), "yes", "no")
    frame = pd.DataFrame(data)
    sets.write_table(frame, folder)
    return float(frame.memory_usage(deep=True).sum() / 1e6)


def plot(records: Sequence[Record], to: Path) -> None:
    """Draw the points as an SVG file. Raises OutsideError when it can't be drawn."""
    points = []
    for record in records:
        axis, size = point(record.cell)
        if record.error is None:
            points.append({"axis": axis, "size": size, "seconds": record.seconds, "megabytes": record.peak_mb})
    draw(points, {"seconds": "seconds", "megabytes": "peak memory, MB"}, to)


def draw(points: Sequence[dict[str, Any]], measures: dict[str, str], to: Path) -> None:
    """Draw points, each with `axis`, `size` and a value for each measure, as an SVG file of one panel for each pair.

    Raises OutsideError when it can't be drawn.
    """
    python = locked(sets.LOCKS / "charts.lock") / "python"
    given = json.dumps({"measures": measures, "points": list(points)})
    done = subprocess.run([python, sets.PEERS / "plot.py"], input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OutsideError(f"the growth can't be drawn: {done.stderr.strip()[-300:]}")
    project.write_atomic(to, done.stdout)
