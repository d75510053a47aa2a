"""Entry script for Azure ML's inference server, in its short form: `init()` loads the model, `run()` answers.

    {"data": [{column: value, ...}, ...]}   ->   {"Results": [...]}, one entry a row

A request that does not fit gets a 400 that says why. Columns and the sample lie beside the model.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import flask
import joblib
import numpy as np
import pandas as pd
from azureml_inference_server_http.api.aml_response import AMLResponse
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

ROOT = Path(os.environ.get("AZUREML_MODEL_DIR") or Path(__file__).parent / "model")
FOLDER = next(ROOT.rglob("model_schema.json")).parent  # Azure puts a model's folder one level below
SCHEMA = json.loads((FOLDER / "model_schema.json").read_text(encoding="utf-8"))
COLUMNS = {column["name"]: column for column in SCHEMA["columns"] if column["used"]}
IGNORED = {column["name"] for column in SCHEMA["columns"]} - COLUMNS.keys()  # may be sent
SAMPLE = json.loads((FOLDER / "sample.json").read_text(encoding="utf-8"))
MAX_ROWS = 10_000
MAX_TEXT = 100_000
logger = logging.getLogger("azmlinfsrv.score")
model: Any = None


class BadRequest(Exception):
    """What is wrong with a request."""


def init() -> None:
    """Load the model and answer the sample, so that a model that can't answer never starts."""
    global model
    for name, expected in SCHEMA["files"].items():
        if hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() != expected:
            raise RuntimeError(f"{name} is not the file that was recorded")
    sys.path.insert(0, str(FOLDER))  # model.pkl may refer to modules that lie beside it
    model = joblib.load(FOLDER / "model.pkl")
    answer(read(SAMPLE))


def read(data: Any) -> pd.DataFrame:
    """Rows as a frame of the model's columns; a value that does not fit its column is refused, not converted."""
    if not isinstance(data, list) or not 0 < len(data) <= MAX_ROWS:
        raise BadRequest(f'"data" must be a list of 1 to {MAX_ROWS} rows')
    for number, row in enumerate(data):
        if not isinstance(row, dict) or row.keys() - IGNORED != COLUMNS.keys():
            raise BadRequest(f"row {number} must be an object of exactly these columns: {json.dumps(list(COLUMNS))}")
        for name, column in COLUMNS.items():
            if not fits(row[name], column):
                raise BadRequest(f"row {number}, column {json.dumps(name)}: does not take {json.dumps(row[name])[:60]}")
    found = {name: to_column([row[name] for row in data], column) for name, column in COLUMNS.items()}
    return pd.DataFrame(found)


def fits(value: Any, column: dict[str, Any]) -> bool:
    if value is None:
        return column.get("nulls", True)
    if column["type"] == "numeric":
        if type(value) is int:
            return -(2**63) <= value < 2**63
        return type(value) is float and abs(value) < 1e300 and (value.is_integer() or not column.get("integer"))
    if column["type"] == "boolean":
        return type(value) is bool
    return isinstance(value, str) and len(value) < MAX_TEXT and value == value.encode("utf-8", "ignore").decode()


def to_column(values: list[Any], column: dict[str, Any]) -> Any:
    if column["type"] == "numeric":
        whole = column.get("integer") and None not in values
        return np.array(values, dtype=np.int64 if whole else np.float64)
    if column["type"] == "boolean":
        return pd.array(values, dtype="boolean")
    return pd.Series(values, dtype="str" if pd.__version__ >= "3" else "object")  # before, "str" made words of null


def answer(rows: Any) -> list[Any]:
    """One prediction a row, as JSON can hold it."""
    return [np.asarray(labels).tolist() for labels in model.predict(rows)]


def reply(document: dict[str, Any], status: int = 200) -> AMLResponse:
    return AMLResponse(json.dumps(document, allow_nan=False), status, {"Content-Type": "application/json"})


def failure(status: int, code: str, message: str) -> AMLResponse:
    return reply({"error": {"code": code, "message": message, "details": []}}, status)


@input_schema("data", PandasParameterType(pd.DataFrame(SAMPLE)), convert_to_provided_type=False, optional=True)
@output_schema(StandardPythonParameterType({"Results": [SCHEMA["classes"][:1]]}))
def run(data: Any = None) -> AMLResponse:
    try:
        body = flask.request.get_json(silent=True) if flask.has_request_context() else {"data": data}
        if not isinstance(body, dict) or body.keys() != {"data"}:
            raise BadRequest('the body must be {"data": [...]} and nothing else')
        rows = read(data)
    except BadRequest as error:
        return failure(400, "bad_request", str(error))
    try:
        results = answer(rows)
    except ValueError:  # it answered the sample: these rows are at fault, such as a category that it never saw
        logger.exception("the model refuses these rows")
        return failure(400, "refused_by_model", "the model can't answer these rows; the service's log says why")
    return reply({"Results": results})
