"""From rows of a table to series on a regular grid, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from automl_jobs.engine.forecasting import frequency as frequencies
from forestay.documents.names import shown
from forestay.errors import Problem
from forestay_forecasting import Key, Task
from forestay_transformers import category_text

if TYPE_CHECKING:
    from automl_jobs.spec.sections import Forecasting

MANY_FILLED = 0.5
TIME, IDS, FREQUENCY = "time_column_name", "time_series_id_column_names", "frequency"


@dataclass(frozen=True)
class Series:
    """One series on its regular grid.

    Attributes
    ----------
    key: the values of its id columns as text.
    times, values: (n,), values without holes.
    observed: (n,) whether the value stood in the data; others are filled, and never fitted or scored. One between
        two that were observed is made of both: `known` has what stood before an origin.
    features: (n, k) numeric and boolean columns as float64, categorical ones as text; may be missing.
    """

    key: Key
    times: pd.DatetimeIndex
    values: np.ndarray
    observed: np.ndarray
    features: pd.DataFrame

    def __len__(self) -> int:
        return len(self.values)

    def known(self, origin: int) -> np.ndarray:
        """The values before an origin, made of nothing later: after the last one observed they stay as it was."""
        values, seen = self.values[:origin], np.flatnonzero(self.observed[:origin])
        if len(seen) and seen[-1] < origin - 1:
            values = values.copy()
            values[seen[-1] + 1 :] = values[seen[-1]]
        return values

    def cut(self, stop: int) -> Series:
        """The first `stop` periods."""
        return replace(
            self,
            times=self.times[:stop],
            values=self.known(stop),
            observed=self.observed[:stop],
            features=self.features.iloc[:stop],
        )

    def task(self, origin: int, ahead: int, since: int = 0, hidden: Sequence[str] = ()) -> Task:
        """The task to forecast `ahead` periods after the first `origin`; all features but `hidden` are known."""
        stop = origin + ahead
        features = self.features.iloc[:stop]
        if ahead and hidden:
            past = np.arange(stop) < origin
            features = features.assign(**{name: features[name].where(past) for name in hidden})
        return Task(self.key, self.known(origin), self.times[:stop], features, ahead, since)


@dataclass(frozen=True)
class Panel:
    """All series of a job, sorted by key, with the frequency that they share; what was found on the way."""

    series: tuple[Series, ...]
    frequency: str
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


@dataclass
class _Findings:
    where: Callable[[str], str]
    problems: list[Problem]
    warnings: list[Problem]

    def error(self, key: str, message: str, fix: str) -> None:
        self.problems.append(Problem(self.where(f"forecasting.{key}"), message, fix))

    def warn(self, key: str, message: str, fix: str = "") -> None:
        self.warnings.append(Problem(self.where(f"forecasting.{key}"), message, fix))


def build(
    frame: pd.DataFrame,
    settings: Forecasting,
    target: str,
    columns: tuple[tuple[str, str], ...],
    where: Callable[[str], str],
    fixed: str | None = None,
) -> Panel:
    """The series of a table's rows.

    Parameters
    ----------
    frame: with the time column as datetime64, and the ids, the target and `columns`.
    settings: the job file's section.
    columns: pairs (name, type) of the features, types numeric, boolean or categorical.
    where: gives "file:line" of a dotted key.
    fixed: the frequency, where it is known from other rows.

    What is wrong is among `problems` of what is returned, its series are empty then.
    """
    found = _Findings(where, [], [])
    time, ids = settings.time_column_name, list(settings.time_series_id_column_names)
    lost = int(frame[time].isna().sum())
    if lost:
        found.warn(TIME, f"{lost} rows have no time in {shown(time)!r}: they are left out")
        frame = frame[frame[time].notna()]
    for name in ids:
        if frame[name].isna().any():
            found.error(
                IDS,
                f"{int(frame[name].isna().sum())} rows have no value in {shown(name)!r}, so they belong to no series",
                "fill the column, or leave those rows out",
            )
    if frame.empty or found.problems:
        if not found.problems:
            found.error(TIME, "no row has a time and a target", "correct the data")
        return Panel((), fixed or "D", tuple(found.problems), tuple(found.warnings))
    rows = _typed(frame, columns).assign(**{"\0time": frame[time], "\0target": frame[target].astype("float64")})
    texts = [frame[name].astype("object").map(category_text).astype(str) for name in ids]
    keys: pd.Series = pd.Series(list(zip(*texts, strict=True)) if ids else [()] * len(frame), index=frame.index)
    groups = {key: group.sort_values("\0time") for key, group in rows.groupby(keys, sort=True)}
    given = fixed or _given(settings, found)
    aggregated = settings.target_aggregate_function != "none"
    if aggregated and given and not found.problems and not fixed:
        groups = {key: _aggregate(group, given, settings, columns) for key, group in groups.items()}
    elif aggregated:
        groups = {key: _joined(group, settings, columns) for key, group in groups.items()}
    else:
        _repeated(groups, time, bool(ids), found)
    if found.problems:
        return Panel((), given or "D", tuple(found.problems), tuple(found.warnings))
    shared = _frequency(groups, given, time, found)
    if shared is None:
        return Panel((), given or "D", tuple(found.problems), tuple(found.warnings))
    series = tuple(_regular(key, group, shared, columns) for key, group in groups.items())
    filled = sum(int((~one.observed).sum()) for one in series)
    total = sum(len(one) for one in series)
    if filled and not aggregated:
        hint = f"set {FREQUENCY} if another one is meant" if filled > MANY_FILLED * total else ""
        found.warn(
            FREQUENCY, f"{filled} of {total} periods at frequency {shared} have no row: they are filled in", hint
        )
    return Panel(series, shared, (), tuple(found.warnings))


def _typed(frame: pd.DataFrame, columns: tuple[tuple[str, str], ...]) -> pd.DataFrame:
    """Features as `forestay_transformers.InputFrame` reads them."""
    from forestay_transformers import InputFrame

    return InputFrame(list(columns)).fit(frame).transform(frame)


def _given(settings: Forecasting, found: _Findings) -> str | None:
    if settings.frequency is None:
        return None
    read = frequencies.read(settings.frequency)
    if read is None:
        found.error(
            FREQUENCY,
            f"{shown(settings.frequency)!r} is not a frequency",
            "write D (days), h (hours), W, MS (months by their first day), ME (by their last), QS, YS, 15min, ...",
        )
    return read


def _repeated(groups: dict[Key, pd.DataFrame], time: str, has_ids: bool, found: _Findings) -> None:
    for key, group in groups.items():
        twice = group["\0time"][group["\0time"].duplicated()]
        if len(twice):
            series = f" of the series {shown(', '.join(key))!r}" if has_ids else ""
            found.error(
                TIME,
                f"{len(twice)} times in {shown(time)!r}{series} stand twice, the first is {twice.iloc[0].isoformat()}",
                "name the columns that tell series apart in time_series_id_column_names, or join such rows with "
                "frequency and target_aggregate_function: sum",
            )
            return


def _how(settings: Forecasting, columns: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """How each column is joined when rows are: the target as asked, numbers by mean, the rest by the last one."""
    how = {name: "last" if kind == "categorical" else "mean" for name, kind in columns}
    return {**how, "\0target": settings.target_aggregate_function}


def _aggregate(
    group: pd.DataFrame, frequency: str, settings: Forecasting, columns: tuple[tuple[str, str], ...]
) -> pd.DataFrame:
    """Rows joined to one a period."""
    resampled = group.set_index("\0time").resample(frequency)
    joined = resampled.agg(_how(settings, columns))
    return joined[resampled["\0target"].count() > 0].reset_index()


def _joined(group: pd.DataFrame, settings: Forecasting, columns: tuple[tuple[str, str], ...]) -> pd.DataFrame:
    """Rows of the same time joined."""
    return group.groupby("\0time").agg(_how(settings, columns)).reset_index()


def _frequency(groups: dict[Key, pd.DataFrame], given: str | None, time: str, found: _Findings) -> str | None:
    """The frequency of all series: the given one where they fit, else that of the longest series."""
    times = {key: pd.DatetimeIndex(group["\0time"]) for key, group in groups.items()}
    longest = max(times, key=lambda key: len(times[key]))
    shared = frequencies.detect(times[longest], given)
    if shared is None and len(times[longest]) < 2:
        found.error(TIME, "no series has more than one time", "add rows, or name fewer id columns")
        return None
    for key in [longest, *times]:
        if shared is None or not frequencies.fits(times[key], shared):
            place = f" of the series {shown(', '.join(key))!r}" if key else ""
            odd = _first_odd(times[key], shared or given)
            found.error(
                FREQUENCY if given else TIME,
                f"the times in {shown(time)!r}{place} are not at one regular frequency"
                f"{f' ({shared or given})' if shared or given else ''}{f': see {odd}' if odd else ''}",
                "set frequency (D, h, W, MS, ...) with target_aggregate_function: sum or mean, which joins the rows of "
                "each period",
            )
            return None
    return shared


def _first_odd(times: pd.DatetimeIndex, frequency: str | None) -> str:
    if frequency is None:
        return ""
    off = times[~times.isin(pd.date_range(times[0], times[-1], freq=frequency))]
    return str(off[0].isoformat()) if len(off) else ""


def _regular(key: Key, group: pd.DataFrame, frequency: str, columns: tuple[tuple[str, str], ...]) -> Series:
    """A series on its grid: holes in the target on a line between neighbours, features as they were last known."""
    times = pd.DatetimeIndex(group["\0time"])
    grid = pd.date_range(times[0], times[-1], freq=frequency)
    whole = group.set_index(times).reindex(grid)
    known = whole["\0target"].notna().to_numpy()
    values = np.interp(np.arange(len(grid)), np.flatnonzero(known), whole["\0target"].to_numpy()[known])
    features = whole[[name for name, _ in columns]].ffill().bfill().reset_index(drop=True)
    return Series(key, grid, values, known, features)


def padded(series: Series, length: int, frequency: str) -> Series:
    """A series with periods put before it until it has `length`: its first value again, not counted as observed."""
    more = length - len(series)
    if more <= 0:
        return series
    times = pd.date_range(end=series.times[0], periods=more + 1, freq=frequency)[:-1].union(series.times)
    features = series.features.reindex(pd.RangeIndex(-more, len(series))).bfill().reset_index(drop=True)
    return Series(
        series.key,
        times,
        np.concatenate([np.full(more, series.values[0]), series.values]),
        np.concatenate([np.zeros(more, dtype=bool), series.observed]),
        features,
    )
