"""The forecasters of a fitted model: what gives values ahead, from the last value to a regressor on lags.

This module is copied beside every forecasting `model.pkl`, as `forestay_forecasting` is, and imported there under this
name. What it pickles must stay loadable: a change of an attribute's meaning needs a new class name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from threadpoolctl import threadpool_limits

from forestay_forecasting import Key, Task

# Fewer rows than this, asked of a regressor at once, are not worth a second thread.
FEW_ROWS_A_STEP = 1_000


@dataclass(frozen=True)
class Logarithm:
    """Values as their logarithm and back; `shift` keeps zero inside. Not used (None) where values can be negative."""

    shift: float = 0.0

    def there(self, values: np.ndarray) -> np.ndarray:
        return np.log(np.maximum(values + self.shift, 1e-9))

    def back(self, values: np.ndarray) -> np.ndarray:
        return np.exp(np.minimum(values, 600.0)) - self.shift


# ---- what is known of a time ----


def holiday_flags(times: pd.DatetimeIndex, holidays: np.ndarray, period: str) -> np.ndarray:
    """What holidays mean for each of two or more successive times.

    Parameters
    ----------
    holidays: sorted datetime64[D].
    period: "day" when a period is a day or shorter: (n, 3), whether the day, the next and the one before is a holiday.
        "start" or "end" when it is longer, by what the times stand for: (n, 1), holidays in the period.
    """
    days = times.values.astype("datetime64[D]")
    if period == "day":
        one = np.timedelta64(1, "D")
        return np.stack([np.isin(days + step * one, holidays) for step in (0, 1, -1)], axis=1).astype(float)
    length = days[-1:] - days[-2:-1] if len(days) > 1 else np.array([np.timedelta64(7, "D")])
    if period == "end":
        edges = np.append(days[:1] - length, days)
        counts = np.diff(np.searchsorted(holidays, edges, side="right"))
    else:
        counts = np.diff(np.searchsorted(holidays, np.append(days, days[-1:] + length)))
    return counts.astype(float)[:, None]


@dataclass
class Encoder:
    """Columns as numbers: numbers as they are, categories as codes, or one column each for linear models.

    `columns` are pairs (name, type) with type numeric, boolean or categorical; `fit` learns categories and medians.
    """

    columns: tuple[tuple[str, str], ...]
    one_hot: bool
    most: int = 40
    categories: dict[str, list[str]] = field(default_factory=dict)
    medians: dict[str, float] = field(default_factory=dict)

    def fit(self, frame: pd.DataFrame) -> Encoder:
        for name, kind in self.columns:
            if kind == "categorical":
                counts = frame[name].value_counts()
                ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
                self.categories[name] = [str(value) for value, _ in ordered[: self.most if self.one_hot else None]]
            else:
                known = frame[name].dropna()
                self.medians[name] = float(known.median()) if len(known) else 0.0
        return self

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        blocks: list[np.ndarray] = []
        for name, _ in self.columns:
            if name not in self.categories:
                numbers = frame[name].to_numpy(dtype="float64")
                blocks.append(np.where(np.isnan(numbers), self.medians[name], numbers)[:, None])
            elif self.one_hot:
                found = frame[name].to_numpy(dtype=object)
                blocks.append(np.stack([found == value for value in self.categories[name]], axis=1).astype(float))
            else:
                codes = {value: float(code) for code, value in enumerate(self.categories[name])}
                blocks.append(frame[name].map(codes).to_numpy(dtype="float64")[:, None])
        return np.hstack(blocks) if blocks else np.empty((len(frame), 0))


def calendar(
    times: pd.DatetimeIndex, cycles: bool, yearly: bool, trend: tuple[pd.Timestamp, float] | None
) -> np.ndarray:
    """Calendar features of times, (n, parts).

    Parameters
    ----------
    cycles: waves and one column a weekday, for linear models; else plain numbers, for trees.
    yearly: whether there are waves of a year; one year of data can't tell them from a trend.
    trend: origin and length in days of the training data, for a feature that grows with time; None for none.
    """
    hour = times.hour.to_numpy() + times.minute.to_numpy() / 60
    weekday = times.day_of_week.to_numpy()
    year_day = times.day_of_year.to_numpy() + hour / 24
    parts: list[np.ndarray] = []
    if cycles:
        for angle, order in ((year_day / 365.25, 4 if yearly else 0), (hour / 24, 4)):
            for k in range(1, order + 1):
                parts += [np.sin(2 * np.pi * k * angle), np.cos(2 * np.pi * k * angle)]
        parts += [(weekday == day).astype(float) for day in range(7)]
        weekend = (weekday >= 5).astype(float)
        parts += [weekend * np.sin(2 * np.pi * hour / 24), weekend * np.cos(2 * np.pi * hour / 24)]
    else:
        parts = [times.month.to_numpy(), times.day.to_numpy(), year_day, weekday, hour, times.quarter.to_numpy()]
    if trend is not None:
        parts.append(((times - trend[0]) / pd.Timedelta(days=1)).to_numpy() / max(trend[1], 1e-9))
    return np.stack([np.asarray(part, dtype="float64") for part in parts], axis=1)


# ---- one series at a time ----


@dataclass(frozen=True)
class Simple:
    """Naive (the last value), SeasonalNaive, Average, SeasonalAverage: what needs no fitting. `season` in periods."""

    kind: str
    season: int

    def ahead(self, values: np.ndarray, steps: int) -> np.ndarray:
        season = self.season if self.kind.startswith("Seasonal") else 1
        if season > len(values):
            season = 1
        if self.kind.endswith("Naive"):
            return np.resize(values[-season:], steps)
        by_phase = [float(values[len(values) - season + phase :: -season].mean()) for phase in range(season)]
        return np.resize(by_phase, steps)


@dataclass(frozen=True)
class Ets:
    """Exponential smoothing with additive errors (Hyndman and Athanasopoulos, Forecasting, ch. 8), after training.

    Attributes
    ----------
    alpha, beta, gamma, phi: of level, trend, season, damping; beta 0 means no trend.
    level, slope, seasons: the state after the last training value; `seasons[0]` is for the next value.
    """

    alpha: float
    beta: float
    gamma: float
    phi: float
    level: float
    slope: float
    seasons: tuple[float, ...]

    def run(self, values: np.ndarray) -> tuple[Ets, float]:
        """The model after these further values, and the sum of its squared one-step errors."""
        alpha, beta, gamma, phi = self.alpha, self.beta, self.gamma, self.phi
        level, slope, seasons = self.level, self.slope, list(self.seasons)
        total, place, count = 0.0, 0, len(seasons)
        for value in values.tolist():
            slope *= phi
            error = value - level - slope - seasons[place]
            level += slope + alpha * error
            slope += beta * error
            seasons[place] += gamma * error
            total += error * error
            place = place + 1 if place + 1 < count else 0
        turned = tuple(seasons[place:] + seasons[:place])
        return Ets(alpha, beta, gamma, phi, level, slope, turned), total

    def ahead(self, values: np.ndarray, since: int, steps: int) -> np.ndarray:
        now = self.run(values[len(values) - since :])[0] if since else self
        damp = np.cumsum(now.phi ** np.arange(1, steps + 1))
        return now.level + now.slope * damp + np.resize(now.seasons, steps)


@dataclass(frozen=True)
class Arima:
    """A seasonal ARIMA model by its multiplied-out polynomials, each beginning with 1.

    Attributes
    ----------
    ar, ma: of the differenced series; ar holds minus the coefficients, as lfilter takes it.
    difference: (1 - B)^d (1 - B^m)^D.
    mean: of the differenced series.
    """

    ar: np.ndarray
    ma: np.ndarray
    difference: np.ndarray
    mean: float

    def errors(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The differenced, centred series and its one-step errors (conditional on zeros before it)."""
        moved = np.convolve(values, self.difference, "valid") - self.mean
        return moved, lfilter(self.ar, self.ma, moved)

    def ahead(self, values: np.ndarray, since: int, steps: int) -> np.ndarray:
        if len(values) <= len(self.difference):
            return np.full(steps, values[-1])
        moved, errors = self.errors(values)
        p, q, k = len(self.ar) - 1, len(self.ma) - 1, len(self.difference) - 1
        past = np.concatenate([np.zeros(max(0, p - len(moved))), moved[-p:] if p else [], np.zeros(steps)])
        noise = np.concatenate([np.zeros(max(0, q - len(errors))), errors[-q:] if q else [], np.zeros(steps)])
        level = np.concatenate([values[-k:] if k else [], np.zeros(steps)])
        for step in range(steps):
            past[p + step] = self.ma[1:] @ noise[step : q + step][::-1] - self.ar[1:] @ past[step : p + step][::-1]
            level[k + step] = past[p + step] + self.mean - self.difference[1:] @ level[step : k + step][::-1]
        return level[k:]


@dataclass
class LocalForecaster:
    """A model of its own for each series; a series that came after training gets the last season again.

    Attributes
    ----------
    models: Ets or Arima by series, or one Simple for all under the key ().
    """

    models: dict[Key, Any]
    season: int
    log: Logarithm | None = None

    def predict(self, tasks: Sequence[Task]) -> list[np.ndarray]:
        found = []
        for task in tasks:
            values = self.log.there(task.values) if self.log else task.values
            model = self.models.get(task.key) or self.models.get((), Simple("SeasonalNaive", self.season))
            if isinstance(model, Simple):
                ahead = model.ahead(values, task.ahead)
            else:
                ahead = model.ahead(values, task.since, task.ahead)
            found.append(self.log.back(ahead) if self.log else ahead)
        return found


@dataclass
class Design:
    """Columns of a linear model of time: trend with changes, waves, holidays, and the features known ahead.

    Attributes
    ----------
    origin, days: start and length of the training data.
    changes: where the trend may bend, as shares of the training time; None for no trend at all.
    waves: pairs (days, how many harmonics).
    """

    encoder: Encoder
    origin: pd.Timestamp
    days: float
    changes: tuple[float, ...] | None
    waves: tuple[tuple[float, int], ...]
    holidays: np.ndarray | None
    period: str

    def matrix(self, times: pd.DatetimeIndex, features: pd.DataFrame) -> np.ndarray:
        elapsed = ((times - self.origin) / pd.Timedelta(days=1)).to_numpy(dtype="float64")
        share = elapsed / max(self.days, 1e-9)
        parts = [self.encoder.transform(features)]
        if self.changes is not None:
            parts += [share[:, None], *(np.maximum(share - change, 0.0)[:, None] for change in self.changes)]
        for days, order in self.waves:
            angle = 2 * np.pi * elapsed[:, None] / days * np.arange(1, order + 1)
            parts += [np.sin(angle), np.cos(angle)]
        if self.holidays is not None:
            parts.append(holiday_flags(times, self.holidays, self.period))
        return np.hstack(parts)


@dataclass(frozen=True)
class LinearPart:
    """One series' linear model: coefficients of the design, and a model of what it leaves (None: nothing).

    `left` are the last training values minus the linear part.
    """

    centre: np.ndarray
    coefficients: np.ndarray
    intercept: float
    errors: Arima | None
    left: np.ndarray


@dataclass
class LinearForecaster:
    """Arimax and the Prophet-like model: a linear model of time and features, with or without ARIMA errors."""

    design: Design
    models: dict[Key, LinearPart]
    season: int
    log: Logarithm | None = None

    def predict(self, tasks: Sequence[Task]) -> list[np.ndarray]:
        return [self._one(task) for task in tasks]

    def _one(self, task: Task) -> np.ndarray:
        values = self.log.there(task.values) if self.log else task.values
        model = self.models.get(task.key)
        if model is None:
            ahead = Simple("SeasonalNaive", self.season).ahead(values, task.ahead)
            return self.log.back(ahead) if self.log else ahead
        rows = task.since + task.ahead
        near = min(len(task.times), rows + 1)  # a period's length is told by its neighbour
        matrix = self.design.matrix(task.times[-near:], task.known_features().iloc[-near:])[near - rows :]
        line = (matrix - model.centre) @ model.coefficients + model.intercept
        ahead = line[task.since :]
        if model.errors is not None:
            newer = values[len(values) - task.since :] - line[: task.since]
            ahead = ahead + model.errors.ahead(np.concatenate([model.left, newer]), task.since, task.ahead)
        return self.log.back(ahead) if self.log else ahead


# ---- all series together: a regressor on lags ----


@dataclass
class LagForecaster:
    """A scikit-learn regressor on lags of the target, calendar, holidays and features, over all series.

    Attributes
    ----------
    estimator: fitted on `rows` of the training series.
    base: the smallest lag. 1 forecasts period by period from its own forecasts (recursive); the horizon forecasts it
        whole from what is known (direct); further periods go on from there.
    lags, windows: in periods; windows end `base` periods before the row.
    offset: what is subtracted from target and lags: "none", "level" (the mean of the last season known), "season"
        (the value a season ago).
    scales: centre and spread of each series, for `offset` none.
    cycles, yearly: layout of the calendar, see `calendar`.
    encoder: of the features known ahead. past_encoder: of those whose value `base` periods ago is a column, or None.
    series_codes: numbers of the series. profile: the seasonal component of each, `season` long, or None.
    kept: which of the columns vary in training.
    """

    estimator: Any
    base: int
    lags: tuple[int, ...]
    windows: tuple[int, ...]
    offset: str
    season: int
    cycles: bool
    yearly: bool
    encoder: Encoder
    past_encoder: Encoder | None
    series_codes: dict[Key, int]
    trend: tuple[pd.Timestamp, float] | None
    holidays: np.ndarray | None
    period: str
    log: Logarithm | None = None
    profile: dict[Key, np.ndarray] | None = None
    scales: dict[Key, tuple[float, float]] = field(default_factory=dict)
    kept: np.ndarray | None = None

    def scale(self, key: Key, values: np.ndarray) -> tuple[float, float]:
        """Centre and spread of a series, in the unit that the regressor sees."""
        if key not in self.scales:
            return float(values.mean()), float(values.std()) or 1.0
        return self.scales[key]

    def offsets(self, buffer: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """What is subtracted at these positions."""
        if self.offset == "none":
            return np.zeros(len(positions))
        if self.offset == "season":
            away = self.season * -(-self.base // self.season)
            return _taken(buffer, positions - away)
        span = max(self.season, 3)
        return _window(buffer, positions - self.base, span).mean(axis=1)

    def changes(self, known: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Features (n, k) minus what they were where the target's offset comes from: a change explains a change."""
        if self.offset == "season":
            before = known[np.clip(positions - self.season * -(-self.base // self.season), 0, None)]
        else:
            sums = np.vstack([np.zeros(known.shape[1]), np.cumsum(known, axis=0)])
            ends = np.clip(positions - self.base + 1, 1, None)
            starts = np.clip(ends - max(self.season, 3), 0, None)
            before = (sums[ends] - sums[starts]) / (ends - starts)[:, None]
        return known[positions] - before

    def fixed(self, task: Task, positions: np.ndarray) -> np.ndarray:
        """The columns that don't depend on the target, at these positions of `task.times`."""
        times = task.times[positions]
        features = task.known_features()
        known = self.encoder.transform(features)
        blocks = [calendar(times, self.cycles, self.yearly, self.trend), known[positions]]
        if self.offset != "none" and known.shape[1]:
            blocks.append(self.changes(known, positions))
        if self.holidays is not None:
            blocks.append(holiday_flags(task.times, self.holidays, self.period)[positions])
        if self.past_encoder is not None:
            before = np.clip(positions - self.base, 0, None)
            # What is not known yet is taken to stay as it was last known.
            blocks.append(self.past_encoder.transform(features.ffill().iloc[before]))
        if len(self.series_codes) > 1:
            code = self.series_codes.get(task.key, -1)
            if self.cycles:
                blocks.append(np.tile(np.arange(len(self.series_codes)) == code, (len(positions), 1)).astype(float))
            else:
                blocks.append(np.full((len(positions), 1), float(code)))
        if self.profile is not None:
            wave = self.profile.get(task.key, np.zeros(self.season))
            # Phases count back from the last training value.
            phase = (positions - (len(task.values) - task.since)) % self.season
            blocks.append(wave[phase][:, None])
        return np.hstack(blocks)

    def moving(self, buffer: np.ndarray, positions: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """The columns made of the target: lags, and mean, spread and extremes of windows."""
        blocks = [(_taken(buffer, positions - lag) - offsets)[:, None] for lag in self.lags]
        for width in self.windows:
            window = _window(buffer, positions - self.base, width) - offsets[:, None]
            blocks += [window.mean(axis=1)[:, None], window.std(axis=1)[:, None]]
            blocks += [window.min(axis=1)[:, None], window.max(axis=1)[:, None]]
        return np.hstack(blocks) if blocks else np.empty((len(positions), 0))

    def training_rows(self, task: Task, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Columns and targets of known values of a series; a target is NaN where its offset is not known."""
        buffer = self.inward(task)
        offsets = self.offsets(buffer, positions)
        matrix = np.hstack([self.fixed(task, positions), self.moving(buffer, positions, offsets)])
        return matrix, buffer[positions] - offsets

    def inward(self, task: Task) -> np.ndarray:
        """Values as the regressor sees them: logarithm, and scaled by series."""
        values = self.log.there(task.values) if self.log else task.values.astype("float64")
        centre, spread = self.scale(task.key, values)
        return (values - centre) / spread

    def predict(self, tasks: Sequence[Task]) -> list[np.ndarray]:
        # Of few rows a step at a time, threads that wait for one another take many times what the answer does.
        few = len(tasks) * self.base <= FEW_ROWS_A_STEP
        with threadpool_limits(limits=1 if few else None):
            return self._predict(tasks)

    def _predict(self, tasks: Sequence[Task]) -> list[np.ndarray]:
        buffers, fixed, lowest, highest = [], [], [], []
        for task in tasks:
            values = self.inward(task)
            reach = 3.0 * float(np.ptp(values)) + 1e-9
            lowest.append(float(values.min()) - reach)
            highest.append(float(values.max()) + reach)
            buffers.append(np.concatenate([values, np.full(task.ahead, np.nan)]))
            fixed.append(self.fixed(task, len(task.values) + np.arange(task.ahead)))
        longest = max(task.ahead for task in tasks)
        for start in range(0, longest, self.base):
            rows, places = [], []
            for number, task in enumerate(tasks):
                stop = min(start + self.base, task.ahead)
                if stop <= start:
                    continue
                positions = len(task.values) + np.arange(start, stop)
                offsets = self.offsets(buffers[number], positions)
                rows.append(np.hstack([fixed[number][start:stop], self.moving(buffers[number], positions, offsets)]))
                places.append((number, positions, offsets))
            matrix = np.vstack(rows)
            said = np.asarray(self.estimator.predict(matrix if self.kept is None else matrix[:, self.kept]))
            done = 0
            for number, positions, offsets in places:
                values = said[done : done + len(positions)] + np.nan_to_num(offsets)
                # A forecast that feeds on itself must not run away.
                buffers[number][positions] = np.clip(values, lowest[number], highest[number])
                done += len(positions)
        return [self._outward(task, buffer[len(task.values) :]) for task, buffer in zip(tasks, buffers, strict=True)]

    def _outward(self, task: Task, values: np.ndarray) -> np.ndarray:
        known = self.log.there(task.values) if self.log else task.values.astype("float64")
        centre, spread = self.scale(task.key, known)
        values = values * spread + centre
        return self.log.back(values) if self.log else values


def _taken(buffer: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Values at positions; NaN before the beginning."""
    return np.where(positions >= 0, buffer[np.clip(positions, 0, None)], np.nan)


def _window(buffer: np.ndarray, ends: np.ndarray, width: int) -> np.ndarray:
    """(n, width): the values up to and with `ends`; NaN before the beginning."""
    return _taken(buffer, ends[:, None] - np.arange(width)[None, :])


@dataclass
class Mean:
    """Azure's VotingEnsemble: the mean of several forecasters."""

    members: list[Any]

    def predict(self, tasks: Sequence[Task]) -> list[np.ndarray]:
        each = [member.predict(tasks) for member in self.members]
        return [np.mean(values, axis=0) for values in zip(*each, strict=True)]
