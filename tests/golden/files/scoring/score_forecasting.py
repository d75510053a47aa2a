"""Entry script for Azure ML's inference server: answers with the forecasting model in `model/`.

The server imports this file, calls `init()` once and `run()` for every POST to /score. Column names, types and labels
come from `model_schema.json`, which lies beside the model; scoring_input.py, beside this file, makes rows of requests.
Three forms of a request are taken:

    {"data": [{column: value, ...}, ...]}
    {"Inputs": {"data": [...]}, "GlobalParameters": {"method": "forecast", "quantiles": [0.1, 0.9]}}
    {"input_data": {"columns": [...], "index": [...], "data": [[...], ...]}}

A row is one period of one series: its time, the series' ids, and the features that are known ahead. A row that also has
the target is recent history, from which its series goes on; a row without it, or with null, is forecast. Rows may stand
in any order.

Beside the first two `"ids": [...]` may stand, one for each row; they come back with the answer, as the index of the
third form does. A request that does not fit gets a 400 that lists every problem.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import urllib.parse
from pathlib import Path
from typing import Any

import flask
import joblib
import pandas as pd
from azureml_inference_server_http.api.aml_response import AMLResponse
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # for scoring_input.py, wherever the folder was copied to

import scoring_input  # noqa: E402
from scoring_input import BadRequest, RequestReader  # noqa: E402

METHODS = ("forecast", "predict")  # two names of the same
MODEL_FOLDER = scoring_input.find_model_folder(Path(__file__))
SCHEMA: dict[str, Any] = json.loads((MODEL_FOLDER / "model_schema.json").read_text(encoding="utf-8"))
SERVICE: dict[str, str] = json.loads((HERE / "service.json").read_text(encoding="utf-8"))
HEADERS = {
    "Content-Type": "application/json",
    "x-model-version": urllib.parse.quote(SERVICE["version"], safe=""),
}

logger = logging.getLogger("azmlinfsrv.score")
reader = RequestReader(SCHEMA)
model: Any = None  # the fitted pipeline, once init() has run


def init() -> None:
    """Load the model and predict one row with it, so that a model that can't answer never starts."""
    global model
    for name, expected in SCHEMA["files"].items():
        found = hashlib.sha256((MODEL_FOLDER / name).read_bytes()).hexdigest()  # Python 3.10 has no file_digest
        if found != expected:
            raise RuntimeError(f"{name} is not the file that was recorded: sha256 {found}, not {expected}")
    sys.path.insert(0, str(MODEL_FOLDER))  # the model's own modules lie beside it
    model = joblib.load(MODEL_FOLDER / "model.pkl")
    predict(reader.to_frame([reader.sample_row()]), [] if model.spread is None else [0.5])


def predict(frame: pd.DataFrame, quantiles: list[float]) -> list[Any]:
    """One entry a row, in the order of the rows: the forecast, or what was sent where the row has the target.

    With quantiles it is an object: `{"forecast": ..., "quantiles": {"0.1": ..., "0.9": ...}}`.
    """
    try:
        found = model.forecast(frame, quantiles=quantiles)
    except ValueError as error:
        details = getattr(error, "details", None)  # a ForecastInputError of the module beside the model has them
        if details is None:
            raise
        listed = [scoring_input.problem(*detail) for detail in details[: scoring_input.MAX_PROBLEMS]]
        raise scoring_input.bad_rows(listed) from None
    rows = found.to_numpy(dtype="float64").tolist()
    if not quantiles:
        return [value for [value] in rows]
    names = [json.dumps(level) for level in quantiles]
    return [{"forecast": value, "quantiles": dict(zip(names, levels))} for value, *levels in rows]


def results(predictions: list[Any], ids: list[Any] | None) -> dict[str, Any]:
    """The document of an answer; ids stand in it where they were sent."""
    return {"Results": predictions} if ids is None else {"Results": predictions, "ids": ids}


def reply(document: dict[str, Any], status: int = 200) -> AMLResponse:
    """A JSON answer; NaN in it raises ValueError, since it is not JSON."""
    return AMLResponse(json.dumps(document, allow_nan=False), status, HEADERS)


def read_quantiles(parameters: Any) -> list[float]:
    scoring_input.read_method(parameters, METHODS, "quantiles")
    quantiles = scoring_input.read_quantiles(parameters)
    if quantiles and model.spread is None:
        raise BadRequest("no_quantiles", "this model was trained without a backtest: it has no quantiles")
    return quantiles


@input_schema("data", StandardPythonParameterType([reader.sample_row()]), convert_to_provided_type=False, optional=True)
@input_schema(
    "Inputs",
    StandardPythonParameterType({"data": [reader.sample_row()]}),
    convert_to_provided_type=False,
    optional=True,
)
@input_schema(
    "GlobalParameters",
    StandardPythonParameterType({"method": METHODS[0], "quantiles": [0.1, 0.9]}),
    convert_to_provided_type=False,
    optional=True,
)
@input_schema(
    "input_data",
    StandardPythonParameterType({"columns": list(reader.sample_row()), "index": [0], "data": [[]]}),
    convert_to_provided_type=False,
    optional=True,
)
@input_schema("ids", StandardPythonParameterType(["row 1"]), convert_to_provided_type=False, optional=True)
@output_schema(StandardPythonParameterType({"Results": [0.5]}))
def run(
    data: Any = None, Inputs: Any = None, GlobalParameters: Any = None, input_data: Any = None, ids: Any = None
) -> AMLResponse:
    """Answer one request. The parameters are the keys of its body."""
    try:
        posted = flask.has_request_context() and flask.request.method == "POST"
        sent = scoring_input.sent_document(flask.request) if posted else None
        if sent is not None:  # parsed by wsgi.py, which gives the server an empty one
            data, Inputs, input_data, ids = (sent.get(key) for key in ("data", "Inputs", "input_data", "ids"))
            GlobalParameters = sent.get("GlobalParameters")
        quantiles = read_quantiles(GlobalParameters)
        rows, names = reader.read_rows(data, Inputs, input_data, ids)
        return reply(results(predict(reader.to_frame(rows), quantiles), names))
    except BadRequest as error:
        return reply(error.document, 400)
    except TimeoutError:  # SCORING_TIMEOUT_MS has passed: the server raised this, and answers it
        raise
    except Exception:
        request_id = flask.g.get("request_id", "") if flask.has_app_context() else ""
        logger.exception("request %s failed", request_id)
        message = f"the service failed; its log says more about request {request_id}"
        return reply({"error": {"code": "internal", "message": message, "details": []}}, 500)
