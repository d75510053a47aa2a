"""AutoGluon with the preset best_quality, kept as for deployment and persisted in memory before it predicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import Request, read

DISTRIBUTION = "autogluon.tabular"
IMPORT = "autogluon.tabular"


class Model:
    def __init__(self, predictor: Any) -> None:
        self.predictor = predictor

    def predict(self, frame: pd.DataFrame) -> Any:
        return self.predictor.predict(frame)

    def probabilities(self, frame: pd.DataFrame) -> tuple[list[str], np.ndarray]:
        found = self.predictor.predict_proba(frame)
        return [str(name) for name in found.columns], found.to_numpy()


def fit(request: Request) -> int:
    """Trains and saves; returns how many models were trained."""
    from autogluon.tabular import TabularPredictor

    frame = read(request["train"])
    metric = "root_mean_squared_error"
    problem = "regression"
    if request["task"] == "classification":
        two = frame[request["target"]].nunique() == 2
        metric, problem = ("roc_auc", "binary") if two else ("roc_auc_ovr_weighted", "multiclass")
    predictor = TabularPredictor(
        request["target"],
        problem_type=problem,
        eval_metric=metric,
        path=str(Path(request["scratch"], "predictor")),
        verbosity=1,
    )
    predictor.fit(frame, time_limit=request["budget"], presets="best_quality", num_cpus=request["threads"], num_gpus=0)
    request["fitted"]()
    predictor.clone_for_deployment(str(Path(request["model"], "predictor")))
    return len(predictor.model_names())


def load(request: Request) -> Model:
    from autogluon.tabular import TabularPredictor

    predictor = TabularPredictor.load(str(Path(request["model"], "predictor")))
    predictor.persist()
    return Model(predictor)
