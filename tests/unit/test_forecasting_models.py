"""Forecasters against what is known: exact recursions, recovered coefficients, no look ahead, better than naive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from automl_jobs.engine.forecasting import arima, backtest, catalogue, ets, task
from automl_jobs.engine.forecasting.problem import build
from automl_jobs.engine.progress import Limits
from automl_jobs.engine.run import available
from automl_jobs.spec.algorithms import FORECASTING
from forestay.documents.names import snake
from forestay_forecasters import Arima, Ets, LocalForecaster, Simple
from forestay_forecasting import Task
from tests.forecasting_support import daily, prepared, problem, stores

SEASON = np.tile([5.0, -1.0, -4.0, 0.0], 20)


def test_what_needs_no_fitting() -> None:
    values = np.array([1.0, 2.0, 3.0, 10.0, 20.0, 30.0])
    assert Simple("Naive", 3).ahead(values, 2).tolist() == [30.0, 30.0]
    assert Simple("SeasonalNaive", 3).ahead(values, 4).tolist() == [10.0, 20.0, 30.0, 10.0]
    assert Simple("Average", 3).ahead(values, 2).tolist() == [11.0, 11.0]
    assert Simple("SeasonalAverage", 3).ahead(values, 4).tolist() == [5.5, 11.0, 16.5, 5.5]
    assert Simple("SeasonalNaive", 12).ahead(values, 1).tolist() == [30.0]


def test_smoothing_goes_on_with_new_values_as_if_they_had_been_in_training() -> None:
    start = Ets(0.4, 0.1, 0.2, 0.9, 10.0, 1.0, (1.0, 0.0, -1.0))
    values = np.array([11.0, 12.5, 12.0, 15.0, 14.0])
    first, _ = start.run(values[:3])
    whole, _ = start.run(values)
    assert first.ahead(values, 2, 4) == pytest.approx(whole.ahead(values, 0, 4))
    # By hand: level 10 + slope .9 + season 1 = 11.9 is the first forecast.
    assert start.ahead(np.empty(0), 0, 1)[0] == pytest.approx(11.9)


def test_smoothing_finds_season_and_trend() -> None:
    values = 50 + 0.5 * np.arange(80) + SEASON
    found = ets.fit(values, 4).ahead(values, 0, 8)
    assert found == pytest.approx(50 + 0.5 * np.arange(80, 88) + SEASON[:8], abs=1.0)


def test_arima_recovers_an_autoregression() -> None:
    draw = np.random.default_rng(0)
    values = np.zeros(500)
    for place in range(1, 500):
        values[place] = 0.7 * values[place - 1] + draw.normal()
    model = arima.fit(values + 20, 1)
    # Whatever the orders, the forecasts fall towards the mean at the rate of .7 a step.
    ahead = model.ahead(values + 20, 0, 3) - values.mean() - 20
    assert ahead[0] == pytest.approx(0.7 * (values[-1] - values.mean()), abs=0.35)


def test_arima_forecasts_by_its_difference_equation() -> None:
    walk = Arima(np.array([1.0]), np.array([1.0]), np.array([1.0, -1.0]), 2.0)
    assert walk.ahead(np.array([1.0, 4.0, 5.0]), 0, 3).tolist() == [7.0, 9.0, 11.0]
    seasonal = Arima(np.array([1.0]), np.array([1.0]), np.array([1.0, 0.0, 0.0, -1.0]), 0.0)
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert seasonal.ahead(values, 0, 4).tolist() == [4.0, 5.0, 6.0, 4.0]
    ar = Arima(np.array([1.0, -0.5]), np.array([1.0]), np.array([1.0]), 10.0)
    assert ar.ahead(np.array([10.0, 14.0]), 0, 2) == pytest.approx([12.0, 11.0])


def test_arima_differences_a_strong_season_away() -> None:
    values = 100 + SEASON + np.random.default_rng(1).normal(0, 0.2, 80)
    assert arima.fit(values, 4).ahead(values, 0, 4) == pytest.approx(100 + SEASON[:4], abs=1.0)


def test_every_algorithm_of_azure_is_here_or_said_to_be_only_there() -> None:
    here = {algorithm.name for algorithm in catalogue.CATALOGUE}
    assert here | set(catalogue.ONLY_IN_AZURE) == set(FORECASTING)
    assert not here & set(catalogue.ONLY_IN_AZURE)


@pytest.mark.parametrize("name", FORECASTING)
def test_each_algorithm_is_allowed_and_blocked_by_both_of_azures_names(tmp_path: Path, name: str) -> None:
    here = [algorithm.name for algorithm in catalogue.CATALOGUE]
    for written in (name, snake(name)):
        allowed = prepared(tmp_path, daily(60), top=f"training: {{allowed_training_algorithms: [{written}, naive]}}\n")
        names = available(allowed)
        assert set(names) == {name, "Naive"} & set(here)
        found = task.search(build(allowed, 0), names, Limits(seconds=60.0, trial_seconds=60.0, trials=5))
        tried = set()
        while (plan := found.next()) is not None:
            tried.add(plan.algorithm)
            found.finished(plan, 1.0, 0.01)
        assert tried == {"Baseline", *names}
        blocked = prepared(tmp_path, daily(60), top=f"training: {{blocked_training_algorithms: [{written}]}}\n")
        assert set(available(blocked)) == set(here) - {name}


@pytest.mark.parametrize("name", [algorithm.name for algorithm in catalogue.CATALOGUE])
def test_each_algorithm_forecasts_several_series_and_never_looks_ahead(tmp_path: Path, name: str) -> None:
    """The future's target may hold anything: no forecast may change with it."""
    found = problem(tmp_path, stores(80), "  time_series_id_column_names: store\n")
    algorithm = catalogue.by_name(name)
    parameters = {**algorithm.portfolio[0], **({"rounds": 30} if "rounds" in algorithm.portfolio[0] else {})}
    (windows, _) = found.splits
    fitted = algorithm.fit([found.series[w.series].cut(w.fit) for w in windows], found, parameters, 1)
    forecasts = backtest.roll(fitted, found.series, windows, found)
    assert len(forecasts.predicted) == 14
    assert np.isfinite(forecasts.predicted).all()
    spoiled = []
    for one, window in zip(found.series, windows, strict=True):
        values = one.values.copy()
        values[window.start :] = 1e6
        spoiled.append(type(one)(one.key, one.times, values, one.observed, one.features))
    assert backtest.roll(fitted, spoiled, windows, found).predicted.tolist() == forecasts.predicted.tolist()
    # The store of a thousand a day is never taken for the store of a hundred.
    for number, one in enumerate(found.series):
        own = forecasts.predicted[forecasts.series == number]
        assert abs(own.mean() - one.values.mean()) < 0.5 * one.values.mean()


@pytest.mark.parametrize("offset", ["none", "level", "season"])
@pytest.mark.parametrize("steps", ["recursive", "direct"])
def test_lags_beat_the_seasonal_naive_forecast(tmp_path: Path, offset: str, steps: str) -> None:
    found = problem(tmp_path, daily(150))
    parameters = {"steps": steps, "offset": offset, "log": False, "alpha": 1.0, "l1_ratio": 0}
    fitted = catalogue.by_name("ElasticNet").fit(list(found.series), found, parameters, 1)
    (windows,) = found.splits[-1:]
    cut = [found.series[0].cut(windows[0].fit)]
    fitted = catalogue.by_name("ElasticNet").fit(cut, found, parameters, 1)
    naive = catalogue.by_name("SeasonalNaive").fit(cut, found, {}, 1)
    ours, theirs = (
        backtest.scores(backtest.roll(one, found.series, windows, found), found.series, found)[
            "mean_absolute_scaled_error"
        ]
        for one in (fitted, naive)
    )
    assert ours < 0.5 * theirs


def test_a_direct_forecast_needs_nothing_of_its_own_horizon(tmp_path: Path) -> None:
    found = problem(tmp_path, daily(150))
    fitted = catalogue.by_name("ElasticNet").fit(
        list(found.series), found, {"steps": "direct", "offset": "level", "log": False, "alpha": 1.0, "l1_ratio": 0}, 1
    )
    assert fitted.base == 7
    assert min(fitted.lags) >= 7


def test_given_lags_and_window_are_used(tmp_path: Path) -> None:
    found = problem(tmp_path, daily(), "  target_lags: [1, 9]\n  target_rolling_window_size: 5\n")
    fitted = catalogue.by_name("ElasticNet").fit(
        list(found.series), found, {"steps": "recursive", "offset": "none", "alpha": 1.0, "l1_ratio": 0}, 1
    )
    assert fitted.lags == (1, 9)
    assert fitted.windows == (5,)


def test_a_series_that_was_not_in_training_repeats_its_own_season() -> None:
    forecaster = LocalForecaster({("a",): Ets(0.1, 0.0, 0.1, 1.0, 5.0, 0.0, (0.0,))}, 2)
    task = Task(("b",), np.array([1.0, 2.0]), pd.date_range("2024", periods=5), pd.DataFrame(index=range(5)), 3, 2)
    assert forecaster.predict([task])[0].tolist() == [1.0, 2.0, 1.0]
