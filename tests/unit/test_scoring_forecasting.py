"""The scoring side of a forecast: rows with and without history, quantiles, what is refused, what is written."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_jobs.engine.forecasting import trainer
from forestay.errors import InputError
from scoring import checks, requests
from scoring.folder import ScoringFolder
from scoring.generate import generate
from scoring.rows import read_body
from scoring.schema import ModelSchema, read_golden, read_schema
from tests import scoring_models
from tests.scoring_models import Model


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Two series by day until 29 April 2024; `promotion` is known ahead, `visitors` is not, `sales` is forecast."""
    return scoring_models.forecasting(tmp_path_factory.mktemp("forecast"))


@pytest.fixture(scope="module")
def score(trained: Model) -> ModuleType:
    module = scoring_models.load_score(trained.path)
    module.init()
    return module


@pytest.fixture(scope="module")
def schema(trained: Model) -> ModelSchema:
    return read_schema(trained.path)


def day(number: int) -> str:
    """The date `number` days after the end of training."""
    return str(pd.Timestamp("2024-04-29") + pd.Timedelta(days=number))[:10]


def row(number: int, store: str = "north", **more: Any) -> dict[str, Any]:
    return {"day": day(number), "store": store, "promotion": 0, **more}


def results(answer: Any) -> list[Any]:
    assert answer.status == 200, answer.body
    return list(answer.json["Results"])


def details(answer: Any) -> list[dict[str, Any]]:
    assert answer.status == 400, answer.body
    return list(answer.json["error"]["details"])


# ---- what is answered ----


def test_three_forms_and_two_methods_give_one_answer(score: ModuleType) -> None:
    rows = [row(1), row(2)]
    split = {"columns": list(rows[0]), "data": [list(one.values()) for one in rows]}
    answers = [
        score.run(data=rows),
        score.run(Inputs={"data": rows}, GlobalParameters={"method": "forecast"}),
        score.run(input_data=split, GlobalParameters={"method": "predict"}),
        score.run(data=rows, GlobalParameters={"method": "forecast", "quantiles": []}),
    ]
    assert len({answer.body for answer in answers}) == 1
    assert all(50 < value < 250 for value in results(answers[0]))


def test_golden_rows_come_back_as_in_training(score: ModuleType, trained: Model) -> None:
    golden = read_golden(trained.path)
    assert golden.quantiles is not None
    rows = list(golden.rows)
    assert results(score.run(data=rows)) == list(golden.predictions)
    found = results(score.run(data=rows, GlobalParameters={"quantiles": [0.1, 0.9]}))
    assert [one["forecast"] for one in found] == list(golden.predictions)
    assert [one["quantiles"]["0.1"] for one in found] == list(golden.quantiles["0.1"])
    ahead = [one for one, sent in zip(found, rows, strict=True) if sent["sales"] is None]
    assert len(ahead) > 5
    assert all(one["quantiles"]["0.1"] < one["forecast"] < one["quantiles"]["0.9"] for one in ahead)


def test_quantiles_are_named_as_they_were_asked_for(score: ModuleType) -> None:
    [found] = results(score.run(data=[row(1)], GlobalParameters={"quantiles": [0.9, 0.025, 0.5]}))
    assert list(found) == ["forecast", "quantiles"]
    assert list(found["quantiles"]) == ["0.9", "0.025", "0.5"]
    assert found["quantiles"]["0.025"] < found["quantiles"]["0.9"]


def test_a_target_of_null_is_no_target(score: ModuleType) -> None:
    assert score.run(data=[row(1, sales=None)]).body == score.run(data=[row(1)]).body


def test_recent_history_is_where_the_series_goes_on_and_comes_back(score: ModuleType) -> None:
    plain = results(score.run(data=[row(1), row(8)]))
    first, later = results(score.run(data=[row(1, sales=plain[0] + 60), row(8)]))
    assert first == plain[0] + 60
    assert later > plain[1] + 10
    [known] = results(score.run(data=[row(1, sales=7)], GlobalParameters={"quantiles": [0.1]}))
    assert known == {"forecast": 7.0, "quantiles": {"0.1": 7.0}}


def test_a_series_that_was_not_in_training_needs_history(score: ModuleType) -> None:
    [detail] = details(score.run(data=[row(1), row(1, "south")]))
    assert (detail["row"], detail["column"]) == (1, "store")
    assert "no such series was in training (south): send recent rows of it with sales" in detail["problem"]
    history = [row(number, "south", sales=500.0 + number % 7) for number in range(-14, 1)]
    assert 400 < results(score.run(data=[*history, row(1, "south")]))[-1] < 600


def test_periods_without_a_row_are_walked_through_beyond_the_horizon_too(score: ModuleType) -> None:
    """The horizon is 7: what lies further ahead feeds on the model's own forecasts."""
    last = results(score.run(data=[row(number) for number in range(1, 31)]))[-1]
    assert results(score.run(data=[row(1), row(30)]))[-1] == pytest.approx(last)


def test_what_is_not_known_ahead_may_be_left_out(score: ModuleType) -> None:
    assert "visitors" not in score.reader.sample_row()
    plain = score.run(data=[row(1)])
    assert score.run(data=[row(1, visitors=None)]).body == plain.body
    assert score.run(data=[row(1, visitors=400.0)]).status == 200
    assert details(score.run(data=[{"day": day(1), "store": "north"}])) == [
        {"row": 0, "column": "promotion", "problem": "is missing"}
    ]


# ---- what is refused ----


@pytest.mark.parametrize(
    ("rows", "number", "column", "says"),
    [
        ([row(1), row(0)], 1, "day", "no later than 2024-04-29"),
        ([row(3, sales=5.0), row(2)], 1, "day", "no later than 2024-05-02"),
        ([row(1), row(2), row(1)], 2, "day", "twice"),
        ([{**row(1), "day": day(1) + "T12:00:00"}], 0, "day", "frequency D"),
        ([{**row(1), "day": "9999-12-31"}], 0, "day", "more than 2000 periods"),
        ([{**row(1), "day": None}], 0, "day", "must hold the time"),
        ([{**row(1), "day": "31/05/2024"}], 0, "day", "must be a date such as"),
        ([{**row(1), "day": 1714435200}], 0, "day", "must be a date as text"),
        ([{**row(1), "store": None}], 0, "store", "no such series"),
        ([{**row(1), "store": 7}], 0, "store", "must be text"),
        ([row(1, sales="12")], 0, "sales", "must be a number, not text"),
        ([row(1, sales=math.nan)], 0, "sales", "finite"),
        ([row(1, sales=1e308), row(2)], 0, "sales", "too large to calculate with"),
        ([row(1, price=1)], 0, "price", "not a column of this model"),
    ],
)
def test_a_row_that_can_not_be_forecast_is_named(
    score: ModuleType, rows: list[Any], number: int, column: str, says: str
) -> None:
    [detail] = details(score.run(data=rows))
    assert (detail["row"], detail["column"]) == (number, column)
    assert says in detail["problem"]


def test_problems_of_several_series_are_listed_at_once(score: ModuleType) -> None:
    found = details(score.run(data=[row(0), row(1), row(1, "south"), row(-3, "7")]))
    assert [(one["row"], one["column"]) for one in found] == [(0, "day"), (2, "store"), (3, "day")]
    assert len(details(score.run(data=[row(-number) for number in range(150)]))) == 100


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"quantiles": [0]}, "bad_quantiles"),
        ({"quantiles": [1.0]}, "bad_quantiles"),
        ({"quantiles": [math.nan]}, "bad_quantiles"),
        ({"quantiles": [True]}, "bad_quantiles"),
        ({"quantiles": ["0.5"]}, "bad_quantiles"),
        ({"quantiles": [0.1, 0.1]}, "bad_quantiles"),
        ({"quantiles": 0.5}, "bad_quantiles"),
        ({"quantiles": [number / 30 for number in range(1, 22)]}, "bad_quantiles"),
        ({"method": "predict_proba"}, "bad_method"),
        ({"horizon": 3}, "bad_parameters"),
        ([], "bad_parameters"),
    ],
)
def test_wrong_parameters_are_refused(score: ModuleType, parameters: Any, code: str) -> None:
    answer = score.run(data=[row(1)], GlobalParameters=parameters)
    assert answer.status == 400
    assert answer.json["error"]["code"] == code


def test_every_bad_request_of_the_proof_is_refused(score: ModuleType, schema: ModelSchema) -> None:
    made = list(requests.bad_requests(schema))
    assert {bad.column for bad in made} >= {"day", "store", "promotion", "sales"}
    unreadable = {bad.what for bad in requests.unreadable({})}
    asked = [(bad, json.loads(bad.body)) for bad in made if bad.what not in unreadable]
    assert len(asked) > 30
    for bad, body in asked:
        if body.keys() - {"data", "Inputs", "GlobalParameters", "input_data"}:
            continue
        answer = score.run(**body)
        assert answer.status == 400, bad.what
        named = {detail["column"] for detail in answer.json["error"]["details"]}
        assert bad.column is None or bad.column in named, bad.what


def test_a_model_without_a_backtest_has_no_quantiles(trained: Model) -> None:
    module = scoring_models.load_score(trained.path)
    module.init()
    module.model.spread = None
    answer = module.run(data=[row(1)], GlobalParameters={"quantiles": [0.5]})
    assert answer.json["error"]["code"] == "no_quantiles"
    assert results(module.run(data=[row(1)]))


def test_a_fault_of_the_model_stays_a_fault(trained: Model) -> None:
    module = scoring_models.load_score(trained.path)
    module.init()

    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("secret inside")

    module.model.forecast = fail
    answer = module.run(data=[row(1)])
    assert answer.status == 500
    assert "secret" not in answer.body


# ---- any rows: in any order, refused or right, never a fault ----

ROWS = st.lists(
    st.builds(
        row,
        st.integers(-3, 40),
        st.sampled_from(["north", "7", "south"]),
        promotion=st.none() | st.integers(-(2**63), 2**63 - 1),
        sales=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    ),
    min_size=1,
    max_size=6,
)
FUTURE = st.lists(
    st.tuples(st.integers(1, 20), st.sampled_from(["north", "7"])), min_size=1, max_size=8, unique=True
).flatmap(lambda pairs: st.tuples(st.just(pairs), st.permutations(range(len(pairs)))))


@settings(max_examples=30, deadline=None)
@given(FUTURE)
def test_answers_are_in_the_order_of_the_rows(score: ModuleType, drawn: Any) -> None:
    pairs, order = drawn
    rows = [row(number, store) for number, store in pairs]
    plain = results(score.run(data=rows))
    turned = results(score.run(data=[rows[place] for place in order]))
    assert turned == pytest.approx([plain[place] for place in order], rel=1e-9)


@settings(max_examples=80, deadline=None)
@given(ROWS, st.lists(st.floats(0.01, 0.99), max_size=3, unique=True))
def test_any_rows_are_refused_or_answered(score: ModuleType, rows: list[Any], quantiles: list[float]) -> None:
    answer = score.run(data=rows, GlobalParameters={"quantiles": quantiles})
    assert answer.status in (200, 400), answer.body
    if answer.status == 400:
        assert all(0 <= one["row"] < len(rows) for one in details(answer))
        return
    found = results(answer)
    assert len(found) == len(rows)
    for sent, one in zip(rows, found, strict=True):
        values = [one["forecast"], *one["quantiles"].values()] if quantiles else [one]
        assert all(math.isfinite(value) for value in values)
        if sent["sales"] is not None:
            assert values == [sent["sales"]] * len(values)


# ---- what is written ----


@pytest.fixture
def folder(trained: Model, tmp_path: Path) -> ScoringFolder:
    scoring_models.keep_lock(trained.path, tmp_path / "home")
    return generate(trained, tmp_path / "scoring", home=tmp_path / "home")


def test_every_file_of_the_model_is_copied_and_hashed(folder: ScoringFolder) -> None:
    assert {name for name in folder.files if name.startswith("model/")} == {
        "model/model.pkl",
        *(f"model/{module.__name__}.py" for module in trainer.MODULES),
        "model/model_schema.json",
    }
    assert folder.changes() == []


def test_the_samples_are_answered(folder: ScoringFolder, score: ModuleType) -> None:
    sample = json.loads((folder.path / "sample_request.json").read_text())
    assert sample == {"data": [{"day": "2024-04-30T00:00:00", "promotion": 0, "store": "7"}]}
    assert len(results(score.run(**sample))) == 1
    history = json.loads((folder.path / "sample_request_history.json").read_text())
    assert history["GlobalParameters"] == {"method": "forecast", "quantiles": [0.1, 0.9]}
    assert [sent["sales"] is None for sent in history["data"]] == [False] * 3 + [True] * 3
    assert len(results(score.run(**history))) == 6


def test_openapi_describes_history_and_quantiles(folder: ScoringFolder) -> None:
    schemas = json.loads((folder.path / "openapi.json").read_text())["components"]["schemas"]
    assert schemas["Row"]["required"] == ["day", "promotion", "store"]
    assert {"visitors", "sales"} < schemas["Row"]["properties"].keys()
    assert schemas["Row"]["properties"]["sales"]["type"] == ["number", "null"]
    assert schemas["Parameters"]["properties"]["method"] == {
        "type": "string",
        "enum": ["forecast", "predict"],
        "default": "forecast",
    }
    assert set(schemas["Answer"]["properties"]["Results"]["items"]["oneOf"][1]["properties"]) == {
        "forecast",
        "quantiles",
    }


@pytest.mark.parametrize("name", ["../model.pkl", "/etc/passwd", "", ".", "model_schema.json"])
def test_a_schema_names_files_beside_it_only(trained: Model, tmp_path: Path, name: str) -> None:
    outputs = tmp_path / "outputs"
    shutil.copytree(trained.path, outputs)
    document = json.loads((outputs / "model_schema.json").read_text())
    document["files"][name] = "0" * 64
    (outputs / "model_schema.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="is no file's name"):
        generate(Model("Sales", "1", "j", "t", outputs), tmp_path / "scoring", home=tmp_path)


def test_a_csv_keeps_history_and_leaves_the_future_empty(schema: ModelSchema, score: ModuleType) -> None:
    text = f"day,store,promotion,sales\n{day(1)},7,0,1040.5\n{day(2)},7,1,\n"
    body = read_body(text, "rows.csv", schema)
    assert body == {
        "data": [
            {"day": day(1), "store": "7", "promotion": 0, "sales": 1040.5},
            {"day": day(2), "store": "7", "promotion": 1, "sales": None},
        ]
    }
    assert results(score.run(**body))[0] == 1040.5
    assert read_body(json.dumps(row(1, sales=3)), "-", schema) == {"data": [row(1, sales=3)]}
    with pytest.raises(InputError, match='"many" is not a number'):
        read_body("sales\nmany\n", "rows.csv", schema)


def test_a_differing_quantile_is_told_by_its_level(trained: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = read_golden(trained.path)
    assert golden.quantiles is not None

    def answer(_: str, body: Any, *more: str) -> Any:
        values: list[Any] = list(golden.predictions)
        if "quantiles" in body.get("GlobalParameters", {}):
            assert golden.quantiles is not None
            values = [
                {"forecast": value, "quantiles": {"0.1": low, "0.9": high}}
                for value, low, high in zip(values, *golden.quantiles.values(), strict=True)
            ]
            values[4]["quantiles"]["0.9"] += 0.5
        return checks.server.Answer(200, json.dumps({"Results": values}).encode())

    monkeypatch.setattr(checks.server, "post", answer)
    found = checks.golden("http://127.0.0.1:1", "data", golden)
    assert not found.passed
    assert found.detail.startswith('row 4, quantile "0.9": golden.json has ')


def test_a_day_that_is_sent_with_an_offset_is_that_day(score: ModuleType, schema: ModelSchema) -> None:
    (column,) = [one for one in schema.columns if one.name == "day"]
    assert column.days
    plain = results(score.run(data=[row(3)]))
    for offset in ("T00:00:00+02:00", "T00:00:00.000-05:00", " 00:00+0200", "T00:00:00Z", "T02:00:00+02:00"):
        assert results(score.run(data=[{**row(3), "day": day(3) + offset}])) == plain
    assert details(score.run(data=[{**row(3), "day": day(3) + "T01:00:00+02:00"}]))[0]["column"] == "day"
