"""Runs where azureml-metrics is installed, and nothing of ours: cases as JSON on stdin, its answers on stdout."""

import contextlib
import json
import logging
import os
import sys
import warnings

import numpy as np
import pandas as pd


def numbers(values):
    return None if values is None else np.array(values, dtype="float64")


def classification(case):
    from azureml.metrics.text.classification.azureml_classification_metrics import AzureMLClassificationMetrics

    labels = np.array(case["classes"])
    probabilities = numbers(case["probabilities"])
    scorer = AzureMLClassificationMetrics(
        class_labels=labels,
        train_labels=labels,
        sample_weight=numbers(case.get("weights")),
        positive_label=case.get("positive"),
    )
    predicted = case.get("decided", probabilities.argmax(axis=1))
    return scorer.compute(y_test=labels[case["truth"]], y_pred=labels[predicted], y_pred_probs=probabilities)


def multilabel(case):
    """As azureml-automl-dnn-nlp scores its own trials; without probabilities, what is said alone."""
    from azureml.metrics.text.classification.azureml_classification_metrics import AzureMLClassificationMetrics
    from sklearn.preprocessing import MultiLabelBinarizer

    numbers_of = np.arange(len(case["classes"]))
    scorer = AzureMLClassificationMetrics(
        class_labels=numbers_of,
        train_labels=numbers_of,
        multilabel=True,
        y_transformer=MultiLabelBinarizer().fit([case["classes"]]),
    )
    return scorer.compute(
        y_test=np.array(case["truth"]),
        y_pred=np.array(case["said"]) if "said" in case else None,
        y_pred_probs=numbers(case.get("probabilities")),
    )


def regression(case):
    from azureml.metrics.tabular.regression._dataset_binning import make_dataset_bins
    from azureml.metrics.tabular.regression.azureml_regression_metrics import AzureMLRegressionMetrics

    truth, whole = numbers(case["truth"]), numbers(case["whole"])
    scorer = AzureMLRegressionMetrics(
        y_max=whole.max(),
        y_min=whole.min(),
        y_std=whole.std(),
        bin_info=make_dataset_bins(len(truth), whole),
        sample_weight=numbers(case.get("weights")),
    )
    return scorer.compute(y_test=truth, y_pred=numbers(case["predicted"]))


def forecasting(case):
    from azureml.metrics.tabular.forecasting.azureml_forecasting_metrics import AzureMLForecastingMetrics

    def frame(part):
        names = np.array(case[f"{part}_series"], dtype=object)
        days = pd.Series(0, index=range(len(names))).groupby(names).cumcount()
        start = pd.Timestamp("2024-01-01" if part == "train" else "2025-01-01")
        return pd.DataFrame({"day": start + pd.to_timedelta(days, unit="D"), "series": names})

    scorer = AzureMLForecastingMetrics(
        metrics=case["metrics"],
        X_train=frame("train"),
        y_train=numbers(case["train"]),
        time_column_name="day",
        time_series_id_column_names=["series"],
    )
    return scorer.compute(y_test=numbers(case["truth"]), y_pred=numbers(case["predicted"]), X_test=frame("test"))


def plain(value):
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def main():
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    answers = {}
    for name, case in json.load(sys.stdin).items():
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere), contextlib.redirect_stdout(nowhere):
            found = globals()[case["task"]](case)
        answers[name] = {"metrics": plain(found["metrics"]), "artifacts": plain(found["artifacts"])}
    json.dump(answers, sys.stdout)


main()
