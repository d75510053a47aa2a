"""`run.py fit|predict REQUEST.json`: one step of one cell, in the environment of the system that is measured.

The request is a JSON object: system, task, target, train, test (CSV files), budget (seconds), seed, threads, model
(folder of what is kept of the trained system), scratch (folder for the rest), answer (file to write).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from common import Model, Request, read

WARM_UP, CALLS, MOST_SECONDS = 5, 50, 60.0


def fit(request: Request, system: Any) -> dict[str, Any]:
    """Seconds from the CSV file to the trained system; imports are not among them."""
    ended: list[float] = []
    # A system that copies its models for deployment says when training has ended.
    request["fitted"] = lambda: ended.append(time.perf_counter())
    importlib.import_module(system.IMPORT)
    started = time.perf_counter()
    models = system.fit(request)
    request["fitted"]()
    version = importlib.metadata.version(system.DISTRIBUTION)
    return {"seconds": ended[0] - started, "models": models, "version": version}


def predict(request: Request, system: Any) -> dict[str, Any]:
    """Predictions for the test rows, beside the answer as .npy, and what one row costs."""
    model: Model = system.load(request)
    frame = read(request["test"]).drop(columns=request["target"])
    classes: list[str] | None = None
    if request["task"] == "classification":
        classes, values = model.probabilities(frame)
    else:
        values = np.asarray(model.predict(frame), dtype=float)
    np.save(Path(request["answer"]).with_suffix(".npy"), np.asarray(values, dtype=float))
    milliseconds: list[float] = []
    started = time.perf_counter()
    for number in range(WARM_UP + CALLS):
        row = frame.iloc[[number % len(frame)]]
        before = time.perf_counter()
        model.predict(row)
        after = time.perf_counter()
        milliseconds.append((after - before) * 1000)
        if len(milliseconds) > WARM_UP + 30 and after - started > MOST_SECONDS:
            break
    return {"classes": classes, "row_ms": statistics.median(milliseconds[WARM_UP:])}


def main() -> None:
    step, path = sys.argv[1:]
    request = json.loads(Path(path).read_text(encoding="utf-8"))
    warnings.simplefilter("ignore")
    system = importlib.import_module(f"with_{request['system']}")
    answer = {"fit": fit, "predict": predict}[step](request, system)
    Path(request["answer"]).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
