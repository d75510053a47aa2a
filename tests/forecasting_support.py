"""Small forecasting jobs on disk, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from automl_jobs.engine.forecasting.problem import ForecastProblem, build
from automl_jobs.prepare import Prepared, prepare
from automl_jobs.spec import load_job

JOB = """\
type: automl
task: forecasting
target_column_name: sales
training_data: {{path: ./train.csv, type: mltable}}
n_cross_validations: 2
forecasting:
  time_column_name: day
  forecast_horizon: 7
{extra}"""


def daily(count: int = 120, level: float = 100.0, start: str = "2024-01-01", seed: int = 0) -> pd.DataFrame:
    """A series with a week, a trend, and a promotion that is known ahead."""
    draw = np.random.default_rng(seed)
    times = pd.date_range(start, periods=count)
    promotion = (draw.random(count) < 0.2).astype(int)
    sales = level + 0.2 * np.arange(count) + 20 * np.sin(2 * np.pi * np.arange(count) / 7) + 40 * promotion
    return pd.DataFrame(
        {
            "day": times.strftime("%Y-%m-%d"),
            "promotion": promotion,
            "sales": (sales + draw.normal(0, 1, count)).round(2),
        }
    )


def stores(count: int = 120) -> pd.DataFrame:
    """Two series of different size, called north and 7."""
    north, seven = daily(count), daily(count, level=1000.0, seed=1)
    return pd.concat([north.assign(store="north"), seven.assign(store="7")], ignore_index=True)


def prepared(folder: Path, frame: pd.DataFrame, extra: str = "", top: str = "") -> Prepared:
    """A job on this table; `extra` are further lines of its forecasting section."""
    frame.to_csv(folder / "train.csv", index=False)
    job = folder / "job.yml"
    job.write_text(JOB.format(extra=extra) + top, encoding="utf-8")
    return prepare(load_job(job))


def problem(folder: Path, frame: pd.DataFrame, extra: str = "", top: str = "") -> ForecastProblem:
    """The problem of that job."""
    return build(prepared(folder, frame, extra, top), seed=0)
