"""Plain LightGBM: its defaults, strings as categories, dates as numbers of days, no search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from common import Dtypes, Request, parts

DISTRIBUTION = "lightgbm"
IMPORT = "lightgbm"


class Model:
    def __init__(self, dtypes: Dtypes, estimator: Any) -> None:
        self.dtypes, self.estimator = dtypes, estimator

    def inputs(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame = self.dtypes.apply(frame)
        for name in self.dtypes.dates:
            frame[name] = (frame[name] - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)
        # JSON's special characters are refused in names of columns.
        return frame.set_axis([f"column_{place}" for place in range(frame.shape[1])], axis=1)

    def predict(self, frame: pd.DataFrame) -> Any:
        return self.estimator.predict(self.inputs(frame))

    def probabilities(self, frame: pd.DataFrame) -> tuple[list[str], np.ndarray]:
        return [str(name) for name in self.estimator.classes_], self.estimator.predict_proba(self.inputs(frame))


def fit(request: Request) -> int:
    """Trains and saves; returns how many models were tried."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    columns, target = parts(request)
    kind = LGBMClassifier if request["task"] == "classification" else LGBMRegressor
    estimator = kind(n_jobs=request["threads"], random_state=request["seed"], verbose=-1)
    model = Model(Dtypes(columns), estimator)
    estimator.fit(model.inputs(columns), target)
    joblib.dump((model.dtypes, estimator), Path(request["model"], "model.pkl"))
    return 1


def load(request: Request) -> Model:
    return Model(*joblib.load(Path(request["model"], "model.pkl")))
