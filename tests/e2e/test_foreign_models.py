"""A scikit-learn pipeline from elsewhere, from its file to an answering endpoint, in every style of a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

NUMBER, COUNT, WORD = 'it\'s a "number"\nof {{ 7 * 7 }}', "'); import os; os.system('true') #", "<script>é</script>"


@pytest.fixture
def given(project: Path) -> Path:
    """`model.pkl` and `sample.csv` in the current folder."""
    random = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            NUMBER: random.normal(size=200).round(4),
            COUNT: random.integers(0, 9, 200),
            WORD: random.choice(["a", "{{ b }}", "c'"], 200),
            "not used": random.normal(size=200),
        }
    )
    labels = np.where(frame[NUMBER] + (frame[WORD] == "a") > 0.3, "yes {{", "no'")
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    features = make_column_transformer((numbers, [NUMBER]), (StandardScaler(), [COUNT]), (OneHotEncoder(), [WORD]))
    model = make_pipeline(features, LogisticRegression()).fit(frame[[NUMBER, COUNT, WORD]], labels)
    joblib.dump(model, project / "model.pkl")
    frame.assign(label=labels).to_csv(project / "sample.csv", index=False)
    return project


@pytest.mark.slow
def test_from_a_file_to_an_endpoint_in_every_style(given: Path, clean: Callable[..., Any]) -> None:
    words = ["model", "register", "--file", "model.pkl", "--sample", "sample.csv", "--target", "label", "--name", "M"]
    asked = clean(*words)
    assert (asked.returncode, asked.stdout) == (2, "")
    assert "a pickle runs the code in it, and was not loaded" in asked.stderr
    made = clean(*words, "--yes", "--output", "json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout) | {"job": None, "trial": None, "version": "1", "file": "model.pkl"} == json.loads(
        made.stdout
    )
    assert "registered from a file: model.pkl" in clean("model", "show", "M").stdout
    proofs = {}
    for style in ("simple", "mlflow", "azureml"):
        assert clean("score", "generate", "M", "--style", style, "--to", style).returncode == 0
        done = clean("score", "verify", style, "--output", "json")
        assert done.returncode == 0, done.stdout
        proofs[style] = {check["name"] for check in json.loads(done.stdout)["checks"]}
    assert {"golden_data", "golden_inputs", "golden_input_data"} <= proofs["azureml"]
    assert {"golden_no_code", "golden_dataframe_split", "golden_dataframe_records", "mlflow_ping"} <= proofs["mlflow"]
    assert "golden_data" in proofs["simple"]
    deployed = clean("endpoint", "deploy", "foreign", "--model", "M", "--from", "azureml")
    assert deployed.returncode == 0, deployed.stderr
    answer = clean("endpoint", "invoke", "foreign")
    assert json.loads(answer.stdout)["Results"][0] in ("yes {{", "no'")
    row = json.loads((given / "azureml" / "sample_request.json").read_text())["data"][0]
    refused = clean("endpoint", "invoke", "foreign", "--request", json.dumps({"data": [{**row, WORD: "unseen"}]}))
    assert refused.returncode == 2
    assert json.loads(refused.stdout)["error"]["details"][0]["column"] == WORD
