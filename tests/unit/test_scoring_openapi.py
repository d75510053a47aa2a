"""openapi.json: it is a valid document, takes what score.py takes, and refuses what score.py refuses."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

import templates
from scoring import openapi, requests
from scoring.schema import ModelSchema, read_golden, read_schema
from tests import scoring_models

MODELS: dict[str, Callable[[Path], scoring_models.Model]] = {
    "classification": scoring_models.bank,
    "numbers": lambda folder: scoring_models.bank(folder, [3, 7]),
    "regression": scoring_models.regression,
    "multilabel": scoring_models.multilabel,
    "forecasting": scoring_models.forecasting,
    "hostile": scoring_models.hostile,
}


class Served:
    """A model's score.py, and its interface."""

    def __init__(self, outputs: Path) -> None:
        self.outputs = outputs
        self.schema: ModelSchema = read_schema(outputs)
        self.document = openapi.document(self.schema, "Model", "1")
        self.score: ModuleType = scoring_models.load_score(outputs)
        self.score.init()

    def fits(self, name: str, value: Any) -> bool:
        schema = {"$ref": f"#/components/schemas/{name}", "components": self.document["components"]}
        return bool(jsonschema.Draft202012Validator(schema).is_valid(value))

    def request_fits(self, body: Any) -> bool:
        return sum(self.fits(form, body) for form in ("Data", "Inputs", "InputData")) == 1


@pytest.fixture(scope="module", params=MODELS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Served:
    return Served(MODELS[request.param](tmp_path_factory.mktemp("model")).path)


def test_the_document_is_valid(served: Served) -> None:
    OpenAPIV31SpecValidator(json.loads(json.dumps(served.document))).validate()


def test_requests_that_are_answered_fit(served: Served) -> None:
    golden = read_golden(served.outputs)
    content = served.document["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]
    bodies = [example["value"] for example in content["examples"].values()]
    assert len(bodies) >= 4
    bodies += [requests.request(form, golden.rows) for form in ("data", "Inputs")]
    for body in bodies:
        assert served.request_fits(body), body
        answer = served.score.run(**body)
        assert answer.status == 200, answer.body
        assert served.fits("Answer", answer.json), answer.body
        assert answer.json.get("ids") == body.get("ids", body.get("input_data", {}).get("index"))


def test_requests_that_are_refused_do_not_fit(served: Served) -> None:
    """But for what no schema can say: which days there are, which times and series a forecast has, and two lengths."""
    beyond = {
        "datetime column, no such day",
        "fewer ids than rows",
        "index longer than data",
        "numeric column, 2**70",  # a whole number beyond 64 bits, where fractions are taken
    }
    unreadable = {bad.what for bad in requests.unreadable({})}
    for bad in requests.bad_requests(served.schema):
        if bad.what in unreadable or (served.schema.forecasts and bad.column in ("day", "store")):
            continue
        body = json.loads(bad.body)
        answer = None if body.keys() - served.score.scoring_input.KEYS else served.score.run(**body)
        assert answer is None or (answer.status == 400 and served.fits("Error", answer.json)), bad.what
        finite = not any(word in bad.what for word in ("NaN", "surrogate"))
        assert not (finite and bad.what not in beyond and served.request_fits(body)), bad.what


MODULES = ("input", "cells")


def test_limits_are_those_of_the_folder() -> None:
    modules = [ast.parse((templates.FOLDER / "scoring" / f"scoring_{name}.py").read_text()) for name in MODULES]
    limits = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in [node for module in modules for node in module.body]
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id[:4] == "MAX_"
    }
    ours = {name: value for name, value in vars(requests).items() if name.startswith("MAX_")}
    assert len(ours) == 6
    assert {name: limits[name] for name in ours} == ours


def test_every_code_that_is_answered_is_described() -> None:
    described = {code for _, codes in openapi.REFUSALS.values() for code in codes} | set(openapi.FORECAST_REFUSALS)
    used = set()
    for name in ("scoring_input.py", "scoring_cells.py", "wsgi.py"):
        for node in ast.walk(ast.parse((templates.FOLDER / "scoring" / name).read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                place = {"BadRequest": 0, "Refused": 1, "error": 0}.get(node.func.id)
                if place is not None and isinstance(node.args[place], ast.Constant):
                    used.add(node.args[place].value)
    assert len(used) > 15
    assert used <= described
