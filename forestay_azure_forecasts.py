"""A forecasting model that Azure trained, as it is served: rows of a frame in, values ahead out.

This module is copied beside the `model.pkl` of such a model and imported there under this name, in the model's own
environment, where nothing else of Forestay is installed: Python 3.10 and pandas 1.5 must do. It turns rows into what
Azure's `forecast(X_pred, y_pred)` takes, every period after training of each series without a gap, and finds the
answers again by series and time, since they come in an order of its own.
https://learn.microsoft.com/python/api/azureml-training-tabular (ForecastingPipelineWrapperBase)
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SERIES = "forecast_series.json"
MOST_PERIODS = 2_000
MAX_SHOWN = 60
# What frequencies are called since pandas 2.2, and were before.
_OLDER = {
    "ME": "M", "QE": "Q", "YE": "A", "BME": "BM", "BQE": "BQ", "BYE": "BA", "YS": "AS", "h": "H", "min": "T", "s": "S",
}  # fmt: skip
Detail = tuple[int, str | None, str]
Key = tuple[str, ...]
Place = tuple[Key, pd.Timestamp]


class ForecastInputError(ValueError):
    """Rows that can't be forecast. `details` lists (row, column or None, problem)."""

    def __init__(self, details: list[Detail]) -> None:
        row, column, text = details[0]
        super().__init__(f"row {row}{f', column {column!r}' if column else ''}: {text}")
        self.details = details


class Served:
    """Azure's model behind the interface of score.py.

    Parameters
    ----------
    model: with Azure's `forecast` and, for quantiles, `forecast_quantiles`.
    schema: model_schema.json. folder: the model's, with SERIES: how each training series ended.

    A row with a target is recent history: the series goes on from there. A row without one is forecast. Periods between
    the last known value and the first row are walked through with the features last known.
    """

    def __init__(self, model: Any, schema: dict[str, Any], folder: Path) -> None:
        self.model = model
        self.time: str = schema["time_column"]
        self.ids: list[str] = list(schema["series_columns"])
        self.target: str = schema["target"]
        self.features = [
            column["name"]
            for column in schema["columns"]
            if column["used"] and column["name"] not in (self.time, *self.ids)
        ]
        self.offset = offset(schema["frequency"])
        self.frequency: str = schema["frequency"]
        self.spread = True if hasattr(model, "forecast_quantiles") else None
        ends = json.loads((folder / SERIES).read_text(encoding="utf-8"))
        self.ends: dict[Key, tuple[pd.Timestamp, float]] = {
            tuple(end["key"]): (pd.Timestamp(end["last"]), float(end["value"])) for end in ends
        }
        self._guard = threading.Lock()  # the quantiles are an attribute of the model

    def forecast(self, frame: pd.DataFrame, quantiles: Sequence[float] = ()) -> pd.DataFrame:
        """`forecast`, and a column for each level, for the rows of `frame`. Raises ForecastInputError."""
        rows = frame.reset_index(drop=True)
        keys = self._keys(rows)
        target = pd.to_numeric(rows[self.target], errors="coerce").to_numpy(dtype="float64")
        asked, known = self._asked(rows, keys, target)
        found: dict[str | float, np.ndarray] = {"forecast": target.copy()}
        found.update({level: target.copy() for level in quantiles})
        if asked is None:
            return pd.DataFrame(found)
        with self._guard:
            values, index = self.model.forecast(asked.copy(), known.copy())
            answers: dict[str | float, dict[Place, float]] = {
                "forecast": self._by_place(self._places(index), np.asarray(values, dtype="float64"))
            }
            if quantiles:
                self.model.quantiles = sorted(quantiles)
                table = self.model.forecast_quantiles(asked.copy(), known.copy())
                places = self._places(table.set_index([self.time, *self.ids]))
                for level in quantiles:
                    answers[level] = self._by_place(places, table[level].to_numpy(dtype="float64"))
        times = pd.DatetimeIndex(rows[self.time])
        for row in np.flatnonzero(np.isnan(target)).tolist():
            for name, values in answers.items():
                found[name][row] = values[keys[row], times[row]]
        return pd.DataFrame(found)

    def _keys(self, rows: pd.DataFrame) -> list[Key]:
        texts = [[text(value) for value in rows[name]] for name in self.ids]
        return [tuple(key) for key in zip(*texts)] or [()] * len(rows)

    def _places(self, answer: Any) -> list[Place]:
        """Series and time of each line of an answer, which stand in its index."""
        index = answer.index
        times = pd.DatetimeIndex(index.get_level_values(self.time))
        ids = [[text(value) for value in index.get_level_values(name)] for name in self.ids]
        keys = list(zip(*ids)) or [()] * len(times)
        return list(zip(keys, times))

    @staticmethod
    def _by_place(places: list[Place], values: np.ndarray) -> dict[Place, float]:
        return dict(zip(places, values.tolist()))

    def _asked(self, rows: pd.DataFrame, keys: list[Key], target: np.ndarray) -> tuple[pd.DataFrame | None, np.ndarray]:
        """X_pred and y_pred: each series from the period after training to the last one asked for."""
        details: list[Detail] = [
            (int(row), self.time, "must hold the time to forecast") for row in np.flatnonzero(rows[self.time].isna())
        ]
        if details:
            raise ForecastInputError(details)
        places: dict[Key, list[int]] = {}
        for row, key in enumerate(keys):
            places.setdefault(key, []).append(row)
        parts = []
        for key, own in places.items():
            try:
                part = self._series(key, np.array(own), rows, target)
            except ForecastInputError as error:
                details += error.details
                continue
            if part is not None:
                parts.append(part)
        if details:
            raise ForecastInputError(sorted(details, key=lambda detail: detail[0]))
        if not parts:
            return None, np.empty(0)
        whole = pd.concat(parts, ignore_index=True)
        return whole[[self.time, *self.ids, *self.features]], whole["__known"].to_numpy(dtype="float64")

    def _series(self, key: Key, own: np.ndarray, rows: pd.DataFrame, target: np.ndarray) -> pd.DataFrame | None:
        """One series' part of what is asked; None where nothing is to be forecast. Raises ForecastInputError."""
        if key not in self.ends:
            name = ", ".join(key)
            shown = name if len(name) <= MAX_SHOWN else name[:MAX_SHOWN] + "..."
            problem = f"no such series was in training ({shown}): train again with it"
            raise ForecastInputError([(int(own[0]), self.ids[0] if self.ids else None, problem)])
        last, value = self.ends[key]
        times = pd.DatetimeIndex(rows[self.time].iloc[own])
        grid = self._grid(last, own, times)
        at = grid.get_indexer(times)
        given = ~np.isnan(target[own])
        repeated = times.duplicated()
        newest = int(at[given].max()) if given.any() and at[given].max() > 0 else 0
        details: list[Detail] = []
        for row, place, has, again, time in zip(own, at, given, repeated, times):
            if again:
                details.append((int(row), self.time, "stands twice for one series"))
            elif place < 0 and time > last:
                problem = f"is not a time of the series: its rows come at frequency {self.frequency}"
                details.append((int(row), self.time, problem))
            elif not has and place <= newest:
                problem = f"is no later than {grid[newest].isoformat()}, the last time with a known value"
                details.append((int(row), self.time, problem))
        if details:
            raise ForecastInputError(details)
        if given.all():
            return None
        known = np.full(len(grid), np.nan)
        inside = at > 0
        known[at[inside]] = target[own][inside]
        known[0] = value
        there = np.flatnonzero(~np.isnan(known))
        known[: newest + 1] = np.interp(np.arange(newest + 1), there, known[there])
        part = rows.iloc[own[inside]].set_index(at[inside])[[*self.ids, *self.features]]
        part = part.reindex(range(1, len(grid)))
        for name in self.ids:
            part[name] = rows[name].iloc[own[0]]
        part[self.features] = part[self.features].ffill().bfill()
        kinds = {name: rows[name].dtype for name in self.ids}
        part[self.time], part["__known"] = grid[1:], known[1:]
        return part.astype(kinds)

    def _grid(self, last: pd.Timestamp, own: np.ndarray, times: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """The times from the end of training on that reach the last one asked for."""
        try:
            edge = last + (MOST_PERIODS + 1) * self.offset
        except (OverflowError, ValueError):
            edge = pd.Timestamp.max
        if times.max() > edge:
            problem = f"is more than {MOST_PERIODS} periods after {last.isoformat()}: train again"
            raise ForecastInputError([(int(own[int(times.argmax())]), self.time, problem)])
        return pd.date_range(last, max(times.max(), last), freq=self.offset)


def offset(frequency: str) -> Any:
    """A frequency's offset, under the name that this pandas has for it."""
    digits = frequency[: len(frequency) - len(frequency.lstrip("0123456789"))]
    unit, dash, anchor = frequency[len(digits) :].partition("-")
    try:
        return pd.tseries.frequencies.to_offset(frequency)
    except ValueError:
        return pd.tseries.frequencies.to_offset(f"{digits}{_OLDER.get(unit, unit)}{dash}{anchor}")


def text(value: Any) -> str:
    """A series' id as text, whatever number type it has."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)
