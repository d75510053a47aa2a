"""The interface of a scoring folder as an OpenAPI 3.1 document, made from the model's schema.

3.1 and not 3.0, since only it can say what the values of a list are by their place: a row of `input_data`.
"""

from __future__ import annotations

import json
from typing import Any

from scoring import requests
from scoring.schema import ColumnSchema, ModelSchema

MAX_LISTED = 100  # labels that are named one by one
ISO_TIME = (
    "^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    "([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$"
)
# What is answered beside 200, by score.py, by wsgi.py before it, or by the inference server between them.
REFUSALS: dict[int, tuple[str, dict[str, str]]] = {
    400: (
        "The request does not fit; details name row and column where rows are at fault.",
        {
            "bad_rows": "rows hold values, or have columns, that the model can't take",
            "no_rows": "there is no row",
            "too_many_rows": f"there are more than {requests.MAX_ROWS} rows",
            "bad_form": "it has none of the three forms, or several",
            "bad_ids": "ids, or the index, are not one text or number a row",
            "bad_parameters": "GlobalParameters has a key that is none",
            "bad_method": "there is no such method",
            "repeated_key": "a key stands twice in one object",
            "unknown_key": "there is a key that is not part of a request",
            "bad_body": "the body is empty, cut short or not a JSON object",
            "not_utf8": "the body is not UTF-8",
            "too_deep": "the body nests too deep",
            "number_too_long": "a number has a thousand digits or more",
        },
    ),
    401: ("The service asks for a key, and none of its own was shown.", {"no_key": "send Authorization: Bearer KEY"}),
    405: ("Another method than POST.", {"method_not_allowed": "POST is what this address takes"}),
    413: ("The body is too large.", {"body_too_large": "send fewer rows"}),
    415: (
        "The body is not JSON as it is.",
        {"not_json": "Content-Type is not application/json", "compressed": "there is a Content-Encoding"},
    ),
    431: ("A request id in a header is longer than 100 characters.", {"header_too_long": "shorten it"}),
    500: (
        "The service failed; its log says more under the id in x-request-id.",
        {"internal": "a fault of the service", "timeout": "SCORING_TIMEOUT_MS has passed"},
    ),
}
FORECAST_REFUSALS = {
    "bad_quantiles": "quantiles are not numbers between 0 and 1",
    "no_quantiles": "the model has no quantiles",
}


def document(schema: ModelSchema, title: str, version: str) -> dict[str, Any]:
    """The whole document: `POST /score` with its three forms, answers and errors; health; the documents themselves."""
    score = {
        "operationId": "score",
        "summary": _summary(schema),
        "security": [{}, {"key": []}],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"oneOf": [_ref("Data"), _ref("Inputs"), _ref("InputData")]},
                    "examples": {name: {"value": value} for name, value in _examples(schema).items()},
                }
            },
        },
        "responses": {
            "200": _response("One result a row, in the order of the rows.", "Answer", {"x-model-version"}),
            **{str(status): _refusal(schema, status) for status in REFUSALS},
        },
    }
    described = {"application/json": {"schema": {"type": "object"}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": {
            "/": {"get": _get("health", "It is up.", {"text/html": {"schema": {"const": "Healthy"}}})},
            "/openapi.json": {"get": _get("openapi", "This document.", described)},
            "/swagger.json": {"get": _get("swagger", "The inference server's own, less exact document.", described)},
            "/score": {"post": score},
        },
        "components": {"headers": HEADERS, "schemas": _schemas(schema), "securitySchemes": SECURITY},
    }


SECURITY = {
    "key": {"type": "http", "scheme": "bearer", "description": "One of two keys, where the service asks for one."}
}
HEADERS = {
    "x-model-version": {
        "description": "The version of the model that answered, percent-encoded.",
        "schema": {"type": "string"},
    },
    "x-request-id": {
        "description": "The request's own x-request-id, or one made for it; the log has it too.",
        "schema": {"type": "string"},
    },
    "x-ms-request-id": {
        "description": "The client's x-ms-request-id or x-ms-client-request-id, else as x-request-id.",
        "schema": {"type": "string"},
    },
    "Allow": {"description": "The methods that the address takes.", "schema": {"type": "string"}},
}


def _schemas(schema: ModelSchema) -> dict[str, Any]:
    row = requests.sample_row(schema)
    columns = {column.name: _column(column) for column in schema.columns}
    if schema.history is not None:
        columns[schema.target] = {
            **_column(schema.history),
            "description": "recent history; null or left out in the rows to forecast",
        }
    rows = {"type": "array", "minItems": 1, "maxItems": requests.MAX_ROWS, "items": _ref("Row")}
    details = {"type": "array", "items": _ref("Problem"), "maxItems": requests.MAX_PROBLEMS}
    codes = sorted({code for status in REFUSALS for code in _codes(schema, status)})
    error = {"code": {"type": "string", "enum": codes}, "message": {"type": "string"}, "details": details}
    answer = _object({"Results": {"type": "array", "items": _result(schema)}})
    answer["properties"]["ids"] = {**_ids(), "description": "as they were sent; not there where none were"}
    return {
        "Row": {
            "type": "object",
            "required": list(row),
            "additionalProperties": False,
            "properties": columns,
            "examples": [row],
        },
        "Parameters": {"type": "object", "additionalProperties": False, "properties": _parameters(schema)},
        "Data": _form("data", rows, ids=True),
        "Inputs": _form("Inputs", _object({"data": rows}), ids=True),
        "InputData": _form("input_data", _split(columns, list(row)), ids=False),
        "Answer": answer,
        "Error": _object({"error": _object(error)}),
        "Problem": _object(
            {
                "row": {"type": "integer", "minimum": 0, "description": "the first row is 0"},
                "column": {"type": ["string", "null"], "description": "null where no single column is at fault"},
                "problem": {"type": "string"},
            }
        ),
    }


def _split(columns: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """The content of `input_data`. Columns may come in any order; described is the model's own."""
    variants = [required]
    others = [name for name, column in columns.items() if name not in required and "type" in column]
    if others:  # of a forecast: what is not known ahead, and recent history
        variants.append([*required, *others])
    described = []
    for names in variants:
        size = {"type": "array", "minItems": len(names), "maxItems": len(names)}
        cells = {**size, "prefixItems": [columns[name] for name in names], "items": False}
        described.append(
            {
                "type": "object",
                "required": ["columns", "data"],
                "additionalProperties": False,
                "description": "A row has the values of `columns` in their order; another order of both is taken too.",
                "properties": {
                    "columns": {"const": names},
                    "index": {**_ids(), "description": "one for each row; the answer gives them back as `ids`"},
                    "data": {"type": "array", "minItems": 1, "maxItems": requests.MAX_ROWS, "items": cells},
                },
            }
        )
    return described[0] if len(described) == 1 else {"oneOf": described}


def _parameters(schema: ModelSchema) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "method": {"type": "string", "enum": list(schema.methods), "default": schema.methods[0]}
    }
    if schema.forecasts:
        parameters["quantiles"] = {
            "type": "array",
            "items": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            "maxItems": requests.MAX_QUANTILES,
            "uniqueItems": True,
            "examples": [[0.1, 0.9]],
        }
    return parameters


def example(document: bytes) -> bytes | None:
    """The first request that a served document shows of `POST /score`; None where it shows none."""
    try:
        asked = json.loads(document)["paths"]["/score"]["post"]["requestBody"]
        content = asked["content"]["application/json"]
        found = next(iter(content["examples"].values()))["value"] if "examples" in content else content["example"]
    except (ValueError, LookupError, TypeError, AttributeError, StopIteration):
        return None
    return json.dumps(found).encode()


def _examples(schema: ModelSchema) -> dict[str, Any]:
    """Requests by name, one of each form and what else can be asked."""
    row = requests.sample_row(schema)
    found = {form: requests.request(form, [row]) for form in requests.FORMS}
    found["ids"] = {**requests.request("data", [row]), "ids": ["row 1"]}
    if schema.forecasts:
        found["quantiles"] = requests.request("data", [row], "forecast", [0.1, 0.9])
    elif "predict_proba" in schema.methods:
        found["probabilities"] = requests.request("data", [row], "predict_proba")
    return found


def _summary(schema: ModelSchema) -> str:
    if schema.forecasts:
        return "Forecast each row without a target; rows with one are recent history."
    if schema.multilabel:
        return "Predict the labels, or a probability for each label, of each row."
    return "Predict a label or number, or probabilities, for each row."


def _column(column: ColumnSchema) -> dict[str, Any]:
    """One column as a JSON schema. Ranges and categories of the training data are told, not enforced."""
    if not column.used:
        return {"description": f"{column.type}; may be sent, is ignored"}
    seen = [value for value in (column.minimum, column.maximum) if isinstance(value, int | float)]
    most = float(max([requests.MAX_NUMBER, *map(abs, seen)]))
    kinds: dict[str, dict[str, Any]] = {
        "numeric": {"type": "integer", "format": "int64", "minimum": -(2**63), "maximum": 2**63 - 1}
        if column.integer
        else {"type": "number", "format": "double", "minimum": -most, "maximum": most},
        "boolean": {"type": "boolean"},
        "datetime": {
            "type": "string",
            "pattern": ISO_TIME,
            "description": "ISO 8601; midnight with an offset is that day, another time with one is turned into UTC"
            if column.days
            else "ISO 8601; a time with an offset is turned into UTC",
        },
    }
    found = kinds.get(column.type, {"type": "string", "maxLength": requests.MAX_TEXT})
    found = {
        **found,
        "type": [found["type"], "null"] if column.nulls else found["type"],
        "examples": [requests.sample_value(column)],
    }
    if column.minimum is not None and column.maximum is not None:
        found["x-training-range"] = [column.minimum, column.maximum]
    if column.values:
        found["x-training-values"] = list(column.values)
    return found


def _result(schema: ModelSchema) -> dict[str, Any]:
    """One entry of the answer: what the default method gives, or the other one."""
    number = {"type": "number"}
    if schema.forecasts:
        quantiles = {"type": "object", "additionalProperties": number, "examples": [{"0.1": 8.5, "0.9": 11.5}]}
        return {"oneOf": [number, _object({"forecast": number, "quantiles": quantiles})]}
    if not (schema.classifies or schema.multilabel):
        return number
    label: dict[str, Any] = {"type": schema.target_type}
    chance = {"type": "number", "minimum": 0, "maximum": 1}
    chances: dict[str, Any] = {"type": "object", "additionalProperties": chance}
    if schema.classes and len(schema.classes) <= MAX_LISTED:
        label["enum"] = list(schema.classes)
        names = [label if isinstance(label, str) else json.dumps(label) for label in schema.classes]
        chances = _object(dict.fromkeys(names, chance))
    labels = {"type": "array", "items": label, "uniqueItems": True} if schema.multilabel else label
    return {"oneOf": [labels, chances]} if "predict_proba" in schema.methods else labels


def _ids() -> dict[str, Any]:
    one = {"type": ["string", "number"], "maxLength": requests.MAX_ID}
    return {"type": "array", "items": one, "minItems": 1, "maxItems": requests.MAX_ROWS}


def _form(key: str, content: dict[str, Any], *, ids: bool) -> dict[str, Any]:
    form = _object({key: content})
    form["properties"]["GlobalParameters"] = _ref("Parameters")
    if ids:
        form["properties"]["ids"] = {**_ids(), "description": "one for each row; they come back with the answer"}
    return form


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "additionalProperties": False, "properties": properties}


def _codes(schema: ModelSchema, status: int) -> dict[str, str]:
    return {**REFUSALS[status][1], **(FORECAST_REFUSALS if status == 400 and schema.forecasts else {})}


def _refusal(schema: ModelSchema, status: int) -> dict[str, Any]:
    codes = _codes(schema, status)
    listed = "\n".join(f"- `{code}`: {meaning}" for code, meaning in codes.items())
    response = _response(f"{REFUSALS[status][0]}\n\n{listed}", "Error", {"Allow"} if status == 405 else set())
    code, meaning = next(iter(codes.items()))
    details = []
    if status == 400:
        column = schema.required[0].name
        details, meaning = [{"row": 0, "column": column, "problem": "is missing"}], "1 problem(s) in the rows sent"
    response["content"]["application/json"]["example"] = {
        "error": {"code": code, "message": meaning, "details": details}
    }
    return response


def _response(description: str, name: str, headers: set[str]) -> dict[str, Any]:
    named = sorted({"x-request-id", "x-ms-request-id", *headers})
    return {
        "description": description,
        "headers": {header: {"$ref": f"#/components/headers/{header}"} for header in named},
        "content": {"application/json": {"schema": _ref(name)}},
    }


def _get(name: str, description: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"operationId": name, "responses": {"200": {"description": description, "content": content}}}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
