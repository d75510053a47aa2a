"""`forecast.py REQUEST.json`: one of statsforecast's models, season given, on the series of one set.

The request is a JSON object: model, train, test (CSV files), time, series (null for one series), target, features,
frequency, season, threads, answer (file to write).
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from statsforecast import StatsForecast
from statsforecast.models import AutoARIMA, AutoETS, SeasonalNaive

MODELS = {"seasonal_naive": SeasonalNaive, "autoets": AutoETS, "autoarima": AutoARIMA}


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    frames = []
    for part in ("train", "test"):
        raw = pd.read_csv(request[part])
        frame = pd.DataFrame({"ds": pd.to_datetime(raw[request["time"]]), "y": raw[request["target"]].astype(float)})
        frame["unique_id"] = raw[request["series"]] if request["series"] else "one"
        # Only ARIMA takes features.
        for name in request["features"] if request["model"] == "autoarima" else ():
            frame[name] = raw[name].astype(float)
        frames.append(frame)
    train, test = frames
    horizon = test["ds"].nunique()
    jobs = min(request["threads"], train["unique_id"].nunique())
    started = time.perf_counter()
    forecaster = StatsForecast([MODELS[request["model"]](season_length=request["season"])], request["frequency"], jobs)
    future = test.drop(columns="y") if train.shape[1] > 3 else None
    found = forecaster.forecast(h=horizon, df=train, X_df=future).reset_index()
    seconds = time.perf_counter() - started
    values = found.set_index(["unique_id", "ds"]).iloc[:, -1]
    wanted = pd.MultiIndex.from_frame(test[["unique_id", "ds"]])
    np.save(Path(request["answer"]).with_suffix(".npy"), values.reindex(wanted).to_numpy(dtype=float))
    answer = {"seconds": seconds, "models": 1, "version": importlib.metadata.version("statsforecast")}
    Path(request["answer"]).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
