"""The interface of a scoring folder of any style: openapi.py has that of the full score.py, others take less."""

from __future__ import annotations

from typing import Any

from scoring import openapi, requests, styles
from scoring.schema import ModelSchema
from scoring.styles import Style


def document(schema: ModelSchema, title: str, version: str, style: Style) -> dict[str, Any]:
    """The whole document, with the forms of a request and the answers of one style."""
    asked = schema.model_copy(update={"probabilities": "predict_proba" in style.methods})
    found = openapi.document(asked, title, version)
    if style.name == styles.AZUREML:
        return found
    schemas = found["components"]["schemas"]
    split, rows = schemas["InputData"]["properties"]["input_data"], schemas["Data"]["properties"]["data"]
    for name in ("Inputs", "InputData", "Data", "Parameters"):
        del schemas[name]
    if style.name == styles.MLFLOW:
        method = {"type": "string", "enum": list(style.methods), "default": style.methods[0]}
        params = {"type": "object", "additionalProperties": False, "properties": {"method": method}}
        request = _object({"input_data": split}) | {"properties": {"input_data": split, "params": params}}
        schemas["Answer"] = schemas["Answer"]["properties"]["Results"]
    else:
        if style.forms[0] == requests.ARRAY:
            cells = [schemas["Row"]["properties"][column.name] for column in schema.used]
            size = {"minItems": len(cells), "maxItems": len(cells)}
            rows = {**rows, "items": {"type": "array", **size, "prefixItems": cells, "items": False}}
            del schemas["Row"]
        request = _object({"data": rows})
        schemas["Answer"] = _object({"Results": schemas["Answer"]["properties"]["Results"]})
    codes = schemas["Error"]["properties"]["error"]["properties"]["code"]["enum"]
    codes += [code for code in ("bad_request", "refused_by_model") if code not in codes]
    schemas["Request"] = request
    post = found["paths"]["/score"]["post"]
    del post["responses"]["200"]["headers"]["x-model-version"]
    content = post["requestBody"]["content"]["application/json"]
    content["schema"] = {"$ref": "#/components/schemas/Request"}
    content["examples"] = {"sample": {"value": styles.sample(style, schema)}}
    return found


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "additionalProperties": False, "properties": properties}
