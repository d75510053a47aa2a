"""Any row of the schema comes back as the pipeline predicts it; any other request is refused or answered rightly."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scoring import requests
from tests import scoring_fuzz, scoring_models
from tests.scoring_fuzz import Oracle, Progress

EXAMPLES = int(os.environ.get("FORESTAY_FUZZ_EXAMPLES", "150"))
KINDS = ("bank", "regression", "forecasting", "multilabel")
quiet = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@pytest.fixture(scope="module", params=KINDS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Oracle, ModuleType]:
    outputs = getattr(scoring_models, request.param)(tmp_path_factory.mktemp(request.param)).path
    module = scoring_models.load_score(outputs)
    module.init()
    return Oracle(outputs), module


@pytest.fixture
def progress(request: pytest.FixtureRequest) -> Progress:
    valid = "valid" in request.node.name
    return Progress(request.node.name, EXAMPLES // 4 if valid else EXAMPLES)


def ask(module: ModuleType, document: Any) -> Any:
    """As the server does: a body that is no object never gets to run(), and keys that it does not know are dropped."""
    return module.run(**{key: value for key, value in document.items() if key in scoring_fuzz.KEYS})


@settings(quiet, max_examples=EXAMPLES // 4)
@given(data=st.data())
def test_valid_rows_come_back_through_every_form(
    served: tuple[Oracle, ModuleType], progress: Progress, data: st.DataObject
) -> None:
    progress.one()
    oracle, module = served
    document = data.draw(scoring_fuzz.valid(oracle, "data"))
    chosen = document.get("GlobalParameters", {})
    bodies = set()
    for form in requests.FORMS:
        sent = requests.request(form, document["data"], chosen.get("method", "predict"), chosen.get("quantiles", ()))
        answer = ask(module, json.loads(json.dumps(sent)))
        assert answer.status == 200, answer.body
        assert scoring_fuzz.agrees(oracle.answer(sent), answer.json["Results"])
        bodies.add(json.dumps(answer.json["Results"]))
    assert len(bodies) == 1


@settings(quiet, max_examples=EXAMPLES)
@given(data=st.data())
def test_a_mutated_request_is_refused_or_rightly_answered(
    served: tuple[Oracle, ModuleType], progress: Progress, data: st.DataObject
) -> None:
    progress.one()
    oracle, module = served
    document = {
        key: value for key, value in data.draw(scoring_fuzz.mutated(oracle)).items() if key in scoring_fuzz.KEYS
    }
    answer = ask(module, document)
    if answer.status == 200:
        assert scoring_fuzz.agrees(oracle.answer(document), answer.json["Results"])
    else:
        assert answer.status == 400, answer.body
        assert answer.json["error"]["message"]


def test_the_oracle_tells_right_from_wrong(tmp_path: Path) -> None:
    oracle = Oracle(scoring_models.bank(tmp_path).path)
    row = requests.sample_row(oracle.schema)
    assert scoring_fuzz.agrees(oracle.answer({"data": [row]}), ["yes"])
    assert not scoring_fuzz.agrees(oracle.answer({"data": [row]}), ["no"])
    assert oracle.answer({"data": [{**row, "age": 3.7}]}) is None
    assert oracle.answer({"data": [{**row, "active": "false"}]}) is None
    assert oracle.answer({"data": [row], "input_data": {"columns": [], "data": []}}) is None
