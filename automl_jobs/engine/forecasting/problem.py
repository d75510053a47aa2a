"""What a forecasting job comes to on this machine: series, horizon, season, lags and folds, in one object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from automl_jobs.engine.forecasting import golden
from automl_jobs.engine.forecasting.lagged import LagSettings
from automl_jobs.engine.forecasting.outline import Window
from automl_jobs.engine.forecasting.panel import Series
from automl_jobs.spec.metrics import higher_is_better
from forestay_forecasters import Logarithm
from forestay_forecasting import Key

if TYPE_CHECKING:
    from automl_jobs.prepare import Prepared
    from automl_jobs.spec.sections import Forecasting


# How many series say which scale is the better one, and how many seasons they must hold.
MOST_ASKED, LEAST_SEASONS = 200, 3
CLEARLY = 0.9
LEAST_DIRECT_ROWS = 10


@dataclass(frozen=True)
class ForecastProblem:
    """One job's forecasting problem.

    Attributes
    ----------
    metric: the primary metric, in Azure's run names.
    series: all that models learn from, on one grid each.
    frequency: pandas offset. horizon, season: in periods.
    splits: the folds of the rolling-origin validation.
    known: pairs (name, type) of features known ahead; lag_settings has those that are not.
    logarithm: None where the target can be negative.
    spans: smallest and largest training value of each series; scales: its mean absolute seasonal difference.
    schema, golden_rows: as of the other tasks.
    test: the series followed by the test periods, and where those begin; None without test data.
    """

    metric: str
    series: tuple[Series, ...]
    frequency: str
    horizon: int
    season: int
    splits: tuple[tuple[Window, ...], ...]
    known: tuple[tuple[str, str], ...]
    lag_settings: LagSettings
    time: str
    ids: tuple[str, ...]
    target: str
    spans: dict[Key, tuple[float, float]]
    scales: dict[Key, float]
    schema: dict[str, Any]
    golden_rows: list[dict[str, Any]] = field(repr=False)
    test: tuple[tuple[Series, ...], tuple[Window, ...]] | None = None
    seed: int = 0
    task: str = "forecasting"

    @property
    def training_rows(self) -> int:
        return self.rows

    @property
    def hold_out(self) -> bool:
        """Every trial's model is fitted on all rows after its origins."""
        return False

    @property
    def classification(self) -> bool:
        return False

    @property
    def higher(self) -> bool:
        return higher_is_better(self.metric)

    @property
    def rows(self) -> int:
        return sum(len(one) for one in self.series)

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """All features of the served model."""
        past = tuple(pair for pair in self.lag_settings.past if pair not in self.known)
        return (*self.known, *past)

    @property
    def hidden(self) -> tuple[str, ...]:
        """Features that are not known ahead."""
        known = {name for name, _ in self.known}
        return tuple(name for name, _ in self.lag_settings.past if name not in known)

    @property
    def holidays(self) -> np.ndarray | None:
        return self.lag_settings.holidays

    @property
    def logarithm(self) -> Logarithm | None:
        lowest = min(low for low, _ in self.spans.values())
        return Logarithm(0.0 if lowest > 0 else 1.0) if lowest >= 0 else None

    @property
    def multiplicative(self) -> bool:
        """Whether swings grow with the level, so that the logarithm is the better scale.

        The spread of each season in proportion to its mean must vary clearly less than that spread (Guerrero 1993,
        "Time-series analysis supported by power transformations"), in more than half of the series.
        """
        if self.logarithm is None:
            return False
        votes = []
        span = max(self.season, 4)
        for one in self.series[:MOST_ASKED]:
            count = len(one) // span
            if count < LEAST_SEASONS:
                continue
            seasons = one.values[len(one) - count * span :].reshape(count, span)
            level, spread = seasons.mean(axis=1), seasons.std(axis=1)
            if level.min() > 0 and spread.min() > 0:
                share = spread / level
                votes.append(float(share.std() / share.mean() < CLEARLY * spread.std() / spread.mean()))
        return bool(votes) and float(np.mean(votes)) > 0.5

    @property
    def direct(self) -> bool:
        """Whether the first fold is long enough to learn a whole horizon at once."""
        typical = float(np.median([window.fit for window in self.splits[0]]))
        return typical >= self.horizon + max(self.season, self.horizon) + LEAST_DIRECT_ROWS

    @property
    def classes(self) -> None:
        """A forecast has no labels."""
        return

    def golden_frame(self) -> pd.DataFrame:
        """The golden rows as a raw frame, the target among them."""
        return golden.to_frame(self.schema["columns"], self.golden_rows, self.target)


def build(prepared: Prepared, seed: int) -> ForecastProblem:
    """The problem of a prepared forecasting job, whose data is at hand."""
    spec = prepared.loaded.spec
    settings = spec.forecasting
    prepared.require_local()
    outline = prepared.outline
    assert settings is not None
    assert outline is not None
    # With validation data the scales are those of what models are fitted on, not of what they are scored on.
    fits = {window.series: window.fit for window in outline.splits[-1]} if prepared.validation is not None else {}
    scored = [one.cut(fits.get(number, len(one))) for number, one in enumerate(outline.series)]
    unknown = set(settings.features_unknown_at_forecast_time)
    known = tuple(pair for pair in outline.columns if pair[0] not in unknown)
    schema_columns = golden.schema_columns(
        prepared, outline.series, outline.columns, outline.horizon, outline.frequency
    )
    width = settings.target_rolling_window_size
    return ForecastProblem(
        metric=spec.metric,
        series=outline.series,
        frequency=outline.frequency,
        horizon=outline.horizon,
        season=outline.season,
        splits=outline.splits,
        known=known,
        lag_settings=LagSettings(
            lags=_lags(settings),
            windows=(width,) if isinstance(width, int) else None,
            known=known,
            past=outline.columns if settings.feature_lags == "auto" else (),
            stl=settings.use_stl,
            holidays=outline.holidays,
            frequency=outline.frequency,
            season=outline.season,
        ),
        time=settings.time_column_name,
        ids=tuple(settings.time_series_id_column_names),
        target=spec.target_column_name,
        spans={one.key: (float(one.values.min()), float(one.values.max())) for one in outline.series},
        scales={one.key: scale(one.values, outline.season) for one in scored},
        schema={
            "schema_version": 1,
            "task": "forecasting",
            "target": spec.target_column_name,
            "target_type": "number",
            "classes": None,
            "time_column": settings.time_column_name,
            "series_columns": list(settings.time_series_id_column_names),
            "frequency": outline.frequency,
            "horizon": outline.horizon,
            "columns": schema_columns,
        },
        golden_rows=golden.rows(
            schema_columns, outline.series, settings, spec.target_column_name, outline.horizon, outline.frequency, seed
        ),
        test=outline.test,
        seed=seed,
    )


def _lags(settings: Forecasting) -> tuple[int, ...] | None:
    """The lags that the job file gives; None where they are chosen here."""
    given = settings.target_lags
    if isinstance(given, int):
        return (given,)
    return given if isinstance(given, tuple) else None


def scale(values: np.ndarray, season: int) -> float:
    """The mean absolute error of the seasonal naive forecast in training, which MASE divides by (Hyndman 2006)."""
    away = season if len(values) > season else 1
    found = float(np.abs(values[away:] - values[:-away]).mean()) if len(values) > away else 0.0
    return found or float(values.std()) or 1.0
