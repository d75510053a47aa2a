"""What a scoring folder needs to know of a forecasting model that Azure trained, from the job and its training data.

How each series ended lies in a file beside the model; forestay_azure_forecasts reads it and turns rows into what
Azure's `forecast` takes.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forestay import project
from forestay.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

GOLDEN_SERIES, GOLDEN_STEPS, GOLDEN_HISTORY = 3, 12, 3
MOST_IDS = 200


def describe(details: Mapping[str, Any], frame: pd.DataFrame, columns: list[dict[str, Any]]) -> dict[str, Any]:
    """The part of model_schema.json that is of forecasts: roles, frequency, horizon, and the columns as they are sent.

    Parameters
    ----------
    details: the job's taskDetails. frame: the training rows, all columns. columns: of the features, ids and the time.

    Raises InputError where the rows come at no frequency.
    """
    from automl_jobs.engine.forecasting import frequency as frequencies

    settings = details.get("forecastingSettings") or {}
    time, target = str(settings["timeColumnName"]), str(details["targetColumnName"])
    ids = [str(name) for name in settings.get("timeSeriesIdColumnNames") or ()]
    if frame[time].dtype.kind != "M":
        raise InputError(f"the column {time} holds no times")
    ends = _ends(frame, time, ids, target)
    longest = max(ends, key=lambda end: len(end["times"]))
    given = str(settings.get("frequency") or "")
    frequency = frequencies.detect(longest["times"], frequencies.read(given) if given else None)
    if frequency is None:
        raise InputError("its rows come at no frequency")
    wanted = settings.get("forecastHorizon") or {}
    horizon = int(wanted["value"]) if wanted.get("mode") == "Custom" else frequencies.horizon(frequency)
    unknown = settings.get("featuresUnknownAtForecastTime") or ()
    roles = _Roles(time, tuple(ids), target, frequency, horizon)
    return {
        "columns": [_column(one, roles, ends, one["name"] in unknown) for one in columns],
        "time_column": time,
        "series_columns": ids,
        "frequency": frequency,
        "horizon": horizon,
        "ends": ends,
    }


@dataclass(frozen=True)
class _Roles:
    time: str
    ids: tuple[str, ...]
    target: str
    frequency: str
    horizon: int


def _ends(frame: pd.DataFrame, time: str, ids: list[str], target: str) -> list[dict[str, Any]]:
    """The series: key as text, the ids as values, times, last value; the longest-lived first."""
    import pandas as pd

    from forestay_azure_forecasts import text

    known = frame.dropna(subset=[time, target])
    found = []
    for key, rows in known.groupby(ids, sort=True) if ids else [((), known)]:
        rows = rows.drop_duplicates(time).sort_values(time)
        values = [value.item() if hasattr(value, "item") else value for value in key]
        numbers = pd.to_numeric(rows[target])
        found.append(
            {
                "ids": values,
                "key": [text(value) for value in values],
                "times": pd.DatetimeIndex(rows[time]),
                "value": float(numbers.iloc[-1]),
                "middle": float(numbers.mean()),
                "spread": float(numbers.std()) if len(numbers) > 1 else 0.0,
            }
        )
    if not found:
        raise InputError("it has no row with a time and a target")
    return sorted(found, key=lambda end: end["times"][-1], reverse=True)


def _column(given: dict[str, Any], roles: _Roles, ends: list[dict[str, Any]], unknown: bool) -> dict[str, Any]:
    """A column as callers send it; one that is not known ahead may be left out."""
    name, found = given["name"], {**given, "nullable": unknown}
    if name == roles.time:
        times = future(ends[0], roles, roles.horizon)
        first, last = times[0].isoformat(), times[-1].isoformat()
        return {**found, "type": "datetime", "minimum": first, "maximum": last, "sample": first}
    if name in roles.ids:
        place = roles.ids.index(name)
        kind = found["type"] if found["type"] in ("numeric", "boolean") else "categorical"
        values = sorted({end["key"][place] for end in ends})[:MOST_IDS] if kind == "categorical" else None
        return {**found, "type": kind, "values": values, "sample": ends[0]["ids"][place]}
    return found


def future(end: Mapping[str, Any], roles: _Roles, periods: int) -> pd.DatetimeIndex:
    """The periods after a series' last one."""
    import pandas as pd

    return pd.date_range(end["times"][-1], periods=periods + 1, freq=roles.frequency)[1:]


def golden(described: Mapping[str, Any], target: str, drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows ahead of a few series without a gap, with features from `drawn`; the first series has recent history."""
    roles = _Roles(
        described["time_column"],
        tuple(described["series_columns"]),
        target,
        described["frequency"],
        described["horizon"],
    )
    names = [column["name"] for column in described["columns"]]
    found: list[dict[str, Any]] = []
    for number, end in enumerate(described["ends"][:GOLDEN_SERIES]):
        history = GOLDEN_HISTORY if number == 0 else 0
        times = future(end, roles, history + min(roles.horizon, GOLDEN_STEPS))
        for step, moment in enumerate(times):
            row = {
                **drawn[len(found) % len(drawn)],
                roles.time: moment.isoformat(),
                **dict(zip(roles.ids, end["ids"], strict=True)),
            }
            value = float(f"{end['middle'] + end['spread'] * (0.25 * step - 0.25):.4g}") if step < history else None
            found.append({**{name: row[name] for name in names}, target: value})
    return found


def write(outputs: Path, ends: list[dict[str, Any]]) -> dict[str, str]:
    """Write how the series ended, and the module that reads it, beside the model; their hashes by name."""
    import forestay_azure_forecasts as served

    document = [{"key": end["key"], "last": end["times"][-1].isoformat(), "value": end["value"]} for end in ends]
    project.write_json(outputs / served.SERIES, document)
    module = Path(str(served.__file__))
    shutil.copyfile(module, outputs / module.name)
    return {name: project.sha256(outputs / name) for name in (served.SERIES, module.name)}
