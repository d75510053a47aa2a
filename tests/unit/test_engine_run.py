"""A run's budget: what comes after the search ends soon after it, or is left out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from automl_jobs.engine import run


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
