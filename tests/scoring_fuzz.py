"""Requests made at random for a model's schema, what may be done to them, and an independent idea of the right answer.

The right answer comes from the fitted pipeline on a frame that is built here, without a line of score.py: what this
module calls no request must be refused, and what the server answers must equal what it says.
"""

from __future__ import annotations

import copy
import datetime as dt
import json
import math
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from hypothesis import strategies as st

from scoring import requests
from scoring.checks import same
from scoring.schema import ColumnSchema, read_golden, read_schema

KEYS = ("data", "Inputs", "GlobalParameters", "input_data", "ids")


class Progress:
    """Tells of a long run how far it is; nothing of a short one, which is one of many tests."""

    def __init__(self, what: str, most: int) -> None:
        self.what, self.most, self.done, self.begun = what, most, 0, time.monotonic()

    def one(self) -> None:
        self.done += 1
        if self.most >= 500 and self.done % (self.most // 10) == 0:
            took = time.monotonic() - self.begun
            print(f"{self.what}: {self.done:,} of {self.most:,} requests, {took:.0f} s", flush=True)


class Oracle:
    """What a model answers to a request, by its pipeline alone."""

    def __init__(self, outputs: Path) -> None:
        self.schema = read_schema(outputs)
        self.golden = read_golden(outputs)
        self.model = joblib.load(outputs / "model.pkl")
        self.types = {column.name: column for column in self.schema.used}
        if self.schema.history is not None:
            self.types[self.schema.target] = self.schema.history

    def answer(self, document: Any) -> list[Any] | None:
        """The results; None where the request must be refused."""
        try:
            return self._answer(document)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            return None

    def _answer(self, document: dict[str, Any]) -> list[Any]:
        must(document.keys() <= set(KEYS))
        [form] = [key for key in ("data", "Inputs", "input_data") if document.get(key) is not None]
        sent = document[form]
        ids = document.get("ids")
        if form == "Inputs":
            must(sent.keys() == {"data"})
            sent = sent["data"]
        if form == "input_data":
            must(sent.keys() <= {"columns", "index", "data"} and ids is None)
            ids = sent.get("index")
            names = sent["columns"]
            must(type(names) is list and len(set(names)) == len(names))
            sent = [dict(zip(names, cells, strict=True)) for cells in of_type(sent["data"], list, list)]
        rows = of_type(sent, list, dict)
        must(len(rows) > 0 and (ids is None or len(of_type(ids, list, object)) == len(rows)))
        chosen = document.get("GlobalParameters")
        chosen = {} if chosen is None else chosen
        must(chosen.keys() <= ({"method", "quantiles"} if self.schema.forecasts else {"method"}))
        method = chosen.get("method", self.schema.methods[0])
        must(method in self.schema.methods)
        required = {column.name for column in self.schema.required}
        allowed = self.types.keys() | {column.name for column in self.schema.columns}
        must(all(required <= row.keys() <= allowed for row in rows))
        frame = pd.DataFrame({name: cells(column, rows) for name, column in self.types.items()})
        if self.schema.forecasts:
            return self._forecast(frame, chosen.get("quantiles"))
        if method == "predict":
            return list(np.asarray(self.model.predict(frame)).tolist())
        labels = [one if isinstance(one, str) else json.dumps(one) for one in self.schema.classes or ()]
        return [dict(zip(labels, row, strict=True)) for row in self.model.predict_proba(frame).tolist()]

    def _forecast(self, frame: pd.DataFrame, quantiles: Any) -> list[Any]:
        levels = [] if quantiles is None else quantiles
        must(all(type(level) in (int, float) and 0 < level < 1 for level in levels) and type(levels) is list)
        must(len(set(levels)) == len(levels))
        found = self.model.forecast(frame, quantiles=levels).to_numpy().tolist()
        if not levels:
            return [row[0] for row in found]
        names = [json.dumps(level) for level in levels]
        return [{"forecast": row[0], "quantiles": dict(zip(names, row[1:], strict=True))} for row in found]


def must(holds: bool) -> None:
    if not holds:
        raise ValueError


def of_type(value: Any, kind: type, inner: type) -> Any:
    must(type(value) is kind and all(isinstance(one, inner) for one in value))
    return value


def cells(column: ColumnSchema, rows: list[dict[str, Any]]) -> Any:
    values = [row.get(column.name) for row in rows]
    known = [value for value in values if value is not None]
    if column.type == "numeric":
        must(all(type(value) in (int, float) and math.isfinite(value) for value in known))
        must(not column.integer or all(value == int(value) for value in known))
        if column.integer and len(known) == len(values):
            return np.array([int(value) for value in values], dtype=np.int64)
        return np.array([math.nan if value is None else float(value) for value in values])
    if column.type == "boolean":
        must(all(type(value) is bool for value in known))
        return pd.array(values, dtype="boolean")
    must(all(type(value) is str for value in known))
    if column.type == "datetime":
        return np.array([None if value is None else time_of(value) for value in values], dtype="datetime64[us]")
    for value in known:
        value.encode()
    return pd.array(values, dtype="str")


def time_of(text: str) -> dt.datetime:
    found = dt.datetime.fromisoformat(text)
    return found if found.tzinfo is None else found.astimezone(dt.UTC).replace(tzinfo=None)


def agrees(expected: list[Any] | None, results: Any) -> bool:
    """Whether an answer with status 200 is right; an object of probabilities or quantiles by its parts."""
    if expected is None or not isinstance(results, list) or len(results) != len(expected):
        return False
    return all(alike(want, got) for want, got in zip(expected, results, strict=True))


def alike(want: Any, got: Any) -> bool:
    if isinstance(want, dict) and isinstance(got, dict):
        return want.keys() == got.keys() and all(alike(want[key], got[key]) for key in want)
    if isinstance(want, float) and isinstance(got, float):
        return math.isclose(want, got, rel_tol=1e-7, abs_tol=1e-9)
    return same(want, got)


# ---- requests ----


def values(column: ColumnSchema) -> st.SearchStrategy[Any]:
    """What a column may hold, far outside the training data as well."""
    found: st.SearchStrategy[Any] = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    if column.type == "numeric":
        low, high = column.minimum or 0, column.maximum or 1
        assert isinstance(low, int | float)
        assert isinstance(high, int | float)
        whole = st.integers(-(10**12), 10**12) | st.integers(int(low), int(high) + 1)
        found = whole if column.integer else whole | st.floats(-1e12, 1e12, allow_subnormal=False)
    elif column.type == "boolean":
        found = st.booleans()
    elif column.type == "datetime":
        found = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)).map(dt.datetime.isoformat)
    elif column.values:
        found = st.sampled_from(column.values) | found
    return found | st.none()


@st.composite
def rows_of(draw: st.DrawFn, oracle: Oracle) -> list[dict[str, Any]]:
    if not oracle.schema.forecasts:
        row = st.fixed_dictionaries({name: values(column) for name, column in oracle.types.items()})
        return draw(st.lists(row, min_size=1, max_size=4))
    # Times and series must go on where training ended: those of the golden rows do.
    rows = [dict(row) for row in draw(st.permutations(oracle.golden.rows))]
    keys = {oracle.schema.time_column, *oracle.schema.series_columns, oracle.schema.target}
    for name, column in oracle.types.items():
        if name not in keys:
            for row in rows:
                row[name] = draw(values(column))
    return rows


@st.composite
def valid(draw: st.DrawFn, oracle: Oracle, form: str | None = None) -> dict[str, Any]:
    """A request that must be answered."""
    method = draw(st.sampled_from(oracle.schema.methods))
    levels = draw(st.sampled_from([[], [0.1, 0.9]])) if oracle.schema.forecasts else []
    chosen = form or draw(st.sampled_from(requests.FORMS))
    return requests.request(chosen, draw(rows_of(oracle)), method, levels)


# ---- what may be done to them ----

TEXTS = [
    "",
    "7",
    "NaN",
    "null",
    "true",
    "2024-02-30",
    "2024-01-31T24:00",
    "20240131",
    "2024-01-31T08:00:00+25:00",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "\x00",
    "\ud800",
    "x" * 100_001,
    "\u202egnp.exe",
    "__class__",
    "{{ 7 * 7 }}",
]
NUMBERS = [0, -0.0, 1.5, 2**53 + 1, 2**63, -(2**63), 2**70, 10**400, 1e30, 1e300, 5e-324, math.nan, math.inf]
ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NUMBERS),
    st.sampled_from(TEXTS),
    st.sampled_from(["predict", "predict_proba", "forecast", "data", "method"]),
    st.integers(),
    st.floats(),
    st.text(max_size=10),
    st.just([]),
    st.just({}),
    st.just([[[[[[[[1]]]]]]]]),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
    st.lists(st.floats() | st.text(max_size=3), max_size=3),
)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every place in a document: what holds it, and under which key or index."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [place for key, value in inner for place in ((node, key), *places(value))]


@st.composite
def mutated(draw: st.DrawFn, oracle: Oracle) -> dict[str, Any]:
    """A request with one to three things wrong, or at least odd."""
    document: dict[str, Any] = copy.deepcopy(draw(valid(oracle)))
    for _ in range(draw(st.integers(1, 3))):
        found = places(document)
        if not found:
            break
        holder, key = draw(st.sampled_from(found))
        how = draw(st.sampled_from(["odd", "odd", "drop", "rename", "add", "twice", "turn"]))
        if how == "odd":
            holder[key] = copy.deepcopy(draw(ODD))
        elif how == "drop":
            del holder[key]
        elif how == "turn":
            items = list(reversed(holder.items() if isinstance(holder, dict) else holder))
            holder.clear()
            holder.update(items) if isinstance(holder, dict) else holder.extend(items)
        elif isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]) if how == "twice" else copy.deepcopy(draw(ODD)))
        elif how == "rename":
            holder[draw(st.text(max_size=5) | st.just(str(key).upper()))] = holder.pop(key)
        else:
            holder[draw(st.text(max_size=5) | st.sampled_from(["id", "y", "index", "quantiles"]))] = copy.deepcopy(
                draw(ODD)
            )
    return document


@st.composite
def bodies(draw: st.DrawFn, oracle: Oracle) -> bytes:
    """A body as bytes: a request, a mutated one, or what became of one on the way."""
    body = json.dumps(draw(mutated(oracle) | valid(oracle)), ensure_ascii=draw(st.booleans()))
    how = draw(st.sampled_from(["whole", "whole", "cut", "bytes", "encoding", "deep", "twice", "noise"]))
    sent = body.encode("utf-8", "surrogatepass")
    if how == "cut":
        return sent[: draw(st.integers(0, len(sent)))]
    if how == "bytes":
        at = draw(st.integers(0, len(sent) - 1))
        return sent[:at] + draw(st.binary(min_size=1, max_size=4)) + sent[at + draw(st.integers(0, 3)) :]
    if how == "encoding":
        return body.encode(draw(st.sampled_from(["utf-16", "utf-32", "utf-8-sig", "cp1252", "cp037"])), "ignore")
    if how == "deep":
        depth = draw(st.sampled_from([20, 1000, 100_000]))
        return b'{"data": ' + b"[" * depth + b"]" * depth + b"}"
    if how == "twice":
        return sent[:-1] + b', "data": [{}]}'
    return draw(st.binary(max_size=60)) if how == "noise" else sent


def parsed(body: bytes) -> Any:
    """A body as strict JSON; None where it is not, or a key stands twice in an object.

    A byte order mark before it may be there: RFC 8259, section 8.1, lets parsers ignore one, and the server's does.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        must(len(dict(pairs)) == len(pairs))
        return dict(pairs)

    try:
        return json.loads(body.decode("utf-8-sig"), object_pairs_hook=unique)
    except (ValueError, RecursionError):
        return None
