"""Forecasting: series of values in time. The `tasks.TaskEngine` of this task."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.engine import guardrails as guards
from automl_jobs.engine.forecasting import catalogue
from automl_jobs.engine.forecasting.after import explain
from automl_jobs.engine.forecasting.problem import ForecastProblem, build
from automl_jobs.engine.forecasting.search import ForecastSearch

if TYPE_CHECKING:
    from automl_jobs.engine.guardrails import Guardrail
    from automl_jobs.engine.progress import Limits
    from automl_jobs.prepare import Prepared
    from automl_jobs.spec.jobs import JobSpec

__all__ = ["algorithms", "build", "explain", "guardrails", "learner", "most_trials", "search", "session"]


def algorithms(task: str) -> tuple[str, ...]:
    return tuple(algorithm.name for algorithm in catalogue.CATALOGUE)


def most_trials(spec: JobSpec) -> int:
    return spec.limits.max_trials


def search(problem: ForecastProblem, names: tuple[str, ...], limits: Limits) -> ForecastSearch:
    return ForecastSearch(
        names=names,
        rows=problem.rows,
        positive=problem.logarithm is not None,
        multiplicative=problem.multiplicative,
        features=bool(problem.columns),
        direct=problem.direct,
        higher=problem.higher,
        limits=limits,
        seed=problem.seed,
    )


def learner(problem: ForecastProblem, spec: JobSpec) -> None:
    """No stack is made of forecasts: Azure makes none either, unless it is told to."""


def guardrails(prepared: Prepared, problem: ForecastProblem) -> tuple[Guardrail, ...]:
    return guards.check(prepared)


class _Session:
    def __init__(self, problem: ForecastProblem, threads: int) -> None:
        from automl_jobs.engine.forecasting.trainer import ForecastTrainer

        self.problem = problem
        self.trainer = ForecastTrainer(problem, threads)

    def answer(self, request: Any, folder: Path) -> Any:
        from automl_jobs.engine.after import Describe
        from automl_jobs.engine.ensemble import EnsemblePlan
        from automl_jobs.engine.forecasting import after, ensemble, trainer
        from automl_jobs.engine.worker import TestScore

        if isinstance(request, TestScore):
            return trainer.test_metrics(self.problem, request.outputs)
        if isinstance(request, Describe):
            return after.describe(self.problem, request)
        if isinstance(request, EnsemblePlan):
            return ensemble.run(self.problem, request, folder / request.id)
        return self.trainer.run(request, folder / request.id)


def session(problem: ForecastProblem, threads: int) -> _Session:
    return _Session(problem, threads)
