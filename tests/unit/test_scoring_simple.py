"""The short form of score.py: what it answers, and that what it can't answer gets a 400."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import joblib
import pandas as pd
import pytest

from forestay.errors import InputError
from scoring import checks, openapi_styles, requests, styles
from scoring.schema import read_golden, read_schema
from tests import scoring_models

KINDS = {
    "frame": scoring_models.bank,
    "hostile": scoring_models.hostile,
    "numbers": scoring_models.plain_arrays,
    "labels": scoring_models.multilabel,
}


@pytest.fixture(scope="module", params=KINDS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModuleType]:
    """A model's folder and its score.py, started."""
    outputs = KINDS[request.param](tmp_path_factory.mktemp(request.param)).path
    module = scoring_models.load_score(outputs, "simple")
    module.init()
    return outputs, module


def ask(module: ModuleType, body: bytes) -> Any:
    """What run() answers to a body; it has keys of its own only, since the test knows no request."""
    document = json.loads(body)
    if document.keys() != {"data"}:
        return scoring_models.StandInResponse("{}", 400, {})
    return module.run(**document)


def test_golden_rows_come_back_as_predicted(served: tuple[Path, ModuleType]) -> None:
    outputs, module = served
    style, golden = styles.of("simple", read_schema(outputs)), read_golden(outputs)
    answer = ask(module, json.dumps(requests.request(style.forms[0], golden.rows)).encode())
    assert answer.status == 200, answer.body
    pairs = zip(golden.predictions, answer.json["Results"], strict=True)
    assert all(checks.same(want, got) for want, got in pairs)


def test_what_does_not_fit_is_refused(served: tuple[Path, ModuleType]) -> None:
    outputs, module = served
    schema = read_schema(outputs)
    unread = len(list(requests.unreadable({})))  # by wsgi.py, which stands before it
    sent = list(styles.bad_requests(styles.of("simple", schema), schema))[unread:]
    assert len(sent) > 12
    for bad in sent:
        answer = ask(module, bad.body)
        assert answer.status == 400, bad.what
        if answer.json:
            assert answer.json["error"]["message"], bad.what


def test_null_is_refused_only_where_the_model_takes_none(tmp_path: Path) -> None:
    outputs = scoring_models.plain_arrays(tmp_path / "strict").path
    module = scoring_models.load_score(outputs, "simple")
    module.init()
    answer = module.run(data=[[1.5, None, 2.5]])
    assert (answer.status, answer.json["error"]["message"]) == (400, "row 0, value 1: must be a finite number")
    bank = scoring_models.bank(tmp_path / "bank").path
    module = scoring_models.load_score(bank, "simple")
    module.init()
    row = dict.fromkeys(requests.sample_row(read_schema(bank)))
    assert module.run(data=[row]).json["Results"] == [
        joblib.load(bank / "model.pkl").predict(pd.DataFrame([row])).tolist()[0]
    ]


def test_a_model_that_refuses_rows_is_no_fault_of_the_service(tmp_path: Path) -> None:
    outputs = scoring_models.plain_arrays(tmp_path).path
    module = scoring_models.load_score(outputs, "simple")
    module.init()

    class Picky:
        def predict(self, rows: Any) -> Any:
            raise ValueError("Found unknown categories ['secret'] in column 0")

    module.model = Picky()  # type: ignore[attr-defined]
    answer = module.run(data=[[1, 2, 3]])
    assert (answer.status, answer.json["error"]["code"]) == (400, "refused_by_model")
    assert "secret" not in answer.body


def test_a_changed_model_does_not_start(tmp_path: Path) -> None:
    outputs = scoring_models.bank(tmp_path).path
    module = scoring_models.load_score(outputs, "simple")
    scoring_models.change_weight(outputs)
    with pytest.raises(RuntimeError, match=r"model\.pkl is not the file"):
        module.init()


def test_a_forecast_has_no_short_form() -> None:
    from tests.golden.test_scoring_templates import SERIES, schema

    with pytest.raises(InputError, match="no place"):
        styles.of("simple", schema("forecasting", **SERIES))
    with pytest.raises(InputError, match="no style"):
        styles.of("other", schema("classification"))


def test_openapi_describes_the_one_form(served: tuple[Path, ModuleType]) -> None:
    from openapi_spec_validator import validate

    schema = read_schema(served[0])
    document = openapi_styles.document(schema, "M", "1", styles.of("simple", schema))
    validate(document)
    body = document["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/Request"}
    items = document["components"]["schemas"]["Request"]["properties"]["data"]["items"]
    assert (items.get("type") == "array") is schema.numbers_only
