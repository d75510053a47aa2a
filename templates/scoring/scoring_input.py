"""From the body of a request to the columns that the model was trained on; score.py beside this file uses it.

What does not fit is a BadRequest, which lists every problem with its row and column. All names come from
`model_schema.json`, none stands in code. scoring_cells.py reads the values.

A plain body is read by a quick parser. What that does not take, faulty or only unusual, is looked at again piece by
piece, which tells what is wrong.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
from scoring_cells import (  # type: ignore[import-not-found,unused-ignore]
    MAX_PROBLEMS,
    BadRequest,
    bad_rows,
    is_known,
    kind,
    problem,
    read_cells,
    read_column,
    sample_value,
    shown,
    to_array,
)

MAX_ROWS = 10_000
MAX_ID = 200  # characters in a row's id, and of an unknown column's name in an answer
MAX_QUANTILES = 20
MAX_TRIED = 50  # values that are tried one by one after the model failed

KEYS = frozenset({"data", "Inputs", "GlobalParameters", "input_data", "ids"})


def find_model_folder(script: Path) -> Path:
    """The folder with model_schema.json: AZUREML_MODEL_DIR, or one level below it, where Azure puts a model folder."""
    root = Path(os.environ.get("AZUREML_MODEL_DIR") or script.parent / "model")
    below = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    for folder in (root, *below):
        if (folder / "model_schema.json").is_file():
            return folder
    raise FileNotFoundError(f"no model_schema.json in {root} (AZUREML_MODEL_DIR) or one level below")


# ---- the body ----

DOCUMENT = "forestay.document"  # where wsgi.py leaves what plain_document() gave it
ESCAPED_SIGNS = re.compile(rb"\\u00(?:3a|5b|7b)", re.IGNORECASE)


def plain_document(body: bytes) -> dict[str, Any] | None:
    """The document of a body that is plain, else None: one that must be looked at closer, by a slower parser.

    A plain one is JSON in UTF-8 to the letter, without NaN or a number beyond all bounds; it has the keys of a request
    and no other, none twice, and nothing nested in its rows. The parser says nothing of repeated keys. But each key is
    one colon, each object and each list one bracket: with a key repeated, or more nested, the text has more of them
    than the document.
    """
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):  # ValueError: text that is not UTF-8
        return None
    if not isinstance(document, dict) or not document.keys() <= KEYS:
        return None
    keys, brackets = 0, 0
    for part in parts(document):
        brackets += 1
        keys += len(part) if isinstance(part, dict) else 0
    colons_left = body.count(b":") - keys
    brackets_left = body.count(b"{") + body.count(b"[") - brackets
    if not colons_left and not brackets_left:
        return document
    if ESCAPED_SIGNS.search(body):
        return None
    text = "".join(texts(document))
    in_text = text.count(":"), text.count("{") + text.count("[")
    return document if (colons_left, brackets_left) == in_text else None


def parts(document: dict[str, Any]) -> Iterator[dict[str, Any] | list[Any]]:
    """The objects and lists of a request, without what may be nested in a row or an id."""
    yield document
    for part in document.values():
        inner = part.values() if isinstance(part, dict) else ()
        for value in (part, *inner):
            if isinstance(value, (dict, list)):
                yield value
            if isinstance(value, list):
                yield from (row for row in value if isinstance(row, (dict, list)))


def texts(document: dict[str, Any]) -> Iterator[str]:
    """All keys and all values of a request that are text."""
    for part in parts(document):
        yield from (value for value in part if isinstance(value, str))
        if isinstance(part, dict):
            yield from (value for value in part.values() if isinstance(value, str))


def sent_document(request: Any) -> dict[str, Any] | None:
    """The document of a request (flask's) where wsgi.py has parsed it; else None, once the body is checked."""
    document: dict[str, Any] | None = request.environ.get(DOCUMENT)
    if document is None:
        check_body(request.get_data())
    return document


def check_body(body: bytes) -> None:
    """Refuse what the server drops silently before it calls run(): unknown top-level keys and repeated ones."""
    if plain_document(body) is not None:
        return
    try:
        sent = json.loads(body, object_pairs_hook=unique_keys)
    except RecursionError:  # the server's own parser goes a little deeper
        raise BadRequest("too_deep", "the body nests too deep") from None
    unknown = sorted(sent.keys() - KEYS)
    if unknown:
        raise BadRequest(
            "unknown_key",
            f'{shown(unknown[0])} is not part of a request; send "data", or "Inputs", or "input_data", '
            'and beside it "GlobalParameters" and "ids"',
        )


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; a repeated key, of which a plain parser keeps the last, is refused."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise BadRequest("repeated_key", f"the key {shown(repeated)} stands twice in one object")
    return found


# ---- what is beside the rows ----


def read_method(parameters: Any, methods: tuple[str, ...], *more: str) -> str:
    """GlobalParameters -> the method to call; the first of `methods` where none is named. `more` keys may be there."""
    if parameters is None:
        return methods[0]
    keys = ("method", *more)
    if not isinstance(parameters, dict) or not parameters.keys() <= set(keys):
        raise BadRequest("bad_parameters", f'"GlobalParameters" is an object and takes {" and ".join(keys)}')
    method = parameters.get("method", methods[0])
    if method not in methods:
        told = shown(method) if isinstance(method, str) else kind(method)
        raise BadRequest("bad_method", f"method must be one of {', '.join(methods)}, not {told}")
    return str(method)


def read_quantiles(parameters: Any) -> list[float]:
    """GlobalParameters -> the quantiles to give with each forecast; often none."""
    quantiles = (parameters or {}).get("quantiles")
    if quantiles is None:
        return []
    if not isinstance(quantiles, list) or len(quantiles) > MAX_QUANTILES:
        raise BadRequest("bad_quantiles", f'"quantiles" must be a list of at most {MAX_QUANTILES} numbers')
    wrong = [level for level in quantiles if type(level) not in (int, float) or not 0 < level < 1]
    if wrong:
        raise BadRequest("bad_quantiles", f"a quantile is a number between 0 and 1, not {shown(wrong[0])}")
    if len(set(quantiles)) != len(quantiles):
        raise BadRequest("bad_quantiles", "a quantile stands twice")
    return quantiles


# ---- the rows ----


class RequestReader:
    """What a model's requests hold, by its schema.

    Attributes
    ----------
    columns: those that the model uses. A forecast's target is one of them: a row that has it is recent history.
    required: names that every row must have; what is not known ahead may be left out of a forecast's rows.
    ignored: names that may be sent and have no effect: identifiers, constants.
    takes_columns: whether rows are handed on as columns, `{name: values}`, and not in a frame; for models that say so.
    """

    takes_columns = False

    def __init__(self, schema: dict[str, Any]) -> None:
        self.target = schema["target"]
        self.elsewhere = schema.get("elsewhere", False)
        self.forecasts = schema["task"] == "forecasting"
        self.columns: list[dict[str, Any]] = [column for column in schema["columns"] if column["used"]]
        self.ignored = frozenset(column["name"] for column in schema["columns"] if not column["used"])
        if self.forecasts:
            self.columns.append({"name": self.target, "type": "numeric", "used": True, "nullable": True})
        self.used = frozenset(column["name"] for column in self.columns)
        self.required = frozenset(
            column["name"] for column in self.columns if not (self.forecasts and column["nullable"])
        )

    def sample_row(self) -> dict[str, Any]:
        """A row with every column that must be sent; a forecast's is of the first period after training."""
        return {column["name"]: sample_value(column) for column in self.columns if column["name"] in self.required}

    def read_rows(self, data: Any, inputs: Any, input_data: Any, ids: Any = None) -> tuple[list[Any], list[Any] | None]:
        """The rows of whichever form was sent, exactly one must be; and their ids, None where none were sent."""
        if sum(form is not None for form in (data, inputs, input_data)) != 1:
            raise BadRequest("bad_form", 'send exactly one of "data", "Inputs" and "input_data"')
        if inputs is not None:
            if not isinstance(inputs, dict) or inputs.keys() != {"data"}:
                raise BadRequest("bad_form", '"Inputs" must be an object with one key, "data"')
            data = inputs["data"]
        if input_data is not None:
            if ids is not None:
                raise BadRequest("bad_ids", 'the ids of "input_data" are its "index"; send no "ids" with it')
            data, ids = split_rows(input_data)
        if not isinstance(data, list):
            raise BadRequest("bad_form", f'"data" must be a list of rows, not {kind(data)}')
        if not data:
            raise BadRequest("no_rows", "there is no row in the request")
        if len(data) > MAX_ROWS:
            raise BadRequest("too_many_rows", f"{len(data)} rows in one request; at most {MAX_ROWS} are taken")
        if ids is not None:
            check_ids(ids, len(data))
        return data, ids

    def to_frame(self, rows: list[Any]) -> Any:
        """Rows as parsed from JSON -> a frame with the model's columns in the model's order and types.

        Where the model takes them it is the columns alone: each an array of numbers or times, or a list of values.
        """
        details: list[dict[str, Any]] = []
        found: dict[str, Any] = {}
        for column, values in zip(self.columns, self.taken_apart(rows)):
            found[column["name"]] = read_column(values, column, details)
        if details:
            raise bad_rows(details)
        if self.takes_columns:
            return found
        arrays = {column["name"]: to_array(found[column["name"]], column, self.elsewhere) for column in self.columns}
        return pd.DataFrame(arrays, copy=False)

    def taken_apart(self, rows: list[Any]) -> list[list[Any]]:
        """The values of each column. Raises BadRequest for rows whose columns are not the model's."""
        names = [column["name"] for column in self.columns]
        try:
            columns = [[row[name] for row in rows] for name in names]
            if set(map(len, rows)) == {len(names)}:
                return columns
        except (KeyError, TypeError):  # a column is missing, or a row is no object
            pass
        details = self.misfits(rows)
        if details:
            self.add_values(rows, details)
            raise bad_rows(sorted(details, key=lambda found: found["row"])[:MAX_PROBLEMS])
        return [[row.get(name) for row in rows] for name in names]

    def misfits(self, rows: list[Any]) -> list[dict[str, Any]]:
        """Rows whose columns are not the model's: missing ones, unknown ones; order does not matter."""
        details: list[dict[str, Any]] = []
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                details.append(problem(number, None, f"must be an object of columns, not {kind(row)}"))
            elif row.keys() != self.used:
                details += [problem(number, name, "is missing") for name in sorted(self.required - row.keys())]
                unknown = sorted(row.keys() - self.used - self.ignored)
                details += [problem(number, name[:MAX_ID], self.unknown(name)) for name in unknown]
            if len(details) >= MAX_PROBLEMS:
                break
        return details[:MAX_PROBLEMS]

    def add_values(self, rows: list[Any], details: list[dict[str, Any]]) -> None:
        """Beside columns that are missing or unknown, the values that don't fit: all is told at once."""
        for column in self.columns:
            name, fits = column["name"], sample_value(column)
            values = [row.get(name, fits) if isinstance(row, dict) else fits for row in rows]
            with contextlib.suppress(BadRequest):  # there are as many as an answer lists
                read_cells(values, column, details)

    def unknown(self, name: str) -> str:
        return "is what the model predicts; leave it out" if name == self.target else "is not a column of this model"

    def refused(self, rows: list[dict[str, Any]], answer: Callable[[pd.DataFrame], object]) -> list[dict[str, Any]]:
        """After the model failed: the cells that it can't take, as a category that some models know or fail on.

        Each value that training did not show is tried in the sample row; `answer` raises where it can't be answered.
        """
        details: list[dict[str, Any]] = []
        tried: dict[tuple[str, Any], bool] = {}
        sample = self.sample_row()
        for number, row in enumerate(rows):
            for column in self.columns:
                name, value = column["name"], row.get(column["name"])
                if value == sample[name] or is_known(value, column):
                    continue
                if (name, value) not in tried:
                    if len(tried) == MAX_TRIED:
                        return details
                    try:
                        answer(self.to_frame([{**sample, name: value}]))
                        tried[name, value] = False
                    except (ValueError, TypeError, KeyError, OverflowError):
                        tried[name, value] = True
                if tried[name, value]:
                    details.append(problem(number, name, "holds a value that the model can't take"))
                    if len(details) == MAX_PROBLEMS:
                        return details
        return details


def split_rows(split: Any) -> tuple[list[Any], Any]:
    """MLflow's form, `{"columns", "index", "data"}`, as rows and their index, which may be left out."""
    if not isinstance(split, dict) or not {"columns", "data"} <= split.keys() <= {"columns", "index", "data"}:
        raise BadRequest("bad_form", '"input_data" must be an object with "columns", "index" and "data"')
    columns, data = split["columns"], split["data"]
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise BadRequest("bad_form", '"columns" must be a list of names')
    if len(set(columns)) != len(columns):
        raise BadRequest("bad_form", '"columns" names a column twice')
    if not isinstance(data, list):
        raise BadRequest("bad_form", f'"data" must be a list of rows, not {kind(data)}')
    details = []
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(columns):
            details.append(problem(number, None, f"must be a list of {len(columns)} values"))
            if len(details) == MAX_PROBLEMS:
                break
    if details:
        raise bad_rows(details)
    return [dict(zip(columns, row)) for row in data], split.get("index")


def check_ids(ids: Any, rows: int) -> None:
    """Refuse ids that can't be given back as they came."""
    if not isinstance(ids, list) or len(ids) != rows:
        raise BadRequest("bad_ids", f'"ids" (or "index") must be a list with one entry for each of the {rows} rows')
    for number, name in enumerate(ids):
        text = isinstance(name, str) and len(name) <= MAX_ID
        if not text and not (type(name) is int or (type(name) is float and math.isfinite(name))):
            what = f"{kind(name)} is none" if not isinstance(name, str) else "this is longer"
            details = [problem(number, None, f"an id is a number, or text of at most {MAX_ID} characters; {what}")]
            raise BadRequest("bad_ids", "an id can't be taken", details)
