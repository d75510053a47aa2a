"""The interface of a scoring folder as an OpenAPI 3.0 document, made from the model's schema."""

from __future__ import annotations

from typing import Any

from scoring import requests
from scoring.schema import ColumnSchema, ModelSchema


def document(schema: ModelSchema, title: str, version: str) -> dict[str, Any]:
    """The whole document: `GET /`, `POST /score`, the three forms of a request, the answer and the errors."""
    row = requests.sample_row(schema)
    columns = {column.name: _column(column) for column in schema.columns}
    parameters: dict[str, Any] = {
        "method": {"type": "string", "enum": list(schema.methods), "default": schema.methods[0]}
    }
    if schema.history is not None:
        columns[schema.target] = {
            **_column(schema.history),
            "description": "recent history; null or left out in the rows to forecast",
        }
        level = {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 1, "exclusiveMaximum": True}
        parameters["quantiles"] = {
            "type": "array",
            "items": level,
            "maxItems": requests.MAX_QUANTILES,
            "uniqueItems": True,
            "example": [0.1, 0.9],
        }
    rows = {"type": "array", "minItems": 1, "maxItems": requests.MAX_ROWS, "items": _ref("Row")}
    split = {
        "type": "object",
        "required": ["columns", "data"],
        "additionalProperties": False,
        "properties": {
            "columns": {"type": "array", "items": {"type": "string"}, "example": list(row)},
            "index": {"type": "array", "items": {}},
            "data": {"type": "array", "items": {"type": "array", "items": {}}, "example": [list(row.values())]},
        },
    }
    schemas = {
        "Row": {
            "type": "object",
            "required": list(row),
            "additionalProperties": False,
            "properties": columns,
            "example": row,
        },
        "Parameters": {
            "type": "object",
            "additionalProperties": False,
            "properties": parameters,
        },
        "Data": _form("data", rows),
        "Inputs": _form("Inputs", _object({"data": rows})),
        "InputData": _form("input_data", split),
        "Answer": _object({"Results": {"type": "array", "items": _result(schema)}}),
        "Error": _object(
            {
                "error": _object(
                    {
                        "code": {"type": "string"},
                        "message": {"type": "string"},
                        "details": {"type": "array", "items": _ref("Problem")},
                    }
                )
            }
        ),
        "Problem": _object(
            {
                "row": {"type": "integer", "minimum": 0},
                "column": {"type": "string", "nullable": True},
                "problem": {"type": "string"},
            }
        ),
    }
    score = {
        "operationId": "score",
        "summary": _summary(schema),
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"oneOf": [_ref("Data"), _ref("Inputs"), _ref("InputData")]},
                    "example": {"data": [row]},
                }
            },
        },
        "responses": {
            "200": _response("One result a row.", "Answer"),
            "400": _response("The request does not fit; details name row and column.", "Error"),
            "500": _response("The service failed; its log says more.", "Error"),
        },
    }
    health = {"description": "It is up.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {
        "openapi": "3.0.3",
        "info": {"title": title, "version": version},
        "paths": {
            "/": {"get": {"operationId": "health", "responses": {"200": health}}},
            "/score": {"post": score},
        },
        "components": {"schemas": schemas},
    }


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
    kinds: dict[str, dict[str, Any]] = {
        "numeric": {"type": "integer", "format": "int64"} if column.integer else {"type": "number", "format": "double"},
        "boolean": {"type": "boolean"},
        "datetime": {"type": "string", "description": "ISO 8601; a time with an offset is turned into UTC"},
    }
    found = {**kinds.get(column.type, {"type": "string"}), "nullable": True, "example": requests.sample_value(column)}
    if column.minimum is not None and column.maximum is not None:
        found["x-training-range"] = [column.minimum, column.maximum]
    if column.values:
        found["x-training-values"] = list(column.values)
    return found


def _result(schema: ModelSchema) -> dict[str, Any]:
    """One entry of the answer: what the default method gives, or the other one."""
    number = {"type": "number"}
    if schema.forecasts:
        quantiles = {"type": "object", "additionalProperties": number, "example": {"0.1": 8.5, "0.9": 11.5}}
        return {"oneOf": [number, _object({"forecast": number, "quantiles": quantiles})]}
    if not (schema.classifies or schema.multilabel):
        return number
    label: dict[str, Any] = {"type": schema.target_type}
    labels = {"type": "array", "items": label, "uniqueItems": True} if schema.multilabel else label
    chance = {"type": "number", "minimum": 0, "maximum": 1}
    return {"oneOf": [labels, {"type": "object", "additionalProperties": chance}]}


def _form(key: str, content: dict[str, Any]) -> dict[str, Any]:
    form = _object({key: content})
    form["properties"]["GlobalParameters"] = _ref("Parameters")
    return form


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "additionalProperties": False, "properties": properties}


def _response(description: str, name: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ref(name)}}}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
