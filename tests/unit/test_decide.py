"""How labels are decided: a tuned rule gains on rows that did not choose it, and noise is not taken for a gain."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from automl_jobs.engine import calibrate, decide, metrics
from automl_jobs.engine.features import FeatureSettings
from automl_jobs.engine.problem import Problem
from automl_jobs.engine.quality import quality
from automl_jobs.spec.decisions import DecisionSetting, parse
from forestay.documents.names import BadSetting
from forestay_transformers import LabelledClassifier, calibrated, decided


def problem(target: np.ndarray, classes: list[Any], metric: str, setting: str = "auto", **more: Any) -> Problem:
    everything = np.arange(len(target))
    return Problem(
        task="classification",
        metric=metric,
        frame=pd.DataFrame({"x": everything}),
        target=target,
        classes=classes,
        weights=None,
        splits=((everything, everything),),
        refit=False,
        settings=FeatureSettings((("x", "numeric"),)),
        schema={},
        golden_rows=[],
        decision=parse(setting),
        **more,
    )


def rare(rows: int, seed: int, signal: float = 1.7, share: float = 0.06) -> tuple[np.ndarray, np.ndarray]:
    """Two classes, the second one rare, and their true probabilities; without a signal they say nothing."""
    draw = np.random.default_rng(seed)
    truth = (draw.random(rows) < share).astype(int)
    seen = draw.normal(size=rows) + signal * truth
    # Without a signal the probabilities still vary, as those of a model fitted on noise do.
    odds = np.log(share / (1 - share)) + (signal * seen - signal**2 / 2 if signal else 0.3 * seen)
    positive = 1 / (1 + np.exp(-odds))
    return truth, np.column_stack([1 - positive, positive])


def four(rows: int, seed: int, signal: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    shares = np.array([0.7, 0.2, 0.07, 0.03])
    truth = draw.choice(4, rows, p=shares)
    seen = draw.normal(size=(rows, 4)) + signal * np.eye(4)[truth]
    powers = np.exp((signal or 0.2) * seen + np.log(shares))
    return truth, powers / powers.sum(axis=1, keepdims=True)


def gained(metric: str, chosen: decide.Decision, rows: tuple[np.ndarray, np.ndarray]) -> float:
    """What a decision gains on rows over the most probable class."""
    truth, probabilities = rows
    after = metrics.classification(truth, probabilities, predicted=decided(probabilities, chosen.rule))
    return after[metric] - metrics.classification(truth, probabilities)[metric]


@pytest.mark.parametrize("seed", range(5))
def test_a_tuned_threshold_finds_the_rare_class_on_unseen_rows(seed: int) -> None:
    truth, probabilities = rare(800, seed)
    found = decide.decide(problem(truth, ["no", "yes"], "norm_macro_recall"), truth, probabilities, None)
    assert found.document["rule"] == "threshold"
    assert found.document["positive_label"] == "yes"
    assert found.document["threshold"] < 0.25
    assert gained("norm_macro_recall", found, rare(20_000, 100 + seed)) > 0.2
    # What is promised is what unseen rows give, within what so few rows can tell.
    assert found.labels is not None
    promised = metrics.classification(truth, probabilities, predicted=found.labels)["norm_macro_recall"]
    unseen, seen = rare(20_000, 100 + seed)
    given = metrics.classification(unseen, seen, predicted=decided(seen, found.rule))["norm_macro_recall"]
    assert promised == pytest.approx(given, abs=0.15)


@pytest.mark.parametrize("seed", range(3))
def test_class_weights_find_the_rare_classes_of_several(seed: int) -> None:
    truth, probabilities = four(1_000, seed)
    found = decide.decide(problem(truth, list("abcd"), "norm_macro_recall"), truth, probabilities, None)
    assert found.rule is not None
    assert found.rule["weights"] == sorted(found.rule["weights"])
    assert gained("norm_macro_recall", found, four(20_000, 100 + seed)) > 0.1


def test_noise_keeps_the_most_probable_class() -> None:
    kept = 0
    for seed in range(40):
        for rows, classes in (
            (rare(500, seed, signal=0.0), ["no", "yes"]),
            (four(500, seed, signal=0.0), list("abcd")),
        ):
            found = decide.decide(problem(rows[0], classes, "norm_macro_recall", seed=seed), *rows, None)
            kept += found.rule is None
            assert found.rule is not None or found.labels is None
    # One in a hundred is let through by what "sure" means.
    assert kept >= 76


def test_the_most_probable_class_stays_where_it_is_best() -> None:
    for seed in range(10):
        rows = four(1_000, seed)
        assert decide.decide(problem(rows[0], list("abcd"), "accuracy", seed=seed), *rows, None).rule is None


def test_metrics_of_probabilities_decide_nothing_unless_asked() -> None:
    truth, probabilities = rare(500, 0)
    found = decide.decide(problem(truth, ["a", "b"], "AUC_weighted"), truth, probabilities, None)
    assert found.document == {"setting": "auto", "rule": "argmax"}
    asked = decide.decide(problem(truth, ["a", "b"], "AUC_weighted", "balanced"), truth, probabilities, None)
    assert asked.document["goal"] == "norm_macro_recall"
    assert asked.rule is not None


def test_f1_is_that_of_the_positive_label() -> None:
    truth, probabilities = rare(2_000, 3)
    turned, mirrored = 1 - truth, probabilities[:, ::-1].copy()
    first = decide.decide(problem(turned, ["ill", "well"], "AUC_weighted", "f1", positive=0), turned, mirrored, None)
    second = decide.decide(problem(truth, ["a", "b"], "AUC_weighted", "f1"), truth, probabilities, None)
    assert first.document["positive_label"] == "ill"
    assert first.document["threshold"] == pytest.approx(second.document["threshold"])
    assert first.rule is not None
    assert first.rule["position"] == 0


def test_costs_and_thresholds_are_taken_as_they_are() -> None:
    truth, probabilities = rare(100, 0)
    priced = decide.decide(
        problem(truth, ["a", "b"], "accuracy", "cost:FN=9,FP=1", positive=1), truth, probabilities, None
    )
    assert priced.document["threshold"] == pytest.approx(0.1)
    assert priced.document["costs"] == {"FN": 9.0, "FP": 1.0}
    assert priced.labels is not None
    assert priced.labels.tolist() == (probabilities[:, 1] >= priced.document["threshold"]).astype(int).tolist()
    fixed = decide.decide(problem(truth, ["a", "b"], "accuracy", "0.3", positive=0), truth, probabilities, None)
    assert fixed.rule == {"threshold": 0.3, "position": 0}


def test_a_binary_setting_leaves_a_third_class_of_the_validation_data_alone() -> None:
    truth, probabilities = four(100, 0)
    for setting in ("0.3", "f1", "cost:FN=2,FP=1"):
        assert decide.decide(problem(truth, list("abcd"), "accuracy", setting), truth, probabilities, None).rule is None


def test_row_weights_count() -> None:
    truth, probabilities = rare(1_000, 5)
    weights = np.where(truth == 1, 20.0, 1.0)
    plain = decide.decide(problem(truth, ["a", "b"], "accuracy"), truth, probabilities, None)
    weighted = decide.decide(problem(truth, ["a", "b"], "accuracy"), truth, probabilities, weights)
    assert plain.rule is None
    assert weighted.rule is not None
    assert weighted.rule["threshold"] < 0.3


def test_a_decided_label_that_no_row_has_is_wrong() -> None:
    truth = np.array([0, 2, 0, 2])
    probabilities = np.array([[0.5, 0.4, 0.1], [0.1, 0.4, 0.5]] * 2)
    found = metrics.classification(truth, probabilities, predicted=np.array([1, 2, 1, 2]))
    assert found["accuracy"] == 0.5
    assert found["norm_macro_recall"] == 0.0
    assert metrics.classification(truth, probabilities)["norm_macro_recall"] == 1.0


def test_the_model_decides_and_its_probabilities_stay() -> None:
    rows = np.arange(20.0).reshape(-1, 1)
    fitted = LogisticRegression().fit(rows, (rows[:, 0] > 14).astype(int))
    plain = LabelledClassifier(fitted, ["no", "yes"], [0, 1])
    early = LabelledClassifier(fitted, ["no", "yes"], [0, 1], decision={"threshold": 0.05, "position": 1})
    weighted = LabelledClassifier(fitted, ["no", "yes"], [0, 1], decision={"weights": [0.05, 0.95]})
    assert (early.predict(rows) == "yes").sum() > (plain.predict(rows) == "yes").sum()
    assert early.predict(rows).tolist() == np.where(plain.predict_proba(rows)[:, 1] >= 0.05, "yes", "no").tolist()
    assert early.predict(rows).tolist() == weighted.predict(rows).tolist()
    assert np.array_equal(early.predict_proba(rows), plain.predict_proba(rows))
    again = pickle.loads(pickle.dumps(early))
    assert clone(early).decision == early.decision
    assert again.predict(rows).tolist() == early.predict(rows).tolist()


def test_a_model_kept_before_there_was_a_choice_still_answers() -> None:
    rows = np.arange(6.0).reshape(-1, 1)
    old = LabelledClassifier(LogisticRegression().fit(rows, [0, 0, 0, 1, 1, 1]), ["a", "b"], [0, 1])
    del old.decision, old.calibration
    restored = pickle.loads(pickle.dumps(old))
    assert restored.predict(rows).tolist() == ["a", "a", "a", "b", "b", "b"]


@pytest.mark.parametrize("power", [3.0, 0.4])
def test_probabilities_that_are_off_are_set_right(power: float) -> None:
    """Powers of true probabilities are too sure, or not sure enough: the opposite power mends them."""
    for rows, classes, kind in ((rare, ["a", "b"], "sigmoid"), (four, list("abcd"), "temperature")):
        (truth, exact), (unseen, other) = rows(2_000, 1), rows(5_000, 2)
        off, later = (part**power / (part**power).sum(axis=1, keepdims=True) for part in (exact, other))
        found = calibrate.calibrate(problem(truth, classes, "accuracy"), truth, off, None)
        assert found.document is not None
        assert found.document["kind"] == kind
        assert found.document["slope"] == pytest.approx(1 / power, rel=0.25)
        right = calibrated(later, found.rule)
        loss, was = (metrics.classification(unseen, part)["log_loss"] for part in (right, later))
        assert loss < was - 0.05
        assert loss == pytest.approx(metrics.classification(unseen, other)["log_loss"], abs=0.01)
        assert right.sum(axis=1) == pytest.approx(1)
        if len(classes) == 2:
            areas = [metrics.classification(unseen, part)["AUC_weighted"] for part in (right, later)]
            assert areas[0] == pytest.approx(areas[1], abs=1e-12)


def test_probabilities_that_are_right_stay() -> None:
    for seed in range(10):
        for rows, classes in ((rare(1_000, seed), ["a", "b"]), (four(1_000, seed), list("abcd"))):
            assert calibrate.calibrate(problem(rows[0], classes, "AUC_weighted", seed=seed), *rows, None).rule is None


def test_certain_and_wrong_probabilities_get_a_price() -> None:
    """As those of a tree or of few neighbours, which are zero or one."""
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 2, 1_000)
    said = np.where(draw.random(1_000) < 0.9, truth, 1 - truth)
    certain = np.eye(2)[said]
    found = calibrate.calibrate(problem(truth, ["a", "b"], "AUC_weighted"), truth, certain, None)
    # Certainty alone says nothing of how far to trust it: its price is read off the rows.
    assert found.rule is None or 0.8 < calibrated(certain, found.rule).max() < 0.95


@given(
    first=st.tuples(st.floats(0.2, 4), st.floats(-3, 3)),
    then=st.tuples(st.floats(0.2, 4), st.floats(-3, 3)),
    positive=st.floats(0.01, 0.99),
)
def test_two_corrections_are_one(first: tuple[float, float], then: tuple[float, float], positive: float) -> None:
    rules = [{"slope": slope, "shifts": [0.0, shift], "floor": 0.0} for slope, shift in (first, then)]
    given_ = np.array([[1 - positive, positive]])
    one_by_one = calibrated(calibrated(given_, rules[0]), rules[1])
    assert calibrated(given_, calibrate.joined(*rules)) == pytest.approx(one_by_one, abs=1e-9)
    assert calibrate.joined(None, rules[0]) == rules[0] == calibrate.joined(rules[0], None)


def test_class_weights_are_taken_out_again() -> None:
    exact = rare(100, 0)[1]
    factors = np.array([0.6, 8.0])
    shifted = exact * factors
    shifted /= shifted.sum(axis=1, keepdims=True)
    assert calibrated(shifted, calibrate.of_priors(factors)) == pytest.approx(exact)


def test_a_label_that_was_never_seen_stays_impossible() -> None:
    rows = np.arange(6.0).reshape(-1, 1)
    fitted = LogisticRegression().fit(rows, [0, 0, 0, 1, 1, 1])
    rule = {"slope": 0.5, "shifts": [0.0, 9.0, 1.0], "floor": 1e-6}
    model = LabelledClassifier(fitted, ["a", "b", "c"], [0, 2], calibration=rule)
    found = model.predict_proba(rows)
    assert (found[:, 1] == 0).all()
    assert found.sum(axis=1) == pytest.approx(1)
    expected = calibrated(fitted.predict_proba(rows), {"slope": 0.5, "shifts": [0.0, 1.0], "floor": 1e-6})
    assert found[:, [0, 2]] == pytest.approx(expected)


def test_quality_of_the_rare_class_worked_out_by_hand() -> None:
    truth = np.array([0, 0, 0, 1])
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.7, 0.3]])
    job = problem(truth, ["a", "b"], "accuracy")
    found = quality(job, truth, probabilities)
    assert found["minority_recall"] == 0.0
    assert found["minority_average_precision"] == pytest.approx(0.5)
    assert found["brier_score"] == pytest.approx(np.mean([0.01, 0.16, 0.04, 0.49]))
    assert found["expected_calibration_error"] == pytest.approx((0.1 + 0.4 + 0.2 + 0.7) / 4)
    assert quality(job, truth, probabilities, labels=np.array([0, 1, 0, 1]))["minority_recall"] == 1.0
    assert "minority_recall" not in quality(job, np.zeros(4, dtype=int), probabilities)


def read(text: str) -> tuple[DecisionSetting | None, BadSetting | None]:
    try:
        return parse(text), None
    except BadSetting as error:
        return None, error


costs = st.floats(min_value=1e-6, max_value=1e6)


@given(missed=costs, alarm=costs, order=st.booleans(), space=st.sampled_from(["", " "]))
def test_costs_are_read_in_any_order(missed: float, alarm: float, order: bool, space: str) -> None:
    parts = [f"{space}FN{space}={space}{missed!r}", f"fp={alarm!r}{space}"]
    found = parse("cost:" + ",".join(parts if order else parts[::-1]))
    assert found.costs == (missed, alarm)
    assert found.threshold == pytest.approx(alarm / (alarm + missed))
    assert parse(str(found)) == found


@given(threshold=st.floats(min_value=0, max_value=1, exclude_min=True, exclude_max=True))
def test_a_threshold_is_read_back(threshold: float) -> None:
    assert parse(str(parse(repr(threshold)))) == DecisionSetting("threshold", threshold)


@given(
    text=st.one_of(
        st.text(max_size=30), st.from_regex(r"cost ?:? ?(FN|FP|fn|TP)?=?[-0-9.einfa]{0,4},?(FN|FP)?=?.{0,3}")
    )
)
def test_any_other_text_is_refused_with_what_to_write(text: str) -> None:
    found, wrong = read(text)
    if wrong is None:
        assert parse(str(found)) == found
    else:
        assert wrong.fix
        assert "\n" not in str(wrong)
