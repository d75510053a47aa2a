"""What a forecasting job's settings and rows come to before anything is fitted: series, horizon, season, folds.

`job check` makes it to say what is wrong and what would run; the problem of a training is built on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from automl_jobs.engine.forecasting import frequency as frequencies
from automl_jobs.engine.forecasting import panel
from automl_jobs.engine.forecasting.panel import Series
from forestay.documents.names import shown
from forestay.errors import InputError, Problem

if TYPE_CHECKING:
    from automl_jobs.spec import JobSpec
    from automl_jobs.spec.sections import Forecasting

MOST_FOLDS = 5
# A series shorter than this before its first fold teaches a model nothing.
LEAST_TRAINING = 4
# How far ahead holidays are kept: a model served longer than this is retrained.
HOLIDAY_YEARS = 20
Where = Callable[[str], str]
Columns = tuple[tuple[str, str], ...]


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


Held = tuple[tuple[Series, ...], tuple[Window, ...]]


@dataclass(frozen=True)
class Short:
    """What became of the series with fewer periods than `needed`: their keys as text, and `how` (pad, drop, none)."""

    needed: int
    keys: tuple[str, ...] = ()
    how: str = "none"


@dataclass(frozen=True)
class Outline:
    """A forecasting job before anything is fitted.

    Attributes
    ----------
    series: all that models learn from, on one grid each.
    columns: pairs (name, type) of the features, known ahead or not.
    frequency: pandas offset. horizon, season: in periods.
    splits: the folds of the validation, the earliest first.
    test: the series followed by the test periods, and where those begin; None without test data.
    holidays: of the job's country, as sorted datetime64[D]; None without.
    short: what became of short series.
    warnings: what doesn't stop the job but may not be meant.
    """

    series: tuple[Series, ...]
    columns: Columns
    frequency: str
    horizon: int
    season: int
    splits: tuple[tuple[Window, ...], ...]
    test: Held | None
    holidays: np.ndarray | None
    short: Short
    warnings: tuple[Problem, ...]


def outline(
    spec: JobSpec,
    where: Where,
    columns: Columns,
    train: pd.DataFrame,
    validation: pd.DataFrame | None = None,
    test: pd.DataFrame | None = None,
) -> Outline:
    """The outline of a job with these rows, whose columns have their final types.

    Raises InputError for series that can't be forecast, each problem at the line that `where` gives of its key.
    """
    settings = spec.forecasting
    assert settings is not None
    if spec.test_data_size:
        raise InputError(
            "test_data_size draws rows at random, which says nothing of a forecast",
            where=where("test_data_size"),
            fix="give the last periods as test_data",
        )
    names = [settings.time_column_name, *settings.time_series_id_column_names, spec.target_column_name]
    names += [name for name, _ in columns]
    frame = train[list(dict.fromkeys(names))]
    made = panel.build(frame, settings, spec.target_column_name, columns, where)
    if made.problems:
        raise InputError.of(made.problems)
    horizon, season = _horizon(settings, made), _season(settings, made)
    days = holidays(settings, made, where)
    further = _Further(settings, spec.target_column_name, columns, where, made.frequency)
    series = made.series
    short = Short(0)
    warnings = list(made.warnings)
    splits: tuple[tuple[Window, ...], ...]
    if validation is not None:
        series, windows = further.follow("validation_data", frame, validation, series)
        frame = pd.concat([frame, validation[list(frame.columns)]], ignore_index=True)
        splits = (windows,)
    held = None if test is None else further.follow("test_data", frame, test, series)
    if validation is None:
        asked = spec.n_cross_validations if isinstance(spec.n_cross_validations, int) else None
        cutting = _Cutting(settings, horizon, season, made.frequency, where)
        series, splits, short = cutting.cut(series, asked)
        warnings += cutting.warnings
    return Outline(
        series=series,
        columns=columns,
        frequency=made.frequency,
        horizon=horizon,
        season=season,
        splits=splits,
        test=_continued(series, held),
        holidays=days,
        short=short,
        warnings=tuple(warnings),
    )


def _horizon(settings: Forecasting, made: panel.Panel) -> int:
    """`forecast_horizon`; auto: what is usual at the frequency, and no more than a fifth of a typical series."""
    if isinstance(settings.forecast_horizon, int):
        return settings.forecast_horizon
    return max(1, min(frequencies.horizon(made.frequency), _typical(made) // 5))


def _season(settings: Forecasting, made: panel.Panel) -> int:
    """`seasonality`; auto: the usual one of the frequency, where a typical series holds two of them."""
    if isinstance(settings.seasonality, int):
        return settings.seasonality
    season = frequencies.season(made.frequency)
    return season if 2 * season <= _typical(made) else 1


def _typical(made: panel.Panel) -> int:
    return int(np.median([len(one) for one in made.series]))


def holidays(settings: Forecasting, made: panel.Panel, where: Where) -> np.ndarray | None:
    """The country's holidays from the year before the data to twenty years after it, as sorted datetime64[D].

    None without a country, and for periods longer than a month, which all have about the same. Raises InputError for an
    unknown country.
    """
    country = settings.country_or_region_for_holidays
    if not country or frequencies.length(made.frequency) > 32 * frequencies.DAY:
        return None
    import holidays as calendars

    first = min(one.times[0] for one in made.series).year
    last = max(one.times[-1] for one in made.series).year
    try:
        days = calendars.country_holidays(country.upper(), years=range(first - 1, last + HOLIDAY_YEARS + 1))
    except NotImplementedError:
        raise InputError(
            f"no holidays are known of {shown(country)!r}",
            where=where("forecasting.country_or_region_for_holidays"),
            fix="write a country's two letters (ISO 3166), such as US, DE, JP",
        ) from None
    return np.array(sorted(days), dtype="datetime64[D]")


@dataclass(frozen=True)
class _Further:
    """Reads rows that follow the training data: validation and test data."""

    settings: Forecasting
    target: str
    columns: Columns
    where: Where
    frequency: str

    def follow(self, key: str, before: pd.DataFrame, frame: pd.DataFrame, series: Sequence[Series]) -> Held:
        """The series with the rows of `frame` (the job's `key`) after them, and windows over those; gaps are filled."""
        both = pd.concat([before, frame[list(before.columns)]], ignore_index=True)
        whole = panel.build(both, self.settings, self.target, self.columns, self.where, fixed=self.frequency)
        if whole.problems:
            place = self.where(key)
            raise InputError.of(
                [Problem(place, f"with the rows of `{key}`: {one.message}", one.fix) for one in whole.problems]
            )
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


def _continued(series: Sequence[Series], held: Held | None) -> Held | None:
    """The test windows of the series that are left; models are fitted on all that `series` hold of them."""
    if held is None:
        return None
    kept = {one.key for one in series}
    return held[0], tuple(window for window in held[1] if held[0][window.series].key in kept)


@dataclass
class _Cutting:
    """Makes the rolling-origin folds; what the user should know is added to `warnings`."""

    settings: Forecasting
    horizon: int
    season: int
    frequency: str
    where: Where
    warnings: list[Problem] = field(default_factory=list)

    def cut(
        self, series: tuple[Series, ...], asked: int | None
    ) -> tuple[tuple[Series, ...], tuple[tuple[Window, ...], ...], Short]:
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
                message = f"{folds} fold{'s' * (folds != 1)} instead of {asked}: the series are too short for more"
                self.warnings.append(
                    Problem(self.where("n_cross_validations"), message, "give longer series, or a shorter horizon")
                )
        series, short = self._handled(series, least + horizon + (folds - 1) * step)
        splits = []
        for fold in range(folds):
            back = horizon + (folds - 1 - fold) * step
            splits.append(
                tuple(
                    Window(number, len(one) - back, len(one) - back, len(one) - back + horizon)
                    for number, one in enumerate(series)
                    # What was put before a series is its first value, which is not known before that.
                    if len(one) - back >= LEAST_TRAINING and one.observed[: len(one) - back].any()
                )
            )
        return series, tuple(split for split in splits if split), short

    def _handled(self, series: tuple[Series, ...], needed: int) -> tuple[tuple[Series, ...], Short]:
        """`short_series_handling_config`: what becomes of series with fewer than `needed` periods.

        auto is Azure's rule: short ones are left out, or padded when all are short.
        """
        short = [one for one in series if len(one) < needed]
        handling = self.settings.short_series_handling_config
        if handling == "auto":
            handling = "drop" if len(short) < len(series) else "pad"
        found = Short(needed, tuple(", ".join(one.key) for one in short), handling)
        if not short:
            return series, found
        where = self.where("forecasting.short_series_handling_config")
        if handling == "pad":
            message = f"{len(short)} series are padded to {needed} periods"
            self.warnings.append(Problem(where, message, "shorter horizon or fewer folds need fewer periods"))
            return tuple(panel.padded(one, needed, self.frequency) for one in series), found
        if handling == "drop":
            series = tuple(one for one in series if len(one) >= needed)
            if not series:
                raise InputError(
                    f"every series has fewer than {needed} periods, and short ones are to be dropped",
                    where=where,
                    fix="set it to pad, or take fewer folds or a shorter horizon",
                )
            message = f"{len(short)} series are left out: they have fewer than {needed} periods"
            self.warnings.append(Problem(where, message, "set it to pad to keep them"))
        return series, found
