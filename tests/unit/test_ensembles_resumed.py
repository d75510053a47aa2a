"""Ensembles are trials of `limits.max_trials`, also of a job that goes on; those of an earlier session stay theirs."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, cast

import pytest

from automl_jobs.engine import records
from automl_jobs.engine.ensemble import STACK, VOTING
from automl_jobs.engine.loop import Loop
from automl_jobs.engine.progress import Limits
from automl_jobs.engine.records import TrialRecord
from automl_jobs.engine.run import _searched
from automl_jobs.engine.search import Search
from automl_jobs.engine.stack import MetaLearner
from automl_jobs.engine.trial import TrialPlan
from automl_jobs.runs import EarlierTrial, JobWriter, Reopened, TrialResult
from tests.unit.test_engine_ensemble import problem

BOTH = {VOTING, STACK}


def earlier(*names: str, folder: Path | None = None) -> Reopened:
    trials = []
    for number, name in enumerate(names):
        plan = TrialPlan(str(number), name)
        place = None
        if folder is not None:
            place = folder / plan.id
            (place / "outputs").mkdir(parents=True)
            (place / "held_out.npy").touch()
        result = TrialResult(
            id=plan.id,
            algorithm=name,
            preprocessor="",
            status="Completed",
            score=0.5 + number / 100,
            duration_seconds=0.1,
        )
        trials.append(EarlierTrial(result, records.document(plan, None, 0.1, ()), place))
    return Reopened(cast(JobWriter, None), tuple(trials), 1.0)


@pytest.mark.parametrize(
    ("most", "names", "expected"),
    [
        (9, None, 7),
        (9, ["Baseline", "KNN", "KNN"], 7),
        # Stopped between the two ensembles: nothing new before the other one.
        (9, ["Baseline", *["KNN"] * 6, VOTING], 7),
        # It had both, and gets more trials: at least one is something new, ensembles are made anew where there is room.
        (10, ["Baseline", *["KNN"] * 6, VOTING, STACK], 10),
        (11, ["Baseline", *["KNN"] * 6, VOTING, STACK], 10),
        (30, ["Baseline", *["KNN"] * 6, VOTING, STACK], 28),
        (9, ["Baseline", *["KNN"] * 6, VOTING, STACK], 9),
    ],
)
def test_the_search_leaves_room_for_ensembles(most: int, names: list[str] | None, expected: int) -> None:
    assert _searched(most, BOTH, None if names is None else earlier(*names)) == expected
    assert _searched(most, set(), None) == most


class Worker:
    """Answers nothing in time, and keeps what it was asked."""

    busy, alive = False, True

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def kill(self) -> None: ...

    def start(self) -> None: ...

    def ask(self, request: Any) -> None:
        self.asked.append(request)
        raise TimeoutError


class Silent:
    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


@pytest.mark.parametrize(
    ("names", "most", "made"),
    [
        (["Baseline", "KNN", "LightGBM"], 5, BOTH),
        (["Baseline", "KNN", "LightGBM", VOTING], 5, {STACK}),
        (["Baseline", "KNN", "LightGBM", VOTING, STACK], 9, set()),
        (["Baseline", "KNN", VOTING, STACK, "LightGBM"], 9, BOTH),
        (["Baseline", "KNN", VOTING, STACK, "LightGBM"], 5, set()),
    ],
)
def test_ensembles_are_made_of_trials_once_and_never_of_each_other(
    names: list[str], most: int, made: set[str], tmp_path: Path
) -> None:
    search = Search(
        names=("KNN", "LightGBM"),
        classification=False,
        rows=100,
        higher=True,
        limits=Limits(100, 100, most - 2, most=most),
        seed=0,
        layouts=frozenset(),
    )
    worker, scratch = Worker(), tmp_path / "scratch"
    scratch.mkdir()
    silent = cast(Any, Silent())
    loop = Loop(problem(20), search, [cast(Any, worker)], silent, silent, scratch)
    kept = earlier(*names, folder=tmp_path / "kept")
    loop.restore([TrialRecord.of(one) for one in kept.trials])
    for learner in (None, MetaLearner("elastic_net")):
        with contextlib.suppress(TimeoutError):
            loop.ensemble(0.0, learner)
    assert {plan.name for plan in worker.asked} == made
    base = [str(number) for number, name in enumerate(names) if name in ("KNN", "LightGBM")]
    for plan in worker.asked:
        assert sorted(member.id for member in plan.members) == base
