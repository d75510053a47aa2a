"""Forecasts of periods whose values are known: from the end of training on, a horizon at a time.

As the backtest of a job does it (engine/forecasting/backtest), but through the served model, which knows the end of
each series and nothing of the job: of each horizon only what is known ahead is told, and rows before it are history.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from automl_jobs.evaluate.rows import Answers, Rows
from automl_jobs.prepare.findings import listed
from forestay.documents.names import shown
from forestay.errors import InputError
from forestay_forecasting import MOST_IN_ALL, ForecastInputError
from forestay_transformers import InputFrame, category_text

if TYPE_CHECKING:
    from automl_jobs.evaluate.loading import LoadedModel
    from forestay_forecasting import Key


@contextlib.contextmanager
def told(source: str) -> Iterator[None]:
    """What a model says of rows that it can't forecast, as an error for the user."""
    try:
        yield
    except ForecastInputError as error:
        row, column, text = error.details[0]
        more = f" (and {len(error.details) - 1} rows more)" if len(error.details) > 1 else ""
        where = f"{source}: row {row + 1}" + (f", column {shown(column)!r}" if column else "")
        raise InputError(f"{text}{more}", where=where, fix="leave those rows out, or correct them") from error
    except ValueError as error:
        raise InputError(str(error), where=source, fix="give the columns that the model was trained on") from error


def answers(
    model: LoadedModel, rows: Rows, after: Mapping[Key, pd.Timestamp] | None = None, horizon: int | None = None
) -> Answers:
    """Forecasts of the rows that lie after the training.

    Parameters
    ----------
    after: later ends of some series: rows up to there are history, so that models trained to different times are asked
        for the same periods from the same knowledge. horizon: fewer periods at a time than the model's own.

    A series that training never saw begins with a horizon of history. Raises InputError when no row is left.
    """
    horizon = horizon or int(model.schema["horizon"])
    found = _placed(model, rows, after or {})
    due = found[found["place"] > 0]
    if due.empty:
        raise InputError(
            f"no row lies after the training of {model.label}: a forecast is judged by what came later",
            where=rows.source,
            fix="give later periods",
        )
    chunk = (found["place"] - 1) // horizon
    hidden = [one["name"] for one in model.schema["columns"] if one["used"] and one["nullable"]]
    said = np.full(len(rows.frame), np.nan)
    for number in range(int(chunk[due.index].max()) + 1):
        wanted = due.index[chunk[due.index] == number]
        for part in _parts(found.loc[wanted, "key"], horizon):
            asked = rows.frame.loc[part].copy()
            asked[model.target] = np.nan
            for name in hidden:
                if name in asked.columns:
                    asked[name] = None
            keys = set(found.loc[part, "key"])
            before = found.index[found["key"].isin(keys) & (chunk < number)]
            with told(rows.source):
                whole = model.model.forecast(asked, history=rows.frame.loc[before] if len(before) else None)
            said[part] = whole["forecast"].to_numpy()
    places = due.sort_values(["key", "time"]).index
    notes = rows.notes
    passed = len(rows.frame) - len(places)
    if passed:
        notes = (*notes, f"{passed:,} rows that are history to the model are not judged")
    steps = (found.loc[places, "place"].to_numpy() - 1) % horizon + 1
    series, keys = pd.factorize(found.loc[places, "key"])
    return Answers(
        places=places.to_numpy(),
        truth=pd.to_numeric(rows.frame.loc[places, model.target]).to_numpy(dtype="float64"),
        predicted=said[places],
        series=series,
        steps=steps,
        keys=tuple(keys),
        notes=notes,
    )


def begins(model: LoadedModel, rows: Rows) -> dict[Key, pd.Timestamp]:
    """The time after which each series is forecast: the end of its training, or of a horizon that is its history."""
    found = _timed(model, rows)
    trained = {key: end.last for key, end in model.model.series.items()}
    horizon = int(model.schema["horizon"])
    known: dict[Key, pd.Timestamp] = {}
    for key, group in _by_series(found):
        times = sorted(group["time"].unique())
        # What training never saw can only go on from rows of its own.
        known[key] = trained.get(key, times[min(horizon, len(times)) - 1])
    return known


def _by_series(found: pd.DataFrame) -> Iterator[tuple[Key, pd.DataFrame]]:
    for key, group in found.groupby("key", sort=False):
        assert isinstance(key, tuple)
        yield key, group


def _timed(model: LoadedModel, rows: Rows) -> pd.DataFrame:
    """Of each row its series and its time."""
    served = model.model
    frame = rows.frame
    absent = [name for name in served.ids if name not in frame.columns]
    if absent:
        raise InputError(f"lacks the columns that tell series apart: {listed(absent)}", where=rows.source)
    times = InputFrame([(served.time, "datetime")]).fit(frame).transform(served.in_days(frame))[served.time]
    if times.isna().any():
        row = int(np.flatnonzero(times.isna())[0])
        raise InputError(
            f"row {row + 1} has no time in {shown(served.time)!r}", where=rows.source, fix="correct the data"
        )
    texts = [frame[name].astype("object").map(category_text).astype(str) for name in served.ids]
    keys: list[Key] = list(zip(*texts, strict=True)) if texts else [()] * len(frame)
    return pd.DataFrame({"key": pd.Series(keys, index=frame.index, dtype=object), "time": times})


def _placed(model: LoadedModel, rows: Rows, after: Mapping[Key, pd.Timestamp]) -> pd.DataFrame:
    """As _timed(), and the place of each row after what is history: 1 is the first period, 0 none of them."""
    found = _timed(model, rows).assign(place=0)
    begin = begins(model, rows)
    for key, group in _by_series(found):
        first = max(begin[key], after.get(key, begin[key]))
        later = group[group["time"] > first]
        if len(later):
            found.loc[later.index, "place"] = _counted(first, later["time"], model.model.frequency)
    return found


def _counted(begin: pd.Timestamp, times: pd.Series[Any], frequency: str) -> np.ndarray:
    """How many periods each time lies after `begin`; one between two periods counts as the later."""
    grid = pd.date_range(begin, times.max(), freq=frequency)
    return np.maximum(grid.searchsorted(times.to_numpy()), 1)


def _parts(keys: pd.Series[Any], horizon: int) -> Iterator[pd.Index[Any]]:
    """The rows of some series at a time, as many as the model takes at once."""
    most = max(1, MOST_IN_ALL // horizon)
    names = list(dict.fromkeys(keys))
    for start in range(0, len(names), most):
        yield keys.index[keys.isin(set(names[start : start + most]))]
