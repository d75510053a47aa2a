"""What a forecasting job comes to on this machine: series, horizon, season, lags and folds, in one object."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from automl_jobs.engine.forecasting import frequency as frequencies
from automl_jobs.engine.forecasting import golden, panel
from automl_jobs.engine.forecasting.lagged import LagSettings
from automl_jobs.engine.forecasting.panel import FEATURE_TYPES, Series
from automl_jobs.spec.metrics import higher_is_better
from forestay.errors import InputError
from forestay_forecasting import Key, Logarithm

if TYPE_CHECKING:
    from automl_jobs.prepare import Prepared
    from automl_jobs.spec.sections import Forecasting

MOST_FOLDS = 5
# A series shorter than this before its first fold teaches a model nothing.
LEAST_TRAINING = 4


@dataclass(frozen=True)
class Window:
    """What one fold does to one series, as counts of periods from its beginning.

    Attributes
    ----------
    series: its number.
    fit: models are fitted on the periods before this one.
    start, stop: the periods to forecast, in steps of the horizon, each step from what is known before it.
    """

    series: int
    fit: int
    start: int
    stop: int


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
    notes: what was decided on the way, one line each.
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
    vote: bool = True
    seed: int = 0
    notes: tuple[str, ...] = ()
    task: str = "forecasting"

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
    def frame(self) -> range:
        """As long as the training rows are many."""
        return range(self.rows)

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
    def classes(self) -> None:
        """A forecast has no labels."""
        return

    def golden_frame(self) -> pd.DataFrame:
        """The golden rows as a raw frame, the target among them."""
        return golden.to_frame(self.schema["columns"], self.golden_rows, self.target)

    def save(self, path: Path) -> None:
        with path.open("wb") as stream:
            pickle.dump(self, stream, protocol=5)


def build(prepared: Prepared, seed: int) -> ForecastProblem:
    """The problem of a prepared forecasting job. Raises InputError for series that can't be forecast."""
    spec = prepared.loaded.spec
    settings = spec.forecasting
    assert settings is not None
    where = prepared.loaded.where
    train = prepared.require_local()
    notes: list[str] = []
    columns = features(prepared, settings, notes)
    names = [settings.time_column_name, *settings.time_series_id_column_names, spec.target_column_name]
    names += [name for name, _ in columns]
    frame = train.frame[list(dict.fromkeys(names))]
    made = panel.build(frame, settings, spec.target_column_name, columns, where)
    if made.problems:
        raise InputError.of(made.problems)
    lengths = [len(one) for one in made.series]
    season = settings.seasonality if isinstance(settings.seasonality, int) else frequencies.season(made.frequency)
    if settings.seasonality == "auto" and 2 * season > float(np.median(lengths)):
        season = 1
    horizon = settings.forecast_horizon
    if not isinstance(horizon, int):
        horizon = max(1, min(frequencies.horizon(made.frequency), int(np.median(lengths)) // 5))
        notes.append(f"forecast_horizon: auto is {horizon} periods here")
    more = _Further(settings, spec.target_column_name, columns, where, made.frequency)
    later = None
    if prepared.validation is not None:
        later = more.follow("validation_data", frame, prepared.validation.frame, made.series)
        frame = pd.concat([frame, prepared.validation.frame[list(frame.columns)]], ignore_index=True)
    held = None
    if prepared.test is not None:
        held = more.follow("test_data", frame, prepared.test.frame, made.series if later is None else later[0])
    elif spec.test_data_size:
        raise InputError(
            "test_data_size draws rows at random, which says nothing of a forecast",
            where=where("test_data_size"),
            fix="give the last periods as test_data",
        )
    series = made.series if later is None else later[0]
    if later is not None:
        splits: tuple[tuple[Window, ...], ...] = (later[1],)
    else:
        series, splits = _Cutting(settings, horizon, season, made.frequency, where, notes).cut(
            series, prepared.plan.folds
        )
    fits = {window.series: window.fit for window in splits[-1]} if later is not None else {}
    scored = [one.cut(fits.get(number, len(one))) for number, one in enumerate(series)]
    spans = {one.key: (float(one.values.min()), float(one.values.max())) for one in series}
    unknown = set(settings.features_unknown_at_forecast_time)
    known = tuple(pair for pair in columns if pair[0] not in unknown)
    schema_columns = golden.schema_columns(prepared, series, columns, horizon, made.frequency)
    return ForecastProblem(
        metric=spec.metric,
        series=series,
        frequency=made.frequency,
        horizon=horizon,
        season=season,
        splits=splits,
        known=known,
        lag_settings=LagSettings(
            lags=_lags(settings),
            windows=(settings.target_rolling_window_size,)
            if isinstance(settings.target_rolling_window_size, int)
            else None,
            known=known,
            past=tuple(columns) if settings.feature_lags == "auto" else (),
            stl=settings.use_stl,
            holidays=holidays(settings, made, where, notes),
            frequency=made.frequency,
            season=season,
        ),
        time=settings.time_column_name,
        ids=tuple(settings.time_series_id_column_names),
        target=spec.target_column_name,
        spans=spans,
        scales={one.key: scale(one.values, season) for one in scored},
        schema={
            "schema_version": 1,
            "task": "forecasting",
            "target": spec.target_column_name,
            "target_type": "number",
            "classes": None,
            "time_column": settings.time_column_name,
            "series_columns": list(settings.time_series_id_column_names),
            "frequency": made.frequency,
            "horizon": horizon,
            "columns": schema_columns,
        },
        golden_rows=golden.rows(
            schema_columns, series, settings, spec.target_column_name, horizon, made.frequency, seed
        ),
        test=_continued(series, held),
        vote=spec.training.enable_vote_ensemble,
        seed=seed,
        notes=tuple(notes),
    )


def features(prepared: Prepared, settings: Forecasting, notes: list[str]) -> tuple[tuple[str, str], ...]:
    """Pairs (name, type) of the columns that models may see beside time, ids and target."""
    roles = (settings.time_column_name, *settings.time_series_id_column_names)
    unknown = set(settings.features_unknown_at_forecast_time)
    found = []
    for use in prepared.columns:
        if not use.used or use.name in roles:
            continue
        if str(use.type) not in FEATURE_TYPES:
            notes.append(f"column {use.name!r} is not used: forecasting takes numbers, truth values and categories")
        elif use.name in unknown and settings.feature_lags == "none":
            notes.append(f"column {use.name!r} is not used: it is not known ahead, and feature_lags is none")
        else:
            found.append((use.name, str(use.type)))
    return tuple(found)


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


def holidays(settings: Forecasting, made: panel.Panel, where: Any, notes: list[str]) -> np.ndarray | None:
    """The country's holidays from the first year of the data to twenty years after it, as sorted datetime64[D]."""
    country = settings.country_or_region_for_holidays
    if not country or frequencies.length(made.frequency) > 32 * frequencies.DAY:
        return None
    try:
        calendar = import_module("holidays")
    except ImportError:
        notes.append("holidays are not used: install the package `holidays` for country_or_region_for_holidays")
        return None
    first = min(one.times[0] for one in made.series).year
    last = max(one.times[-1] for one in made.series).year
    try:
        days = calendar.country_holidays(country.upper(), years=range(first - 1, last + 21))
    except NotImplementedError:
        raise InputError(
            f"no holidays are known of {country!r}",
            where=where("forecasting.country_or_region_for_holidays"),
            fix="write a country's two letters (ISO 3166), such as US, DE, JP",
        ) from None
    return np.array(sorted(days), dtype="datetime64[D]")


@dataclass(frozen=True)
class _Further:
    """Reads rows that follow the training data: validation and test data."""

    settings: Forecasting
    target: str
    columns: tuple[tuple[str, str], ...]
    where: Callable[[str], str]
    frequency: str

    def follow(
        self, key: str, before: pd.DataFrame, frame: pd.DataFrame, series: Sequence[Series]
    ) -> tuple[tuple[Series, ...], tuple[Window, ...]]:
        """The series with the rows of `frame` (the job's `key`) after them, and windows over those; gaps are filled."""
        both = pd.concat([before, frame[list(before.columns)]], ignore_index=True)
        whole = panel.build(both, self.settings, self.target, self.columns, self.where, fixed=self.frequency)
        if whole.problems:
            raise InputError.of(whole.problems)
        ends = {one.key: one.times[-1] for one in series}
        kept = tuple(one for one in whole.series if one.key in ends)
        fits = [int(one.times.searchsorted(ends[one.key], side="right")) for one in kept]
        windows = [
            Window(number, fit, fit, len(one))
            for number, (one, fit) in enumerate(zip(kept, fits, strict=True))
            if fit < len(one)
        ]
        if not windows:
            raise InputError(
                f"`{key}` has no row after the end of the training data",
                where=self.where(key),
                fix="give periods that follow the training data, of the same series",
            )
        return kept, tuple(windows)


def _continued(
    series: Sequence[Series], held: tuple[tuple[Series, ...], tuple[Window, ...]] | None
) -> tuple[tuple[Series, ...], tuple[Window, ...]] | None:
    """The test windows of the series that are left; models are fitted on all that `series` hold of them."""
    if held is None:
        return None
    kept = {one.key: len(one) for one in series}
    windows = tuple(window for window in held[1] if held[0][window.series].key in kept)
    return held[0], windows


@dataclass(frozen=True)
class _Cutting:
    """Makes the rolling-origin folds; `notes` is added to."""

    settings: Forecasting
    horizon: int
    season: int
    frequency: str
    where: Callable[[str], str]
    notes: list[str]

    def cut(
        self, series: tuple[Series, ...], asked: int | None
    ) -> tuple[tuple[Series, ...], tuple[tuple[Window, ...], ...]]:
        """Series of sufficient length, and the folds, the earliest first; `asked` is how many, if the job says."""
        horizon, step = self.horizon, self.settings.cv_step_size or self.horizon
        longest = max(len(one) for one in series)
        least = max(LEAST_TRAINING, min(self.season + 1, longest // 3))
        if longest < horizon + LEAST_TRAINING:
            raise InputError(
                f"the longest series has {longest} periods: too few to forecast {horizon} and learn from those before",
                where=self.where("forecasting.forecast_horizon"),
                fix=f"set forecast_horizon to {max(1, (longest - LEAST_TRAINING) // 2)} or less, or give longer series",
            )
        possible = 1 + max(0, (longest - horizon - least) // step)
        if asked is None:
            # Half of the data at least is left to learn from in every fold.
            folds = max(1, min(MOST_FOLDS, 1 + max(0, longest // 2 - horizon) // step, possible))
        else:
            folds = min(asked, possible)
            if folds < asked:
                self.notes.append(f"{folds} folds instead of {asked}: the series are too short for more")
        series = self._handled(series, least + horizon + (folds - 1) * step)
        splits = []
        for fold in range(folds):
            back = horizon + (folds - 1 - fold) * step
            splits.append(
                tuple(
                    Window(number, len(one) - back, len(one) - back, len(one) - back + horizon)
                    for number, one in enumerate(series)
                    if len(one) - back >= LEAST_TRAINING
                )
            )
        return series, tuple(split for split in splits if split)

    def _handled(self, series: tuple[Series, ...], needed: int) -> tuple[Series, ...]:
        """`short_series_handling_config`: what becomes of series with fewer than `needed` periods.

        auto is Azure's rule: short ones are left out, or padded when all are short.
        """
        short = [one for one in series if len(one) < needed]
        handling = self.settings.short_series_handling_config
        if handling == "auto":
            handling = "drop" if len(short) < len(series) else "pad"
        if short and handling == "pad":
            self.notes.append(f"{len(short)} series are padded to {needed} periods")
            return tuple(panel.padded(one, needed, self.frequency) for one in series)
        if short and handling == "drop":
            self.notes.append(f"{len(short)} series are left out: they have fewer than {needed} periods")
            series = tuple(one for one in series if len(one) >= needed)
        if not series:
            raise InputError(
                f"every series has fewer than {needed} periods, and short ones are to be dropped",
                where=self.where("forecasting.short_series_handling_config"),
                fix="set it to pad, or take fewer folds or a shorter horizon",
            )
        return series
