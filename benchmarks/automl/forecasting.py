"""Cells of forecasting: Forestay's job within a budget, and statsforecast's models, on the same history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.automl import scores, series, sets, systems
from benchmarks.automl.cells import Cell, Record
from benchmarks.environments import locked
from forestay import project


def measure(cell: Cell, work: Path) -> Record:
    """Forecast one horizon and score it. What goes wrong is told in the record."""
    one = series.SERIES_SETS[cell.data]
    split = series.split(one, cell.seed, work)
    with systems.place(cell, work) as here:
        found: dict[str, Any] = {}
        try:
            forecast = _forestay if cell.system == "forestay" else _statsforecast
            forecast(cell, one, split, here, found)
            found["score"] = _score(one, split, here)
        except systems.CellFailed as error:
            found["error"] = str(error)
        return systems.record(cell, found)


def _statsforecast(
    cell: Cell, one: series.SeriesSet, split: sets.Split, here: systems.Place, found: dict[str, Any]
) -> None:
    request = here.scratch / "request.json"
    answer = here.scratch / "predict.json"
    project.write_json(
        request,
        {
            "model": cell.system,
            "train": str(split.train / "data.csv"),
            "test": str(split.test / "data.csv"),
            "time": series.TIME,
            "series": series.SERIES if one.many else None,
            "target": one.target,
            "features": one.features,
            "frequency": one.frequency,
            "season": one.season,
            "threads": systems.THREADS,
            "answer": str(answer),
        },
    )
    python = locked(sets.LOCKS / "statsforecast.lock") / "python"
    systems.watched([python, sets.PEERS / "forecast.py", request], here, systems.limit(cell), found)
    document = json.loads(answer.read_text(encoding="utf-8"))
    found |= {name: document[name] for name in ("seconds", "models", "version")}


def _forestay(cell: Cell, one: series.SeriesSet, split: sets.Split, here: systems.Place, found: dict[str, Any]) -> None:
    job = {
        "type": "automl",
        "experiment_name": "benchmark",
        "task": "forecasting",
        "primary_metric": "normalized_root_mean_squared_error",
        "target_column_name": one.target,
        "training_data": {"path": str(split.train), "type": "mltable"},
        "forecasting": {"time_column_name": series.TIME, "forecast_horizon": one.horizon},
    }
    if one.many:
        job["forecasting"] |= {"time_series_id_column_names": [series.SERIES]}  # type: ignore[operator]
    found["seconds"], found["models"] = systems.submit(job, cell, here, found)
    found["version"] = systems.forestay_version()
    found["model_mb"] = systems.megabytes(here.model)
    table = sets.TableSet(one.name, "forecasting", one.target, one.source)
    found["row_ms"] = systems.step("predict", cell, table, split, here, systems.PREDICT_SECONDS, {})["row_ms"]


def _score(one: series.SeriesSet, split: sets.Split, here: systems.Place) -> float:
    """Mean over the series of the mean absolute scaled error."""
    import numpy as np
    import pandas as pd

    history, future = (pd.read_csv(part / "data.csv") for part in (split.train, split.test))
    future["forecast"] = np.load(here.scratch / "predict.npy")
    if not np.isfinite(future["forecast"]).all():
        raise systems.CellFailed("some forecasts are not numbers")
    if not one.many:
        history[series.SERIES] = future[series.SERIES] = one.name
    pasts = {name: rows[one.target].to_numpy(dtype=float) for name, rows in history.groupby(series.SERIES)}
    return float(
        np.mean(
            [
                scores.mase(
                    pasts[name], rows[one.target].to_numpy(dtype=float), rows["forecast"].to_numpy(), one.season
                )
                for name, rows in future.groupby(series.SERIES)
            ]
        )
    )
