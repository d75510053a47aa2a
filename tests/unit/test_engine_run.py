"""A run's budget: what comes after the search ends soon after it, or is left out; and its workers, while it lasts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from automl_jobs.engine import run
from automl_jobs.engine.loop import Loop
from automl_jobs.engine.progress import Limits
from automl_jobs.engine.search import Search


class _Loop:
    """A loop with a best trial, whose worker has no time to answer."""

    def __init__(self) -> None:
        self.deadlines: list[float] = []

    def best(self) -> tuple[Any, Path]:
        return SimpleNamespace(id="3", rank=1), Path("outputs")

    def ask(self, request: Any, deadline: float) -> None:
        self.deadlines.append(deadline)


def test_a_model_is_described_until_the_latest_moment_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.time, "monotonic", lambda: 100.0)
    training = SimpleNamespace(enable_model_explainability=True)
    prepared: Any = SimpleNamespace(columns=(), loaded=SimpleNamespace(spec=SimpleNamespace(training=training)))
    loop: Any = _Loop()
    for latest in (101.0, 200.0):
        run._describe(prepared, loop, SimpleNamespace(), 4.0, latest)  # type: ignore[arg-type]
    assert loop.deadlines == [101.0, 104.0 + run.DESCRIBE_GRACE_SECONDS]


@pytest.mark.parametrize(("seconds", "late"), [(2.0, 2.0), (20.0, 2.0), (60.0, 2.0), (600.0, 18.0)])
def test_the_latest_moment_leaves_some_of_what_a_run_may_exceed_its_budget_by(seconds: float, late: float) -> None:
    assert run.latest(1_000.0, seconds) == 1_000.0 + late
    assert late < max(3.0, 0.05 * seconds)


def test_more_time_is_advised_where_it_was_too_short_and_not_where_trials_failed() -> None:
    (late,) = run._nothing_trained([], "calm_bay").problems
    (failed,) = run._nothing_trained(["KNN: ValueError: no"], "calm_bay").problems
    assert "--time-budget" in late.fix
    assert "--time-budget" not in failed.fix
    for problem in (late, failed):
        assert "forestay job leaderboard calm_bay" in problem.fix


class _Worker:
    """Is busy from what it is asked on until the test says that it has ended."""

    def __init__(self) -> None:
        self.request: Any = None

    @property
    def busy(self) -> bool:
        return self.request is not None

    def ask(self, request: Any) -> None:
        self.request = request


def test_a_free_worker_waits_for_the_running_trials_that_open_the_way_to_further_ones(tmp_path: Path) -> None:
    search = Search(
        names=("RandomForest",),
        classification=True,
        rows=100,
        higher=True,
        limits=Limits(100, 100, 100),
        seed=0,
        layouts=frozenset(),
    )
    workers: Any = [_Worker(), _Worker()]
    listener: Any = SimpleNamespace(note=lambda _: None, trial_started=lambda _: None)
    loop = Loop(SimpleNamespace(hold_out=False), search, workers, SimpleNamespace(), listener, tmp_path)  # type: ignore[arg-type]

    def end(worker: _Worker, score: float) -> None:
        search.finished(worker.request, score, 1.0)
        worker.request = None
        loop._hand_out()

    loop._hand_out()
    end(workers[0], 0.5)
    assert [worker.busy for worker in workers] == [False, True]
    end(workers[1], 0.8)
    assert [worker.request.algorithm for worker in workers] == ["RandomForest", "RandomForest"]
