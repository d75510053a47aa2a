"""Fitting linear models of time and features: the Prophet-like one, and Arimax."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from automl_jobs.engine.forecasting import arima
from automl_jobs.engine.forecasting import frequency as frequencies
from automl_jobs.engine.forecasting.panel import Series
from forestay_forecasters import Design, Encoder, LinearForecaster, LinearPart, Logarithm
from forestay_forecasting import Key

CHANGES = 12  # bends of the trend, in the first four fifths of the data, as Prophet places them
# A year's wave needs more than a year to be told from a trend.
LEAST_YEARS = 1.5
KEPT_ERRORS = 400


def days(series: Sequence[Series]) -> float:
    """From the first time of any series to the last."""
    return (max(one.times[-1] for one in series) - min(one.times[0] for one in series)) / frequencies.DAY


def waves(frequency: str, days: float, prophet: bool) -> tuple[tuple[float, int], ...]:
    """Seasonal waves that data of this frequency and length can show: (days, harmonics).

    Without `prophet` those of a year alone: the errors' model knows shorter seasons.
    """
    step = frequencies.length(frequency) / frequencies.DAY
    found = []
    for length, order in ((1.0, 4), (7.0, 3), (365.25, 6)):
        possible = min(order, int(length / step / 2))
        if possible >= 1 and days > LEAST_YEARS * length:
            found.append((length, possible))
    return tuple(found if prophet else [(length, min(order, 3)) for length, order in found if length > 300])


def fit(
    series: Sequence[Series],
    frequency: str,
    season: int,
    columns: tuple[tuple[str, str], ...],
    holidays: np.ndarray | None,
    *,
    prophet: bool,
    log: Logarithm | None,
    bend: float = 0.05,
    ridge: float = 0.3,
) -> LinearForecaster:
    """A linear model a series, by ridge regression on the values that were observed.

    Parameters
    ----------
    columns: pairs (name, type) of the features known ahead.
    prophet: trend and waves, no model of the errors; else waves of a year at most and ARIMA errors.
    bend: how freely the trend bends (Prophet's changepoint prior scale, about).
    ridge: penalty on all other columns, at unit scale.
    """
    origin = min(one.times[0] for one in series)
    length = days(series)
    encoder = Encoder(columns, one_hot=True).fit(_stacked(series))
    design = Design(
        encoder=encoder,
        origin=origin,
        days=length,
        changes=tuple(np.linspace(0, 0.8, CHANGES + 1)[1:].tolist()) if prophet else None,
        waves=waves(frequency, length, prophet),
        holidays=holidays,
        period=frequencies.period(frequency),
    )
    models: dict[Key, LinearPart] = {}
    for one in series:
        values = log.there(one.values) if log else one.values
        matrix = design.matrix(one.times, one.features) if len(one) > 1 else np.zeros((1, 0))
        models[one.key] = _part(design, matrix, values, one.observed, None if prophet else season, bend, ridge)
    return LinearForecaster(design, models, season, log)


def _stacked(series: Sequence[Series]) -> pd.DataFrame:
    return pd.concat([one.features for one in series], ignore_index=True)


def _part(
    design: Design,
    matrix: np.ndarray,
    values: np.ndarray,
    observed: np.ndarray,
    season: int | None,
    bend: float,
    ridge: float,
) -> LinearPart:
    """One series' ridge regression, and an ARIMA model of what is left when `season` is given."""
    rows, target = matrix[observed], values[observed]
    centre, intercept = rows.mean(axis=0), float(target.mean())
    spread = rows.std(axis=0)
    scale = float(target.std()) or 1.0
    used = spread > 1e-9
    penalty = np.full(matrix.shape[1], ridge)
    if design.changes is not None:
        first = matrix.shape[1] - _after_trend(design)
        begin = first - len(design.changes) - 1
        penalty[begin] = 1e-3
        penalty[begin + 1 : first] = 0.05 / max(bend, 1e-6)
    unit = (rows[:, used] - centre[used]) / spread[used]
    solved = np.linalg.solve(unit.T @ unit + np.diag(penalty[used]), unit.T @ ((target - intercept) / scale))
    coefficients = np.zeros(matrix.shape[1])
    coefficients[used] = solved * scale / spread[used]
    left = values - (matrix - centre) @ coefficients - intercept
    errors = arima.fit(left, season) if season is not None and len(left) > 8 else None
    return LinearPart(centre, coefficients, intercept, errors, left[-max(KEPT_ERRORS, 3 * (season or 1)) :])


def _after_trend(design: Design) -> int:
    """How many columns follow those of the trend."""
    flags = 0 if design.holidays is None else 3 if design.period == "day" else 1
    return 2 * sum(order for _, order in design.waves) + flags
