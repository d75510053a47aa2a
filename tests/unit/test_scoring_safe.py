"""A folder's model is loaded with skops where every type is known, else from a pickle whose hash is compared."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from scipy.sparse import csr_matrix
from skops.io.exceptions import UntrustedTypesFoundException

from forestay import project
from scoring import safe
from scoring.folder import ScoringFolder, open_folder
from scoring.generate import generate
from scoring.schema import read_schema
from scoring.to_skops import difference, known
from tests import scoring_models


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> scoring_models.Model:
    return scoring_models.bank(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def folder(trained: scoring_models.Model, tmp_path: Path) -> ScoringFolder:
    scoring_models.keep_lock(trained.path, tmp_path / "home")
    return generate(trained, tmp_path / "scoring", home=tmp_path / "home")


def schema_of(folder: ScoringFolder) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder.path / "model" / "model_schema.json").read_text())
    return found


def start(folder: ScoringFolder) -> Any:
    score = scoring_models.load_score(folder.path / "model")
    score.init()
    return score


def test_a_model_of_known_types_is_loaded_without_its_pickle(folder: ScoringFolder) -> None:
    schema = schema_of(folder)
    assert folder.as_dict()["model_format"] == "skops"
    assert schema["packages"]["skops"] == importlib.metadata.version("skops")
    assert f"skops=={schema['packages']['skops']}" in (folder.path / "conda_env.yaml").read_text()
    assert "forestay_reading.InputFrame" in schema["trusted_types"]
    assert "joblib" not in (folder.path / "score.py").read_text()
    golden = json.loads((folder.path / "golden.json").read_text())
    score = start(folder)
    assert score.run(data=[without_id(row) for row in golden["rows"]]).json["Results"] == golden["predictions"]


def without_id(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "id"}


@pytest.mark.parametrize("name", ["model.pkl", "model.skops", "forestay_transformers.py"])
def test_a_file_that_was_changed_fails_the_start(folder: ScoringFolder, name: str) -> None:
    path = folder.path / "model" / name
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(RuntimeError, match=f"{name} is not the file that was recorded"):
        start(folder)


def test_a_type_that_is_not_listed_is_never_built(folder: ScoringFolder, tmp_path: Path) -> None:
    """Whoever can also change the recorded hash gets no code run by another type in the file."""
    path, planted = folder.path / "model" / "model.skops", tmp_path / "planted.skops"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(planted, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            if name == "schema.json":
                document = json.loads(text)
                assert document["__class__"] == "Pipeline"
                document |= {"__class__": "Popen", "__module__": "subprocess"}
                text = json.dumps(document).encode()
            new.writestr(name, text)
    planted.replace(path)
    schema = schema_of(folder)
    schema["files"]["model.skops"] = project.sha256(path)
    project.write_json(folder.path / "model" / "model_schema.json", schema)
    with pytest.raises(UntrustedTypesFoundException, match=r"subprocess\.Popen"):
        start(folder)


def test_a_type_of_nobody_known_stays_a_pickle_and_is_told(tmp_path: Path) -> None:
    """The classifier of these labels is a class of the tests."""
    trained = scoring_models.multilabel(tmp_path / "outputs")
    scoring_models.keep_lock(trained.path, tmp_path / "home")
    made = generate(trained, tmp_path / "scoring", home=tmp_path / "home")
    assert made.pickle_reason is not None
    assert "tests" in made.pickle_reason
    assert open_folder(made.path).as_dict()["pickle_reason"] == made.pickle_reason
    assert made.as_dict()["model_format"] == "pickle"
    assert json.dumps(made.pickle_reason)[1:-1] in (made.path / "README.md").read_text()
    assert "joblib.load" in (made.path / "score.py").read_text()
    assert "skops" not in schema_of(made)["packages"]
    start(made)


def test_a_pickle_of_other_versions_is_not_loaded_here(trained: scoring_models.Model, tmp_path: Path) -> None:
    schema = read_schema(trained.path)
    old = schema.model_copy(update={"packages": {**schema.packages, "scikit-learn": "1.2.0"}})
    found = safe.convert(trained.path, old, tmp_path, lambda _: None)
    assert found.file is None
    assert found.reason is not None
    assert "trained with scikit-learn 1.2.0" in found.reason
    assert not (tmp_path / "models").exists()


def test_the_same_model_gives_the_same_folder(
    folder: ScoringFolder, trained: scoring_models.Model, tmp_path: Path
) -> None:
    again = generate(replace(trained), tmp_path / "again", home=tmp_path / "home")
    assert again.files == folder.files


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": np.array([1.0, 2.0])}, {"a": np.array([1.0, 2.0000000000000004])}),
        ({1: "a"}, {"1": "a"}),
        ({"b": 0, "a": 1}, {"a": 1, "b": 0}),
        ([1, 2], (1, 2)),
        ([1], [1, 2]),
        (np.array([1.0]), np.array([1.0], dtype="float32")),
        (csr_matrix([[1.0, 0.0]]), csr_matrix([[0.0, 1.0]])),
        (functools.partial(int, base=2), functools.partial(int, base=3)),
        (True, 1),
        (None, "None"),
    ],
)
def test_models_that_differ_anywhere_are_told_apart(one: Any, other: Any) -> None:
    assert difference({"model": [one]}, {"model": [other]}) is not None
    assert difference({"model": [one]}, {"model": [one]}) is None
    same = joblib.load(_dumped(one))
    assert difference(one, same) is None


def _dumped(value: Any) -> Any:
    from io import BytesIO

    buffer = BytesIO()
    joblib.dump(value, buffer)
    buffer.seek(0)
    return buffer


def test_only_classes_of_known_libraries_are_trusted() -> None:
    assert known("sklearn.tree._tree.Tree", set())
    assert known("forestay_transformers.InputFrame", {"forestay_transformers"})
    for name in (
        "forestay_transformers.InputFrame",
        "subprocess.Popen",
        "os.system",
        "numpy.load",
        "sklearn.nothing.X",
    ):
        assert not known(name, set()), name
