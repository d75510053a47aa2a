"""A search that goes on asks for the very trials that it would have asked for without the interruption."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from automl_jobs.engine import records
from automl_jobs.engine.forecasting import catalogue
from automl_jobs.engine.forecasting.search import ForecastSearch
from automl_jobs.engine.progress import Limits, Progress
from automl_jobs.engine.pruning import PRUNED
from automl_jobs.engine.records import STOPPED_AT_LIMIT, TrialRecord
from automl_jobs.engine.search import Search
from automl_jobs.engine.trial import TrialPlan
from automl_jobs.runs import EarlierTrial, TrialResult

LIMITS = Limits(1000, 100, 40, early_termination=False)


def tabular(**changes: Any) -> Search:
    values: dict[str, Any] = {
        "names": ("LogisticRegression", "LightGBM", "RandomForest"),
        "classification": True,
        "rows": 500,
        "higher": True,
        "limits": LIMITS,
        "seed": 5,
        "layouts": frozenset({"linear", "counts", "tree", "target"}),
    }
    return Search(**{**values, **changes})


def regression() -> Search:
    return tabular(names=("ElasticNet", "LightGBM"), classification=False, higher=False, skewed=True)


def unbalanced() -> Search:
    return tabular(unbalanced=True)


def forecasting() -> ForecastSearch:
    names = tuple(algorithm.name for algorithm in catalogue.CATALOGUE)
    return ForecastSearch(names=names, rows=200, positive=True, higher=False, limits=LIMITS, seed=5)


def score(plan: TrialPlan) -> float | None:
    """Made up, the same for the same settings; some fail."""
    text = json.dumps([plan.algorithm, plan.parameters, plan.layout], sort_keys=True)
    number = sum(position * ord(letter) for position, letter in enumerate(text, start=1)) % 997
    return None if number % 13 == 0 else number / 997


class Session:
    """A search, and the store of what it has tried."""

    def __init__(self, search: Progress) -> None:
        self.search = search
        self.plans: list[TrialPlan] = []
        self.kept: list[str] = []

    def go(self, most: int) -> Session:
        while len(self.plans) < most and (plan := self.search.next()) is not None:
            found = score(plan)
            folds = (0.1, 0.2, 0.3) if found is not None else (0.1,) * (int(plan.id) % 2)
            document = records.document(plan, self.search.drawn(plan), 0.125, folds)
            self.kept.append(json.dumps([document, found]))
            self.search.finished(plan, found, 0.125, folds, pruned=found is None and bool(folds))
            self.plans.append(plan)
        return self


def restored(search: Progress, kept: list[str]) -> Session:
    session = Session(search)
    for line in kept:
        document, found = json.loads(line)
        search.restore(record(document, found))
    return session


def record(document: dict[str, Any], found: float | None, error: str | None = None) -> TrialRecord:
    pruned = found is None and document["folds"]
    result = TrialResult(
        id=document["id"],
        algorithm=document["algorithm"],
        preprocessor="",
        status="Completed" if found is not None else "Failed",
        score=found,
        duration_seconds=0.1,
        error=error or (None if found is not None else PRUNED if pruned else "it broke"),
    )
    return TrialRecord.of(EarlierTrial(result, document, None))


@pytest.mark.parametrize("make", [tabular, regression, unbalanced, forecasting])
@pytest.mark.parametrize("cut", [0, 1, 4, 13, 22, 33])
def test_the_trials_are_those_of_an_uninterrupted_search(make: Callable[[], Progress], cut: int) -> None:
    whole = Session(make()).go(40)
    first = Session(make()).go(cut)
    second = restored(make(), first.kept).go(40 - cut)
    told = [records.document(plan, None, 0, ()) for plan in [*first.plans, *second.plans]]
    assert json.dumps(told) == json.dumps([records.document(plan, None, 0, ()) for plan in whole.plans])
    assert len(told) == 40
    assert second.search.best == whole.search.best
    assert any(plan.algorithm in second.search._studies for plan in second.plans) or cut == 40


def test_a_trial_that_time_stopped_is_tried_again_under_a_new_id() -> None:
    first = Session(tabular()).go(3)
    document, _ = json.loads(first.kept[-1])
    search = tabular()
    for line in first.kept[:-1]:
        search.restore(record(*json.loads(line)))
    search.restore(record(document, None, STOPPED_AT_LIMIT))
    again = search.next()
    assert again is not None
    assert (again.algorithm, again.parameters) == (first.plans[-1].algorithm, first.plans[-1].parameters)
    assert again.id == "3"


def test_a_trial_that_ran_beside_others_when_the_job_was_killed_comes_again() -> None:
    search = tabular()
    for line in (kept := Session(tabular()).go(5).kept)[:2] + kept[3:]:
        search.restore(record(*json.loads(line)))
    again = search.next()
    assert again is not None
    assert records.document(again, None, 0, ()) | {"seconds": 0.125} == json.loads(kept[2])[0] | {"folds": []}


def test_a_baseline_that_was_not_finished_comes_first() -> None:
    search = tabular()
    search.restore(record(*json.loads(Session(tabular()).go(2).kept[1])))
    again = search.next()
    assert again is not None
    assert (again.id, again.algorithm) == ("0", "Baseline")


def test_documents_of_trials_survive_json_exactly() -> None:
    session = Session(tabular()).go(30)
    for plan, line in zip(session.plans, session.kept, strict=True):
        found = record(*json.loads(line))
        # How much time was left then is nothing to go on with.
        assert found.plan == replace(plan, seconds=None)
        assert found.seconds == 0.125
