"""What MLflow loads a model with (`loader_module` of its MLmodel): the pipeline beside it, and rows checked before it.

MLflow's signature gives columns by name, and turns numbers into float64; it takes any value in a column of text, and
would read "false" as true. So booleans are declared as numbers and dates as text, and each is read here.

This module lies in the model's folder under code/ and needs nothing of forestay.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException

MAX_NUMBER = 1e30  # squares and single precision must hold what is made of it; more only where training had more
MOST = 5  # problems that a message lists


def _load_pyfunc(path: str) -> Served:
    """Called by mlflow.pyfunc.load_model with the model's folder. A file that is not the recorded one is not loaded."""
    folder = Path(path)
    schema = json.loads((folder / "model_schema.json").read_text(encoding="utf-8"))
    for name, expected in schema["files"].items():
        file = folder / "code" / name if name.endswith(".py") else folder / name
        if hashlib.sha256(file.read_bytes()).hexdigest() != expected:
            raise RuntimeError(f"{name} is not the file that was recorded")
    if str(folder / "code") not in sys.path:
        sys.path.insert(0, str(folder / "code"))
    return Served(schema, joblib.load(folder / "model.pkl"))


class Served:
    """A model as MLflow calls it.

    `predict` takes a frame with the model's columns and gives a list, one entry a row: a label, a number, or with
    `params={"method": "predict_proba"}` a probability for each class by name. Raises MlflowException, which MLflow's
    server answers with 400, for rows that do not fit.
    """

    def __init__(self, schema: dict[str, Any], model: Any) -> None:
        self.schema = schema
        self.model = model
        self.columns = [column for column in schema["columns"] if column["used"]]

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> list[Any]:
        method = (params or {}).get("method", "predict")
        methods = ["predict"]
        if self.schema["classes"] is not None and self.schema.get("probabilities", True):
            methods.append("predict_proba")
        if method not in methods:
            raise MlflowException.invalid_parameter_value(f"method must be one of {', '.join(methods)}")
        if not isinstance(model_input, pd.DataFrame) or model_input.empty:
            raise MlflowException.invalid_parameter_value("rows must be given as a table, and at least one")
        frame = self._frame(model_input)
        try:
            found = getattr(self.model, method)(frame.to_numpy() if self.schema.get("takes_array") else frame)
        except ValueError as error:
            if not self.schema.get("foreign"):
                raise
            raise MlflowException.invalid_parameter_value("the model can't answer these rows") from error
        if method == "predict_proba":
            names = [label if isinstance(label, str) else json.dumps(label) for label in self.schema["classes"]]
            return [dict(zip(names, row, strict=True)) for row in np.asarray(found).tolist()]
        if self.schema["task"] == "text_classification_multilabel":
            return [np.asarray(labels).tolist() for labels in found]
        return list(np.asarray(found).tolist())

    def _frame(self, given: pd.DataFrame) -> pd.DataFrame:
        """The model's columns in its order, each of its type."""
        problems: list[str] = []
        absent = [column["name"] for column in self.columns if column["name"] not in given.columns]
        problems += [f"column {json.dumps(name)}: is missing" for name in absent]
        arrays = {}
        for column in self.columns:
            if column["name"] in absent:
                continue
            cells = []
            for row, value in enumerate(given[column["name"]].tolist()):
                try:
                    cells.append(_read(value, column))
                except ValueError as error:
                    problems.append(f"row {row}, column {json.dumps(column['name'])}: {error}")
            if not problems:
                arrays[column["name"]] = _array(cells, column)
        if problems:
            more = f"; and {len(problems) - MOST} more" if len(problems) > MOST else ""
            raise MlflowException.invalid_parameter_value("; ".join(problems[:MOST]) + more)
        return pd.DataFrame(arrays)


def _read(value: Any, column: dict[str, Any]) -> Any:
    """A cell as the model takes it; None for no value. Raises ValueError for what does not fit."""
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        if not column.get("nulls", True):
            raise ValueError("must not be null: the model takes no row without it")
        return None
    kind = column["type"]
    if kind == "numeric":
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError("must be a finite number")
        seen = [abs(known) for known in (column.get("minimum"), column.get("maximum")) if known is not None]
        if abs(value) > max([MAX_NUMBER, *seen]):
            raise ValueError("is a number too large for the model")
        if column.get("integer") and value != int(value):
            raise ValueError("must be a whole number")
        return int(value) if column.get("integer") else float(value)
    if kind == "boolean":
        if value not in (0, 1) or isinstance(value, str):
            raise ValueError("must be true or false")
        return bool(value)
    if kind == "datetime":
        if isinstance(value, dt.datetime):  # of a column that a server has turned into dates already
            time = value
        elif isinstance(value, str):
            time = dt.datetime.fromisoformat(value)
        else:
            raise ValueError('must be a date as text such as "2024-01-31T08:00:00"')
        return time.astimezone(dt.UTC).replace(tzinfo=None) if time.tzinfo else time
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


def _array(cells: list[Any], column: dict[str, Any]) -> Any:
    """Cells as a column of a frame, as score.py of the other styles makes it."""
    if column["type"] == "numeric":
        whole = column.get("integer") and None not in cells
        return np.array(cells, dtype=np.int64 if whole else np.float64)
    if column["type"] == "datetime":
        return np.array(cells, dtype="datetime64[us]")
    return pd.array(cells, dtype="boolean" if column["type"] == "boolean" else "str")
