"""A model that is not loaded here: it is asked in its own environment, by a process there."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

from forestay.errors import InputError, RunFailed
from scoring import asked, environment
from tests import scoring_models
from tests.scoring_models import Model


@pytest.fixture
def folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scoring folder whose environment is this one."""
    made = project / "scoring"
    made.mkdir()
    (made / "conda_env.yaml").write_text(
        environment.conda_env(SimpleNamespace(python="3.11.7", packages={"numpy": "2.4.6"})),  # type: ignore[arg-type]
        encoding="utf-8",
    )
    (made / "requirements.lock").write_text("numpy==2.4.6\n", encoding="utf-8")
    monkeypatch.setattr(environment, "ensure", lambda *_: SimpleNamespace(python=Path(sys.executable)))
    return made


def opened(model: Model, folder: Path) -> Any:
    return asked.model(model.name, model.version, model.path, served=folder)


def test_what_was_trained_here_is_loaded_in_this_process(project: Path) -> None:
    model = scoring_models.regression(project / "price")
    assert type(asked.model("Price", "1", model.path)).__name__ == "Pipeline"


def test_a_foreign_model_answers_as_it_does_itself(project: Path, folder: Path) -> None:
    model = scoring_models.plain_arrays(project / "arrays")
    itself = joblib.load(model.path / "model.pkl")
    found = opened(model, folder)
    assert isinstance(found, asked.AskedModel)
    rows = pd.DataFrame(np.random.default_rng(1).normal(size=(7, 3)), columns=["a", "b", "c"])
    assert found.predict(rows) == pytest.approx(itself.predict(rows.to_numpy()))


def test_labels_and_probabilities_come_in_blocks(project: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = scoring_models.bank(project / "bank")
    scoring_models.change_schema(model.path, lambda schema: schema.update(python="3.8.1"))
    itself = joblib.load(model.path / "model.pkl")
    monkeypatch.setattr(asked, "BLOCK_ROWS", 30)
    rows = scoring_models.bank_frame().head(40)
    found = opened(model, folder)
    assert found.predict(rows).tolist() == itself.predict(rows).tolist()
    assert found.predict_proba(rows) == pytest.approx(itself.predict_proba(rows))
    # A whole number in training, a half here: it is not cut off.
    rows = rows.assign(age=rows["age"] + 0.5)
    assert found.predict_proba(rows) == pytest.approx(itself.predict_proba(rows))


def test_what_can_not_be_asked_says_why(project: Path, folder: Path) -> None:
    model = scoring_models.plain_arrays(project / "arrays")
    joblib.dump("no model", model.path / "model.pkl")
    scoring_models.rehash(model.path)
    with pytest.raises(RunFailed, match="does not load or predict"):
        opened(model, folder).predict(pd.DataFrame({"a": [1.0], "b": [1.0], "c": [1.0]}))
    scoring_models.change_schema(model.path, lambda schema: schema.update(task="forecasting"))
    with pytest.raises(InputError, match="is a forecast that can't be loaded here"):
        opened(model, folder)
    (model.path / "model.pkl").write_bytes(b"another")
    with pytest.raises(InputError, match="not the one that training recorded"):
        opened(model, folder)
