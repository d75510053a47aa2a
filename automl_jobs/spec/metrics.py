"""Azure's metrics: which a task may optimise, what they are called in a run, and which way is better.

A job file says `auc_weighted` or `AUCWeighted`; a run logs `AUC_weighted`. The names in a file are those of the
azure-ai-ml enums *PrimaryMetrics; those in a run are the constants of Azure's `azureml-metrics` package.
"""

from __future__ import annotations

from forestay.documents.names import snake

_RUN_NAMES = {"auc_weighted": "AUC_weighted"}  # the one whose name in a run is not its snake_case

_CLASSIFICATION = (
    "auc_weighted",
    "accuracy",
    "norm_macro_recall",
    "average_precision_score_weighted",
    "precision_score_weighted",
)
_REGRESSION = (
    "normalized_root_mean_squared_error",
    "spearman_correlation",
    "r2_score",
    "normalized_mean_absolute_error",
)

# The first is the default in YAML (azure-ai-ml, _schema/automl: load_default of primary_metric).
PRIMARY_METRICS: dict[str, tuple[str, ...]] = {
    "classification": _CLASSIFICATION,
    "regression": _REGRESSION,
    "forecasting": _REGRESSION,
    "text_classification": (
        "accuracy",
        "auc_weighted",
        "norm_macro_recall",
        "average_precision_score_weighted",
        "precision_score_weighted",
    ),
    "text_classification_multilabel": ("accuracy",),
    "text_ner": ("accuracy",),
    "image_classification": (
        "accuracy",
        "auc_weighted",
        "norm_macro_recall",
        "average_precision_score_weighted",
        "precision_score_weighted",
    ),
    "image_classification_multilabel": ("iou", *_CLASSIFICATION),
    "image_object_detection": ("mean_average_precision",),
    "image_instance_segmentation": ("mean_average_precision",),
}

# Errors and losses; every other metric of Azure's is a score.
_LOWER_IS_BETTER = frozenset(
    {
        "log_loss",
        "root_mean_squared_error",
        "root_mean_squared_log_error",
        "mean_absolute_error",
        "mean_absolute_percentage_error",
        "median_absolute_error",
    }
)

_AVERAGES = ("macro", "micro", "weighted", "binary", "classwise")
_SCORES = frozenset(
    {
        "accuracy",
        "weighted_accuracy",
        "balanced_accuracy",
        "norm_macro_recall",
        "matthews_correlation",
        "r2_score",
        "explained_variance",
        "spearman_correlation",
        "iou",
        "mean_average_precision",
        *(
            f"{kind}_{average}"
            for kind in ("auc", "average_precision_score", "f1_score", "precision_score", "recall_score")
            for average in _AVERAGES
        ),
        *(f"iou_{average}" for average in _AVERAGES),
    }
)


def run_name(metric: str) -> str:
    """The name under which a run logs a metric: `auc_weighted`, `AUCWeighted` and `AUC_weighted` -> `AUC_weighted`."""
    name = snake(metric)
    return _RUN_NAMES.get(name, name)


def higher_is_better(name: str) -> bool:
    """Which way a metric of Azure's is better, by its name in a file or a run, normalized variants included.

    Raises KeyError for a name that is none of Azure's metrics.
    """
    key = snake(name)
    if key.removeprefix("normalized_") in _LOWER_IS_BETTER:
        return False
    if key in _SCORES:
        return True
    raise KeyError(name)
