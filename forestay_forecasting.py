"""A fitted forecasting model as it is served: rows of a frame become tasks, and the values ahead rows again.

This module is copied beside every forecasting `model.pkl`, with `forestay_forecasters` and `forestay_transformers`, and
imported there under this name, where nothing else of Forestay is installed. So it imports numpy, pandas and
scikit-learn only, and what it pickles must stay loadable: a change of an attribute's meaning needs a new class name.

A series lies on a regular grid of times. A forecaster gets `Task`s, one a series: the values up to now, and how many
periods ahead to go; it gives the values ahead.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin

from forestay_transformers import InputFrame, category_text

Key = tuple[str, ...]
# A request can't make the service walk through centuries, nor many series through one.
MOST_PERIODS, MOST_IN_ALL = 2_000, 100_000
MAX_SHOWN = 60
MIDNIGHT = re.compile(r"(\d{4}-\d{2}-\d{2})[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-]\d{2}:?\d{2})")


class ForecastInputError(ValueError):
    """Rows that can't be forecast. `details` lists (row, column or None, problem)."""

    def __init__(self, details: list[tuple[int, str | None, str]]) -> None:
        row, column, text = details[0]
        super().__init__(f"row {row}{f', column {column!r}' if column else ''}: {text}")
        self.details = details


@dataclass(frozen=True)
class Task:
    """One series to forecast.

    Attributes
    ----------
    key: the values of the series' id columns, as text.
    values: (n,) known values up to now, without holes.
    times: (n + ahead) times of the values and of the periods ahead.
    features: typed columns known of the last rows of `times`; may be shorter than `times`, ends where it ends.
    ahead: how many periods to forecast.
    since: how many of the last `values` came after training.
    """

    key: Key
    values: np.ndarray
    times: pd.DatetimeIndex
    features: pd.DataFrame
    ahead: int
    since: int = 0

    def known_features(self) -> pd.DataFrame:
        """Features for each of `times`; those before the first that are known are missing."""
        short = len(self.times) - len(self.features)
        if short <= 0:
            return self.features
        return self.features.reindex(pd.RangeIndex(-short, len(self.features))).reset_index(drop=True)


class Forecaster(Protocol):
    """Gives for each task its values ahead, (ahead,) each."""

    def predict(self, tasks: Sequence[Task]) -> list[np.ndarray]: ...


@dataclass(frozen=True)
class Spread:
    """How far forecasts were off in the backtest: the base of quantiles.

    Attributes
    ----------
    widths: (horizon,) typical size of the error by step, in units of the series' scale; never falling.
    errors: the backtest's errors divided by width and scale, sorted.
    scales: the unit of each series; `usual` is that of one never seen.
    """

    widths: np.ndarray
    errors: np.ndarray
    scales: dict[Key, float]
    usual: float

    def offset(self, key: Key, steps: np.ndarray, level: float) -> np.ndarray:
        """What to add to a forecast `steps` (1 is the first) ahead to reach the quantile `level`.

        Split conformal: of n errors, the ceil(level (n + 1))-th for the upper half and its mirror for the lower, so
        that the true value lies below with at least this probability if errors stay as they were.
        """
        count = len(self.errors)
        if level >= 0.5:
            place = min(count, int(np.ceil(level * (count + 1)))) - 1
        else:
            place = max(1, int(np.floor(level * (count + 1)))) - 1
        far = np.sqrt(np.maximum(steps / len(self.widths), 1.0))
        widths = self.widths[np.minimum(steps, len(self.widths)) - 1] * far
        return self.errors[place] * widths * self.scales.get(key, self.usual)


@dataclass(frozen=True)
class SeriesEnd:
    """The last of a training series: values, the time of the last one, and the features of the last rows."""

    values: np.ndarray
    last: pd.Timestamp
    features: pd.DataFrame

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled without pandas' text columns: those want pyarrow back where they were made with it."""
        plain = {
            str(name): column.to_numpy(dtype=object if isinstance(column.dtype, pd.StringDtype) else None)
            for name, column in self.features.items()
        }
        return series_end, (self.values, self.last, plain, len(self.features))


def series_end(values: np.ndarray, last: pd.Timestamp, features: dict[str, np.ndarray], rows: int) -> SeriesEnd:
    """A SeriesEnd from what its pickle holds; `rows` is how many its features have."""
    return SeriesEnd(values, last, pd.DataFrame(features, index=pd.RangeIndex(rows)))


def _as_days(times: pd.Series) -> pd.Series:
    """A column of times in which each midnight with an offset has none any more."""
    if isinstance(times.dtype, pd.DatetimeTZDtype):
        clock = times.dt.tz_localize(None)
        return clock.where(clock == clock.dt.normalize(), times.dt.tz_convert("UTC").dt.tz_localize(None))
    if pd.api.types.is_datetime64_any_dtype(times):
        return times
    return times.map(_as_day, na_action="ignore")


def _as_day(time: Any) -> Any:
    if isinstance(time, str):
        found = MIDNIGHT.fullmatch(time)
        return found[1] if found else time
    if isinstance(time, dt.datetime) and time.tzinfo is not None and time.time() == dt.time.min:
        return time.replace(tzinfo=None)
    return time


class ForecastModel(RegressorMixin, BaseEstimator):
    """A fitted forecaster as it is served.

    Parameters
    ----------
    forecaster: gives values ahead for tasks.
    series: how each training series ended.
    time, ids, target: column names.
    columns: pairs (name, type) of the features.
    frequency: a pandas offset such as D, h, MS.
    spread: for quantiles; None when there was no backtest.
    floor: forecasts are never below (0.0 where no training value is negative), or None.

    Rows are a frame with the time column, the ids, the features, and the target where it is known. A row with a target
    is recent history: the series goes on from there. A row without one is forecast. Times with an offset are taken in
    UTC; where periods are whole days, a midnight with one is that day. Between the last known value and
    the first row to forecast the model walks through the periods on its own; features of periods without a row, and
    missing features, stay as they were last known.
    """

    def __init__(
        self,
        forecaster: Any,
        series: dict[Key, SeriesEnd],
        time: str,
        ids: tuple[str, ...],
        target: str,
        columns: tuple[tuple[str, str], ...],
        frequency: str,
        spread: Spread | None = None,
        floor: float | None = None,
    ) -> None:
        self.forecaster = forecaster
        self.series = series
        self.time = time
        self.ids = ids
        self.target = target
        self.columns = columns
        self.frequency = frequency
        self.spread = spread
        self.floor = floor

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """One value a row, (n,): the forecast, or the target itself where the row has one.

        Raises ForecastInputError for rows that can't be forecast.
        """
        return self._rows(X)[0]

    def forecast(
        self, X: pd.DataFrame, quantiles: Sequence[float] = (), history: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Forecasts with quantiles.

        Parameters
        ----------
        X: rows as for `predict`.
        quantiles: levels between 0 and 1.
        history: further rows whose target is known, instead of among those of X.

        Returns a frame with the rows of X: `forecast`, and a column for each level, named by it.
        """
        rows = X if history is None else pd.concat([history, X], ignore_index=True)
        values, keys, steps = self._rows(rows)
        found = pd.DataFrame({"forecast": values})
        ahead: dict[Key, list[int]] = {}
        for row in np.flatnonzero(steps):
            ahead.setdefault(keys[row], []).append(int(row))
        for level in quantiles:
            if not 0 < level < 1:
                raise ValueError(f"a quantile lies between 0 and 1, not {level}")
            if self.spread is None:
                raise ValueError("this model was trained without a backtest: it has no quantiles")
            limits = values.copy()
            for key, own in ahead.items():
                limits[own] += self.spread.offset(key, steps[own], level)
                if self.floor is not None:
                    limits[own] = np.maximum(limits[own], self.floor)
            found[level] = limits
        return found.iloc[len(rows) - len(X) :].reset_index(drop=True)

    def _rows(self, X: pd.DataFrame) -> tuple[np.ndarray, list[Key], np.ndarray]:
        """Values, series and steps ahead (0 for known values) of each row."""
        X = self.in_days(X)
        reader = InputFrame([(self.time, "datetime"), *self.columns]).fit(X)
        typed = reader.transform(X).reset_index(drop=True)
        absent = [name for name in self.ids if name not in X.columns]
        if absent:
            raise ValueError(f"columns are missing: {absent}")
        target = pd.Series(np.nan, index=typed.index)
        if self.target in X.columns:
            target = pd.to_numeric(X[self.target], errors="coerce").astype("float64").reset_index(drop=True)
        texts = [X[name].astype("object").map(category_text).tolist() for name in self.ids]
        keys: list[Key] = [tuple(str(value) for value in key) for key in zip(*texts, strict=True)]
        keys = keys or [()] * len(typed)
        times = typed[self.time]
        details: list[tuple[int, str | None, str]] = [
            (int(row), self.time, "must hold the time to forecast") for row in np.flatnonzero(times.isna())
        ]
        if details:
            raise ForecastInputError(details)
        places: dict[Key, list[int]] = {}
        for row, key in enumerate(keys):
            places.setdefault(key, []).append(row)
        values, steps = target.to_numpy(copy=True), np.zeros(len(typed), dtype=int)
        tasks, where = [], []
        features = typed[[name for name, _ in self.columns]]
        for key, rows in places.items():
            try:
                task, wanted = self._task(key, np.array(rows), times, target, features)
            except ForecastInputError as error:
                details += error.details
                continue
            if task.ahead:
                tasks.append(task)
                where.append(wanted)
        if details:
            raise ForecastInputError(sorted(details, key=lambda detail: detail[0]))
        in_all = sum(task.ahead for task in tasks)
        if in_all > MOST_IN_ALL:
            row = max((pair for wanted in where for pair in wanted), key=lambda pair: pair[1])[0]
            text = f"the rows reach {in_all} periods ahead in all, more than {MOST_IN_ALL}: send fewer series at once"
            raise ForecastInputError([(row, self.time, text)])
        for ahead, wanted in zip(self.forecaster.predict(tasks) if tasks else [], where, strict=True):
            ahead = ahead if self.floor is None else np.maximum(ahead, self.floor)
            for row, step in wanted:
                values[row], steps[row] = ahead[step - 1], step
        return values, keys, steps

    def in_days(self, X: pd.DataFrame) -> pd.DataFrame:
        """The rows, each midnight with an offset without it where periods begin at midnight and are whole days."""
        last = next(iter(self.series.values())).last
        following = last + pd.tseries.frequencies.to_offset(self.frequency)
        if self.time not in X.columns or last != last.normalize() or following != following.normalize():
            return X
        return X.assign(**{self.time: _as_days(X[self.time])})

    def _task(
        self, key: Key, rows: np.ndarray, times: pd.Series, target: pd.Series, features: pd.DataFrame
    ) -> tuple[Task, list[tuple[int, int]]]:
        """One series' task, and for each row to forecast its step ahead."""
        given = rows[target.iloc[rows].notna().to_numpy()]
        wanted = rows[target.iloc[rows].isna().to_numpy()]
        end = self.series.get(key)
        if end is None and not len(given):
            name = ", ".join(key)
            shown = name if len(name) <= MAX_SHOWN else name[:MAX_SHOWN] + "..."
            text = f"no such series was in training ({shown}): send recent rows of it with {self.target}"
            raise ForecastInputError([(int(rows[0]), self.ids[0] if self.ids else None, text)])
        first = end.last if end is not None else times.iloc[given].min()
        latest = times.iloc[rows].max()
        grid = self._grid(first, latest, rows, times)
        at = pd.Series(grid.get_indexer(pd.DatetimeIndex(times.iloc[rows])), index=rows)
        details: list[tuple[int, str | None, str]] = [
            (int(row), self.time, f"is not a time of the series: its rows come at frequency {self.frequency}")
            for row in rows
            if at[row] < 0 and times.iloc[row] > first
        ]
        repeated = times.iloc[rows].duplicated().to_numpy()
        details += [(int(row), self.time, "stands twice for one series") for row in rows[repeated]]
        # What lies before the end of training is known; it may be sent as history and is passed over.
        newer = given[(at[given] > 0) if end is not None else (at[given] >= 0)]
        known = int(at[newer].max()) if len(newer) else 0
        details += [
            (int(row), self.time, f"is no later than {grid[known].isoformat()}, the last time with a known value")
            for row in wanted
            if at[row] <= known and times.iloc[row] <= grid[known]
        ]
        if details:
            raise ForecastInputError(details)
        fresh = np.full(known + 1, np.nan)
        fresh[at[newer].to_numpy()] = target.iloc[newer].to_numpy()
        if end is not None:
            fresh[0] = end.values[-1]
        fresh = np.interp(np.arange(known + 1), np.flatnonzero(~np.isnan(fresh)), fresh[~np.isnan(fresh)])
        past, since = (end.values, known) if end is not None else (np.empty(0), known + 1)
        values = np.concatenate([past, fresh[1:] if end is not None else fresh])
        ahead = int(at[wanted].max()) - known if len(wanted) else 0
        rest = grid[1 if end is not None else 0 : known + 1 + ahead]
        inside = at.index[(at >= (1 if end is not None else 0)).to_numpy()]
        own = features.loc[inside].set_axis(at[inside].to_numpy() - (1 if end is not None else 0))
        own = own.reindex(pd.RangeIndex(len(rest)))
        if end is not None:
            own = pd.concat([end.features, own], ignore_index=True)
        before = pd.date_range(end=first, periods=len(past), freq=self.frequency) if end is not None else grid[:0]
        task = Task(key, values, before.union(rest), own.ffill(), ahead, since)
        return task, [(int(row), int(at[row]) - known) for row in wanted]

    def _grid(self, first: pd.Timestamp, latest: pd.Timestamp, rows: np.ndarray, times: pd.Series) -> pd.DatetimeIndex:
        """The times from `first` on that reach `latest`."""
        offset = pd.tseries.frequencies.to_offset(self.frequency)
        assert offset is not None
        try:
            edge = first + (MOST_PERIODS + 1) * offset
        except (OverflowError, pd.errors.OutOfBoundsDatetime):
            edge = pd.Timestamp.max
        if latest > edge:
            row = int(rows[times.iloc[rows].to_numpy().argmax()])
            text = f"is more than {MOST_PERIODS} periods after {first.isoformat()}: send recent history, or train again"
            raise ForecastInputError([(row, self.time, text)])
        return pd.date_range(first, max(latest, first), freq=self.frequency)
