"""The model that every server serves: a boosted classifier of the engine's on a made-up table of 20 columns."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROWS, TARGET = 2_000, "outcome"
JOB = f"""\
type: automl
task: classification
target_column_name: {TARGET}
training_data: {{path: ./train.csv, type: mltable}}
"""
SETTINGS = {"learning_rate": 0.1, "num_leaves": 31}


@dataclass(frozen=True)
class Trained:
    """A model version as scoring.generate takes one."""

    path: Path
    name: str = "Benchmark"
    version: str = "1"
    job: str = "benchmark"
    trial: str = "benchmark_1"


def table(rows: int, seed: int) -> pd.DataFrame:
    """14 numbers with gaps in one, 4 categories, a date, a truth; and the target."""
    draw = np.random.default_rng(seed)
    columns: dict[str, Any] = {f"amount_{place}": draw.normal(100, 30, rows).round(2) for place in range(11)}
    columns |= {f"count_{place}": draw.integers(0, 90, rows) for place in range(3)}
    for place, sorts in enumerate((4, 12, 40, 150)):
        columns[f"sort_{place}"] = [f"sort {number}" for number in draw.integers(0, sorts, rows)]
    days = pd.Timestamp("2022-01-01") + pd.to_timedelta(draw.integers(0, 900, rows), unit="D")
    columns["day"] = days.strftime("%Y-%m-%d")
    columns["known"] = draw.random(rows) < 0.6
    frame = pd.DataFrame(columns)
    frame.loc[draw.random(rows) < 0.05, "amount_0"] = np.nan
    score = frame["amount_1"] - frame["amount_2"] + frame["count_0"] / 2 + 20 * frame["known"]
    frame[TARGET] = np.where(score + draw.normal(0, 15, rows) > 35, "yes", "no")
    return frame


def train(folder: Path) -> Trained:
    """One trial of the engine; LightGBM as its job would try it."""
    from automl_jobs.engine.problem import build
    from automl_jobs.engine.trial import Trainer, TrialPlan
    from automl_jobs.prepare import prepare
    from automl_jobs.spec import load_job

    folder.mkdir(parents=True)
    table(ROWS, 0).to_csv(folder / "train.csv", index=False)
    (folder / "job.yml").write_text(JOB, encoding="utf-8")
    trainer = Trainer(build(prepare(load_job(folder / "job.yml")), 0), 1)
    return Trained(trainer.run(TrialPlan("1", "LightGBM", SETTINGS), folder / "trial").outputs)


def requested(rows: int) -> list[dict[str, Any]]:
    """Rows that the model has not seen, as JSON has them."""
    frame = table(rows, 1).drop(columns=TARGET)
    found: list[dict[str, Any]] = json.loads(frame.to_json(orient="records"))
    return found


Body = Callable[[list[dict[str, Any]]], bytes]


def records(rows: list[dict[str, Any]]) -> bytes:
    """Rows as the Azure servers and the hand-written ones take them."""
    return json.dumps({"data": rows}).encode()


def split(rows: list[dict[str, Any]]) -> bytes:
    """Rows as MLflow's server takes them."""
    data = [list(row.values()) for row in rows]
    return json.dumps({"dataframe_split": {"columns": list(rows[0]), "data": data}}).encode()
