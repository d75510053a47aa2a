"""Azure's metrics, by Azure's names.

Definitions follow "Evaluate automated machine learning experiment results" in Azure's documentation: one-vs-rest
averages over the classes of the training data, regression errors normalised by the range of the target.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

AVERAGES = ("macro", "micro", "weighted")
ACCURACY_TABLE_POINTS = 101


def _safe(function: Any, *arguments: Any, **parameters: Any) -> float:
    """The metric, or NaN where it is not defined (one class only, say)."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return float(function(*arguments, **parameters))
        except ValueError:
            return float("nan")


def classification(
    truth: np.ndarray,
    probabilities: np.ndarray,
    weights: np.ndarray | None = None,
    positive: int | None = None,
) -> dict[str, float]:
    """Metrics of a classifier.

    Parameters
    ----------
    truth: class numbers 0..k-1, shape (n,).
    probabilities: shape (n, k), rows summing to one; the prediction is the most probable class.
    weights: row weights (n,) or None.
    positive: the class whose binary metrics are wanted too; None for none.

    Returns metric name to value; what is not defined on these rows is left out.
    """
    from sklearn import metrics

    count = probabilities.shape[1]
    labels = np.arange(count)
    predicted = probabilities.argmax(axis=1)
    weighted: dict[str, Any] = {"sample_weight": weights}
    onehot = (truth[:, None] == labels).astype(int)
    present = np.flatnonzero(onehot.any(axis=0))
    result = {
        "accuracy": _safe(metrics.accuracy_score, truth, predicted, **weighted),
        "balanced_accuracy": _safe(metrics.balanced_accuracy_score, truth, predicted, **weighted),
        "matthews_correlation": _safe(metrics.matthews_corrcoef, truth, predicted, **weighted),
        "log_loss": _safe(metrics.log_loss, truth, probabilities, labels=labels, **weighted),
    }
    for average in AVERAGES:
        options: dict[str, Any] = {"average": average, "zero_division": 0, "labels": present, **weighted}
        if average == "micro":
            options["labels"] = labels
        result[f"precision_score_{average}"] = _safe(metrics.precision_score, truth, predicted, **options)
        result[f"recall_score_{average}"] = _safe(metrics.recall_score, truth, predicted, **options)
        result[f"f1_score_{average}"] = _safe(metrics.f1_score, truth, predicted, **options)
        curves = (onehot[:, present], probabilities[:, present]) if average != "micro" else (onehot, probabilities)
        result[f"AUC_{average}"] = _safe(metrics.roc_auc_score, *curves, average=average, **weighted)
        result[f"average_precision_score_{average}"] = _safe(
            metrics.average_precision_score, *curves, average=average, **weighted
        )
    # Every row counts by the size of its class: classes weigh with the square of their frequency.
    sizes = onehot.sum(axis=0)[truth].astype(float)
    if weights is not None:
        sizes = sizes * weights
    result["weighted_accuracy"] = _safe(np.average, predicted == truth, weights=sizes)
    chance = 1.0 / max(len(present), 2)
    result["norm_macro_recall"] = max(0.0, (result["recall_score_macro"] - chance) / (1.0 - chance))
    if positive is not None:
        hit, score = onehot[:, positive], probabilities[:, positive]
        said = (predicted == positive).astype(int)
        binary: dict[str, Any] = {"zero_division": 0, **weighted}
        result["AUC_binary"] = _safe(metrics.roc_auc_score, hit, score, **weighted)
        result["average_precision_score_binary"] = _safe(metrics.average_precision_score, hit, score, **weighted)
        result["precision_score_binary"] = _safe(metrics.precision_score, hit, said, **binary)
        result["recall_score_binary"] = _safe(metrics.recall_score, hit, said, **binary)
        result["f1_score_binary"] = _safe(metrics.f1_score, hit, said, **binary)
    return {name: value for name, value in result.items() if np.isfinite(value)}


def regression(
    truth: np.ndarray, predicted: np.ndarray, low: float, high: float, weights: np.ndarray | None = None
) -> dict[str, float]:
    """Metrics of a regressor.

    Parameters
    ----------
    truth, predicted: shape (n,), in the target's unit.
    low, high: the target's smallest and largest value over all rows of the job; their distance normalises errors.
    weights: row weights (n,) or None.

    Returns metric name to value; what is not defined on these rows is left out.
    """
    from scipy import stats
    from sklearn import metrics

    weighted: dict[str, Any] = {"sample_weight": weights}
    absolute = _safe(metrics.mean_absolute_error, truth, predicted, **weighted)
    median = _safe(metrics.median_absolute_error, truth, predicted, **weighted)
    root = _safe(metrics.root_mean_squared_error, truth, predicted, **weighted)
    nonzero = truth != 0
    result = {
        "explained_variance": _safe(metrics.explained_variance_score, truth, predicted, **weighted),
        "r2_score": _safe(metrics.r2_score, truth, predicted, **weighted),
        "spearman_correlation": _safe(lambda: stats.spearmanr(truth, predicted)[0]),
        "mean_absolute_error": absolute,
        "median_absolute_error": median,
        "root_mean_squared_error": root,
        "mean_absolute_percentage_error": float("nan"),
    }
    if nonzero.any():
        errors = np.abs((truth[nonzero] - predicted[nonzero]) / truth[nonzero])
        share = None if weights is None else weights[nonzero]
        result["mean_absolute_percentage_error"] = 100 * _safe(np.average, errors, weights=share)
    if low >= 0:
        logs = (np.log1p(truth), np.log1p(np.clip(predicted, 0, None)))
        result["root_mean_squared_log_error"] = _safe(metrics.root_mean_squared_error, *logs, **weighted)
        span = np.log1p(high) - np.log1p(low)
        if span > 0:
            result["normalized_root_mean_squared_log_error"] = result["root_mean_squared_log_error"] / span
    if high > low:
        result["normalized_mean_absolute_error"] = absolute / (high - low)
        result["normalized_median_absolute_error"] = median / (high - low)
        result["normalized_root_mean_squared_error"] = root / (high - low)
    return {name: value for name, value in result.items() if np.isfinite(value)}


def average(folds: list[dict[str, float]]) -> dict[str, float]:
    """The mean over folds of each metric that every fold has."""
    names = set.intersection(*(set(fold) for fold in folds))
    return {name: float(np.mean([fold[name] for fold in folds])) for name in sorted(names)}


def confusion_matrix(truth: np.ndarray, probabilities: np.ndarray, classes: list[Any]) -> dict[str, Any]:
    """Azure's `confusion_matrix` document: rows are true classes, columns predicted ones."""
    from sklearn import metrics

    labels = np.arange(len(classes))
    matrix = metrics.confusion_matrix(truth, probabilities.argmax(axis=1), labels=labels)
    return {
        "schema_type": "confusion_matrix",
        "schema_version": "1.0.0",
        "data": {"class_labels": [str(label) for label in classes], "matrix": matrix.tolist()},
    }


def accuracy_table(truth: np.ndarray, probabilities: np.ndarray, classes: list[Any]) -> dict[str, Any]:
    """Azure's `accuracy_table` document: for each class [TP, FP, TN, FN] of one-vs-rest at thresholds from 0 to 1."""
    thresholds = np.linspace(0.0, 1.0, ACCURACY_TABLE_POINTS)
    tables = []
    for label in range(len(classes)):
        hit = truth == label
        inside = np.sort(probabilities[hit, label])
        outside = np.sort(probabilities[~hit, label])
        true_positive = inside.size - np.searchsorted(inside, thresholds, side="left")
        false_positive = outside.size - np.searchsorted(outside, thresholds, side="left")
        table = np.stack(
            [true_positive, false_positive, outside.size - false_positive, inside.size - true_positive], axis=1
        )
        tables.append(table.tolist())
    return {
        "schema_type": "accuracy_table",
        "schema_version": "1.0.1",
        "data": {
            "probability_tables": tables,
            "probability_thresholds": thresholds.tolist(),
            "class_labels": [str(label) for label in classes],
        },
    }


def residuals(truth: np.ndarray, predicted: np.ndarray, bins: int = 50) -> dict[str, Any]:
    """Azure's `residuals` document: a histogram of prediction minus truth."""
    counts, edges = np.histogram(predicted - truth, bins=bins)
    return {
        "schema_type": "residuals",
        "schema_version": "1.0.0",
        "data": {"bin_edges": edges.tolist(), "bin_counts": counts.tolist()},
    }


def predicted_true(truth: np.ndarray, predicted: np.ndarray, bins: int = 50) -> dict[str, Any]:
    """Azure's `predicted_true` document: for bins of the true value the mean prediction and its spread."""
    edges = np.linspace(truth.min(), truth.max(), bins + 1)
    place = np.clip(np.digitize(truth, edges) - 1, 0, bins - 1)
    rows = []
    for position in range(bins):
        inside = predicted[place == position]
        if inside.size:
            centre = (edges[position] + edges[position + 1]) / 2
            rows.append((float(centre), float(inside.mean()), float(inside.std()), int(inside.size)))
    centres, means, spreads, counts = (list(column) for column in zip(*rows, strict=True))
    return {
        "schema_type": "predictions",
        "schema_version": "1.0.0",
        "data": {
            "bin_averages": centres,
            "bin_predictions": means,
            "bin_errors": spreads,
            "bin_counts": counts,
            "bin_edges": edges.tolist(),
        },
    }
