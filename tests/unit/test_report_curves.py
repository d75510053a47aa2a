"""The numbers behind a report's charts, held against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from automl_jobs.engine.metrics import accuracy_table
from automl_jobs.runs.report.curves import Curves, at_tenths, of_table
from tests.report_support import CLASSES, drawn

TRUTH, PROBABILITIES = drawn(rows=900)
CURVES = of_table(accuracy_table(TRUTH, PROBABILITIES, CLASSES))
BY_CLASS = [pytest.param(number, curves, id=str(number)) for number, curves in enumerate(CURVES)]


@pytest.mark.parametrize(("number", "curves"), BY_CLASS)
def test_areas_are_those_of_all_rows(number: int, curves: Curves) -> None:
    hit, given = number == TRUTH, PROBABILITIES[:, number]
    assert curves.members == hit.sum()
    assert curves.rows == len(hit)
    assert curves.area == pytest.approx(sklearn_metrics.roc_auc_score(hit, given), abs=0.004)
    assert curves.average_precision == pytest.approx(sklearn_metrics.average_precision_score(hit, given), abs=0.01)


@pytest.mark.parametrize(("number", "curves"), BY_CLASS)
def test_every_point_is_one_of_scikit_learns(number: int, curves: Curves) -> None:
    hit, given = number == TRUTH, PROBABILITIES[:, number]
    false, true, _ = sklearn_metrics.roc_curve(hit, given, drop_intermediate=False)
    known = {(round(x, 9), round(y, 9)) for x, y in zip(false, true, strict=True)}
    assert {(round(x, 9), round(y, 9)) for x, y in curves.roc} <= known
    precision, recall, _ = sklearn_metrics.precision_recall_curve(hit, given)
    known = {(round(x, 9), round(y, 9)) for x, y in zip(recall, precision, strict=True)}
    # A point of recall zero says which rows are not of the class, of which scikit-learn keeps the last one only.
    assert {(round(x, 9), round(y, 9)) for x, y in curves.precision_recall if x > 0} <= known


@pytest.mark.parametrize(("number", "curves"), BY_CLASS)
def test_calibration_is_that_of_the_rows(number: int, curves: Curves) -> None:
    hit, given = number == TRUTH, PROBABILITIES[:, number]
    # Bins that end where thresholds do: the table knows no others.
    true, mean = sklearn_metrics_calibration(hit, given)
    assert len(curves.calibration) == len(true)
    for (x, y), expected_x, expected_y in zip(curves.calibration, mean, true, strict=True):
        assert x == pytest.approx(expected_x, abs=0.006)
        assert y == pytest.approx(expected_y, abs=1e-9)


def sklearn_metrics_calibration(hit: np.ndarray, given: np.ndarray) -> tuple[list[float], list[float]]:
    """What sklearn.calibration.calibration_curve gives, with bins of whole steps between the table's thresholds."""
    thresholds = np.linspace(0, 1, 100)
    place = np.clip(np.searchsorted(thresholds, given, side="right") - 1, 0, 99)
    middles = (thresholds + np.append(thresholds[1:], 1.0)) / 2
    bins = np.minimum((middles[place] * 10).astype(int), 9)
    there = np.unique(bins)
    return [float(hit[bins == one].mean()) for one in there], [float(given[bins == one].mean()) for one in there]


@pytest.mark.parametrize(("number", "curves"), BY_CLASS)
def test_thresholds_are_those_of_labels(number: int, curves: Curves) -> None:
    hit, given = number == TRUTH, PROBABILITIES[:, number]
    rows = at_tenths(curves)
    assert len(rows) == 19
    for row in rows:
        said = given >= row.threshold
        assert row.recall == pytest.approx(sklearn_metrics.recall_score(hit, said))
        assert row.f1 == pytest.approx(sklearn_metrics.f1_score(hit, said, zero_division=0))
        assert row.share == pytest.approx(said.mean())
        if row.precision is not None:
            assert row.precision == pytest.approx(sklearn_metrics.precision_score(hit, said))
    assert curves.best.f1 == max(one.f1 for one in curves.thresholds)


def test_gain_and_lift() -> None:
    curves = CURVES[2]
    hit, given = TRUTH == 2, PROBABILITIES[:, 2]
    order = np.argsort(-given, kind="stable")
    found = np.cumsum(hit[order]) / hit.sum()
    for share, gained in curves.gain[1:]:
        assert gained == pytest.approx(found[round(share * len(hit)) - 1])
    for (share, gained), (place, lift) in zip(curves.gain[1:], curves.lift, strict=True):
        assert (place, lift) == (share, pytest.approx(gained / share))


def test_a_class_without_rows_has_no_curve() -> None:
    truth = np.where(TRUTH == 0, 1, TRUTH)
    found = of_table(accuracy_table(truth, PROBABILITIES, CLASSES))
    assert [one.label for one in found] == CLASSES[1:]
