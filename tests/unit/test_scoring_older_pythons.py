"""Folders of models that Azure trained on Python 3.8 to 3.10, and with a pandas before 3."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest import mock

import numpy as np
import pandas as pd
import pytest

import templates
from forestay.errors import InputError, OutsideError
from scoring import environment, styles
from scoring.schema import ColumnSchema, ModelSchema
from scoring.serving_packages import PARSER, gunicorn_options
from tests import scoring_models

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = (
    "foreign_classification.py",
    "foreign_regression.py",
    "foreign_labels_only.py",
    "score_forecasting_azure.py",
    "simple_frame.py",
)


def schema(python: str) -> ModelSchema:
    return ModelSchema(
        task="regression",
        target="y",
        target_type="number",
        classes=None,
        columns=(ColumnSchema(name="x", type="numeric", used=True),),
        algorithm="Ridge",
        python=python,
        packages={"numpy": "1.24.4"},
        files={},
    )


def pins(python: str) -> dict[str, str]:
    found = schema(python)
    return environment.read_pins(
        environment.conda_env(styles.needs(styles.of(styles.AZUREML, found), found)), ""
    ).versions()


@pytest.mark.parametrize(
    ("python", "server", "parser"),
    [("3.8.20", "1.3.4", "0.18.6"), ("3.9.2", "1.5.1", "0.20.0"), ("3.10.18", "1.5.1", pins("3.11.7")[PARSER])],
)
def test_the_server_and_the_parser_are_made_for_the_python(python: str, server: str, parser: str) -> None:
    found = pins(python)
    assert (found["azureml-inference-server-http"], found[PARSER]) == (server, parser)


def test_a_python_without_a_server_is_named() -> None:
    with pytest.raises(OutsideError, match=r"not made for Python 3\.7\.16"):
        pins("3.7.16")


def test_mlflow_is_refused_where_it_does_not_run() -> None:
    with pytest.raises(InputError, match=r"MLflow is not made for Python 3\.9\.2"):
        styles.of(styles.MLFLOW, schema("3.9.2"))
    assert styles.of(styles.MLFLOW, schema("3.10.18")).name == styles.MLFLOW


@pytest.mark.parametrize(
    ("lock", "options"),
    [
        ("flask==3.1.3 \\\n    --hash=sha256:00\ngunicorn==23.0.0 \\\n", ()),
        ("gunicorn==25.0.3 \\\n", ()),
        ("gunicorn==25.1.0 \\\n", ("--no-control-socket",)),
        ("gunicorn==27.0.1 \\\n", ("--no-control-socket",)),
        ("", ("--no-control-socket",)),
    ],
)
def test_gunicorn_is_told_what_its_version_knows(lock: str, options: tuple[str, ...]) -> None:
    assert gunicorn_options(lock) == options


@pytest.mark.parametrize(
    "path",
    [
        *(f"templates/scoring/{name}" for name in ("scoring_input.py", "scoring_cells.py", "wsgi.py")),
        *(f"tests/golden/files/scoring/{name}" for name in SCRIPTS),
        "scoring/batch/worker.py",
        "scoring/cells.py",
        "forestay_azure_forecasts.py",
    ],
)
def test_what_runs_there_is_written_for_python_3_8(path: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("vermin"), "--no-tips", "--violations", "-t=3.8-", ROOT / path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def cells(version: str) -> ModuleType:
    """scoring_cells.py, as it is under that version of pandas."""
    module = ModuleType("scoring_cells")
    source = (templates.FOLDER / "scoring" / "scoring_cells.py").read_text(encoding="utf-8")
    with mock.patch.object(pd, "__version__", version):
        exec(compile(source, "scoring_cells.py", "exec"), vars(module))
    return module


def test_null_stays_null_in_text() -> None:
    """`dtype="str"` of a pandas before 3 makes the word None of it."""
    column = {"name": "c", "type": "text"}
    old = cells("1.5.3").to_array(["a", None], column)
    assert old.dtype == object
    assert old.tolist() == ["a", None]
    assert pd.isna(cells("3.1.1").to_array(["a", None], column)).tolist() == [False, True]


def test_booleans_are_those_of_the_trainer() -> None:
    column = {"name": "c", "type": "boolean"}
    module = cells("1.5.3")
    assert module.to_array([True, False], column, True).dtype == bool
    assert str(module.to_array([True, None], column, True).dtype) == "boolean"
    assert str(module.to_array([True, False], column).dtype) == "boolean"


@pytest.mark.parametrize("text", ["9999-12-31", "2262-04-12T00:00:00", "1600-01-01"])
def test_times_that_an_old_pandas_can_not_hold_are_refused(text: str) -> None:
    column = {"name": "c", "type": "datetime"}
    details: list[dict[str, object]] = []
    cells("1.5.3").read_column([text, "2024-01-31"], column, details)
    assert details == [{"row": 0, "column": "c", "problem": "must be between 1677-09-22 and 2262-04-11"}]
    assert isinstance(cells("2.2.3").read_column([text], column, []), np.ndarray)


def test_a_parser_whose_errors_are_no_value_errors(tmp_path: Path) -> None:
    score = scoring_models.load_score(scoring_models.plain_arrays(tmp_path).path)

    class MsgspecError(Exception):
        pass

    old = SimpleNamespace(MsgspecError=MsgspecError, json=mock.Mock(decode=mock.Mock(side_effect=MsgspecError)))
    with mock.patch.object(score.scoring_input, "msgspec", old):
        assert score.scoring_input.plain_document(b"{") is None
