"""Entry script for Azure ML's inference server that serves the MLflow model in `model/` as a no-code deployment does.

A managed endpoint that is given an MLflow model brings a script like this one; here it serves the same model on this
machine and in an image, with a 400 for rows that do not fit.

    {"input_data": {"columns": [...], "index": [...], "data": [[...], ...]}, "params": {"method": "predict"}}

The answer is a list, one entry a row. `params` may be left out.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import flask
import mlflow.pyfunc
import pandas as pd
from azureml_inference_server_http.api.aml_response import AMLResponse
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema
from mlflow.exceptions import MlflowException
from mlflow.models import Model

ROOT = Path(os.environ.get("AZUREML_MODEL_DIR") or Path(__file__).parent / "model")
FOLDER = next(ROOT.rglob("MLmodel")).parent  # Azure puts a model's folder one level below
EXAMPLE = json.loads((FOLDER / "input_example.json").read_text(encoding="utf-8"))
INPUTS = Model.load(str(FOLDER)).signature.inputs
TYPES = dict(zip(INPUTS.input_names(), INPUTS.pandas_types()))
ROWS = PandasParameterType(
    pd.DataFrame(EXAMPLE["data"], columns=EXAMPLE["columns"]).astype(TYPES), enforce_shape=False, orient="split"
)
MAX_ROWS = 10_000
logger = logging.getLogger("azmlinfsrv.score")
model: Any = None


def init() -> None:
    """Load the model and answer the example, so that a model that can't answer never starts."""
    global model
    model = mlflow.pyfunc.load_model(str(FOLDER))
    model.predict(ROWS.sample_input)


def reply(document: Any, status: int = 200) -> AMLResponse:
    return AMLResponse(json.dumps(document, allow_nan=False), status, {"Content-Type": "application/json"})


def refusal(message: str) -> AMLResponse:
    return reply({"error": {"code": "bad_request", "message": message, "details": []}}, 400)


@input_schema("input_data", ROWS, convert_to_provided_type=False, optional=True)
@input_schema(
    "params", StandardPythonParameterType({"method": "predict"}), convert_to_provided_type=False, optional=True
)
@output_schema(StandardPythonParameterType([0.5]))
def run(input_data: Any = None, params: Any = None) -> AMLResponse:
    body = flask.request.get_json(silent=True) if flask.has_request_context() else {"input_data": input_data}
    if not isinstance(body, dict) or not {"input_data"} <= body.keys() <= {"input_data", "params"}:
        return refusal('the body must be {"input_data": {...}, "params": {...}}, where params may be left out')
    if not isinstance(input_data, dict) or input_data.keys() - {"index"} != {"columns", "data"}:
        return refusal('"input_data" must be an object with "columns", "index" and "data"')
    columns, data = input_data["columns"], input_data["data"]
    if not isinstance(columns, list) or set(map(str, columns)) != TYPES.keys() or len(columns) != len(TYPES):
        return refusal(f"columns must be these, in any order: {json.dumps(list(TYPES))}")
    if not isinstance(data, list) or not 0 < len(data) <= MAX_ROWS:
        return refusal(f'"data" must be a list of 1 to {MAX_ROWS} rows')
    if not all(isinstance(row, list) and len(row) == len(columns) for row in data):
        return refusal(f"each row must be a list of {len(columns)} values")
    if "index" in input_data and (not isinstance(input_data["index"], list) or len(input_data["index"]) != len(data)):
        return refusal('"index" must have one entry for each row')
    if params is not None and (not isinstance(params, dict) or params.keys() - {"method"}):
        return refusal('"params" takes "method" alone')
    try:  # as Azure's script reads it; rows get an index of their own, since theirs may name one twice
        split = {"columns": columns, "index": list(range(len(data))), "data": data}
        return reply(model.predict(ROWS.deserialize_input(split), params=params))
    except (MlflowException, ValueError, TypeError, OverflowError) as error:
        logger.exception("rows were refused")
        told = error.message if isinstance(error, MlflowException) else "a value does not fit its column"
        return refusal(told)
