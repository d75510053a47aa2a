"""Azure's `forecast_table`: forecasts of the last fold beside what came, with intervals, for some of the series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from automl_jobs.engine.forecasting.backtest import Forecasts
from automl_jobs.engine.forecasting.outline import Window
from automl_jobs.engine.forecasting.panel import Series
from forestay_forecasting import Spread

MOST_SERIES, MOST_PERIODS = 20, 200
LEVEL = 0.8
"""The share of values that the interval should hold; its bounds are the quantiles that golden rows are told with."""


def forecast_table(
    series: Sequence[Series],
    ids: Sequence[str],
    windows: Sequence[Window],
    found: Forecasts,
    horizon: int,
    spread: Spread | None,
    floor: float | None = None,
) -> dict[str, Any]:
    """The document of one fold.

    Parameters
    ----------
    ids: names of the columns that tell series apart. windows: of the fold. found: its forecasts.
    spread: what the interval is made of; None leaves it out. floor: what no forecast is below.

    The first 20 series, at most 200 forecast periods of each (the last ones) and as many before them. Rows whose value
    was not observed are left out, as in the metrics. `history` is what the fold's model was fitted on.
    """
    shown = windows[:MOST_SERIES]
    tail = (1 - LEVEL) / 2
    rows: dict[str, list[Any]] = {name: [] for name in ("time", "y_true", "y_pred", "PI_lower_bound", "PI_upper_bound")}
    history: list[dict[str, Any]] = []
    for window in shown:
        one = series[window.series]
        own = found.series == window.series
        places = window.start + np.flatnonzero(one.observed[window.start : window.stop])
        truth, predicted = found.truth[own][-MOST_PERIODS:], found.predicted[own][-MOST_PERIODS:]
        rows["time"].append(_moments(one, places[-MOST_PERIODS:]))
        rows["y_true"].append(truth.tolist())
        rows["y_pred"].append(predicted.tolist())
        for name, level in (("PI_lower_bound", tail), ("PI_upper_bound", 1 - tail)):
            bound = None
            if spread is not None:
                reached = predicted + spread.offset(one.key, found.steps[own][-MOST_PERIODS:], level)
                bound = (reached if floor is None else np.maximum(reached, floor)).tolist()
            rows[name].append(bound)
        before = np.flatnonzero(one.observed[: window.start])[-min(MOST_PERIODS, max(3 * horizon, 24)) :]
        history.append({"time": _moments(one, before), "y_true": one.values[before].tolist()})
    return {
        "schema_type": "forecast_horizon_table",
        "schema_version": "1.0.0",
        "data": {
            "grain_names": list(ids),
            "grain_value_list": [list(series[window.series].key) for window in shown],
            **rows,
            "PI_level": LEVEL,
            "history": history,
            "series": len(windows),
        },
    }


def _moments(one: Series, places: np.ndarray) -> list[str]:
    return [moment.isoformat() for moment in one.times[places]]
