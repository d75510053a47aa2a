"""The order of trials, and every reason to stop."""

from __future__ import annotations

import time

import pytest

from automl_jobs.engine import algorithms
from automl_jobs.engine.progress import TERMINATION_AFTER, Limits
from automl_jobs.engine.search import Search

LAYOUTS = frozenset({"linear", "counts", "tree", "target"})
NAMES = tuple(algorithm.name for algorithm in algorithms.CLASSIFIERS)


def search(names: tuple[str, ...] = NAMES, rows: int = 1000, **limits: object) -> Search:
    given: dict[str, object] = {"seconds": 1000.0, "trial_seconds": 1000.0, "trials": 1000, **limits}
    return Search(
        names=names,
        classification=True,
        rows=rows,
        higher=True,
        limits=Limits(**given),  # type: ignore[arg-type]
        seed=1,
        layouts=LAYOUTS,
    )


def regression(limits: Limits, *, skewed: bool = False) -> Search:
    return Search(
        names=("ElasticNet", "LightGBM"),
        classification=False,
        rows=100,
        higher=False,
        limits=limits,
        seed=0,
        layouts=LAYOUTS,
        skewed=skewed,
    )


def drain(found: Search, score: float | None = 0.5, most: int = 400) -> list[str]:
    names = []
    while (plan := found.next()) is not None and len(names) < most:
        names.append(plan.algorithm)
        found.finished(plan, score, 0.01)
    return names


def test_the_baseline_comes_first_and_every_algorithm_has_its_turn() -> None:
    names = drain(search(trials=40, early_termination=False))
    assert names[:3] == ["Baseline", "LogisticRegression", "LightGBM"]
    assert set(NAMES) <= set(names)


def test_only_allowed_algorithms_are_tried() -> None:
    assert set(drain(search(("LightGBM", "KNN"), trials=30))) == {"Baseline", "LightGBM", "KNN"}


@pytest.mark.parametrize(("limit", "rows"), [(1, 2), (2, 2), (10, 10)])
def test_max_trials_counts_the_baseline(limit: int, rows: int) -> None:
    found = search(trials=limit)
    assert len(drain(found)) == rows
    assert "max_trials" in found.stop_reason


def test_exit_score_ends_the_search() -> None:
    found = search(exit_score=0.9)
    first = found.next()
    assert first is not None
    found.finished(first, 0.2, 0.0)
    second = found.next()
    assert second is not None
    assert found.finished(second, 0.95, 0.0)
    assert found.next() is None
    assert "exit_score" in found.stop_reason


def test_a_baseline_as_good_as_the_exit_score_does_not_end_the_search_and_a_model_does() -> None:
    found = search(exit_score=0.7)
    for score in (0.82, 0.6, 0.75):
        plan = found.next()
        assert plan is not None
        found.finished(plan, score, 0.0)
    assert found.next() is None
    assert "exit_score" in found.stop_reason


def test_a_lower_exit_score_is_better_for_an_error() -> None:
    found = regression(Limits(100, 100, 100, exit_score=0.1))
    for score in (0.02, 0.5, 0.05):
        plan = found.next()
        assert plan is not None
        found.finished(plan, score, 0.0)
    assert found.next() is None


def test_early_termination_waits_for_enough_trials() -> None:
    found = search()
    names = drain(found, score=0.5)
    assert len(names) > TERMINATION_AFTER
    assert "enable_early_termination" in found.stop_reason


def test_time_is_a_limit() -> None:
    found = search(seconds=0.05)
    plan = found.next()
    assert plan is not None
    found.finished(plan, 0.3, 0.0)
    time.sleep(0.06)
    assert found.next() is None
    assert "time" in found.stop_reason


def test_a_trial_that_can_not_end_in_time_is_not_begun() -> None:
    found = search(("LightGBM",), seconds=30.0)
    for seconds in (0.0, 60.0):
        plan = found.next()
        assert plan is not None
        found.finished(plan, 0.5, seconds)
    assert found.next() is None
    assert found.stop_reason == "no further trial fits in the time left"


def test_a_booster_never_takes_all_of_the_time_left() -> None:
    found = search(("LightGBM", "LogisticRegression"), seconds=1000.0)
    seen: dict[str, list[float | None]] = {"Baseline": [], "LightGBM": [], "LogisticRegression": []}
    while len(seen["LightGBM"]) < 3:
        plan = found.next()
        assert plan is not None
        seen[plan.algorithm].append(plan.seconds)
        if plan.algorithm != "LightGBM" or len(seen["LightGBM"]) > 1:
            found.finished(plan, 0.5, 1.0)
    # Two are begun while nothing is known of boosters; the third knows what the second took.
    assert seen["LightGBM"] == pytest.approx([500.0, 500.0, 850.0], abs=5.0)
    assert set(seen["LogisticRegression"]) == {None}


def test_a_booster_ends_with_a_model_within_the_time_of_one_trial() -> None:
    found = search(("LightGBM",), seconds=3600.0, trial_seconds=60.0)
    seconds = []
    for _ in range(3):
        plan = found.next()
        assert plan is not None
        seconds.append(plan.seconds)
        found.finished(plan, 0.5, 1.0)
    assert seconds[0] is None  # the baseline
    assert seconds[1:] == pytest.approx([30.0, 51.0])
    assert found.deadline() == pytest.approx(time.monotonic() + 60.0, abs=1.0)


def test_failures_do_not_end_the_search_but_it_ends() -> None:
    found = search(trials=100)
    names = drain(found, score=None)
    assert set(NAMES) <= set(names)
    assert found.stop_reason


def test_the_same_seed_asks_the_same_settings() -> None:
    def settings_of() -> list[dict[str, object]]:
        found, plans = search(("LightGBM",), trials=15, early_termination=False), []
        while (plan := found.next()) is not None:
            plans.append(plan.parameters)
            found.finished(plan, 0.1 * len(plan.parameters), 0.0)
        return plans

    assert settings_of() == settings_of()


def test_slow_algorithms_are_left_out_of_big_tables_unless_nothing_else_is_allowed() -> None:
    assert "SVM" not in drain(search(rows=1_000_000, trials=40))
    assert "SVM" in drain(search(("SVM",), rows=1_000_000, trials=4))


def test_the_logarithm_of_a_skewed_target_is_tried_beside_the_target() -> None:
    limits = Limits(1000, 100, 12, early_termination=False)
    found = regression(limits, skewed=True)
    logarithms = []
    while (plan := found.next()) is not None:
        logarithms.append(plan.parameters.get(algorithms.LOG_TARGET, False))
        found.finished(plan, 0.5, 0.0)
    assert 3 <= sum(logarithms) <= len(logarithms) - 4


def test_class_weights_are_tried_beside_plain_fits_where_a_class_is_rare() -> None:
    found = search(("LogisticRegression", "LightGBM", "KNN"), trials=30, early_termination=False)
    found = Search(
        names=found.names,
        classification=True,
        rows=1000,
        higher=True,
        limits=found.limits,
        seed=1,
        layouts=LAYOUTS,
        unbalanced=True,
    )
    weighted: dict[str, list[bool]] = {}
    while (plan := found.next()) is not None:
        weighted.setdefault(plan.algorithm, []).append(bool(plan.parameters.get(algorithms.CLASS_WEIGHTS)))
        found.finished(plan, 0.5, 0.0)
    for name in ("LogisticRegression", "LightGBM"):
        # Plain comes first, and both are searched further.
        assert not weighted[name][0]
        assert 2 <= sum(weighted[name]) <= len(weighted[name]) - 2
    # kNN takes no row weights, and a baseline knows none.
    assert not any(weighted["KNN"] + weighted["Baseline"])


def test_a_baseline_that_ends_after_a_better_trial_is_not_the_best() -> None:
    """Trials run side by side, and nothing says that the baseline is the first to end."""
    found = search(exit_score=0.9)
    baseline, first = found.next(), found.next()
    assert baseline is not None
    assert first is not None
    assert found.finished(first, 0.95, 1.0)
    assert not found.finished(baseline, 0.2, 2.0)
    assert found.best == 0.95
    assert found.next() is None
    assert "exit_score" in found.stop_reason


@pytest.mark.parametrize(("name", "workers"), [("RandomForest", 2), ("XGBoostClassifier", 4), ("SGD", 3)])
def test_while_its_few_settings_are_running_a_search_waits_and_then_draws_further_ones(name: str, workers: int) -> None:
    found = search((name,))
    running = [plan for _ in range(workers) if (plan := found.next()) is not None]
    while running:
        assert found.next() is None
        assert not found.stop_reason
        ended = running.pop(0)
        found.finished(ended, 0.5 if ended.algorithm == "Baseline" else 0.8, 1.0)
        if ended.algorithm == name:
            break
    drawn = found.next()
    assert drawn is not None
    assert drawn.algorithm == name
    assert found.drawn(drawn)


def test_what_has_nothing_to_search_ends_once_its_settings_have_ended() -> None:
    found = search(("KNN",))
    running = [found.next(), found.next()]
    for plan in running:
        assert plan is not None
        assert found.next() is None
        assert not found.stop_reason
        found.finished(plan, 0.5, 1.0)
    assert found.next() is None
    assert found.stop_reason == "all settings are tried"
