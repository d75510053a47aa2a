"""Entry script for Azure ML's inference server, in its short form: `init()` loads the model, `run()` answers.

    {"data": [[number, ...], ...]}   ->   {"Results": [...]}, one entry a row

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
from azureml_inference_server_http.api.aml_response import AMLResponse
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

ROOT = Path(os.environ.get("AZUREML_MODEL_DIR") or Path(__file__).parent / "model")
FOLDER = next(ROOT.rglob("model_schema.json")).parent  # Azure puts a model's folder one level below
SCHEMA = json.loads((FOLDER / "model_schema.json").read_text(encoding="utf-8"))
COLUMNS = {column["name"]: column for column in SCHEMA["columns"] if column["used"]}
SAMPLE = json.loads((FOLDER / "sample.json").read_text(encoding="utf-8"))
MAX_ROWS = 10_000
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


def read(data: Any) -> np.ndarray:
    """Rows of numbers as an array; what is not a finite number is refused."""
    if not isinstance(data, list) or not 0 < len(data) <= MAX_ROWS:
        raise BadRequest(f'"data" must be a list of 1 to {MAX_ROWS} rows')
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(COLUMNS):
            raise BadRequest(f"row {number} must be a list of {len(COLUMNS)} numbers")
        for place, (value, column) in enumerate(zip(row, COLUMNS.values())):
            if not fits(value, column):
                raise BadRequest(f"row {number}, value {place}: must be a finite number")
    return np.array(data, dtype=np.float64)


def fits(value: Any, column: dict[str, Any]) -> bool:
    if value is None:
        return column.get("nulls", True)
    return type(value) in (int, float) and -1e300 < value < 1e300  # NaN is not between anything


def answer(rows: Any) -> list[Any]:
    """One prediction a row, as JSON can hold it."""
    return np.asarray(model.predict(rows)).tolist()


def reply(document: dict[str, Any], status: int = 200) -> AMLResponse:
    return AMLResponse(json.dumps(document, allow_nan=False), status, {"Content-Type": "application/json"})


def failure(status: int, code: str, message: str) -> AMLResponse:
    return reply({"error": {"code": code, "message": message, "details": []}}, status)


@input_schema("data", NumpyParameterType(np.array(SAMPLE)), convert_to_provided_type=False, optional=True)
@output_schema(StandardPythonParameterType({"Results": [0.5]}))
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
