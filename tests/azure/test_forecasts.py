"""A forecasting model that Azure trained: fetched, registered, its scoring folder made, and what it answers."""

from __future__ import annotations

import importlib
import json
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest

from forestay_azure_forecasts import ForecastInputError, Served, offset
from scoring.reference import answered, here
from scoring.schema import read_golden, read_schema
from tests.azure.conftest import Azure, Cli
from tests.azure.standin.forecaster import ForecastingPipelineWrapper, pickled
from tests.azure.standin.jobs import Script
from tests.azure.test_generate import conda
from tests.conftest import ROOT
from tests.forecasting_support import stores

pytestmark = pytest.mark.usefixtures("quick")


def write_job(folder: Path) -> Path:
    """Two stores by the day, with a promotion that is known ahead."""
    (folder / "data").mkdir()
    stores().to_csv(folder / "data" / "sales.csv", index=False)
    path = folder / "forecast.yml"
    path.write_text(
        "type: automl\ntask: forecasting\ncompute: azureml:cpu-cluster\ntarget_column_name: sales\n"
        "primary_metric: normalized_root_mean_squared_error\n"
        "training_data: {path: ./data/sales.csv, type: mltable}\nn_cross_validations: 2\n"
        "forecasting: {time_column_name: day, time_series_id_column_names: store, forecast_horizon: 5}\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def outputs(azure: Azure, cli: Cli, project: Path) -> Path:
    """The outputs of a trial, fetched and registered here."""
    frame = stores().assign(day=pd.to_datetime(stores()["day"]))
    model = pickled("day", ["store"], "sales", frame, "D")
    azure.service.script = Script(trials=1, conda=conda(platform.python_version(), "cloudpickle"), model=model)
    name = cli("job", "submit", write_job(project), "--stream").json["job"]
    cli("job", "download", name)
    return Path(cli("model", "register", name, "--name", "Sales", env="").json["path"])


def test_its_schema_comes_from_the_data(outputs: Path) -> None:
    schema, golden = read_schema(outputs), read_golden(outputs)
    assert (schema.time_column, schema.series_columns, schema.frequency, schema.horizon) == ("day", ("store",), "D", 5)
    kinds = {column.name: column.type for column in schema.columns}
    assert kinds == {"day": "datetime", "store": "categorical", "promotion": "numeric"}
    assert {"forecast_series.json", "forestay_azure_forecasts.py", "model.pkl"} <= schema.files.keys()
    first = golden.rows[0]
    last = pd.to_datetime(stores()["day"]).max()
    assert first["day"] == (last + pd.Timedelta(days=1)).isoformat()
    assert [row["sales"] is None for row in golden.rows[:4]] == [False, False, False, True]


@pytest.fixture
def reader_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The RequestReader of a scoring folder, whose modules are imported there by their bare names."""
    monkeypatch.syspath_prepend(ROOT / "templates" / "scoring")
    yield importlib.import_module("scoring_input").RequestReader
    for name in ("scoring_input", "scoring_cells"):
        sys.modules.pop(name, None)


def test_the_served_model_answers_as_the_bare_one(outputs: Path, reader_of: Any) -> None:
    schema, pending = read_schema(outputs), read_golden(outputs)
    golden, check = answered(schema, pending, str(outputs / "model.pkl"), here(Path(sys.executable), outputs))
    assert check.passed, check.detail
    assert golden.quantiles is not None
    document = json.loads((outputs / "model_schema.json").read_text(encoding="utf-8"))
    served = Served(joblib.load(outputs / "model.pkl"), document, outputs)
    reader = reader_of(document)
    found = served.forecast(reader.to_frame(list(golden.rows)), [0.1, 0.9])
    assert found["forecast"].tolist() == pytest.approx(list(golden.predictions))
    assert found[0.9].tolist() == pytest.approx(list(golden.quantiles["0.9"]))
    turned = served.forecast(reader.to_frame(list(golden.rows)[::-1]))
    assert turned["forecast"].tolist() == pytest.approx(list(golden.predictions)[::-1])
    assert len(served.forecast(reader.to_frame([reader.sample_row()]))) == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("registry")
def test_its_proof(outputs: Path, cli: Cli, project: Path) -> None:
    """The real server in a clean environment: forms, golden rows with quantiles, and what must be refused."""
    cli("score", "generate", "Sales", "--to", "scoring", env="")
    done = cli("score", "verify", project / "scoring", env="")
    assert done.json["verified"] is True, done


@pytest.fixture
def served(tmp_path: Path) -> Served:
    """Two stores that end on the same day, at 10 and 20."""
    frame = pd.DataFrame(
        {"day": pd.to_datetime(["2024-01-01", "2024-01-02"] * 2), "store": [1, 1, 2, 2], "sales": [9.0, 10, 19, 20]}
    )
    ends = [{"key": [key], "last": "2024-01-02T00:00:00", "value": value} for key, value in (("1", 10.0), ("2", 20.0))]
    (tmp_path / "forecast_series.json").write_text(json.dumps(ends), encoding="utf-8")
    columns = [{"name": name, "used": True} for name in ("day", "store", "promotion")]
    schema = {
        "time_column": "day", "series_columns": ["store"], "target": "sales", "frequency": "D", "columns": columns,
    }  # fmt: skip
    return Served(ForecastingPipelineWrapper("day", ["store"], "sales", frame, "D"), schema, tmp_path)


def rows(days: list[str], store: int = 1, **more: Any) -> pd.DataFrame:
    values = {"day": pd.to_datetime(days), "store": store, "promotion": 0.0, "sales": None, **more}
    return pd.DataFrame(values)


def test_gaps_are_walked_through_and_order_does_not_matter(served: Served) -> None:
    assert served.forecast(rows(["2024-01-05"]))["forecast"].tolist() == [14.5]
    both = pd.concat([rows(["2024-01-05", "2024-01-03"]), rows(["2024-01-03"], store=2)])
    assert served.forecast(both)["forecast"].tolist() == [14.5, 11.5, 21.5]


def test_recent_history_moves_the_forecast_and_is_given_back(served: Served) -> None:
    found = served.forecast(rows(["2024-01-04", "2024-01-05"], sales=[50.0, None]), [0.1, 0.9])
    assert found["forecast"].tolist() == [50.0, 51.5]
    assert found[0.9].tolist() == [50.0, pytest.approx(54.7)]
    assert served.forecast(rows(["2024-01-01"], sales=[7.0]))["forecast"].tolist() == [7.0]


@pytest.mark.parametrize(
    ("frame", "column", "said"),
    [
        (rows(["2024-01-05"], store=3), "store", "no such series was in training (3)"),
        (rows(["2024-01-05", "2024-01-05"]), "day", "stands twice"),
        (rows(["2024-01-02"]), "day", "is no later than 2024-01-02"),
        (rows(["1900-01-01"]), "day", "is no later than"),
        (rows(["2024-01-05T06:00"]), "day", "is not a time of the series"),
        (rows(["2199-01-01"]), "day", "periods after"),
        (rows(["2024-01-03", "2024-01-05"], sales=[None, 7.0]), "day", "is no later than 2024-01-05"),
    ],
)
def test_rows_that_can_not_be_forecast_are_named(served: Served, frame: pd.DataFrame, column: str, said: str) -> None:
    with pytest.raises(ForecastInputError) as refused:
        served.forecast(frame)
    row, named, problem = refused.value.details[0]
    assert (row, named) == (0 if len(frame) == 1 or "later" in said else 1, column)
    assert said in problem


def test_frequencies_of_older_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    real = pd.tseries.frequencies.to_offset

    def older(name: str) -> Any:
        if name in ("2ME", "QE-DEC", "h"):
            raise ValueError(f"Invalid frequency: {name}")
        return name if name in ("2M", "Q-DEC", "H") else real(name)

    monkeypatch.setattr(pd.tseries.frequencies, "to_offset", older)
    assert [offset(name) for name in ("2ME", "QE-DEC", "h")] == ["2M", "Q-DEC", "H"]
