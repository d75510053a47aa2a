"""Azure's metrics, by Azure's names and to Azure's values.

Definitions are those of the `azureml-metrics` package, which scores Azure's own trials; tests/oracle compares the two
on many shapes. In short: averages over classes are taken over the classes that occur in the rows scored, errors of a
regression are divided by the range of the target over all rows of the job, and by each series' own range in a forecast.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

AVERAGES = ("macro", "micro", "weighted")
ACCURACY_TABLE_POINTS = 100
RESIDUAL_BINS = 10
MOST_BINS = 100
NORMALIZED = (
    "normalized_mean_absolute_error",
    "normalized_median_absolute_error",
    "normalized_root_mean_squared_error",
    "normalized_root_mean_squared_log_error",
)


def safe(function: Callable[..., Any], *arguments: Any, **parameters: Any) -> float:
    """The metric, or NaN where it is not defined (one class only, say)."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return float(function(*arguments, **parameters))
        except ValueError:
            return float("nan")


def count_nothing(weights: np.ndarray | None) -> bool:
    """Whether rows with these weights have no metric: scikit-learn raises for some of them, and says 0 for others."""
    return weights is not None and not weights.any()


def defined(result: dict[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in result.items() if np.isfinite(value)}


def classification(
    truth: np.ndarray,
    probabilities: np.ndarray,
    weights: np.ndarray | None = None,
    positive: int | None = None,
    predicted: np.ndarray | None = None,
) -> dict[str, float]:
    """Metrics of a classifier.

    Parameters
    ----------
    truth: class numbers 0..k-1, shape (n,).
    probabilities: shape (n, k), rows summing to one.
    weights: row weights (n,) or None. `weighted_accuracy` has weights of its own and ignores them.
    positive: the class that the `_binary` metrics are about; None takes the second of two classes, and of more classes
        none.
    predicted: class numbers (n,) where they are decided in another way than by the most probable class.

    Precision, recall and F1 are averaged over the classes that are true or predicted in some row; AUC and average
    precision over the classes that are true in some row (with two classes, over both). Returns metric name to value;
    what is not defined on these rows is left out. With `predicted`, all that depends on labels is of those, the rest of
    the probabilities; azureml-metrics, given both, ignores probabilities whose largest is not the label, and has no
    `norm_macro_recall` then: it is the value that certain answers would have.
    """
    from sklearn import metrics

    if count_nothing(weights):
        return {}
    count = probabilities.shape[1]
    labels = np.arange(count)
    weighted: dict[str, Any] = {"sample_weight": weights}
    onehot = (truth[:, None] == labels).astype(int)
    present = np.flatnonzero(onehot.any(axis=0)) if count > 2 else labels
    one_class = len(np.unique(truth)) == 1
    if predicted is None:
        predicted = probabilities.argmax(axis=1)
        # Azure asks which of the classes in these rows is most probable: a class that no row has is no answer.
        right = probabilities[:, present].argmax(axis=1) == onehot[:, present].argmax(axis=1)
    else:
        right = predicted == truth
    result = {
        "accuracy": safe(metrics.accuracy_score, truth, predicted, **weighted),
        "matthews_correlation": safe(metrics.matthews_corrcoef, truth, predicted, **weighted),
        "log_loss": safe(metrics.log_loss, truth, probabilities, labels=labels, **weighted),
        "norm_macro_recall": _norm_macro_recall(onehot, right, present, weights),
    }
    for average in AVERAGES:
        options: dict[str, Any] = {"average": average, "zero_division": 0, **weighted}
        result[f"precision_score_{average}"] = safe(metrics.precision_score, truth, predicted, **options)
        result[f"recall_score_{average}"] = safe(metrics.recall_score, truth, predicted, **options)
        result[f"f1_score_{average}"] = safe(metrics.f1_score, truth, predicted, **options)
        curves = (onehot[:, present], probabilities[:, present]) if average != "micro" else (onehot, probabilities)
        if average == "micro" or not one_class:
            result[f"AUC_{average}"] = safe(metrics.roc_auc_score, *curves, average=average, **weighted)
        result[f"average_precision_score_{average}"] = safe(
            metrics.average_precision_score, *curves, average=average, **weighted
        )
    # In Azure a name for the same thing: not scikit-learn's, which leaves out classes that are only predicted.
    result["balanced_accuracy"] = result["recall_score_macro"]
    # Every row counts by the size of its class: classes weigh with the square of their frequency.
    sizes = onehot.sum(axis=0)[truth].astype(float)
    result["weighted_accuracy"] = safe(np.average, predicted == truth, weights=sizes)
    if positive is None and count == 2:
        positive = 1
    if positive is not None:
        hit, score = onehot[:, positive], probabilities[:, positive]
        said = (predicted == positive).astype(int)
        binary: dict[str, Any] = {"zero_division": 0, **weighted}
        if not one_class:
            result["AUC_binary"] = safe(metrics.roc_auc_score, hit, score, **weighted)
        result["average_precision_score_binary"] = safe(metrics.average_precision_score, hit, score, **weighted)
        result["precision_score_binary"] = safe(metrics.precision_score, hit, said, **binary)
        result["recall_score_binary"] = safe(metrics.recall_score, hit, said, **binary)
        result["f1_score_binary"] = safe(metrics.f1_score, hit, said, **binary)
    return defined(result)


def _norm_macro_recall(onehot: np.ndarray, right: np.ndarray, present: np.ndarray, weights: np.ndarray | None) -> float:
    """Macro recall over the present classes, from 0 (chance) to 1; `right` says which rows are answered rightly."""
    if len(present) < 2:
        return 0.0
    share = np.ones(len(right)) if weights is None else weights
    members = onehot[:, present].T * share
    total = members.sum(axis=1)
    if not total.all():
        return 0.0
    chance = 1.0 / len(present)
    return max(0.0, (float(np.mean((members * right).sum(axis=1) / total)) - chance) / (1.0 - chance))


def regression(
    truth: np.ndarray, predicted: np.ndarray, low: float, high: float, weights: np.ndarray | None = None
) -> dict[str, float]:
    """Metrics of a regressor.

    Parameters
    ----------
    truth, predicted: shape (n,), in the target's unit.
    low, high: the target's smallest and largest value over all rows of the job; their distance normalises errors.
    weights: row weights (n,) or None; median, percentage and rank metrics ignore them.

    As in Azure, r2_score is cut off below -1 and normalised errors above 1; a rank correlation with a constant is -1;
    errors of logarithms are there where neither target nor prediction is negative, percentages (0-100 and more) leave
    out rows whose target is 0. Returns metric name to value; what is not defined on these rows is left out.
    """
    from scipy import stats
    from sklearn import metrics

    if count_nothing(weights):
        return {}
    weighted: dict[str, Any] = {"sample_weight": weights}
    constant = len(np.unique(truth)) == 1 or len(np.unique(predicted)) == 1
    nonzero = ~np.isclose(truth, 0.0)
    errors = {
        "mean_absolute_error": safe(metrics.mean_absolute_error, truth, predicted, **weighted),
        "median_absolute_error": safe(metrics.median_absolute_error, truth, predicted),
        "root_mean_squared_error": safe(metrics.root_mean_squared_error, truth, predicted, **weighted),
    }
    result = {
        **errors,
        "explained_variance": safe(metrics.explained_variance_score, truth, predicted, **weighted),
        "r2_score": _r2(truth, predicted, weights),
        "spearman_correlation": -1.0 if constant else safe(lambda: stats.spearmanr(truth, predicted)[0]),
    }
    if nonzero.any():
        shares = np.abs((truth[nonzero] - predicted[nonzero]) / truth[nonzero])
        result["mean_absolute_percentage_error"] = 100 * float(np.mean(shares))
    same = bool(np.array_equal(truth, predicted))
    for name, error in errors.items():
        result[f"normalized_{name}"] = _normalized(error, high - low, same)
    if truth.min() >= 0 and predicted.min() >= 0:
        logs = safe(metrics.root_mean_squared_error, np.log1p(truth), np.log1p(predicted), **weighted)
        result["root_mean_squared_log_error"] = logs
        if low > -1:
            span = float(np.log1p(high) - np.log1p(low))
            result["normalized_root_mean_squared_log_error"] = _normalized(logs, span, same)
    return defined(result)


def _r2(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None) -> float:
    from sklearn import metrics

    if len(truth) == 1:
        return float(truth[0] == predicted[0])
    found = safe(metrics.r2_score, truth, predicted, sample_weight=weights)
    return float(np.clip(found, -1.0, 1.0)) if np.isfinite(found) else -1.0


def _normalized(error: float, span: float, same: bool) -> float:
    """An error as a share of the target's range, at most 1; of a constant target 0 when it was met, else 1."""
    if span == 0:
        return 0.0 if same else 1.0
    return float(np.clip(error / abs(span), 0.0, 1.0))


def forecasting(
    truth: np.ndarray,
    predicted: np.ndarray,
    series: Sequence[Hashable],
    ranges: Mapping[Any, tuple[float, float]],
) -> dict[str, float]:
    """Metrics of a forecast of one or many series: those of a regression, but for the normalisation.

    Parameters
    ----------
    truth, predicted: shape (n,), in the target's unit, no missing values.
    series: the series of each row.
    ranges: smallest and largest target of each series in the training rows; a series without any is normalised by its
        range in `truth`.

    A normalised error is computed in each series with its own range; the result is the mean over series.
    """
    result = regression(truth, predicted, float(truth.min()), float(truth.max()))
    rows: dict[Hashable, list[int]] = {}
    for row, name in enumerate(series):
        rows.setdefault(name, []).append(row)
    parts = []
    for name, positions in rows.items():
        own, said = truth[positions], predicted[positions]
        low, high = ranges.get(name, (float(own.min()), float(own.max())))
        parts.append(regression(own, said, low, high))
    for metric in NORMALIZED:
        result.pop(metric, None)
        if all(metric in part for part in parts):
            result[metric] = float(np.mean([part[metric] for part in parts]))
    return result


def average(folds: list[dict[str, float]]) -> dict[str, float]:
    """The mean over folds of each metric that every fold has."""
    names = set.intersection(*(set(fold) for fold in folds))
    return {name: float(np.mean([fold[name] for fold in folds])) for name in sorted(names)}


def confusion_matrix(
    truth: np.ndarray, predicted: np.ndarray, classes: list[Any], weights: np.ndarray | None = None
) -> dict[str, Any]:
    """Azure's `confusion_matrix` document: rows are true classes, columns predicted ones, all of `classes` in both.

    Parameters
    ----------
    truth, predicted: class numbers, (n,).
    """
    from sklearn import metrics

    labels = np.arange(len(classes))
    matrix = metrics.confusion_matrix(truth, predicted, labels=labels, sample_weight=weights)
    return {
        "schema_type": "confusion_matrix",
        "schema_version": "1.0.0",
        "data": {"class_labels": [str(label) for label in classes], "matrix": matrix.tolist()},
    }


def accuracy_table(truth: np.ndarray, probabilities: np.ndarray, classes: list[Any]) -> dict[str, Any]:
    """Azure's `accuracy_table` document: for each class [TP, FP, TN, FN] of one-vs-rest at thresholds.

    Once at thresholds spread evenly from 0 to 1, once at percentiles of all probabilities. A class without rows has
    its own table too (azureml-metrics shifts the tables of the classes after it by one). `truth` are class numbers,
    (n,), or, of several labels a row, 0 and 1 for each, (n, k).
    """
    even = np.linspace(0.0, 1.0, ACCURACY_TABLE_POINTS)
    percentiles = np.percentile(probabilities, even * 100)
    return {
        "schema_type": "accuracy_table",
        "schema_version": "1.0.1",
        "data": {
            "probability_tables": _threshold_tables(truth, probabilities, even),
            "percentile_tables": _threshold_tables(truth, probabilities, percentiles),
            "probability_thresholds": even.tolist(),
            "percentile_thresholds": percentiles.tolist(),
            "class_labels": [str(label) for label in classes],
        },
    }


def _threshold_tables(truth: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray) -> list[list[list[int]]]:
    """For each class and threshold [TP, FP, TN, FN]; a probability that equals the threshold counts as positive."""
    tables = []
    for label in range(probabilities.shape[1]):
        hit = truth == label if truth.ndim == 1 else truth[:, label] == 1
        inside = np.sort(probabilities[hit, label])
        outside = np.sort(probabilities[~hit, label])
        missed = np.searchsorted(inside, thresholds, side="left")
        spared = np.searchsorted(outside, thresholds, side="left")
        table = np.stack([inside.size - missed, outside.size - spared, spared, missed], axis=1)
        tables.append(table.tolist())
    return tables


def residuals(truth: np.ndarray, predicted: np.ndarray, spread: float | None = None) -> dict[str, Any]:
    """Azure's `residuals` document: a histogram of prediction minus truth.

    Parameters
    ----------
    spread: standard deviation of the target over all rows of the job; None takes that of `truth`.

    Eight edges lie evenly between two standard deviations below and above zero; one more bin at each side takes the
    rest.
    """
    errors = predicted - truth
    bound = 2 * (float(np.std(truth)) if spread is None else spread) or 2.0
    bound = _rounded_up(bound, _digits(bound))
    inner = np.round(np.linspace(-bound, bound, RESIDUAL_BINS - 1), _digits(bound / (RESIDUAL_BINS - 1)))
    counts, edges = np.histogram(errors, bins=np.r_[-np.inf, inner, np.inf])
    edges[0] = errors.min() if errors.min() < inner[0] else inner[0] - (inner[1] - inner[0])
    edges[-1] = errors.max() if errors.max() >= inner[-1] else inner[-1] + (inner[-1] - inner[-2])
    return {
        "schema_type": "residuals",
        "schema_version": "1.0.0",
        "data": {
            "bin_edges": edges.tolist(),
            "bin_counts": counts.tolist(),
            "mean": float(errors.mean()),
            "stddev": float(errors.std()),
            "res_count": int(errors.size),
        },
    }


def _digits(width: float) -> int:
    """Decimals that show three digits of a small number, and two at least."""
    return int(max(2.0, 3.0 - math.log10(width)))


def _rounded_up(value: float, digits: int) -> float:
    return float(math.ceil(value * 10**digits) / 10**digits)


def predicted_true(truth: np.ndarray, predicted: np.ndarray, target: np.ndarray | None = None) -> dict[str, Any]:
    """Azure's `predicted_true` document: for bins of the true value the mean prediction and its spread.

    Parameters
    ----------
    target: targets of all rows of the job, by which the bins are made; None takes `truth`.
    """
    edges = _bin_edges(truth.size, truth if target is None else target)
    place = np.digitize(truth, edges[1:], right=True)
    inside = [predicted[place == position] for position in range(len(edges) - 1)]
    return {
        "schema_type": "predictions",
        "schema_version": "1.0.0",
        "data": {
            "bin_averages": [float(part.mean()) if part.size else 0.0 for part in inside],
            "bin_errors": [float(part.std()) if part.size else 0.0 for part in inside],
            "bin_counts": [int(part.size) for part in inside],
            "bin_edges": edges.tolist(),
        },
    }


def _bin_edges(rows: int, target: np.ndarray) -> np.ndarray:
    """Edges of bins of the target: one for each outer percent, the rest evenly between, about sqrt(rows) in all."""
    smallest, largest = float(target.min()), float(target.max())
    if smallest == largest:
        return np.array([smallest, smallest])
    first, last = (float(edge) for edge in np.percentile(target, [1.0, 99.0]))
    count = min(MOST_BINS, math.ceil(math.sqrt(rows)))
    if first == last:
        # Nearly all targets are equal: a narrow bin around that value and one for the rest on either side.
        first, last, count = _beside(target, first, "lower"), _beside(target, last, "higher"), 3
    width = (last - first) / count
    digits = 2 - int(math.log10(width))
    inner = np.round(np.linspace(first, last, count - 1), 2 if width >= 1 else digits)
    scale = 10.0**digits
    ends = np.round([math.floor(smallest * scale) / scale, math.ceil(largest * scale) / scale], digits)
    return np.unique(np.r_[ends[0], inner, ends[1]])


def _beside(target: np.ndarray, value: float, side: str) -> float:
    """A twentieth of the way from `value` to the nearest target on one side of it that some percentile finds."""
    for power in range(33):
        percent = 1 / 2**power if power < 32 else 0.0
        other = float(np.percentile(target, percent if side == "lower" else 100 - percent, method=side))  # type: ignore[call-overload]
        if other != value:
            return (19 * value + other) / 20
    return value
