"""Azure's names: metrics and which way they are better, algorithms, casing."""

from __future__ import annotations

import pytest

from automl_jobs.spec import algorithms, metrics
from forestay.documents.names import closest, snake, suggest


@pytest.mark.parametrize(
    "name",
    [
        "accuracy",
        "AUC_weighted",
        "AUC_macro",
        "AUC_micro",
        "AUC_binary",
        "norm_macro_recall",
        "average_precision_score_weighted",
        "precision_score_micro",
        "recall_score_macro",
        "f1_score_binary",
        "weighted_accuracy",
        "balanced_accuracy",
        "matthews_correlation",
        "r2_score",
        "explained_variance",
        "spearman_correlation",
        "iou",
        "mean_average_precision",
    ],
)
def test_scores(name: str) -> None:
    assert metrics.higher_is_better(name) is True


@pytest.mark.parametrize(
    "name",
    [
        "log_loss",
        "root_mean_squared_error",
        "normalized_root_mean_squared_error",
        "root_mean_squared_log_error",
        "normalized_root_mean_squared_log_error",
        "mean_absolute_error",
        "normalized_mean_absolute_error",
        "mean_absolute_percentage_error",
        "median_absolute_error",
        "normalized_median_absolute_error",
    ],
)
def test_errors(name: str) -> None:
    assert metrics.higher_is_better(name) is False


def test_unknown_metric_is_no_guess() -> None:
    with pytest.raises(KeyError):
        metrics.higher_is_better("cost")


def test_every_primary_metric_has_a_direction_and_a_run_name() -> None:
    for names in metrics.PRIMARY_METRICS.values():
        for name in names:
            metrics.higher_is_better(metrics.run_name(name))
            assert snake(metrics.run_name(name)) == name


@pytest.mark.parametrize(
    ("camel", "expected"),
    [
        ("XGBoostClassifier", "xg_boost_classifier"),
        ("LightGBM", "light_gbm"),
        ("TCNForecaster", "tcn_forecaster"),
        ("R2Score", "r2_score"),
        ("WoETargetEncoder", "wo_e_target_encoder"),
        ("already_snake", "already_snake"),
    ],
)
def test_snake_as_in_azure(camel: str, expected: str) -> None:
    assert snake(camel) == expected


def test_algorithms_by_snake() -> None:
    assert algorithms.by_snake("regression")["xg_boost_regressor"] == "XGBoostRegressor"
    assert algorithms.by_snake("text_ner") == {}


def test_nearest_names() -> None:
    assert closest("lightgbm", ["knn", "light_gbm"]) == ["light_gbm"]
    assert suggest("zzz", ["a", "b"]) == "valid: a, b"
    assert suggest("max_trial", [f"x{n}" for n in range(30)] + ["max_trials"]) == "did you mean max_trials?"
