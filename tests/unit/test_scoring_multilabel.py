"""The scoring side of a text model that gives a row several labels."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring import checks
from scoring.generate import generate
from scoring.schema import Golden, read_golden
from tests import scoring_models
from tests.scoring_models import Model

ALL = ["food", "no\n\"'</script>", "sports"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return scoring_models.multilabel(tmp_path_factory.mktemp("labels"), ALL)


@pytest.fixture(scope="module")
def score(trained: Model) -> ModuleType:
    module = scoring_models.load_score(trained.path)
    module.init()
    return module


def row(note: str | None) -> dict[str, Any]:
    return {"note": note, "pages": 3}


def results(answer: Any) -> list[Any]:
    assert answer.status == 200, answer.body
    return list(answer.json["Results"])


def test_a_row_gets_the_list_of_its_labels(score: ModuleType) -> None:
    rows = [row("soup and bread"), row("goal"), row("bread goal"), row("nothing of it")]
    assert results(score.run(data=rows)) == [["food"], ["sports"], ["food", "sports"], []]
    assert results(score.run(data=rows[:1])) == [["food"]]


def test_each_label_has_a_probability_of_its_own(score: ModuleType) -> None:
    [named] = results(score.run(data=[row("bread goal")], GlobalParameters={"method": "predict_proba"}))
    assert list(named) == ALL
    assert named["food"] > 0.5 > named[ALL[1]]
    assert sum(named.values()) > 1


def test_golden_rows_come_back_as_in_training(score: ModuleType, trained: Model) -> None:
    golden = read_golden(trained.path)
    assert {len(labels) for labels in golden.predictions if isinstance(labels, list)} > {1}
    assert results(score.run(data=list(golden.rows))) == list(golden.predictions)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.none() | st.text(st.sampled_from("bread soup goal xyz\x00é"), max_size=30), min_size=1, max_size=5))
def test_any_texts_are_answered(score: ModuleType, notes: list[str | None]) -> None:
    found = results(score.run(data=[row(note) for note in notes]))
    assert len(found) == len(notes)
    assert all(labels == [label for label in ALL if label in labels] for labels in found)


def test_the_folder_tells_lists_of_labels(trained: Model, tmp_path: Path) -> None:
    scoring_models.keep_lock(trained.path, tmp_path / "home")
    folder = generate(trained, tmp_path / "scoring", home=tmp_path / "home")
    schemas = json.loads((folder.path / "openapi.json").read_text())["components"]["schemas"]
    labels, chances = schemas["Answer"]["properties"]["Results"]["items"]["oneOf"]
    assert labels == {"type": "array", "items": {"type": "string", "enum": ALL}, "uniqueItems": True}
    assert chances["properties"] == {name: {"type": "number", "minimum": 0, "maximum": 1} for name in ALL}
    assert schemas["Parameters"]["properties"]["method"]["enum"] == ["predict", "predict_proba"]
    assert "the list of a row's labels" in (folder.path / "README.md").read_text()


@pytest.mark.parametrize(
    ("answered", "told"),
    [
        ([["a"], []], ""),
        ([["a", "b"], []], 'row 0: golden.json has ["a"], the server answers ["a", "b"]'),
        ([["a"], ["a"]], 'row 1: golden.json has [], the server answers ["a"]'),
        (["a", []], 'row 0: golden.json has ["a"], the server answers "a"'),
    ],
)
def test_the_proof_compares_lists(monkeypatch: pytest.MonkeyPatch, answered: list[Any], told: str) -> None:
    golden = Golden.model_validate({"rows": [{}, {}], "predictions": [["a"], []]})
    answer = checks.server.Answer(200, json.dumps({"Results": answered}).encode())
    monkeypatch.setattr(checks.server, "post", lambda *_: answer)
    found = checks.golden("http://127.0.0.1:1", "data", golden)
    assert found.passed is (told == "")
    assert found.detail.startswith(told)
