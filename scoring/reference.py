"""What a model that was trained elsewhere predicts, asked of the model itself in the environment that it needs.

Golden predictions come from the training process where there is one to ask. A model that Azure trained has none here:
its golden rows are made from the data's columns, and the proof loads the bare model in the clean environment, without
score.py, before it starts the server and compares the two.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from forestay.errors import RunFailed
from scoring.proofs import Check
from scoring.schema import MODEL, Golden, ModelSchema

NAME = "reference"
QUANTILES = (0.1, 0.9)
SECONDS = 300
# Runs under any Python from 3.8 and any pandas from 1.5, with what is locked and nothing of ours.
SCRIPT = r"""
import json, os, sys, warnings
warnings.simplefilter("ignore")
import joblib
import numpy as np
import pandas as pd
asked = json.loads(sys.stdin.buffer.read().decode("utf-8"))
sys.path.insert(0, os.path.dirname(asked["model"]))
model = joblib.load(asked["model"])
columns = {}
for column in asked["columns"]:
    name, kind = column["name"], column["type"]
    values = [row.get(name) for row in asked["rows"]]
    if kind == "numeric":
        whole = column["integer"] and None not in values
        columns[name] = np.array(values, dtype="int64" if whole else "float64")
    elif kind == "datetime":
        columns[name] = pd.to_datetime(pd.Series(values))
    elif kind == "boolean":
        columns[name] = pd.array(values, dtype="boolean" if None in values else "bool")
    else:
        columns[name] = pd.Series(values, dtype="object" if pd.__version__ < "3" else "str")
frame = pd.DataFrame(columns)
def plain(value):
    return value.item() if isinstance(value, np.generic) else value
# Azure's forecasts: rows sorted by series and time go in, and what comes out is found by both.
def forecast():
    time, ids, target = asked["time"], asked["ids"], asked["target"]
    known = np.array([np.nan if row[target] is None else row[target] for row in asked["rows"]], dtype="float64")
    whole = frame.assign(**{target: known}).sort_values([*ids, time])
    features, given = whole.drop(columns=target), whole[target].to_numpy()
    def by_row(table, name):
        table = table.reset_index()
        columns = [table[one] for one in (time, *ids, name)]
        places = {tuple(map(str, place)): value for *place, value in zip(*columns)}
        return [float(places[tuple(map(str, place))]) for place in zip(frame[time], *(frame[one] for one in ids))]
    values, index = model.forecast(features.copy(), given.copy())
    found = by_row(pd.DataFrame({"value": np.asarray(values, dtype="float64")}, index=index.index), "value")
    answer = {"predictions": [value if np.isnan(row) else float(row) for value, row in zip(found, known)]}
    if hasattr(model, "forecast_quantiles"):
        model.quantiles = sorted(asked["quantiles"])
        table = model.forecast_quantiles(features.copy(), given.copy())
        answer["quantiles"] = {}
        for level in asked["quantiles"]:
            limits = by_row(table, level)
            answer["quantiles"][json.dumps(level)] = [
                value if np.isnan(row) else float(row) for value, row in zip(limits, known)
            ]
    return answer
if asked["time"]:
    print("answer:" + json.dumps(forecast()))
    sys.exit()
answer = {"predictions": [plain(value) for value in np.asarray(model.predict(frame)).ravel()]}
if asked["probabilities"] and hasattr(model, "predict_proba"):
    found = np.asarray(model.predict_proba(frame))
    answer["probabilities"] = [[float(value) for value in row] for row in found]
    answer["classes"] = [plain(value) for value in np.asarray(model.classes_)]
print("answer:" + json.dumps(answer))
"""
Ask = Callable[[str, str], tuple[int, str, str]]
"""Runs SCRIPT in the environment with the request on its standard input: exit code, output, errors."""


def request(schema: ModelSchema, golden: Golden, model: str) -> str:
    """What the script is asked; `model` is the path of model.pkl as the script sees it."""
    return json.dumps(
        {
            "model": model,
            "columns": [{"name": one.name, "type": one.type, "integer": one.integer} for one in schema.used],
            "rows": list(golden.rows),
            "probabilities": schema.classifies or schema.multilabel,
            "time": schema.time_column,
            "ids": list(schema.series_columns),
            "target": schema.target,
            "quantiles": list(QUANTILES),
        }
    )


def here(python: Path, folder: Path) -> Ask:
    """Asks the environment of a Python on this machine; `folder` is the scoring folder's `model`."""
    return by([python, "-I", "-B"], folder, SECONDS)


def by(command: Sequence[str | Path], folder: Path | None, seconds: int) -> Ask:
    """Asks a Python that `command` starts in `folder`, None for the current one, and that has so many seconds."""

    def ask(script: str, text: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [*command, "-c", script],
            input=text,
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=folder,
            check=False,
            timeout=seconds,
        )
        return done.returncode, done.stdout, done.stderr

    return ask


def answered(schema: ModelSchema, golden: Golden, model: str, ask: Ask) -> tuple[Golden, Check]:
    """The golden rows with the model's own predictions, and what came of asking it.

    Of a check that failed the rows are as they were.
    """
    try:
        code, output, errors = ask(SCRIPT, request(schema, golden, model))
    except (OSError, subprocess.TimeoutExpired, RunFailed) as error:
        return golden, Check(NAME, False, f"the model could not be asked: {error}")
    line = next((line for line in reversed(output.splitlines()) if line.startswith("answer:")), None)
    if code != 0 or line is None:
        last = (errors.strip().splitlines() or [f"it ended with {code}"])[-1]
        return golden, Check(
            NAME, False, f"the bare model does not load or predict in its own environment: {last[:300]}"
        )
    answer: dict[str, Any] = json.loads(line.removeprefix("answer:"))
    if golden.classes is not None and answer.get("classes", list(golden.classes)) != list(golden.classes):
        return golden, Check(
            NAME,
            False,
            f"its classes are {answer['classes']}, those of the data {list(golden.classes)}; fetch it again",
        )
    probabilities, quantiles = answer.get("probabilities"), answer.get("quantiles")
    found = golden.model_copy(
        update={
            "predictions": tuple(answer["predictions"]),
            "probabilities": None if probabilities is None else tuple(tuple(row) for row in probabilities),
            "quantiles": None if quantiles is None else {level: tuple(values) for level, values in quantiles.items()},
            "pending": False,
        }
    )
    detail = f"{len(found.rows)} rows predicted by the bare model, {MODEL}, without score.py"
    return found, Check(NAME, True, detail)
