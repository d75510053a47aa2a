"""What the rendered score.py takes and refuses, and that what it takes reaches the model unchanged."""

from __future__ import annotations

import json
import math
import shutil
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from tests import scoring_models


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scoring_models.bank(tmp_path_factory.mktemp("bank")).path


@pytest.fixture(scope="module")
def score(outputs: Path) -> ModuleType:
    module = scoring_models.load_score(outputs)
    module.init()
    return module


@pytest.fixture(scope="module")
def row(score: ModuleType) -> dict[str, Any]:
    return dict(score.reader.sample_row())


def cells_of(score: ModuleType) -> dict[str, Any]:
    """What scoring_cells.py defines, which score.py reads values with."""
    found: dict[str, Any] = score.scoring_input.read_column.__globals__
    return found


def details(answer: Any) -> list[dict[str, Any]]:
    assert answer.status == 400, answer.body
    return list(answer.json["error"]["details"])


def test_three_forms_give_one_answer(score: ModuleType, row: dict[str, Any]) -> None:
    split = {"columns": list(row), "index": [7], "data": [list(row.values())]}
    answers = [
        score.run(data=[row], ids=[7]),
        score.run(Inputs={"data": [row]}, ids=[7]),
        score.run(input_data=split),
    ]
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert len({answer.body for answer in answers}) == 1
    assert answers[0].json == {"Results": ["yes"], "ids": [7]}
    assert score.run(data=[row]).json == score.run(input_data={**split, "index": None}).json == {"Results": ["yes"]}


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ([1], "one entry for each of the 2 rows"),
        ({"a": 1}, "one entry for each"),
        ([1, None], "null is none"),
        ([1, True], "true or false is none"),
        ([[1], 1], "a list is none"),
        (["x" * 201, 1], "this is longer"),
        ([1, float("nan")], "a number is none"),
        ([1, float("inf")], "a number is none"),
    ],
)
def test_ids_that_can_not_be_given_back_are_refused(
    score: ModuleType, row: dict[str, Any], ids: Any, says: str
) -> None:
    split = {"columns": list(row), "index": ids, "data": [list(row.values())] * 2}
    for answer in (score.run(data=[row, row], ids=ids), score.run(input_data=split)):
        assert (answer.status, answer.json["error"]["code"]) == (400, "bad_ids")
        assert says in answer.body
    both = score.run(input_data={**split, "index": [1, 2]}, ids=[1, 2])
    assert both.json["error"]["code"] == "bad_ids"


def test_ids_come_back_as_they_were_sent(score: ModuleType, row: dict[str, Any]) -> None:
    ids = ["a", 2, 2.5, "a", '\ud800 \u0000"}']
    assert score.run(data=[row] * 5, ids=ids).json["ids"] == ids


def test_every_answer_names_the_models_version(outputs: Path, row: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(outputs, tmp_path / "model")
    module = scoring_models.load_score(tmp_path / "model", version="2024, a\r\nb é")
    module.init()
    answers = [module.run(data=[row]), module.run(data=[])]
    assert [answer.status for answer in answers] == [200, 400]
    assert {answer.headers["x-model-version"] for answer in answers} == {"2024%2C%20a%0D%0Ab%20%C3%A9"}


def test_probabilities_are_named_by_class_and_add_up(score: ModuleType, row: dict[str, Any]) -> None:
    answer = score.run(data=[row], GlobalParameters={"method": "predict_proba"})
    [named] = answer.json["Results"]
    assert list(named) == ["no", "yes"]
    assert math.isclose(sum(named.values()), 1)


def test_order_of_columns_does_not_matter(score: ModuleType, outputs: Path) -> None:
    rows = json.loads((outputs / "golden.json").read_text())["rows"]
    turned = [dict(reversed(list(row.items()))) for row in rows]
    parameters = {"method": "predict_proba"}
    assert (
        score.run(data=turned, GlobalParameters=parameters).body
        == score.run(data=rows, GlobalParameters=parameters).body
    )


def test_golden_rows_come_back_as_in_training(score: ModuleType, outputs: Path) -> None:
    golden = json.loads((outputs / "golden.json").read_text())
    assert score.run(data=golden["rows"]).json["Results"] == golden["predictions"]


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("age", 3.7, "whole number"),
        ("age", "40", "must be a number, not text"),
        ("age", True, "must be a number, not true or false"),
        ("age", 2**70, "too large"),
        ("age", 10**400, "too large"),
        ("age", 1e300, "too large"),
        ("balance", float("nan"), "finite"),
        ("balance", float("inf"), "finite"),
        ("balance", json.loads("1e400"), "finite"),
        ("balance", 2**70, "too large"),
        ("balance", -1e31, "too large"),
        ("balance", [1], "not a list"),
        ("active", "false", "true or false, not text"),
        ("active", 0, "true or false, not a number"),
        ("job", 1, "must be text"),
        ("job", {}, "must be text"),
        ("note", "x" * 100_001, "longer than"),
        ("note", "\ud800", "surrogate"),
        ("opened", 1700000000000, "must be a date as text"),
        ("opened", "1700000000", "must be a date such as"),
        ("opened", "2024-02-30", "calendar"),
        ("opened", "31/01/2024", "must be a date such as"),
        ("opened", "2024-01-31T25:00", "calendar"),
        ("opened", "20240131", "must be a date such as"),
        ("opened", "2024-W05-3", "must be a date such as"),
        ("opened", "0001-01-01T00:00+14:00", "calendar"),
        ("opened", "2024-01-31\n", "must be a date such as"),
        ("opened", "٢٠٢٤-01-31", "must be a date such as"),
    ],
)
def test_a_wrong_value_is_named(score: ModuleType, row: dict[str, Any], column: str, value: Any, says: str) -> None:
    [detail] = details(score.run(data=[row, {**row, column: value}]))
    assert (detail["row"], detail["column"]) == (1, column)
    assert says in detail["problem"]


@pytest.mark.parametrize("column", ["age", "balance", "active", "job", "note", "opened"])
def test_null_is_a_missing_value_in_every_column(score: ModuleType, row: dict[str, Any], column: str) -> None:
    assert score.run(data=[{**row, column: None}]).status == 200


def test_whole_numbers_may_be_written_as_fractions(score: ModuleType, row: dict[str, Any]) -> None:
    frame = score.reader.to_frame([{**row, "age": 41.0}])
    assert frame["age"].tolist() == [41]
    assert frame["age"].dtype == np.int64


def test_times_with_an_offset_become_utc(score: ModuleType, row: dict[str, Any]) -> None:
    given = ["2024-01-31T01:30:00+02:00", "2024-01-30T23:30:00Z", "2024-01-30 23:30", "2024-01-30T23:30:00.000000"]
    frame = score.reader.to_frame([{**row, "opened": value} for value in given])
    assert set(frame["opened"]) == {pd.Timestamp("2024-01-30T23:30:00")}
    assert frame["opened"].dtype == "datetime64[us]"


def test_columns_must_be_the_models(score: ModuleType, row: dict[str, Any]) -> None:
    without = {name: value for name, value in row.items() if name != "age"}
    assert details(score.run(data=[without])) == [{"row": 0, "column": "age", "problem": "is missing"}]
    [other] = details(score.run(data=[{**row, "agee": 1}]))
    assert (other["column"], other["problem"]) == ("agee", "is not a column of this model")
    [target] = details(score.run(data=[{**row, "y": "no"}]))
    assert target["problem"] == "is what the model predicts; leave it out"
    renamed = {("Age" if name == "age" else name): value for name, value in row.items()}
    assert {detail["column"] for detail in details(score.run(data=[renamed]))} == {"age", "Age"}


def test_an_unknown_columns_name_is_cut_in_the_answer(score: ModuleType, row: dict[str, Any]) -> None:
    [detail] = details(score.run(data=[{**row, "x" * 10_000: 1}]))
    assert detail["column"] == "x" * 200


def test_ignored_columns_may_be_sent(score: ModuleType, row: dict[str, Any]) -> None:
    assert score.run(data=[{**row, "id": ["anything"]}]).body == score.run(data=[row]).body


def test_all_problems_are_listed_up_to_a_hundred(score: ModuleType, row: dict[str, Any]) -> None:
    bad = {**row, "age": "x", "active": 1, "opened": 5}
    assert {(one["row"], one["column"]) for one in details(score.run(data=[bad, row, bad]))} == {
        (number, column) for number in (0, 2) for column in ("age", "active", "opened")
    }
    many = score.run(data=[bad] * 500)
    assert len(details(many)) == 100
    assert "first 100" in many.json["error"]["message"]
    assert len(details(score.run(data=[{}] * 500))) == 100


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({}, "bad_form"),
        ({"data": [], "Inputs": {"data": []}}, "bad_form"),
        ({"data": {}}, "bad_form"),
        ({"data": "rows"}, "bad_form"),
        ({"data": []}, "no_rows"),
        ({"data": [1, None, []]}, "bad_rows"),
        ({"data": [{}] * 10_001}, "too_many_rows"),
        ({"Inputs": []}, "bad_form"),
        ({"Inputs": {"data": [], "more": 1}}, "bad_form"),
        ({"data": [{}], "GlobalParameters": {"method": "__init__"}}, "bad_method"),
        ({"data": [{}], "GlobalParameters": {"method": ["predict"]}}, "bad_method"),
        ({"data": [{}], "GlobalParameters": {"threshold": 1}}, "bad_parameters"),
        ({"data": [{}], "GlobalParameters": "predict"}, "bad_parameters"),
        ({"input_data": {"columns": ["a"], "data": [[1]], "index": [0, 1]}}, "bad_ids"),
        ({"input_data": {"columns": ["a", "a"], "data": [[1, 2]]}}, "bad_form"),
        ({"input_data": {"columns": ["a"], "data": [[1, 2]], "index": [0]}}, "bad_rows"),
        ({"input_data": {"columns": [1], "data": [[1]]}}, "bad_form"),
        ({"input_data": {"columns": ["a"], "data": [[1]], "rows": 1}}, "bad_form"),
        ({"input_data": [[1]]}, "bad_form"),
    ],
)
def test_a_wrong_form_is_refused(score: ModuleType, sent: dict[str, Any], code: str) -> None:
    answer = score.run(**sent)
    assert answer.status == 400
    assert answer.json["error"]["code"] == code


PLAIN = [
    b'{"data": [{"a": 1}]}',
    b' {"Inputs": {"data": [{"a": 1}, {}]}, "GlobalParameters": {"method": "predict"}, "ids": ["a", 1]}',
    b'{"input_data": {"columns": ["a:[", "b"], "index": [0], "data": [["10:30", "\\n{"]]}}',
    b'{"data": [{"a": "10:30 [x] {y}"}, {"b:c": "\\u00e9 \\\\"}]}',
    b'{"data": [1, "x:", null], "ids": 3}',
    b"{}",
]
OTHER = [
    b'{"data": [{"a": 1, "a": 2}]}',
    b'{"data": [], "data": []}',
    b'{"data": [{"a": "x:", "a": "y"}]}',
    b'{"data": [{"a": "\\u003a", "a": 2}]}',
    b'{"data": [{"a": "\\u007B", "b": {}}]}',
    b'{"data": [{"a": [1]}]}',
    b'{"data": [{"a": {}}]}',
    b'{"data": [{"a": "]", "b": []}]}',
    b'{"data": [[[1]]]}',
    b'{"GlobalParameters": {"method": {"a": []}}}',
    b'{"data": [NaN]}',
    b'{"data": [1e400]}',
    b'{"data": ["\\ud800"]}',
    b'{"data": ["\xff"]}',
    b'{"data": [' + b"9" * 5000 + b"]}",
    b'{"more": 1}',
    b"[1]",
    b"",
    b"[" * 100_000,
]


@pytest.mark.parametrize("body", PLAIN)
def test_a_plain_body_is_read_as_any_parser_reads_it(score: ModuleType, body: bytes) -> None:
    assert score.scoring_input.plain_document(body) == json.loads(body)
    score.scoring_input.check_body(body)


@pytest.mark.parametrize("body", OTHER)
def test_another_body_is_left_to_a_closer_look(score: ModuleType, body: bytes) -> None:
    assert score.scoring_input.plain_document(body) is None


PAIRS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet='a:[{"\\é', max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2) | st.lists(st.tuples(st.sampled_from(["a", "b", ":"]), inner), max_size=3)
    ),
    max_leaves=6,
)


def written(value: Any, escaped: bool) -> str:
    """JSON, in which a list of pairs is an object that may have a key twice."""
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return "{" + ", ".join(f"{json.dumps(key)}: {written(inner, escaped)}" for key, inner in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(inner, escaped) for inner in value) + "]"
    text = json.dumps(value, ensure_ascii=escaped)
    return text.replace(":", "\\u003a").replace("[", "\\u005B") if escaped and isinstance(value, str) else text


@settings(max_examples=300, deadline=None)
@given(key=st.sampled_from(["data", "Inputs", "input_data"]), value=PAIRS, twice=st.booleans(), escaped=st.booleans())
def test_what_the_quick_parser_takes_is_what_the_strict_one_takes(
    score: ModuleType, key: str, value: Any, twice: bool, escaped: bool
) -> None:
    text = f'{{"{key}": {written(value, escaped)}' + (f', "{key}": 1' if twice else "") + "}"
    found = score.scoring_input.plain_document(text.encode())
    if found is not None:
        assert found == json.loads(text, object_pairs_hook=score.scoring_input.unique_keys)


def test_a_parsed_document_is_answered_as_its_text_is(score: ModuleType, row: dict[str, Any]) -> None:
    body = json.dumps({"Inputs": {"data": [row]}, "ids": ["a"], "GlobalParameters": {"method": "predict"}}).encode()
    request = mock.Mock(method="POST", environ={}, get_data=lambda: body)
    with mock.patch.object(score, "flask", mock.Mock(request=request)):
        plain = score.run(**json.loads(body))
        request.environ[score.scoring_input.DOCUMENT] = json.loads(body)
        assert score.run().body == plain.body
        assert plain.json["ids"] == ["a"]
        request.environ = {}
        request.get_data = lambda: b'{"data": [], "data": []}'
        assert score.run(data=[]).json["error"]["code"] == "repeated_key"


def test_repeated_keys_are_refused(score: ModuleType) -> None:
    with pytest.raises(score.scoring_input.BadRequest, match="stands twice"):
        json.loads('{"data": [{"age": 1, "age": 2}]}', object_pairs_hook=score.scoring_input.unique_keys)


@pytest.mark.parametrize(("labels", "names"), [([3, 7], ["3", "7"]), ([False, True], ["false", "true"])])
def test_labels_keep_their_type(tmp_path: Path, labels: list[Any], names: list[str]) -> None:
    outputs = scoring_models.bank(tmp_path, labels).path
    module = scoring_models.load_score(outputs)
    module.init()
    golden = json.loads((outputs / "golden.json").read_text())
    results = module.run(data=golden["rows"]).json["Results"]
    assert [(type(value), value) for value in results] == [(type(value), value) for value in golden["predictions"]]
    [named] = module.run(data=golden["rows"][:1], GlobalParameters={"method": "predict_proba"}).json["Results"]
    assert list(named) == names


def test_regression_has_no_probabilities(tmp_path: Path) -> None:
    module = scoring_models.load_score(scoring_models.regression(tmp_path).path)
    module.init()
    assert module.run(data=[module.reader.sample_row()]).status == 200
    answer = module.run(data=[module.reader.sample_row()], GlobalParameters={"method": "predict_proba"})
    assert answer.json["error"]["code"] == "bad_method"


@pytest.fixture
def broken(outputs: Path, tmp_path: Path) -> ModuleType:
    """A score.py of its own, whose model can be replaced."""
    folder = tmp_path / "model"
    shutil.copytree(outputs, folder)
    module = scoring_models.load_score(folder)
    module.init()
    return module


class Answers:
    def __init__(self, value: Any) -> None:
        self.value = value

    def predict(self, frame: pd.DataFrame) -> Any:
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value


def test_a_fault_of_ours_says_nothing_of_the_inside(broken: ModuleType) -> None:
    broken.model = Answers(RuntimeError("secret inside"))
    answer = broken.run(data=[broken.reader.sample_row()])
    assert answer.status == 500
    assert "secret" not in answer.body
    assert answer.json["error"]["code"] == "internal"


def test_nan_never_leaves(broken: ModuleType) -> None:
    broken.model = Answers(np.array([np.nan]))
    assert broken.run(data=[broken.reader.sample_row()]).status == 500


class Picky:
    """A model that fails on a category it does not know, on numbers above 1e20, and on gaps in a date."""

    def predict(self, frame: pd.DataFrame) -> Any:
        if not frame["job"].dropna().isin(["admin", "baker", "clerk"]).all():
            raise ValueError("Found unknown categories in column 2")
        if frame["opened"].isna().any():
            raise TypeError("NaT")
        return np.where(frame["balance"] > 1e20, np.nan, 1.0)


def test_values_that_the_model_can_not_take_are_named(broken: ModuleType) -> None:
    broken.model = Picky()
    row = broken.reader.sample_row()
    rows = [row, {**row, "job": "<pilot>"}, {**row, "balance": 1e25, "note": "new"}, {**row, "opened": None}]
    expected = [(1, "job"), (2, "balance"), (3, "opened")]
    assert [(one["row"], one["column"]) for one in details(broken.run(data=rows))] == expected
    assert broken.run(data=[row, {**row, "balance": 1e19, "job": None}]).status == 200


def test_a_null_is_refused_where_the_schema_says_so(outputs: Path, tmp_path: Path) -> None:
    shutil.copytree(outputs, tmp_path / "model")
    path = tmp_path / "model" / "model_schema.json"
    schema = json.loads(path.read_text())
    schema["columns"][1]["nulls"] = False
    path.write_text(json.dumps(schema))
    module = scoring_models.load_score(tmp_path / "model")
    module.init()
    [detail] = details(module.run(data=[{**module.reader.sample_row(), "balance": None}]))
    assert (detail["column"], detail["problem"]) == ("balance", "must not be null: the model takes no missing values")


def test_the_servers_time_out_passes_through(broken: ModuleType) -> None:
    broken.model = Answers(TimeoutError())
    with pytest.raises(TimeoutError):
        broken.run(data=[broken.reader.sample_row()])


@pytest.mark.parametrize("file", ["model.pkl", "forestay_transformers.py"])
def test_a_changed_file_never_loads(outputs: Path, tmp_path: Path, file: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(outputs, folder)
    module = scoring_models.load_score(folder)
    with (folder / file).open("ab") as stream:
        stream.write(b"\n")
    with pytest.raises(RuntimeError, match=f"{file} is not the file that was recorded"):
        module.init()


def test_a_model_that_cannot_answer_never_starts(outputs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(outputs, folder)
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]), folder / "model.pkl")
    scoring_models.rehash(folder)
    module = scoring_models.load_score(folder)
    with pytest.raises(ValueError, match="could not convert string to float"):
        module.init()


def test_the_model_may_lie_one_level_down(outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(outputs, tmp_path / "deep" / "model")
    module = scoring_models.load_score(outputs)
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path / "deep"))
    assert module.scoring_input.find_model_folder(Path("score.py")) == tmp_path / "deep" / "model"
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path / "missing"))
    with pytest.raises(FileNotFoundError, match="AZUREML_MODEL_DIR"):
        module.scoring_input.find_model_folder(Path("score.py"))


# ---- any row of the schema passes unchanged; anything else is refused or right, never a fault ----

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "age": st.integers(-(2**63), 2**63 - 1),
    "balance": st.floats(-1e30, 1e30),
    "job": st.text(max_size=20),
    "note": st.text(max_size=20),
    "opened": st.datetimes().map(lambda time: time.isoformat()),
    "active": st.booleans(),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()}), min_size=1, max_size=4
    )
)
def test_rows_of_the_schema_arrive_unchanged(score: ModuleType, rows: list[dict[str, Any]]) -> None:
    frame = score.reader.to_frame(json.loads(json.dumps(rows)))
    assert list(frame) == list(score.reader.sample_row())
    for number, row in enumerate(rows):
        for name, value in row.items():
            found = frame[name].iloc[number]
            if value is None:
                assert pd.isna(found)
            elif name == "opened":
                assert found == np.datetime64(value, "us")
            elif name == "age" and any(other["age"] is None for other in rows):
                assert found == float(value)
            else:
                assert found == value


@settings(max_examples=150, deadline=None)
@given(column=st.sampled_from(sorted(VALUES)), value=JSON)
def test_a_mutated_value_is_refused_or_right(score: ModuleType, column: str, value: Any) -> None:
    answer = score.run(data=[{**score.reader.sample_row(), column: value}])
    plain = {"age": int, "balance": (int, float), "job": str, "note": str, "opened": str, "active": bool}[column]
    if value is not None and not isinstance(value, plain) and not (column == "age" and isinstance(value, float)):
        assert answer.status == 400
    if isinstance(value, bool) and column != "active":
        assert answer.status == 400
    assert answer.status in (200, 400), answer.body


@settings(max_examples=100, deadline=None)
@given(data=st.none() | JSON, inputs=st.none() | JSON, parameters=st.none() | JSON, split=st.none() | JSON)
def test_any_body_gets_an_answer(score: ModuleType, data: Any, inputs: Any, parameters: Any, split: Any) -> None:
    answer = score.run(data=data, Inputs=inputs, GlobalParameters=parameters, input_data=split)
    assert answer.status == 400
    json.loads(answer.body)


def test_a_byte_order_mark_may_stand_before_a_body(score: ModuleType) -> None:
    body = b'\xef\xbb\xbf{"data": [{}]}'
    assert score.scoring_input.plain_document(body) is None
    score.scoring_input.check_body(body)


def test_what_is_missing_hides_no_wrong_value(score: ModuleType, row: dict[str, Any]) -> None:
    name = next(iter(row))
    lacking = {key: value for key, value in row.items() if key != name}
    found = details(score.run(data=[{**row, name: []}, 7, {**lacking, "more": 1}, {**lacking, name: {}}]))
    assert [(one["row"], one["column"]) for one in found] == [(0, name), (1, None), (2, name), (2, "more"), (3, name)]


@settings(max_examples=60, deadline=None)
@given(st.datetimes(), st.integers(-14 * 60, 14 * 60))
def test_offsets_count(score: ModuleType, moment: datetime, minutes: int) -> None:
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    given_text = moment.isoformat() + zone
    try:
        expected = datetime.fromisoformat(given_text).astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        with pytest.raises(ValueError, match="calendar"):
            cells_of(score)["read_time"](given_text, {})
        return
    assert cells_of(score)["read_time"](given_text, {}) == expected


ODD = [
    1e300,
    -1e31,
    2**53 + 1,
    2**70,
    float("nan"),
    float("inf"),
    True,
    "x",
    "",
    None,
    3.0,
    3.5,
    "2024-01-31",
    "0000-01-01",
]
ODD += ["2024-01-31T24:00:00", "2024-01-31T10:60:00", "2024-01-31T10:00:60", "2023-02-29T10:00:00"]
ODD += ["2024-02-30", "2024-01-31T10:00:00+02:00", "é", "\ud800", "x" * 100_001, [1], {}]


@pytest.mark.parametrize("kind", ["numeric", "integer", "boolean", "datetime", "categorical"])
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_whole_column_is_read_as_its_cells_are(score: ModuleType, kind: str, data: st.DataObject) -> None:
    """Many rows are read column by column: the same frame, or the same problems."""
    scoring_input = score.scoring_input
    usual = {"numeric": [1.5, 2, None, -0.0], "integer": [1, 2], "boolean": [True, False, None]}
    usual["datetime"] = ["2024-01-31", "2024-02-29T23:59:59", "1970-01-01T00:00:00.5", "0001-01-01T00:00:00.000001"]
    values = st.sampled_from(usual.get(kind, ["a", "b"])) | st.sampled_from([None, *ODD])
    nulls = data.draw(st.booleans())
    column = {"name": "c", "type": "numeric" if kind == "integer" else kind, "used": True, "nulls": nulls}
    column["integer"] = kind == "integer"
    reader = scoring_input.RequestReader({"target": "y", "task": "regression", "columns": [column]})
    odd = data.draw(st.booleans())
    cells = data.draw(st.lists(values if odd else st.sampled_from(usual.get(kind, ["a", "b"])), min_size=1, max_size=6))
    rows = [{"c": cell} for cell in cells]

    def read() -> Any:
        try:
            return reader.to_frame(rows)
        except scoring_input.BadRequest as error:
            return error.document

    quick = read()
    never = mock.Mock(return_value=None)
    with (
        mock.patch.dict(cells_of(score)["QUICK"], dict.fromkeys(("numeric", "boolean", "datetime"), never)),
        mock.patch.dict(cells_of(score), {"quick_texts": never}),
    ):
        slow = read()
    assert never.called
    if isinstance(slow, dict):
        assert quick == slow
    else:
        pd.testing.assert_frame_equal(quick, slow)
