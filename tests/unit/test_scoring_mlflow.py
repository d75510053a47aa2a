"""The MLflow model of a scoring folder: MLflow's own loader and signature take it; what does not fit is refused."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from forestay.errors import InputError
from scoring import checks, environment, openapi_styles, requests, styles
from scoring.generate import generate
from scoring.schema import read_golden, read_schema
from tests import scoring_models

KINDS = {
    "types": scoring_models.bank,
    "hostile": scoring_models.hostile,
    "numbers": scoring_models.plain_arrays,
    "regression": scoring_models.regression,
    "labels": scoring_models.multilabel,
}


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scoring folder of the mlflow style."""
    place = tmp_path_factory.mktemp(request.param)
    return made(KINDS[request.param](place / "outputs"), place)


def made(model: scoring_models.Model, place: Path) -> Path:
    """A folder of a model, generated without the network."""
    schema = read_schema(model.path)
    conda = environment.conda_env(styles.needs(styles.of("mlflow", schema), schema))
    pins = environment.read_pins(conda, "conda_env.yaml")
    kept = environment.lock_path(pins, place / "home")
    kept.parent.mkdir(parents=True)
    hashed = [f"{name}=={version} \\\n    --hash=sha256:{'0' * 64}\n" for name, version in pins.versions().items()]
    kept.write_text("".join(sorted(hashed)))
    return generate(model, place / "folder", style="mlflow", home=place / "home").path


@pytest.fixture
def loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The model as MLflow loads it."""
    import mlflow.pyfunc

    monkeypatch.setattr(sys, "path", list(sys.path))
    return mlflow.pyfunc.load_model(str(folder / "model"))


def test_golden_rows_through_mlflows_own_reading(folder: Path, loaded: Any) -> None:
    from mlflow.pyfunc.scoring_server import _parse_json_data

    golden, schema = read_golden(folder), read_schema(folder / "model")
    inputs = loaded.metadata.get_input_schema()
    for form in requests.MLFLOW:
        for method in schema.methods:
            body = json.dumps(requests.request(form, golden.rows, method))
            parsed = _parse_json_data(body, loaded.metadata, inputs)
            found = json.loads(json.dumps(loaded.predict(parsed.data, params=parsed.params), allow_nan=False))
            if method == "predict":
                assert all(checks.same(want, got) for want, got in zip(golden.predictions, found, strict=True))
            else:
                assert golden.probabilities is not None
                assert [list(row.values()) for row in found] == [pytest.approx(row) for row in golden.probabilities]


def test_the_folder_is_what_mlflow_calls_a_model(folder: Path) -> None:
    from mlflow.models import Model

    schema = read_schema(folder / "model")
    found = Model.load(str(folder / "model"))
    assert found.signature.inputs.input_names() == [column.name for column in schema.used]
    assert found.flavors["python_function"]["loader_module"] == "forestay_mlflow"
    conda = yaml.safe_load((folder / "model" / "conda.yaml").read_text())
    pins = conda["dependencies"][-1]["pip"]
    assert (folder / "model" / "requirements.txt").read_text().split() == pins
    assert any(pin.startswith("mlflow-skinny==") for pin in pins)
    assert conda["dependencies"][0] == f"python={schema.python}"
    assert found.load_input_example(str(folder / "model")).shape == (1, len(schema.used))


def test_values_that_do_not_fit_are_refused(folder: Path, loaded: Any) -> None:
    from mlflow.exceptions import MlflowException

    schema = read_schema(folder / "model")
    numbers = {column.name for column in schema.used if column.type in ("numeric", "boolean")}
    row = {name: float(value) if name in numbers else value for name, value in requests.sample_row(schema).items()}
    good = pd.DataFrame([row])
    loaded.predict(good)
    with pytest.raises(MlflowException, match="missing inputs"):
        loaded.predict(good.drop(columns=schema.used[0].name))
    with pytest.raises(MlflowException, match="method must be one of"):
        loaded.predict(good, params={"method": "__class__"})
    for column in schema.used:
        wrong = {"boolean": 2.0, "numeric": float("inf")}.get(column.type, 5)
        frame = pd.DataFrame([{**row, column.name: wrong}])
        with pytest.raises(MlflowException, match=r"row 0, column "):
            loaded._model_impl.predict(frame)


def test_the_same_model_gives_the_same_folder(tmp_path: Path) -> None:
    model = scoring_models.plain_arrays(tmp_path / "outputs")
    first, second = made(model, tmp_path / "a"), made(replace(model), tmp_path / "b")
    names = [path.relative_to(first) for path in first.rglob("*") if path.is_file() and path.name != "forestay.json"]
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)


def test_a_changed_model_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow.pyfunc

    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = made(scoring_models.plain_arrays(tmp_path / "outputs"), tmp_path)
    with (folder / "model" / "model.pkl").open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(RuntimeError, match=r"model\.pkl is not the file"):
        mlflow.pyfunc.load_model(str(folder / "model"))


def test_openapi_describes_what_an_endpoint_takes(folder: Path) -> None:
    from openapi_spec_validator import validate

    schema = read_schema(folder / "model")
    document = openapi_styles.document(schema, "M", "1", styles.of("mlflow", schema))
    validate(document)
    assert document["components"]["schemas"]["Answer"]["type"] == "array"
    assert list(document["components"]["schemas"]["Request"]["properties"]) == ["input_data", "params"]


def test_a_forecast_is_no_such_model() -> None:
    from tests.golden.test_scoring_templates import SERIES, schema

    with pytest.raises(InputError, match="no place"):
        styles.of("mlflow", schema("forecasting", **SERIES))
