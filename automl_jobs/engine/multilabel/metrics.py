"""Azure's metrics of a multi-label classifier, by Azure's names and to Azure's values.

Definitions are those of the `azureml-metrics` package with `multilabel=True`, as Azure's own text jobs call it;
tests/oracle compares the two. Accuracy asks for exactly the right set of labels; iou is the mean over rows of the
labels that are both true and predicted, as a share of those that are either (Jaccard).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from automl_jobs.engine.metrics import AVERAGES, accuracy_table, defined, safe


def multilabel(truth: np.ndarray, probabilities: np.ndarray, said: np.ndarray) -> dict[str, float]:
    """Metrics of a multi-label classifier.

    Parameters
    ----------
    truth, said: which labels rows have, and are said to have: (n, k) of 0 and 1.
    probabilities: (n, k), each label's own; Azure's `said` is those above 0.5.

    Averages over labels leave out those that no row has, where the metric is one of probabilities and there are more
    than two labels; what is not defined on these rows is left out.
    """
    from sklearn import metrics

    truth, said = truth.astype(int), said.astype(int)
    result = {
        "accuracy": safe(metrics.accuracy_score, truth, said),
        "balanced_accuracy": safe(metrics.recall_score, truth, said, average="macro", zero_division=0),
        "log_loss": _log_loss(truth, probabilities),
        "iou": safe(metrics.jaccard_score, truth, said, average="samples", zero_division=0),
    }
    for average in AVERAGES:
        options: dict[str, Any] = {"average": average, "zero_division": 0}
        result[f"precision_score_{average}"] = safe(metrics.precision_score, truth, said, **options)
        result[f"recall_score_{average}"] = safe(metrics.recall_score, truth, said, **options)
        result[f"f1_score_{average}"] = safe(metrics.f1_score, truth, said, **options)
        result[f"iou_{average}"] = safe(metrics.jaccard_score, truth, said, **options)
    present = np.flatnonzero(truth.any(axis=0)) if truth.shape[1] > 2 else np.arange(truth.shape[1])
    seen, asked = truth[:, present], probabilities[:, present]
    result["norm_macro_recall"] = _norm_macro_recall(seen, asked)
    varied = np.flatnonzero(seen.any(axis=0) & ~seen.all(axis=0))
    one_label = int(truth.any(axis=0).sum()) == 1
    for average in AVERAGES:
        rows = (truth, probabilities) if average == "micro" else (seen, asked)
        result[f"average_precision_score_{average}"] = safe(metrics.average_precision_score, *rows, average=average)
        if average != "micro":
            rows = (seen[:, varied], asked[:, varied])
        if average == "micro" or (len(varied) and not one_label):
            result[f"AUC_{average}"] = safe(metrics.roc_auc_score, *rows, average=average)
    return defined(result)


def _log_loss(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """The sum over a row's labels of -log(probability), its mean over rows."""
    tiny = np.finfo(np.float64).eps
    return float(-(truth * np.log(np.clip(probabilities, tiny, 1 - tiny))).sum(axis=1).mean())


def _norm_macro_recall(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Macro recall of the first true label by the most probable one, from 0 (chance) to 1: Azure's, for what it is."""
    count = truth.shape[1]
    if count < 2:
        return 0.0 if count else float("nan")
    first, best = truth.argmax(axis=1), probabilities.argmax(axis=1)
    recalls = []
    for label in np.union1d(first, best):
        rows = first == label
        if not rows.any():
            return 0.0
        recalls.append(float((best[rows] == label).mean()))
    chance = 1.0 / count
    return max(0.0, (float(np.mean(recalls)) - chance) / (1.0 - chance))


def charts(truth: np.ndarray, probabilities: np.ndarray, said: np.ndarray, classes: list[str]) -> dict[str, Any]:
    """Azure's chart documents: for each label a two by two confusion matrix, and the table over thresholds."""
    from sklearn.metrics import multilabel_confusion_matrix

    matrix = multilabel_confusion_matrix(truth.astype(int), said.astype(int))
    return {
        "confusion_matrix": {
            "schema_type": "confusion_matrix",
            "schema_version": "1.0.0",
            "data": {"class_labels": list(classes), "matrix": matrix.tolist()},
        },
        "accuracy_table": accuracy_table(truth, probabilities, list(classes)),
    }
