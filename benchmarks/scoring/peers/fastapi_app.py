"""The model behind FastAPI, as its tutorial has it: a pydantic model of a row, a frame of the rows."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel, create_model

FOLDER = Path(os.environ["AZUREML_MODEL_DIR"])
sys.path.insert(0, str(FOLDER))
model = joblib.load(FOLDER / "model.pkl")
TYPES: dict[str, Any] = {"numeric": float, "boolean": bool}
COLUMNS = json.loads((FOLDER / "model_schema.json").read_text())["columns"]
Row = create_model("Row", **{column["name"]: (TYPES.get(column["type"], str) | None, None) for column in COLUMNS})


class Request(BaseModel):
    data: list[Row]  # type: ignore[valid-type]


app = FastAPI()


@app.post("/score")
def score(request: Request) -> dict[str, list[str]]:
    frame = pd.DataFrame([row.model_dump() for row in request.data])
    return {"Results": model.predict(frame).tolist()}
