"""Models from elsewhere: what is read from their file and a sample, and what is refused, with what to do."""

from __future__ import annotations

import json
import pickle
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from forestay.errors import InputError
from scoring import foreign, foreign_worker, requests
from scoring.foreign import Foreign
from scoring.foreign_worker import Refused
from scoring.schema import read_golden, read_schema
from tests import scoring_models
from tests.runs_support import new_store

NUMBER, WORD = "{{ 7 * 7 }}", 'it\'s "a"\ncolumn'


def table(rows: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(2)
    return pd.DataFrame(
        {
            NUMBER: random.normal(size=rows).round(3),
            WORD: random.choice(["a", "b", "c {{"], rows),
            "count": random.integers(0, 9, rows),
            "y": random.choice(["no", "yes'"], rows),
        }
    )


def pipeline(final: Any = None) -> Any:
    features = make_column_transformer((StandardScaler(), [NUMBER, "count"]), (OneHotEncoder(), [WORD]))
    frame = table()
    return make_pipeline(features, final or LogisticRegression()).fit(frame[[NUMBER, WORD, "count"]], frame["y"])


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, Any]:
    """A request to the worker with the pipeline and its sample."""
    joblib.dump(pipeline(), tmp_path / "model.pkl")
    table().to_parquet(tmp_path / "sample.parquet")
    return {
        "file": str(tmp_path / "model.pkl"),
        "skops": False,
        "sample": str(tmp_path / "sample.parquet"),
        "target": "y",
        "task": None,
        "modules": [],
        "converted": str(tmp_path / "converted.pkl"),
    }


def give(asked: dict[str, Any], model: Any, sample: pd.DataFrame | None = None) -> dict[str, Any]:
    joblib.dump(model, asked["file"])
    if sample is not None:
        sample.to_parquet(asked["sample"])
    return asked


def test_columns_and_labels_are_those_of_the_model(asked: dict[str, Any]) -> None:
    found = foreign_worker.examine(asked)
    assert (found["task"], found["classes"], found["target_type"]) == ("classification", ["no", "yes'"], "string")
    kinds = {column["name"]: (column["type"], column["integer"], column["nulls"]) for column in found["columns"]}
    assert kinds == {
        NUMBER: ("numeric", False, False),  # the scaler passes NaN on, which the regression refuses
        WORD: ("categorical", False, False),  # the encoder has seen no missing value
        "count": ("numeric", True, False),
    }
    assert (found["takes_array"], found["probabilities"], found["notes"]) == (False, True, [])
    golden = found["golden"]
    assert len(golden["rows"]) > 30
    assert all(None not in row.values() for row in golden["rows"])
    assert {row[WORD] for row in golden["rows"]} <= {"a", "b", "c {{"}
    model = joblib.load(asked["file"])
    again = model.predict(foreign_worker.to_frame(found["columns"], golden["rows"]))
    assert again.tolist() == golden["predictions"]


def test_no_row_of_the_sample_is_kept(asked: dict[str, Any]) -> None:
    sample = table()
    sample["id"] = [f"secret {number}" for number in range(len(sample))]
    document = json.dumps(foreign_worker.examine(give(asked, pipeline(), sample)))
    assert "secret" not in document
    assert '"name": "id"' in document


def test_plain_arrays_are_known_by_their_number_of_columns(asked: dict[str, Any]) -> None:
    numbers = table()[[NUMBER, "count"]]
    model = LinearRegression().fit(numbers.to_numpy(), np.arange(60.0))
    found = foreign_worker.examine({**give(asked, model, numbers), "target": None})
    assert (found["task"], found["takes_array"], found["classes"]) == ("regression", True, None)
    with pytest.raises(Refused, match=r"fitted on 2 columns without names, the sample has 3"):
        foreign_worker.examine(give(asked, model, table()))


def test_a_classifier_without_probabilities_answers_labels(asked: dict[str, Any]) -> None:
    found = foreign_worker.examine(give(asked, pipeline(RidgeClassifier())))
    assert (found["probabilities"], found["golden"]["probabilities"]) == (False, None)


class Mine(LinearRegression):  # type: ignore[misc]
    """An estimator of somebody's own module."""


def broken(asked: dict[str, Any], what: str) -> dict[str, Any]:
    frame = table()
    if what == "not fitted":
        return give(asked, LogisticRegression())
    if what == "no predict":
        return give(asked, StandardScaler().fit(frame[[NUMBER]]), frame[[NUMBER, "y"]])
    if what == "lacks":
        return give(asked, pipeline(), frame.drop(columns=[WORD]))
    if what == "target":
        return {**asked, "target": "z"}
    if what == "other types":
        return give(asked, pipeline(), frame.assign(**{NUMBER: "text"}))
    if what == "several":
        model = LinearRegression().fit(frame[[NUMBER]], frame[["count", NUMBER]])
        return give(asked, model, frame[[NUMBER, "y"]])
    if what == "broken":
        data = Path(asked["file"]).read_bytes()
        Path(asked["file"]).write_bytes(data[: len(data) // 2])
    return asked


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("not fitted", "not fitted"),
        ("no predict", "say what it answers|has no predict|neither"),
        ("lacks", r"lacks 1 column\(s\) of the model"),
        ("target", "no column 'z'"),
        ("other types", "can't predict the sample's rows"),
        ("several", "several answers"),
        ("broken", "not a pickle, or a broken one"),
    ],
)
def test_what_cannot_be_taken_is_told(asked: dict[str, Any], what: str, message: str) -> None:
    with pytest.raises(Refused, match=message) as caught:
        foreign_worker.examine(broken(asked, what))
    assert caught.value.document["fix"]


@pytest.mark.parametrize(
    ("module", "package"), [("imblearn", "imbalanced-learn"), ("my_features", "--code my_features.py")]
)
def test_a_missing_module_is_named_with_its_package(asked: dict[str, Any], module: str, package: str) -> None:
    stand_in = types.ModuleType(module)
    stand_in.Mine = Mine  # type: ignore[attr-defined]
    home, Mine.__module__ = Mine.__module__, module
    sys.modules[module] = stand_in
    try:
        Path(asked["file"]).write_bytes(pickle.dumps(Mine()))
    finally:
        del sys.modules[module]
        Mine.__module__ = home
    with pytest.raises(Refused, match=f"needs the module {module}") as caught:
        foreign_worker.examine(asked)
    assert package in caught.value.document["fix"]


def test_what_a_notebook_defined_is_told(asked: dict[str, Any]) -> None:
    Path(asked["file"]).write_bytes(b"c__main__\nNoSuchThing\n.")
    with pytest.raises(Refused, match="script or notebook"):
        foreign_worker.examine(asked)


def test_another_version_of_scikit_learn_is_told(asked: dict[str, Any]) -> None:
    raw = pickle.dumps(pipeline())
    import sklearn

    now = sklearn.__version__.encode()
    other = b"0" * (len(now) - 2) + b".1"
    Path(asked["file"]).write_bytes(raw.replace(now, other))
    found = foreign_worker.examine(asked)
    assert found["trained_with"] == other.decode()
    assert "Fit it again" in found["notes"][0]


def test_a_skops_file_becomes_a_pickle(asked: dict[str, Any], tmp_path: Path) -> None:
    import skops.io

    path = tmp_path / "model.skops"
    skops.io.dump(pipeline(), path)
    found = foreign_worker.examine({**asked, "file": str(path), "skops": True})
    assert found["classes"] == ["no", "yes'"]
    assert joblib.load(tmp_path / "converted.pkl").classes_.tolist() == found["classes"]


FILES = {
    "model.csv": (b"a,b\n1,2\n", "is not a pickle"),
    "model.pkl": (b"", "the file is empty"),
    "model.skops": (b"\x80\x04}.", "is no skops file"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_are_looked_at_before_anything_is_loaded(tmp_path: Path, name: str) -> None:
    content, message = FILES[name]
    (tmp_path / name).write_bytes(content)
    (tmp_path / "sample.csv").write_text("a\n1\n")
    with pytest.raises(InputError, match=message):
        foreign.check_files(Foreign(tmp_path / name, tmp_path / "sample.csv"))
    with pytest.raises(InputError, match="no such file"):
        foreign.check_files(Foreign(tmp_path / "not-there.pkl", tmp_path / "sample.csv"))


SAMPLES: dict[str, tuple[bytes, str | None, str]] = {
    "empty": (b"", None, "the file is empty"),
    "header only": (b"a,b\n", None, "has no rows"),
    "encoding": ("a,b\nä,1\n".encode("latin-1"), "utf8", "is not utf8: byte 0xe4 at line 2"),
    "a column twice": (b"a,a\n1,2\n", None, "two columns are called 'a'"),
    "not a table": (b"a,b\n1,2\n1,2,3\n", None, "3 fields, but line 1 has 2"),
}


@pytest.mark.parametrize("what", SAMPLES)
def test_samples_that_are_none(tmp_path: Path, what: str) -> None:
    content, encoding, message = SAMPLES[what]
    (tmp_path / "sample.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        foreign.read_sample(Foreign(tmp_path / "model.pkl", tmp_path / "sample.csv", encoding=encoding))


def test_such_a_model_is_registered_and_served(project: Path) -> None:
    """Through the process of its own; its folder, its version, and its score.py."""
    joblib.dump(pipeline(), project / "model.pkl")
    table().to_csv(project / "sample.csv", index=False, sep=";")
    given = Foreign(project / "model.pkl", project / "sample.csv", target="y")
    examined = foreign.examine(given, project / "outputs")
    schema, golden = read_schema(project / "outputs"), read_golden(project / "outputs")
    assert (examined.algorithm, schema.foreign, schema.target) == ("LogisticRegression", True, "y")
    assert {"scikit-learn", "numpy", "pandas", "scipy", "joblib"} <= schema.packages.keys()
    assert not {"pytest", "forestay"} & schema.packages.keys()
    store = new_store(project / ".forestay")
    first = store.register_file(project / "outputs", "M", "model.pkl", examined.algorithm)
    again = store.register_file(project / "outputs", "M", "model.pkl", examined.algorithm)
    assert (first.version, first.existing, again.version, again.existing) == ("1", False, "1", True)
    assert {key: first.as_dict()[key] for key in ("job", "trial", "score", "file")} == {
        "job": None,
        "trial": None,
        "score": None,
        "file": "model.pkl",
    }
    assert first.card is not None
    assert store.models() == [replace(first, card=None)]  # a list reads no cards
    module = scoring_models.load_score(project / "outputs")
    module.init()
    answer = module.run(data=list(golden.rows))
    assert answer.json["Results"] == list(golden.predictions)
    row = requests.sample_row(schema)
    refused = module.run(data=[{**row, NUMBER: None}])
    assert (refused.status, refused.json["error"]["details"][0]["column"]) == (400, NUMBER)
    unseen = module.run(data=[{**row, WORD: "never seen"}])
    assert (unseen.status, unseen.json["error"]["details"][0]["column"]) == (400, WORD)
