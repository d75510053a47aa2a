"""Requests made from a model's schema, never from real rows: a sample, the three forms, and ones to be refused."""

from __future__ import annotations

import copy
import datetime as dt
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from scoring.schema import ColumnSchema, Golden, ModelSchema

# As in scoring_input.py and scoring_cells.py of templates/scoring, which import nothing of ours.
MAX_ROWS = 10_000
MAX_PROBLEMS = 100
MAX_QUANTILES = 20
MAX_TEXT = 100_000
MAX_ID = 200
MAX_NUMBER = 1e30
SAMPLE, SAMPLE_HISTORY, SAMPLES = "sample_request.json", "sample_request_history.json", "sample_request*.json"
HISTORY_ROWS = 6
FORMS = ("data", "Inputs", "input_data")
ARRAY = "array"  # rows as lists of numbers, of the simple style
NO_CODE = "no_code"  # what Azure's own script for MLflow models takes
MLFLOW = ("dataframe_split", "dataframe_records")  # what MLflow's own server takes


def sample_value(column: ColumnSchema) -> Any:
    """A value that the column could hold: the schema's own sample, the middle of the range, a category, or a word."""
    if column.sample is not None:
        return column.sample
    low, high = column.minimum, column.maximum
    if column.type == "numeric":
        known = isinstance(low, int | float) and isinstance(high, int | float)
        middle = float(low) / 2 + float(high) / 2 if known and low is not None and high is not None else 0.0
        return round(middle) if column.integer else middle
    if column.type == "boolean":
        return True
    if column.type == "datetime":
        return low if isinstance(low, str) else "2024-01-31T00:00:00"
    return column.values[0] if column.values else "example"


def sample_row(schema: ModelSchema) -> dict[str, Any]:
    """One row with every column that must be sent."""
    return {column.name: sample_value(column) for column in schema.required}


def history_request(golden: Golden) -> dict[str, Any]:
    """The first golden rows of a forecasting model, which begin with recent history, asked for with quantiles."""
    return request("data", golden.rows[:HISTORY_ROWS], "forecast", [float(level) for level in golden.quantiles or ()])


def request(
    form: str, rows: Sequence[dict[str, Any]], method: str = "predict", quantiles: Sequence[float] = ()
) -> dict[str, Any]:
    """The body of a request in one of the three FORMS, as ARRAY, which has no method, as NO_CODE, or one of MLFLOW.

    Column names, and their order, are those of the first row for `input_data` and others without names in each row.
    """
    chosen = {"method": method, **({"quantiles": list(quantiles)} if quantiles else {})}
    parameters: dict[str, Any] = {} if chosen == {"method": "predict"} else {"GlobalParameters": chosen}
    if form == "data":
        return {"data": list(rows), **parameters}
    if form == "Inputs":
        return {"Inputs": {"data": list(rows)}, "GlobalParameters": chosen}
    columns = list(rows[0])
    lists = [[row[name] for name in columns] for row in rows]
    if form == ARRAY:
        return {"data": lists}
    named = {} if method == "predict" else {"params": {"method": method}}
    if form == "dataframe_records":
        return {form: list(rows), **named}
    if form == "dataframe_split":
        return {form: {"columns": columns, "data": lists}, **named}
    split = {"columns": columns, "index": list(range(len(rows))), "data": lists}
    if form == NO_CODE:
        return {"input_data": split, **named}
    return {"input_data": split, **parameters}


def results(form: str, answer: Any) -> list[Any] | None:
    """The entries of an answer to a request in this form, one a row; None where it has none."""
    key = "predictions" if form in MLFLOW else "Results"
    found = answer if form == NO_CODE else answer.get(key) if isinstance(answer, dict) else None
    return found if isinstance(found, list) else None


@dataclass(frozen=True)
class BadRequest:
    """A request that must be refused with a 4xx.

    Attributes
    ----------
    what: what is wrong with it.
    body: as sent.
    column: the column that the answer must name; None where no single one is at fault.
    content_type: as sent.
    """

    what: str
    body: bytes
    column: str | None = None
    content_type: str = "application/json"


def unreadable(row: Any) -> Iterator[BadRequest]:
    """Bodies that fail before score.py is called; wsgi.py refuses what the server itself would answer with a 500."""
    body = json.dumps({"data": [row]})
    yield BadRequest("not JSON", b"{")
    yield BadRequest("nothing sent", b"")
    yield BadRequest("form data", b"data=1", content_type="application/x-www-form-urlencoded")
    yield BadRequest("a list", b"[1]")
    yield BadRequest("not UTF-8", b'{"data": "\xff"}')
    yield BadRequest("UTF-16", body.encode("utf-16-le"))
    yield BadRequest("nested deep", b'{"data": ' + b"[" * 5000 + b"]" * 5000 + b"}")
    yield BadRequest("brackets without end", b"[" * 100_000)
    yield BadRequest("a number of 5000 digits", b'{"data": [' + b"9" * 5000 + b"]}")


def bad_requests(schema: ModelSchema) -> Iterator[BadRequest]:
    """Requests that a careful server refuses: of each kind one, for each column type the first column."""
    row = sample_row(schema)
    body = _bad

    def with_value(what: str, column: ColumnSchema, value: Any) -> BadRequest:
        return body(f"{column.type} column, {what}", {"data": [{**row, column.name: value}]}, column.name)

    yield from unreadable(row)
    yield body("no rows", {"data": []})
    yield body("rows not a list", {"data": row})
    yield body("a row not an object", {"data": [1]})
    yield body("no form", {})
    yield body("two forms", {"data": [row], "input_data": request("input_data", [row])["input_data"]})
    yield body("unknown key beside the form", {"data": [row], "method": "predict"})
    yield body("unknown method", request("data", [row], "__class__"))
    yield body("too many rows", {"data": [row] * (MAX_ROWS + 1)})
    split = request("input_data", [row])
    longer = copy.deepcopy(split)
    longer["input_data"]["index"].append(1)
    yield body("index longer than data", longer)
    yield body("fewer ids than rows", {"data": [row, row], "ids": [1]})
    yield body("an id that is none", {"data": [row], "ids": [{}]})
    shorter = copy.deepcopy(split)
    shorter["input_data"]["data"][0].pop()
    yield body("a row shorter than the columns", shorter)
    unknown = _unknown(row)
    yield body("unknown column", {"data": [{**row, unknown: 1}]}, unknown)
    first = schema.required[0].name
    yield body("missing column", {"data": [{key: row[key] for key in row if key != first}]}, first)
    renamed = {(unknown if key == first else key): value for key, value in row.items()}
    yield body("renamed column", {"data": [renamed]}, first)
    for column in _first_of_each_type(schema):
        yield from (with_value(what, column, value) for what, value in _wrong_values(column))
    strict = next((column for column in schema.used if not column.nulls), None)
    if strict is not None:
        yield with_value("null where the model takes none", strict, None)
    if schema.forecasts:
        yield from _bad_forecasts(schema, row)


def bad_rows(schema: ModelSchema) -> Iterator[BadRequest]:
    """Requests with rows as objects that the simple style refuses."""
    row = sample_row(schema)
    yield from _bad_bodies(row)
    first = schema.used[0].name
    yield _bad("unknown column", {"data": [{**row, _unknown(row): 1}]})
    yield _bad("missing column", {"data": [{key: row[key] for key in row if key != first}]})
    for column in _first_of_each_type(schema):
        for what, value in _wrong_values(column):
            yield _bad(f"{column.type} column, {what}", {"data": [{**row, column.name: value}]})
    yield from _bad_nulls(schema, lambda name: {"data": [{**row, name: None}]})


def bad_arrays(schema: ModelSchema) -> Iterator[BadRequest]:
    """Requests with rows as lists of numbers that the simple style refuses."""
    row = list(sample_row(schema).values())
    yield from _bad_bodies(row)
    yield _bad("a row too long", {"data": [[*row, 1]]})
    yield _bad("a row too short", {"data": [row[1:]]})
    for what, value in _wrong_values(ColumnSchema(name="", type="numeric", used=True)):
        if what != "2**70":  # which is a number like another to a model of floats
            yield _bad(f"a value, {what}", {"data": [[value, *row[1:]]]})
    places = [column.name for column in schema.used]
    yield from _bad_nulls(
        schema,
        lambda name: {"data": [[None if place == name else value for place, value in zip(places, row, strict=True)]]},
    )


def bad_splits(schema: ModelSchema) -> Iterator[BadRequest]:
    """Requests as NO_CODE that must be refused; of values those that MLflow's types do not turn into others."""
    row = sample_row(schema)
    yield from unreadable(row)
    yield _bad("no form", {})
    yield _bad("no rows", {"input_data": {"columns": list(row), "index": [], "data": []}})
    yield _bad("unknown key beside the form", {**request(NO_CODE, [row]), "method": "predict"})
    yield _bad("unknown method", request(NO_CODE, [row], "__class__"))
    yield _bad("rows as objects", {"input_data": [row]})
    yield _bad("too many rows", request(NO_CODE, [row] * (MAX_ROWS + 1)))
    longer = request(NO_CODE, [row])
    longer["input_data"]["index"].append(1)
    yield _bad("index longer than data", longer)
    first = schema.used[0].name
    yield _bad("unknown column", request(NO_CODE, [{**row, _unknown(row): 1}]))
    yield _bad("missing column", request(NO_CODE, [{key: row[key] for key in row if key != first}]))
    turned = {"numeric": ("text", "a boolean", "NaN"), "boolean": ("a number", "NaN")}
    for column in _first_of_each_type(schema):
        for what, value in _wrong_values(column):
            if what not in (*turned.get(column.type, ()), "2**70", "half a surrogate pair"):
                yield _bad(f"{column.type} column, {what}", request(NO_CODE, [{**row, column.name: value}]))
    yield from _bad_nulls(schema, lambda name: request(NO_CODE, [{**row, name: None}]))


def _bad_bodies(row: Any) -> Iterator[BadRequest]:
    """What no style takes, whatever a row looks like."""
    yield from unreadable(row)
    yield _bad("no rows", {"data": []})
    yield _bad("rows not a list", {"data": {"a": row}})
    yield _bad("a row not a row", {"data": [1]})
    yield _bad("no form", {})
    yield _bad("unknown key beside the form", {"data": [row], "method": "predict"})
    yield _bad("too many rows", {"data": [row] * (MAX_ROWS + 1)})


def _bad_nulls(schema: ModelSchema, body: Callable[[str], Any]) -> Iterator[BadRequest]:
    """null where the model takes none, for the first such column."""
    for column in schema.used:
        if not column.nulls:
            yield _bad("null where the model takes none", body(column.name))
            return


def _unknown(row: dict[str, Any]) -> str:
    """A name that is none of the columns'."""
    unknown = "no such column"
    while unknown in row:
        unknown += "?"
    return unknown


def _bad(what: str, document: Any, column: str | None = None) -> BadRequest:
    return BadRequest(what, json.dumps(document).encode(), column)


def _bad_forecasts(schema: ModelSchema, row: dict[str, Any]) -> Iterator[BadRequest]:
    """What only a forecast can get wrong: times, series, history, quantiles."""
    time = schema.time_column
    assert time is not None
    yield _bad("no time", {"data": [{**row, time: None}]}, time)
    yield _bad("the same time twice", {"data": [row, row]}, time)
    yield _bad("a time before the end of training", {"data": [{**row, time: "1900-01-01"}]}, time)
    yield _bad("a time beyond all periods", {"data": [{**row, time: "9999-12-31"}]}, time)
    between = dt.datetime.fromisoformat(row[time]) + dt.timedelta(microseconds=1)
    yield _bad("a time between two periods", {"data": [{**row, time: between.isoformat()}]}, time)
    for column in schema.used:
        if column.name in schema.series_columns and column.type not in ("numeric", "boolean"):
            unseen = "no such series"
            while unseen in (column.values or ()):
                unseen += "?"
            data = [{**row, column.name: unseen}]
            yield _bad("a series without history", {"data": data}, schema.series_columns[0])
            break
    yield _bad("history as text", {"data": [{**row, schema.target: "7"}]}, schema.target)
    for what, quantiles in (
        ("a quantile of 1", [1]),
        ("a quantile below 0", [-0.1]),
        ("a quantile as text", ["0.5"]),
        ("a quantile twice", [0.1, 0.1]),
        ("quantiles not a list", 0.5),
    ):
        yield _bad(what, {"data": [row], "GlobalParameters": {"method": "forecast", "quantiles": quantiles}})


def _first_of_each_type(schema: ModelSchema) -> list[ColumnSchema]:
    first: dict[tuple[str, bool], ColumnSchema] = {}
    for column in schema.used:
        first.setdefault((column.type, column.integer), column)
    return list(first.values())


def _wrong_values(column: ColumnSchema) -> list[tuple[str, Any]]:
    nested: list[tuple[str, Any]] = [("a list", [1]), ("an object", {"a": 1})]
    if column.type == "numeric":
        values: list[tuple[str, Any]] = [
            ("text", "7"),
            ("a boolean", True),
            ("NaN", float("nan")),
            ("Infinity", float("inf")),
            ("2**70", 2**70),
            ("1e300", 1e300),
        ]
        return [*values, *([("a fraction", 3.7)] if column.integer else []), *nested]
    if column.type == "boolean":
        return [("text", "false"), ("a number", 0), *nested]
    if column.type == "datetime":
        return [("epoch", 1700000000000), ("day first", "31/01/2024"), ("no such day", "2024-02-30"), *nested]
    return [("a number", 1), ("a boolean", False), ("half a surrogate pair", "\ud800"), *nested]
