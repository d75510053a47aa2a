"""Entry script for Azure ML's inference server: answers with the text classification multilabel model in `model/`.

The server imports this file, calls `init()` once and `run()` for every POST to /score. Column names, types and labels
come from `model_schema.json`, which lies beside the model. Three forms of a request are taken:

    {"data": [{column: value, ...}, ...]}
    {"Inputs": {"data": [...]}, "GlobalParameters": {"method": "predict"}}
    {"input_data": {"columns": [...], "index": [...], "data": [[...], ...]}}

Values are converted here and not by the server: it would turn "false" into true, 3.7 into 3 and a renamed column into
a wrong answer without a word. What does not fit gets a 400 that lists every problem.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import joblib
import numpy as np
import pandas as pd
from azureml_inference_server_http.api.aml_response import AMLResponse
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

MAX_ROWS = 10_000
MAX_PROBLEMS = 100  # how many are listed in one answer
MAX_TEXT = 100_000  # characters in one value
METHODS = ("predict", "predict_proba")

logger = logging.getLogger("azmlinfsrv.score")


# ---- the model and what it expects ----


def find_model_folder() -> Path:
    """The folder with model_schema.json: AZUREML_MODEL_DIR, or one level below it, where Azure puts a model folder."""
    root = Path(os.environ.get("AZUREML_MODEL_DIR") or Path(__file__).parent / "model")
    below = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    for folder in (root, *below):
        if (folder / "model_schema.json").is_file():
            return folder
    raise FileNotFoundError(f"no model_schema.json in {root} (AZUREML_MODEL_DIR) or one level below")


MODEL_FOLDER = find_model_folder()
SCHEMA: dict[str, Any] = json.loads((MODEL_FOLDER / "model_schema.json").read_text(encoding="utf-8"))
COLUMNS: list[dict[str, Any]] = [column for column in SCHEMA["columns"] if column["used"]]
USED = frozenset(column["name"] for column in COLUMNS)
IGNORED = frozenset(column["name"] for column in SCHEMA["columns"]) - USED  # identifiers, constants
CLASSES: list[Any] = SCHEMA["classes"]

model: Any = None  # the fitted pipeline, once init() has run


def sample_value(column: dict[str, Any]) -> Any:
    """A value that the column could hold: the schema's own sample, or one made from it."""
    if column.get("sample") is not None:
        return column["sample"]
    low, high = column.get("minimum"), column.get("maximum")
    if column["type"] == "numeric":
        middle = 0.0 if low is None or high is None else low / 2 + high / 2
        return round(middle) if column.get("integer") else float(middle)
    if column["type"] == "boolean":
        return True
    if column["type"] == "datetime":
        return low or "2024-01-31T00:00:00"
    return (column.get("values") or ["example"])[0]


def sample_row() -> dict[str, Any]:
    return {column["name"]: sample_value(column) for column in COLUMNS}


def init() -> None:
    """Load the model and predict one row with it, so that a model that can't answer never starts."""
    global model
    for name, expected in SCHEMA["files"].items():
        with (MODEL_FOLDER / name).open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != expected:
            raise RuntimeError(f"{name} is not the file that was recorded: sha256 {found}, not {expected}")
    sys.path.insert(0, str(MODEL_FOLDER))  # model.pkl refers to the modules that lie beside it
    model = joblib.load(MODEL_FOLDER / "model.pkl")
    for method in METHODS:
        predict(to_frame([sample_row()]), method)


# ---- from a request to rows ----


class BadRequest(Exception):
    """A request that can't be answered: all that is wrong with it."""

    def __init__(self, code: str, message: str, details: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.document = {"error": {"code": code, "message": message, "details": details or []}}


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; a repeated key, of which a plain parser keeps the last, is refused."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise BadRequest("repeated_key", f"the key {shown(repeated)} stands twice in one object")
    return found


def check_body() -> None:
    """Refuse what the server drops silently before it calls run(): unknown top-level keys and repeated ones."""
    if not flask.has_request_context() or flask.request.method != "POST":
        return
    body = json.loads(flask.request.get_data(), object_pairs_hook=unique_keys)
    unknown = sorted(body.keys() - {"data", "Inputs", "GlobalParameters", "input_data"})
    if unknown:
        raise BadRequest(
            "unknown_key",
            f"{shown(unknown[0])} is not part of a request; "
            'send "data", or "Inputs" with "GlobalParameters", or "input_data"',
        )


def read_method(parameters: Any) -> str:
    """GlobalParameters -> the method to call."""
    if parameters is None:
        return "predict"
    if not isinstance(parameters, dict) or parameters.keys() - {"method"}:
        raise BadRequest("bad_parameters", f'"GlobalParameters" takes one key, "method": one of {", ".join(METHODS)}')
    method = parameters.get("method", "predict")
    if method not in METHODS:
        raise BadRequest("bad_method", f"method must be one of {', '.join(METHODS)}, not {shown(method)}")
    return str(method)


def read_rows(data: Any, inputs: Any, input_data: Any) -> list[Any]:
    """The rows of whichever form was sent; exactly one must be."""
    if sum(form is not None for form in (data, inputs, input_data)) != 1:
        raise BadRequest("bad_form", 'send exactly one of "data", "Inputs" and "input_data"')
    if inputs is not None:
        if not isinstance(inputs, dict) or inputs.keys() != {"data"}:
            raise BadRequest("bad_form", '"Inputs" must be an object with one key, "data"')
        data = inputs["data"]
    rows = split_rows(input_data) if input_data is not None else data
    if not isinstance(rows, list):
        raise BadRequest("bad_form", f'"data" must be a list of rows, not {kind(rows)}')
    if not rows:
        raise BadRequest("no_rows", "there is no row in the request")
    if len(rows) > MAX_ROWS:
        raise BadRequest("too_many_rows", f"{len(rows)} rows in one request; at most {MAX_ROWS} are taken")
    return rows


def split_rows(split: Any) -> list[Any]:
    """MLflow's form, `{"columns", "index", "data"}`, as rows; `index` may be left out."""
    if not isinstance(split, dict) or not {"columns", "data"} <= split.keys() <= {"columns", "index", "data"}:
        raise BadRequest("bad_form", '"input_data" must be an object with "columns", "index" and "data"')
    columns, index, data = split["columns"], split.get("index"), split["data"]
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise BadRequest("bad_form", '"columns" must be a list of names')
    if len(set(columns)) != len(columns):
        raise BadRequest("bad_form", '"columns" names a column twice')
    if not isinstance(data, list):
        raise BadRequest("bad_form", f'"data" must be a list of rows, not {kind(data)}')
    if index is not None and (not isinstance(index, list) or len(index) != len(data)):
        raise BadRequest("bad_form", f'"index" must be a list with one entry for each of the {len(data)} rows')
    details = []
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(columns):
            details.append(problem(number, None, f"must be a list of {len(columns)} values"))
            if len(details) == MAX_PROBLEMS:
                break
    if details:
        raise bad_rows(details)
    return [dict(zip(columns, row, strict=True)) for row in data]


# ---- from rows to the frame that the model was trained on ----


def to_frame(rows: list[Any]) -> pd.DataFrame:
    """Rows as parsed from JSON -> a frame with the model's columns in the model's order and types."""
    details = misfits(rows)
    if details:
        raise bad_rows(details)
    arrays = {}
    for column in COLUMNS:
        name = column["name"]
        convert, to_array = CONVERTERS.get(column["type"], TEXT)
        cells = []
        for number, row in enumerate(rows):
            value = row[name]
            if value is not None:  # every column may be null: the model fills gaps as it did in training
                try:
                    value = convert(value, column)
                except ValueError as error:
                    details.append(problem(number, name, str(error)))
                    if len(details) == MAX_PROBLEMS:
                        raise bad_rows(details) from None
            cells.append(value)
        if not details:
            arrays[name] = to_array(cells, column)
    if details:
        raise bad_rows(details)
    return pd.DataFrame(arrays)


def misfits(rows: list[Any]) -> list[dict[str, Any]]:
    """Rows whose columns are not the model's: missing ones, unknown ones; order does not matter."""
    details: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            details.append(problem(number, None, f"must be an object of columns, not {kind(row)}"))
        elif row.keys() != USED:
            details += [problem(number, name, "is missing") for name in sorted(USED - row.keys())]
            details += [problem(number, name, unknown(name)) for name in sorted(row.keys() - USED - IGNORED)]
        if len(details) >= MAX_PROBLEMS:
            break
    return details[:MAX_PROBLEMS]


def unknown(name: str) -> str:
    return "is what the model predicts; leave it out" if name == SCHEMA["target"] else "is not a column of this model"


def read_number(value: Any, column: dict[str, Any]) -> int | float:
    if type(value) not in (int, float):
        raise ValueError(f"must be a number, not {kind(value)}")
    if isinstance(value, float):
        if not math.isfinite(value):  # NaN, Infinity and 1e400 all arrive as floats
            raise ValueError("must be a finite number")
        if not column.get("integer"):
            return value
        if not value.is_integer():
            raise ValueError(f"must be a whole number, not {shown(value)}")
        value = int(value)
    if not -(2**63) <= value < 2**63:
        raise ValueError("is a whole number too large for 64 bits")
    return value


def number_array(cells: list[Any], column: dict[str, Any]) -> Any:
    if column.get("integer") and None not in cells:
        return np.array(cells, dtype=np.int64)
    return np.array([math.nan if cell is None else cell for cell in cells], dtype=np.float64)


def read_boolean(value: Any, _: dict[str, Any]) -> bool:
    if type(value) is not bool:
        raise ValueError(f"must be true or false, not {kind(value)}")
    return value


def boolean_array(cells: list[Any], _: dict[str, Any]) -> Any:
    return pd.array(cells, dtype="boolean")


ISO_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2})(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?", re.ASCII
)


def read_time(value: Any, _: dict[str, Any]) -> dt.datetime:
    """ISO 8601 text -> a time without a zone; one with an offset is turned into UTC, as in training."""
    if not isinstance(value, str):
        raise ValueError(f'must be a date as text such as "2024-01-31T08:00:00", not {kind(value)}')
    match = ISO_TIME.fullmatch(value)
    if match is None:
        raise ValueError('must be a date such as "2024-01-31" or "2024-01-31T08:00:00"')
    day, minute, second, fraction, zone = match.groups()
    try:
        time = dt.datetime.fromisoformat(f"{day}T{minute or '00:00'}:{second or '00'}")
        if zone not in (None, "Z"):
            time = time - dt.datetime.strptime(zone, "%z").utcoffset()  # type: ignore[operator]
    except (ValueError, OverflowError):
        raise ValueError("is not a date of the calendar") from None
    return time.replace(microsecond=int((fraction or ".0")[1:7].ljust(6, "0")))


def time_array(cells: list[Any], _: dict[str, Any]) -> Any:
    return np.array(cells, dtype="datetime64[us]")


def read_text(value: Any, _: dict[str, Any]) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {kind(value)}")
    if len(value) > MAX_TEXT:
        raise ValueError(f"is longer than {MAX_TEXT} characters")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("holds half of a surrogate pair, which is not text") from None
    return value


def text_array(cells: list[Any], _: dict[str, Any]) -> Any:
    return pd.array(cells, dtype="str")


TEXT: tuple[Callable[..., Any], Callable[..., Any]] = (read_text, text_array)
CONVERTERS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "numeric": (read_number, number_array),
    "boolean": (read_boolean, boolean_array),
    "datetime": (read_time, time_array),
}


def problem(row: int, column: str | None, text: str) -> dict[str, Any]:
    return {"row": row, "column": column, "problem": text}


def bad_rows(details: list[dict[str, Any]]) -> BadRequest:
    count = f"the first {MAX_PROBLEMS} problems" if len(details) == MAX_PROBLEMS else f"{len(details)} problem(s)"
    return BadRequest("bad_rows", f"{count} in the rows sent; details name row and column", details)


def kind(value: Any) -> str:
    """A JSON value's type in words."""
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), "null")


def shown(value: Any) -> str:
    """A value inside a message: short, and quoted as JSON."""
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


# ---- from the frame to an answer ----


def predict(frame: pd.DataFrame, method: str) -> list[Any]:
    """One entry a row: the list of its labels, or a probability for each label."""
    if method == "predict_proba":
        names = [class_name(label) for label in CLASSES]
        return [dict(zip(names, row, strict=True)) for row in np.asarray(model.predict_proba(frame)).tolist()]
    found = model.predict(frame)
    return [[label.item() if isinstance(label, np.generic) else label for label in labels] for labels in found]


def class_name(label: Any) -> str:
    """A label as a key of a JSON object."""
    return label if isinstance(label, str) else json.dumps(label)


def reply(document: dict[str, Any], status: int = 200) -> AMLResponse:
    """A JSON answer; NaN in it raises ValueError, since it is not JSON."""
    return AMLResponse(json.dumps(document, allow_nan=False), status, {"Content-Type": "application/json"})


@input_schema("data", StandardPythonParameterType([sample_row()]), convert_to_provided_type=False, optional=True)
@input_schema(
    "Inputs", StandardPythonParameterType({"data": [sample_row()]}), convert_to_provided_type=False, optional=True
)
@input_schema(
    "GlobalParameters",
    StandardPythonParameterType({"method": METHODS[0]}),
    convert_to_provided_type=False,
    optional=True,
)
@input_schema(
    "input_data",
    StandardPythonParameterType({"columns": list(sample_row()), "index": [0], "data": [[]]}),
    convert_to_provided_type=False,
    optional=True,
)
@output_schema(StandardPythonParameterType({"Results": [CLASSES[:1]]}))
def run(data: Any = None, Inputs: Any = None, GlobalParameters: Any = None, input_data: Any = None) -> AMLResponse:
    """Answer one request. The parameters are the keys of its body."""
    try:
        check_body()
        method = read_method(GlobalParameters)
        frame = to_frame(read_rows(data, Inputs, input_data))
        return reply({"Results": predict(frame, method)})
    except BadRequest as error:
        return reply(error.document, 400)
    except TimeoutError:  # SCORING_TIMEOUT_MS has passed: the server raised this, and answers it
        raise
    except Exception:
        request_id = flask.g.get("request_id", "") if flask.has_app_context() else ""
        logger.exception("request %s failed", request_id)
        message = f"the service failed; its log says more about request {request_id}"
        return reply({"error": {"code": "internal", "message": message, "details": []}}, 500)
