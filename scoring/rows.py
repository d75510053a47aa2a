"""Rows from a person's file, turned into the JSON that a request holds: CSV, JSON Lines, JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from forestay.errors import InputError
from scoring import cells
from scoring.requests import FORMS
from scoring.schema import ColumnSchema, ModelSchema


def read_body(text: str, where: str, schema: ModelSchema) -> dict[str, Any]:
    """The body of a request for what `text` holds.

    A JSON object that is a whole request goes as it is; a JSON list or object, JSON Lines and CSV are rows. CSV cells
    become what the schema says of their column; the column that the model predicts is left out, unless it is a
    forecast's history. Whether the rows fit is the server's to say.

    Raises InputError naming `where` and the line.
    """
    stripped = text.lstrip("\ufeff \t\r\n")
    if not stripped:
        raise InputError("there is nothing in it", where=where, fix="give rows as CSV, JSON Lines or JSON")
    if stripped[0] in "[{":
        found = _json_rows(stripped, where)
        if isinstance(found, dict) and any(form in found for form in FORMS):
            return found
        rows = found if isinstance(found, list) else [found]
    else:
        rows = _csv_rows(text.lstrip("\ufeff"), where, schema)
    return {"data": [_without_target(row, schema) for row in rows]}


def _json_rows(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as whole:
        rows = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                at, problem = (number, error) if rows else (whole.lineno, whole)
                raise InputError(f"not JSON: {problem.msg}", where=f"{where}:{at}", fix="send rows as JSON") from error
        return rows
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or endless brackets
        raise InputError(f"can't be read: {error}", where=where, fix="send rows as JSON") from error


def _csv_rows(text: str, where: str, schema: ModelSchema) -> list[dict[str, Any]]:
    columns = {column.name: column for column in schema.columns}
    if schema.history is not None:
        columns[schema.target] = schema.history
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(reader)
        if len(set(header)) != len(header):
            raise InputError("a column stands twice in the header", where=f"{where}:1", fix="keep one of them")
        rows = []
        for record in reader:
            if not record:
                continue
            if len(record) != len(header):
                raise InputError(
                    f"{len(record)} cells, and the header has {len(header)}",
                    where=f"{where}:{reader.line_num}",
                    fix="separate cells by commas, and quote those that hold one",
                )
            row = {}
            for name, cell in zip(header, record, strict=True):
                try:
                    row[name] = _value(cell, columns.get(name))
                except ValueError as error:
                    raise InputError(
                        f"column {json.dumps(name)}: {error}",
                        where=f"{where}:{reader.line_num}",
                        fix="correct the cell, or leave it empty for a missing value",
                    ) from error
            rows.append(row)
    except csv.Error as error:
        raise InputError(f"not CSV: {error}", where=f"{where}:{reader.line_num}", fix="check the quotes") from error
    return rows


def _value(cell: str, column: ColumnSchema | None) -> Any:
    """One CSV cell as its column's JSON value; of a column that the model does not use it is text."""
    return cells.value(cell, column.type if column is not None and column.used else "text")


def _without_target(row: Any, schema: ModelSchema) -> Any:
    if not isinstance(row, dict) or schema.forecasts or schema.target in {column.name for column in schema.columns}:
        return row
    return {name: value for name, value in row.items() if name != schema.target}
