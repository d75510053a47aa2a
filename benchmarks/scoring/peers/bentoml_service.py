"""The model behind BentoML, as its guide has it."""

import os
import sys
from pathlib import Path
from typing import Any

import bentoml
import joblib
import pandas as pd

FOLDER = Path(os.environ["AZUREML_MODEL_DIR"])


@bentoml.service(workers=1)
class Model:
    def __init__(self) -> None:
        sys.path.insert(0, str(FOLDER))
        self.model = joblib.load(FOLDER / "model.pkl")

    @bentoml.api(route="/score")
    def score(self, data: list[dict[str, Any]]) -> dict[str, list[str]]:
        return {"Results": self.model.predict(pd.DataFrame(data)).tolist()}
