"""The served schema of a forecasting model, and golden rows: future rows made from it, none of the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from automl_jobs.engine import golden
from automl_jobs.engine.forecasting.panel import Series

if TYPE_CHECKING:
    from automl_jobs.prepare import Prepared
    from automl_jobs.spec.sections import Forecasting

MOST_SERIES = 200
GOLDEN_SERIES, GOLDEN_STEPS, GOLDEN_HISTORY = 3, 12, 3


def schema_columns(
    prepared: Prepared, series: Sequence[Series], columns: Sequence[tuple[str, str]], horizon: int, frequency: str
) -> list[dict[str, Any]]:
    """What a caller must know of each column.

    `sample` is a value that makes a row which can be forecast: a time after the end of training, a series that was
    there. The range of the time column is that of the first horizon; `days` says whether all times are midnights, so
    that an offset does not move one to another day.
    """
    spec = prepared.loaded.spec
    settings = spec.forecasting
    assert settings is not None
    train = prepared.require_local()
    ids = list(settings.time_series_id_column_names)
    seen = {name for name, _ in columns} | {settings.time_column_name, *ids}
    found = []
    for use in prepared.columns:
        if use.name in (spec.target_column_name, spec.weight_column_name, *(spec.cv_split_column_names or ())):
            continue
        kind = str(use.type)
        if use.name in ids and kind not in ("numeric", "boolean"):
            kind = "categorical"
        entry: dict[str, Any] = {
            "name": use.name, "type": kind, "used": use.name in seen, "integer": False,
            "nullable": use.name in settings.features_unknown_at_forecast_time, "minimum": None, "maximum": None,
            "values": None, "max_length": None,
        }  # fmt: skip
        known = train.frame[use.name].dropna()
        if use.name == settings.time_column_name:
            times = future(series, horizon, frequency)
            entry["minimum"], entry["maximum"] = times[0].isoformat(), times[-1].isoformat()
            entry["sample"] = times[0].isoformat()
            entry["days"] = all((one.times == one.times.normalize()).all() for one in series)
        elif use.name in ids:
            place = ids.index(use.name)
            entry["sample"] = _id(series[0].key[place], kind)
            entry["integer"] = isinstance(entry["sample"], int) and kind == "numeric"
            if kind == "categorical":
                entry["values"] = sorted({one.key[place] for one in series})[:MOST_SERIES]
        elif kind == "numeric" and len(known):
            entry["integer"] = bool(pd.api.types.is_integer_dtype(train.frame[use.name]))
            low, high = known.min(), known.max()
            entry["minimum"], entry["maximum"] = (
                (int(low), int(high)) if entry["integer"] else (float(low), float(high))
            )
        elif kind == "categorical":
            counts = known.astype("object").astype(str).value_counts()
            entry["values"] = sorted(counts.index[:MOST_SERIES].tolist())
        found.append(entry)
    return found


def _id(text: str, kind: str) -> Any:
    """A series id as a caller sends it."""
    if kind == "boolean":
        return text.lower() == "true"
    if kind != "numeric":
        return text
    number = float(text)
    return int(number) if number.is_integer() else number


def future(series: Sequence[Series], periods: int, frequency: str, of: Series | None = None) -> pd.DatetimeIndex:
    """The periods after the last training time of one series, or of all of them."""
    last = of.times[-1] if of is not None else max(one.times[-1] for one in series)
    return pd.date_range(last, periods=periods + 1, freq=frequency)[1:]


def rows(
    columns: list[dict[str, Any]],
    series: Sequence[Series],
    settings: Forecasting,
    target: str,
    horizon: int,
    frequency: str,
    seed: int,
) -> list[dict[str, Any]]:
    """Future rows of a few series as JSON values; those of the first begin with recent history, after a gap."""
    ids = list(settings.time_series_id_column_names)
    roles = (settings.time_column_name, *ids)
    plain = [column for column in columns if column["name"] not in roles]
    drawn = golden.rows(plain, pd.DataFrame(), seed)
    kinds = {column["name"]: column["type"] for column in columns}
    draw = np.random.default_rng(seed)
    found: list[dict[str, Any]] = []
    for number, one in enumerate(series[:GOLDEN_SERIES]):
        history = GOLDEN_HISTORY if number == 0 else 0
        times = future(series, 1 + history + min(horizon, GOLDEN_STEPS), frequency, of=one)[1:]
        middle, spread = float(one.values.mean()), float(one.values.std())
        for step, time in enumerate(times):
            row = {
                settings.time_column_name: time.isoformat(),
                **{name: _id(text, kinds[name]) for name, text in zip(ids, one.key, strict=True)},
                **drawn[len(found) % len(drawn)],
                target: float(f"{middle + spread * draw.uniform(-0.5, 0.5):.4g}") if step < history else None,
            }
            found.append({name: row[name] for name in (*_used(columns), target)})
    return found


def _used(columns: list[dict[str, Any]]) -> list[str]:
    return [column["name"] for column in columns if column["used"]]


def to_frame(columns: list[dict[str, Any]], rows: list[dict[str, Any]], target: str) -> pd.DataFrame:
    """The rows as a raw frame, the target among them."""
    frame = golden.to_frame(columns, rows)
    return frame.assign(**{target: pd.Series([row[target] for row in rows], dtype="float64")})
