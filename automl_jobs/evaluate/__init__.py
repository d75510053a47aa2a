"""Registered models asked and judged on rows of anybody's: predictions, metrics with intervals, two models compared.

In the order in which things happen:

loading     a version of the registry -> a LoadedModel: its schema, what its scores are measured by, and what predicts
rows        a file or a frame -> the rows that the model takes, and their true answers
ahead       a forecast's rows -> forecasts of the periods after its training, a horizon at a time
scores      answers and truth -> metrics, and resamples of them
judged      all of that for one model, with slices and charts' documents: an Evaluation
compared    two models on the same rows -> the difference of a metric with its interval: a Comparison
met         which of the rows a model was trained on

    model = open_model(RunStore.open(create=False), "Churn:3")
    predict(model, "new.csv"), evaluate(model, "new.csv")
    compare(model, open_model(store, "Churn@champion"), "new.csv")

Data is a path, as `automl_jobs.data.load_table` takes one, or a pandas DataFrame.
"""

from __future__ import annotations

from automl_jobs.evaluate.compared import Comparison, compare
from automl_jobs.evaluate.judged import Evaluation, evaluate
from automl_jobs.evaluate.loading import LoadedModel, open_in_azure, open_model, open_served, open_trial
from automl_jobs.evaluate.rows import predict

__all__ = [
    "Comparison",
    "Evaluation",
    "LoadedModel",
    "compare",
    "evaluate",
    "open_in_azure",
    "open_model",
    "open_served",
    "open_trial",
    "predict",
]
