"""FLAML as its documentation shows it: `AutoML().fit` with a time budget. Text is a category to it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import Dtypes, Request, parts

DISTRIBUTION = "flaml"
IMPORT = "flaml"


class Model:
    def __init__(self, dtypes: Dtypes, automl: Any) -> None:
        self.dtypes, self.automl = dtypes, automl

    def predict(self, frame: pd.DataFrame) -> Any:
        return self.automl.predict(self.dtypes.apply(frame))

    def probabilities(self, frame: pd.DataFrame) -> tuple[list[str], np.ndarray]:
        return [str(name) for name in self.automl.classes_], self.automl.predict_proba(self.dtypes.apply(frame))


def fit(request: Request) -> int:
    """Trains and saves; returns how many configurations were tried."""
    from flaml import AutoML

    columns, target = parts(request)
    metric = "rmse"
    if request["task"] == "classification":
        metric = "roc_auc" if target.nunique() == 2 else "roc_auc_ovr_weighted"
    dtypes = Dtypes(columns)
    log = Path(request["scratch"], "flaml.log")
    automl = AutoML()
    automl.fit(
        dtypes.apply(columns),
        target,
        task=request["task"],
        metric=metric,
        time_budget=request["budget"],
        n_jobs=request["threads"],
        seed=request["seed"],
        log_file_name=str(log),
        log_type="all",
        verbose=0,
    )
    with Path(request["model"], "model.pkl").open("wb") as file:
        pickle.dump((dtypes, automl), file, pickle.HIGHEST_PROTOCOL)
    # One line a configuration, and a last one that names the best.
    return sum('"curr_best_record_id"' not in line for line in log.read_text().splitlines())


def load(request: Request) -> Model:
    with Path(request["model"], "model.pkl").open("rb") as file:
        return Model(*pickle.load(file))
