"""What a report draws of a model's answers, as documents with Azure's names: those that a trial has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from automl_jobs.engine import metrics
from automl_jobs.engine.judging import unseen_as_missed
from automl_jobs.engine.multilabel import metrics as label_metrics
from automl_jobs.evaluate.rows import Answers, Rows

if TYPE_CHECKING:
    from automl_jobs.evaluate.loading import LoadedModel


def documents(model: LoadedModel, found: Answers, read: Rows) -> dict[str, Any]:
    """The documents that a report draws, as a trial has them."""
    measure = model.measure
    if model.task == "forecasting":
        return {"forecast_table": _forecast_table(model, found, read)}
    if measure.multilabel:
        assert model.classes is not None
        return label_metrics.charts(found.truth, found.predicted, found.said, model.classes)
    if not measure.classification:
        return {
            "residuals": metrics.residuals(found.truth, found.predicted),
            "predicted_true": metrics.predicted_true(found.truth, found.predicted),
        }
    assert model.classes is not None
    truth, probabilities = unseen_as_missed(found.truth, found.predicted)
    classes: Sequence[Any] = model.classes
    if probabilities.shape[1] > len(classes):
        classes = [*classes, "(never seen)"]
    charts = {"confusion_matrix": metrics.confusion_matrix(truth, found.said, list(classes))}
    if model.probabilities:
        charts["accuracy_table"] = metrics.accuracy_table(truth, probabilities, list(classes))
    return charts


def _forecast_table(model: LoadedModel, found: Answers, read: Rows) -> dict[str, Any]:
    """Forecasts beside what came, of the first 20 series, the last 200 periods of each."""
    from automl_jobs.engine.forecasting.table import LEVEL, MOST_PERIODS, MOST_SERIES

    served = model.model
    names: dict[str, list[Any]] = {
        name: [] for name in ("time", "y_true", "y_pred", "PI_lower_bound", "PI_upper_bound")
    }
    times = pd.to_datetime(read.frame[served.time].iloc[found.places])
    history = []
    for number, key in enumerate(found.keys[:MOST_SERIES]):
        own = np.flatnonzero(found.numbers == number)[-MOST_PERIODS:]
        names["time"].append([moment.isoformat() for moment in times.iloc[own]])
        names["y_true"].append(found.truth[own].tolist())
        names["y_pred"].append(found.predicted[own].tolist())
        for name, level in (("PI_lower_bound", (1 - LEVEL) / 2), ("PI_upper_bound", (1 + LEVEL) / 2)):
            bound = None
            if served.spread is not None:
                reached = found.predicted[own] + served.spread.offset(key, found.steps_ahead[own], level)
                bound = (reached if served.floor is None else np.maximum(reached, served.floor)).tolist()
            names[name].append(bound)
        end = served.series.get(key)
        before = [] if end is None else end.values[-max(3 * int(model.schema["horizon"]), 24) :].tolist()
        stamps: list[pd.Timestamp] = []
        if end is not None:
            stamps = list(pd.date_range(end=end.last, periods=len(before), freq=served.frequency))
        history.append({"time": [moment.isoformat() for moment in stamps], "y_true": before})
    return {
        "schema_type": "forecast_horizon_table",
        "schema_version": "1.0.0",
        "data": {
            "grain_names": list(served.ids),
            "grain_value_list": [list(key) for key in found.keys[:MOST_SERIES]],
            **names,
            "PI_level": LEVEL,
            "history": history,
            "series": len(found.keys),
        },
    }
