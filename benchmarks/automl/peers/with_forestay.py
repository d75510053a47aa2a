"""A trial of Forestay as its user loads it: model.pkl with the module that lies beside it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from common import Request


class Model:
    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def predict(self, frame: pd.DataFrame) -> Any:
        return self.pipeline.predict(frame)

    def probabilities(self, frame: pd.DataFrame) -> tuple[list[str], np.ndarray]:
        return [str(name) for name in self.pipeline.classes_], self.pipeline.predict_proba(frame)


def load(request: Request) -> Model:
    sys.path.insert(0, request["model"])
    return Model(joblib.load(Path(request["model"], "model.pkl")))
