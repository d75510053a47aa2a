"""The search on a large table: samples first, the best settings on all rows after them."""

from __future__ import annotations

import pytest

from automl_jobs.engine.progress import Limits
from automl_jobs.engine.staged import FINALISTS, StagedSearch, sample_rows
from automl_jobs.engine.trial import BASELINE, TrialPlan

ROWS, SAMPLE = 900_000, 60_000
NAMES = ("LogisticRegression", "LightGBM", "XGBoostClassifier", "GradientBoosting")


class Clock:
    """Time as the search sees it: it passes only when a trial says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    from automl_jobs.engine import progress, staged

    found = Clock()
    monkeypatch.setattr(progress, "time", found)
    monkeypatch.setattr(staged, "time", found)
    return found


def search(clock: Clock, **limits: object) -> StagedSearch:
    given: dict[str, object] = {"seconds": 60.0, "trial_seconds": 1800.0, "trials": 1000, **limits}
    return StagedSearch(
        names=NAMES,
        classification=True,
        rows=1_000_000,
        higher=True,
        limits=Limits(**given),  # type: ignore[arg-type]
        seed=1,
        started=clock.now,
        layouts=frozenset({"linear", "counts", "tree", "target"}),
        sample=SAMPLE,
        training_rows=ROWS,
    )


def drain(
    found: StagedSearch, clock: Clock, *, sampled: float = 1.2, growing: float = 0.8, gain: float = 1e-4
) -> list[TrialPlan]:
    """All plans, trials on the sample taking so many seconds, of which `growing` grow with the rows."""
    plans: list[TrialPlan] = []
    while (plan := found.next()) is not None and len(plans) < 500:
        plans.append(plan)
        if plan.algorithm == BASELINE:
            seconds = 0.2
        elif plan.rows is None:
            seconds = sampled - growing + growing * ROWS / SAMPLE
        else:
            seconds = sampled
            found.grows(plan, growing)
        clock.now += seconds
        score = 0.5 if plan.algorithm == BASELINE else 0.7 + gain * int(plan.id) + (0.02 if plan.rows is None else 0)
        found.finished(plan, score, seconds)
    return plans


@pytest.mark.parametrize(
    ("rows", "columns", "seconds", "trials", "sample"),
    [
        (900_000, 20, 60.0, 1000, 36_000),
        (90_000, 20, 60.0, 1000, None),
        (90_000, 10, 5.0, 1000, 20_000),
        (900_000, 20, 21_600.0, 1000, None),
        (900_000, 20, 60.0, 3, None),
        (30_000, 500, 60.0, 1000, None),
    ],
)
def test_the_sample_grows_with_the_budget_and_shrinks_with_the_columns(
    rows: int, columns: int, seconds: float, trials: int, sample: int | None
) -> None:
    assert sample_rows(rows, columns, Limits(seconds, 1800, trials)) == sample


def test_samples_come_first_and_the_best_of_them_is_fitted_on_all_rows_within_the_budget(clock: Clock) -> None:
    found = search(clock)
    plans = drain(found, clock)
    rows = [plan.rows for plan in plans if plan.algorithm != BASELINE]
    first_full = rows.index(None)
    assert first_full >= 5
    assert set(rows[:first_full]) == {SAMPLE}
    best = max(plans[1 : first_full + 1], key=lambda plan: int(plan.id))
    full = plans[first_full + 1]
    assert (full.algorithm, full.parameters, full.layout) == (best.algorithm, best.parameters, best.layout)
    assert clock.now - 1000 <= 60
    assert len({plan.id for plan in plans}) == len(plans)


def test_a_full_fit_that_does_not_fit_is_not_begun_and_the_time_is_used_for_samples(clock: Clock) -> None:
    found = search(clock)
    plans = drain(found, clock, sampled=5.0, growing=4.5)
    assert {plan.rows for plan in plans if plan.algorithm != BASELINE} == {SAMPLE}
    assert len(plans) >= 11
    assert clock.now - 1000 <= 65  # the last one would be stopped by its deadline


def test_cheaper_settings_are_fitted_on_all_rows_where_the_best_would_take_too_long(clock: Clock) -> None:
    found = search(clock)
    baseline = found.next()
    assert baseline is not None
    found.finished(baseline, 0.5, 0.1)
    for growing, score in ((0.2, 0.7), (8.0, 0.9)):
        plan = found.next()
        assert plan is not None
        found.grows(plan, growing)
        found.finished(plan, score, growing + 0.1)
    clock.now += 40
    plan = found.next()
    assert plan is not None
    assert (plan.rows, plan.algorithm) == (None, "LogisticRegression")
    assert plan.seconds is not None
    assert plan.seconds < found.remaining()


def test_with_much_time_there_are_several_rounds(clock: Clock) -> None:
    plans = drain(search(clock, seconds=400.0, early_termination=False), clock, sampled=1.0, growing=0.5)
    stages = "".join("f" if plan.rows is None else "s" for plan in plans if plan.algorithm != BASELINE)
    assert "fs" in stages
    assert stages.count("f") > FINALISTS
    promoted = [(plan.algorithm, str(plan.parameters), plan.layout) for plan in plans if plan.rows is None]
    assert len(promoted) == len(set(promoted))


@pytest.mark.parametrize("trials", [6, 10, 30])
def test_full_fits_have_their_part_of_max_trials_and_the_order_is_that_of_the_seed(clock: Clock, trials: int) -> None:
    runs = []
    for _ in range(2):
        clock.now = 1000.0
        found = search(clock, trials=trials, seconds=100_000.0, early_termination=False)
        runs.append(drain(found, clock))
        assert "max_trials" in found.stop_reason
    first, second = ([(p.id, p.algorithm, p.parameters, p.layout, p.rows) for p in run] for run in runs)
    assert first == second
    assert len(first) == trials
    assert sum(plan.rows is None for plan in runs[0][1:]) == max(1, min(FINALISTS, trials // 4))


def test_early_termination_and_exit_score_end_the_samples_and_not_the_full_fits(clock: Clock) -> None:
    found = search(clock, seconds=1000.0)
    plans = drain(found, clock, sampled=1.0, growing=0.1, gain=0.0)
    assert plans[-1].rows is None
    assert "enable_early_termination" in found.stop_reason
    found = search(clock, seconds=1000.0, exit_score=0.6)
    plans = drain(found, clock)
    assert [plan.rows for plan in plans] == [None, SAMPLE, None]
    assert "exit_score" in found.stop_reason


def test_a_sampled_trial_leaves_time_for_a_full_fit(clock: Clock) -> None:
    found = search(clock)
    for growing, score in ((0.0, 0.5), (1.5, 0.8)):
        plan = found.next()
        assert plan is not None
        found.grows(plan, growing)
        found.finished(plan, score, growing)
    assert found.next() is not None
    full = 1.5 * 1.2 * ROWS / SAMPLE
    clock.now += 15
    assert found.deadline() == pytest.approx(clock.now + 45 - full, abs=1.0)
    # Where no full fit fits any more, a trial has half of the time.
    clock.now += 25
    assert found.deadline() == pytest.approx(clock.now + 10)


def test_fits_end_with_a_model_within_the_time_of_one_trial(clock: Clock) -> None:
    found = search(clock, seconds=3600.0, trial_seconds=100.0)
    plans = drain(found, clock, sampled=4.0, growing=3.0)
    within = [plan.seconds for plan in plans if plan.algorithm != BASELINE]
    assert {plan.rows for plan in plans} == {None, SAMPLE}
    assert all(seconds is not None and 50.0 <= seconds < 100.0 for seconds in within)


def test_a_full_fit_that_takes_longer_than_a_trial_may_is_not_begun(clock: Clock) -> None:
    found = search(clock, seconds=400.0, trial_seconds=30.0, early_termination=False)
    plans = drain(found, clock, sampled=4.0, growing=3.0)
    assert {plan.rows for plan in plans if plan.algorithm != BASELINE} == {SAMPLE}
    assert clock.now - 1000 >= 390
