"""Fitting a regressor on lags over all series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from automl_jobs.engine.forecasting import frequency as frequencies
from automl_jobs.engine.forecasting.arima import strength
from automl_jobs.engine.forecasting.linear import LEAST_YEARS, days
from automl_jobs.engine.forecasting.panel import Series
from forestay_forecasters import Encoder, LagForecaster, Logarithm
from forestay_forecasting import Key

MOST_ROWS = 200_000
# A lag further back than this share of a series costs more rows than it brings.
LONGEST_LAG_SHARE = 0.34
# A seasonal component that explains less of the variance is none.
WEAK_SEASON = 0.05
# A linear model gets no column of its own for each of more series.
MANY_SERIES = 50


@dataclass(frozen=True)
class LagSettings:
    """What the columns are.

    Attributes
    ----------
    lags, windows: as the job file gives them, in periods; None: chosen here.
    known, past: pairs (name, type) of the features known ahead, and of those whose past values are used.
    stl: none, season or seasontrend.
    """

    lags: tuple[int, ...] | None
    windows: tuple[int, ...] | None
    known: tuple[tuple[str, str], ...]
    past: tuple[tuple[str, str], ...]
    stl: str
    holidays: np.ndarray | None
    frequency: str
    season: int


def lags_for(settings: LagSettings, base: int, typical: int) -> tuple[int, ...]:
    """Lags in periods, none below `base`: recent ones, and the same time in earlier seasons and a year ago.

    typical: the length of a typical series.
    """
    season = settings.season
    if settings.lags is not None:
        # What is asked for nearer than the base is the nearest that is known.
        return tuple(sorted({lag if lag >= base else base + lag - 1 for lag in settings.lags}))
    recent = season if 1 < season <= 14 else 4
    found = {base + step for step in range(recent)}
    first = season * -(-base // season)
    found |= {first + season * step for step in range(3)} | {first + 1}
    if base == 1 and season > 14:
        found |= {season - 1}
    year = round(365.25 * frequencies.DAY / frequencies.length(settings.frequency))
    if season in (5, 7) or settings.frequency == "h":
        found.add(season * round(year / season) if settings.frequency != "h" else 168 * -(-base // 168))
    return tuple(sorted(lag for lag in found if lag <= max(base, LONGEST_LAG_SHARE * typical)))


def windows_for(settings: LagSettings, base: int, typical: int) -> tuple[int, ...]:
    if settings.windows is not None:
        return settings.windows
    season = settings.season
    wanted = (season, 4 * season) if season > 1 else (3, 8)
    return tuple(width for width in wanted if base + width <= LONGEST_LAG_SHARE * typical)


def reach(series: Sequence[Series], settings: LagSettings, base: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Lags and windows of a fit on these series."""
    typical = int(np.median([len(one) for one in series]))
    windows = windows_for(settings, base, typical)
    if settings.stl == "seasontrend" and settings.season > 1:
        windows = tuple(sorted({*windows, settings.season}))
    return lags_for(settings, base, typical), windows


def yearly(series: Sequence[Series]) -> bool:
    """Whether waves of a year can be told from a trend."""
    return days(series) > LEAST_YEARS * 365.25


def fit(
    series: Sequence[Series], settings: LagSettings, estimator: Any, *, base: int, offset: str, cycles: bool,
    log: Logarithm | None,
) -> LagForecaster:  # fmt: skip
    """A fitted forecaster.

    Parameters
    ----------
    estimator: unfitted scikit-learn regressor; for linear ones (`cycles`) it must take missing values.
    base, offset: see LagForecaster.
    """
    features = pd.concat([one.features for one in series], ignore_index=True)
    lags, windows = reach(series, settings, base)
    profile = None
    if settings.stl != "none" and settings.season > 1:
        profile = {one.key: _profile(log.there(one.values) if log else one.values, settings.season) for one in series}
    model = LagForecaster(
        estimator=estimator,
        base=base,
        lags=lags,
        windows=windows,
        offset=offset,
        season=settings.season,
        cycles=cycles,
        yearly=yearly(series),
        encoder=Encoder(settings.known, one_hot=cycles).fit(features),
        past_encoder=Encoder(settings.past, one_hot=cycles).fit(features) if settings.past else None,
        series_codes={one.key: code for code, one in enumerate(series)}
        if not cycles or len(series) <= MANY_SERIES
        else {},
        trend=(min(one.times[0] for one in series), days(series)) if offset == "none" else None,
        holidays=settings.holidays,
        period=frequencies.period(settings.frequency),
        log=log,
        profile=profile,
    )
    scales: dict[Key, tuple[float, float]] = {}
    for one in series:
        values = log.there(one.values[one.observed]) if log else one.values[one.observed]
        scales[one.key] = (float(values.mean()), float(values.std()) or 1.0)
    model.scales = scales
    matrix, target = _rows(model, series)
    filled = np.where(np.isnan(matrix), matrix[0], matrix)
    model.kept = np.isfinite(matrix).any(axis=0) & ~(filled == filled[0]).all(axis=0)
    model.estimator.fit(matrix[:, model.kept], target)
    return model


def most_rows(series: Sequence[Series]) -> int:
    """How many rows of each series are learned from at most."""
    return MOST_ROWS // len(series) + 1


def _rows(model: LagForecaster, series: Sequence[Series]) -> tuple[np.ndarray, np.ndarray]:
    """The training rows: observed values whose offset is known; the latest where there are too many."""
    most = most_rows(series)
    matrices, targets = [], []
    for one in series:
        positions = np.flatnonzero(one.observed)
        # The first rows have few lags: they are left out as long as plenty are left.
        warm = min(max(model.lags, default=1), len(one) // 3)
        positions = positions[positions >= warm][-most:]
        if len(positions):
            matrix, target = model.training_rows(one.task(len(one), 0), positions)
            matrices.append(matrix)
            targets.append(target)
    if not matrices:
        raise ValueError("the series are too short for lags")
    matrix, target = np.vstack(matrices), np.concatenate(targets)
    known = np.isfinite(target)
    if known.sum() < 5:
        raise ValueError("the series are too short for lags")
    return matrix[known], target[known]


def _profile(values: np.ndarray, season: int) -> np.ndarray:
    """The seasonal component: means by phase around a moving average, phase 0 after the last value; zeros if weak."""
    if len(values) < 2 * season or strength(values, season) < WEAK_SEASON:
        return np.zeros(season)
    kernel = np.full(season, 1 / season)
    trend = np.convolve(values, kernel, "valid")
    half = season // 2
    left = values[half : half + len(trend)] - trend
    phase = (np.arange(half, half + len(trend)) - len(values)) % season
    shape = np.array([left[phase == place].mean() for place in range(season)])
    return shape - shape.mean()
