"""What the engine keeps for reports: the table of a forecast's last fold, and the profile of the columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from automl_jobs.engine.forecasting.backtest import Forecasts
from automl_jobs.engine.forecasting.outline import Window
from automl_jobs.engine.forecasting.panel import Series
from automl_jobs.engine.forecasting.table import MOST_PERIODS, MOST_SERIES, forecast_table
from automl_jobs.prepare.profile import profile
from automl_jobs.runs.report import charts
from automl_jobs.runs.report.views import importance_note
from forestay_forecasting import Spread
from tests.forecasting_support import daily, prepared


def one_series(name: str, periods: int, hole: int | None = None) -> Series:
    observed = np.ones(periods, dtype=bool)
    if hole is not None:
        observed[hole] = False
    times = pd.date_range("2026-01-01", periods=periods)
    return Series((name,), times, np.arange(periods, dtype=float), observed, pd.DataFrame(index=range(periods)))


def test_times_stand_beside_their_values() -> None:
    series = [one_series("a", 20, hole=16), one_series("b", 20)]
    windows = [Window(0, 14, 14, 20), Window(1, 14, 14, 20)]
    # As `backtest.roll` gives them: a step of the horizon after the other, in each the series in turn.
    truth = np.array([14.0, 15, 14, 15, 16, 17, 18, 19, 17, 18, 19])
    of = np.array([0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1])
    steps = np.array([1, 2, 1, 2, 3, 1, 2, 3, 1, 2, 3])
    spread = Spread(np.array([1.0, 1.0, 1.0]), np.linspace(-30, 30, 61), {("a",): 1.0, ("b",): 2.0}, 1.0)
    data = forecast_table(series, ["store"], windows, Forecasts(of, steps, truth, truth + 1), 3, spread, 0.0)["data"]
    assert data["grain_names"] == ["store"]
    assert data["grain_value_list"] == [["a"], ["b"]]
    assert data["y_true"][0] == [14, 15, 17, 18, 19]
    assert [text[8:10] for text in data["time"][0]] == ["15", "16", "18", "19", "20"]
    assert data["y_pred"][1] == [15, 16, 17, 18, 19, 20]
    assert min(data["PI_lower_bound"][1]) == 0.0
    bounds = zip(data["PI_lower_bound"][0], data["y_pred"][0], data["PI_upper_bound"][0], strict=True)
    assert all(low <= said <= high for low, said, high in bounds)
    assert data["history"][0]["y_true"] == list(range(14))


def test_a_table_is_bounded() -> None:
    count, periods = 30, 700
    series = [one_series(str(number), periods) for number in range(count)]
    windows = [Window(number, 100, 100, periods) for number in range(count)]
    truth = np.tile(np.arange(100.0, periods), count)
    found = Forecasts(np.repeat(np.arange(count), periods - 100), np.ones(len(truth), dtype=int), truth, truth)
    document = forecast_table(series, ["n"], windows, found, 10, None)
    data = document["data"]
    assert len(data["grain_value_list"]) == MOST_SERIES
    assert data["series"] == count
    assert {len(part) for part in data["time"]} == {MOST_PERIODS}
    assert data["time"][0][-1] == series[0].times[-1].isoformat()
    assert data["PI_lower_bound"][0] is None
    drawn = charts.of_forecasts(document, "sales")
    assert drawn[0].legend[1].value == ""


def test_the_profile_says_what_each_column_holds(tmp_path: Path) -> None:
    frame = daily(60)
    frame.loc[:4, "promotion"] = np.nan
    document = profile(prepared(tmp_path, frame))
    columns = {one["name"]: one for one in document["columns"]}
    assert document["rows"] == 60
    assert list(columns) == ["day", "promotion", "sales"]
    assert columns["promotion"]["missing"] == 5
    assert columns["promotion"]["distinct"] == 2
    assert columns["sales"]["used"] is False
    assert columns["sales"]["reason"] == "the target"
    assert len(columns["day"]["examples"]) == 3


def test_importances_of_one_shuffle_have_no_spread_to_tell() -> None:
    document = {"metric": "accuracy", "data": "validation", "rows": 1200, "importances": [], "repeats": 1}
    assert importance_note(document) == "What accuracy loses when a column is shuffled, once, on 1,200 validation rows."
    assert "± one standard deviation over 3 repeats, on" in importance_note({**document, "repeats": 3})
