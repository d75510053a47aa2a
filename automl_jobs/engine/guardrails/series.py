"""The guardrails of a forecast: its frequency, its series, and whether they are long enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from automl_jobs.engine.guardrails.guardrail import ALERTED, DONE, PASSED, Guardrail
from automl_jobs.prepare.findings import listed
from automl_jobs.spec.names import shown

if TYPE_CHECKING:
    from automl_jobs.prepare import Prepared

ALIGNED = 0.999
LISTED = 20


def checks(prepared: Prepared) -> list[Guardrail]:
    """Frequency detection, Time Series ID detection and Short series handling, as Azure names them."""
    assert prepared.train is not None
    section = prepared.loaded.spec.forecasting
    assert section is not None
    time, names = section.time_column_name, list(section.time_series_id_column_names)
    table = prepared.train.frame[[time, *names]].dropna(subset=[time])
    table = table.sort_values([*names, time], kind="stable") if names else table.sort_values(time, kind="stable")
    keys = table[names].astype(str).agg(" / ".join, axis=1) if names else pd.Series("", index=table.index)
    series = pd.factorize(keys)[0]
    moments = table[time].to_numpy(dtype="datetime64[s]").astype("int64")
    steps = np.diff(moments)[np.diff(series) == 0]
    rows = np.bincount(series) if len(series) else np.array([0])
    labels = keys.drop_duplicates().tolist()
    return [
        _frequency(steps, section.frequency, time),
        _ids(steps, time, names),
        _short(rows, labels, section, prepared),
    ]


def _frequency(steps: np.ndarray, said: str | None, time: str) -> Guardrail:
    """Azure: all points lie on the frequency, or those that don't are taken out. Months and years vary in length."""
    name = "Frequency detection"
    gaps = steps[steps > 0]
    if not len(gaps):
        return Guardrail(name, ALERTED, f"{shown(time)!r} has no two moments to tell a frequency from")
    values, counts = np.unique(gaps, return_counts=True)
    usual = int(values[counts.argmax()])
    day = 86_400
    calendar = usual >= 28 * day
    # A gap of several steps is a hole, which is something else than a point off the grid.
    tolerance = 3 * day if calendar else 0
    months = np.round(gaps / usual)
    off = int((np.abs(gaps - months * usual) > tolerance * np.maximum(months, 1)).sum())
    holes = int((months > 1).sum())
    details = ({"usual_step": _step(usual), "said": said, "points_off": off, "gaps": holes},)
    if off <= (1 - ALIGNED) * len(gaps):
        more = f", with {holes} gap{'s' * (holes != 1)}" if holes else ""
        return Guardrail(
            name, PASSED, f"all points lie on the frequency that was found: every {_step(usual)}{more}", details
        )
    return Guardrail(
        name,
        ALERTED,
        f"{off} points don't lie on the usual step of {shown(time)!r}, every {_step(usual)}",
        details,
        "aggregate the data to one frequency: forecasting.frequency with target_aggregate_function",
    )


def _step(seconds: int) -> str:
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size and seconds % size == 0:
            count = seconds // size
            return word if count == 1 else f"{count} {word}s"
    return f"{seconds} seconds"


def _ids(steps: np.ndarray, time: str, names: list[str]) -> Guardrail:
    name = "Time Series ID detection"
    repeated = int((steps == 0).sum())
    if not repeated:
        return Guardrail(name, PASSED, "no moment is there twice in one series")
    return Guardrail(
        name,
        ALERTED,
        f"{repeated} rows repeat a moment of {shown(time)!r} within a series"
        + (f" of {listed(names)}" if names else ": these may be several series"),
        ({"repeated": repeated},),
        "name the columns that tell the series apart in forecasting.time_series_id_column_names, or aggregate",
    )


def _short(rows: np.ndarray, labels: list[str], section: Any, prepared: Prepared) -> Guardrail:
    """Long enough: a horizon to validate on in each fold, and as much again to learn from."""
    name = "Short series handling"
    horizon = section.forecast_horizon if isinstance(section.forecast_horizon, int) else 1
    needed = horizon * ((prepared.plan.folds or 1) + 1) + 1
    short = np.flatnonzero(rows < needed)
    if not len(short):
        return Guardrail(name, PASSED, f"every series has enough points ({needed} or more)")
    details = tuple({"series": labels[position], "rows": int(rows[position])} for position in short[:LISTED])
    handling = section.short_series_handling_config
    return Guardrail(
        name,
        ALERTED if handling == "none" or len(short) == len(rows) else DONE,
        f"{len(short)} of {len(rows)} series have fewer than {needed} points "
        f"(forecasting.short_series_handling_config: {handling})",
        details,
    )
