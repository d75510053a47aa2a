"""Azure's metrics: values worked out by hand, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_jobs.engine import metrics


def test_binary_values_worked_out_by_hand() -> None:
    truth = np.array([0, 0, 0, 1])
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]])
    found = metrics.classification(truth, probabilities, positive=1)
    assert found["accuracy"] == 0.75
    assert found["recall_score_macro"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["norm_macro_recall"] == pytest.approx(2 * (2 / 3 + 1) / 2 - 1)
    assert found["AUC_binary"] == 1.0
    assert found["precision_score_binary"] == 0.5
    # Rows of the larger class weigh three times as much: (3 * 2 + 1) / (3 * 3 + 1).
    assert found["weighted_accuracy"] == pytest.approx(0.7)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.6, 0.3, 0.8]).mean())


def test_auc_is_left_out_when_one_class_is_there() -> None:
    found = metrics.classification(np.zeros(3, dtype=int), np.array([[0.9, 0.1]] * 3))
    assert "AUC_weighted" not in found
    assert found["accuracy"] == 1.0


def test_a_class_missing_from_the_rows_does_not_spoil_averages() -> None:
    truth = np.array([0, 1, 0, 1])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]] * 2)
    found = metrics.classification(truth, probabilities)
    assert found["AUC_weighted"] == 1.0
    assert found["recall_score_macro"] == 1.0


def test_regression_values_worked_out_by_hand() -> None:
    found = metrics.regression(np.array([0.0, 10.0]), np.array([1.0, 7.0]), 0.0, 20.0)
    assert found["mean_absolute_error"] == 2.0
    assert found["normalized_mean_absolute_error"] == 0.1
    assert found["root_mean_squared_error"] == pytest.approx(np.sqrt(5))
    assert found["normalized_root_mean_squared_error"] == pytest.approx(np.sqrt(5) / 20)
    assert found["mean_absolute_percentage_error"] == pytest.approx(30)
    assert found["spearman_correlation"] == pytest.approx(1.0)
    assert found["r2_score"] == pytest.approx(1 - 10 / 50)


def test_logarithmic_errors_need_a_target_that_is_not_negative() -> None:
    assert "root_mean_squared_log_error" not in metrics.regression(np.array([-1.0, 1.0]), np.zeros(2), -1.0, 1.0)


def test_a_constant_target_has_the_best_error_when_met_else_the_worst() -> None:
    met = metrics.regression(np.ones(3), np.ones(3), 1.0, 1.0)
    assert met["normalized_root_mean_squared_error"] == 0.0
    assert met["spearman_correlation"] == -1.0
    missed = metrics.regression(np.ones(3), np.zeros(3), 1.0, 1.0)
    assert missed["normalized_root_mean_squared_error"] == 1.0
    assert all(np.isfinite(value) for value in (*met.values(), *missed.values()))


def test_a_bad_regression_is_cut_off_where_azure_cuts_it() -> None:
    found = metrics.regression(np.array([1.0, 2.0]), np.array([100.0, -100.0]), 1.0, 2.0)
    assert found["r2_score"] == -1.0
    assert found["normalized_mean_absolute_error"] == 1.0


def test_a_forecast_is_normalised_by_each_series_own_range() -> None:
    truth, predicted = np.array([1.0, 2.0, 100.0, 200.0]), np.array([2.0, 2.0, 150.0, 200.0])
    found = metrics.forecasting(truth, predicted, ["a", "a", "b", "b"], {"a": (0.0, 2.0)})
    # a: mean error 0.5 of a range of 2 in training; b, new: 25 of 100.
    assert found["normalized_mean_absolute_error"] == pytest.approx((0.25 + 0.25) / 2)
    assert found["mean_absolute_error"] == pytest.approx(51 / 4)


def test_accuracy_table_counts_every_row_at_every_threshold() -> None:
    truth = np.array([0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]])
    table = metrics.accuracy_table(truth, probabilities, ["no", "yes"])["data"]
    assert all(sum(cell) == 3 for label in table["probability_tables"] for cell in label)
    assert len(table["probability_thresholds"]) == 100
    just_over_half = table["probability_tables"][1][50]
    assert just_over_half == [1, 0, 1, 1]
    assert table["percentile_tables"][1][0] == [2, 1, 0, 0]


def test_residuals_and_predictions_count_every_row() -> None:
    draw = np.random.default_rng(0)
    truth = draw.gamma(2, 10, 300)
    predicted = truth + draw.normal(0, 30, 300)
    assert sum(metrics.residuals(truth, predicted)["data"]["bin_counts"]) == 300
    bins = metrics.predicted_true(truth, predicted)["data"]
    assert sum(bins["bin_counts"]) == 300
    assert len(bins["bin_edges"]) == len(bins["bin_averages"]) + 1


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 5), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_all_values_are_finite_and_shares_lie_between_zero_and_one(classes: int, rows: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    probabilities = draw.dirichlet(np.ones(classes), size=rows)
    found = metrics.classification(draw.integers(0, classes, rows), probabilities, draw.random(rows) + 0.1)
    assert all(np.isfinite(value) for value in found.values())
    for name, value in found.items():
        if name not in ("log_loss", "matthews_correlation"):
            assert -1e-9 <= value <= 1 + 1e-9, name


def test_average_keeps_what_every_fold_has() -> None:
    assert metrics.average([{"a": 1.0, "b": 2.0}, {"a": 3.0}]) == {"a": 2.0}
