"""Several labels a row. The `tasks.TaskEngine` of this task: that of the other tables, with trials of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.engine import features
from automl_jobs.engine.explain import explain
from automl_jobs.engine.multilabel.models import NAMES
from automl_jobs.engine.multilabel.problem import build
from automl_jobs.engine.search import Search
from automl_jobs.engine.tabular import guardrails, most_trials

if TYPE_CHECKING:
    from automl_jobs.engine.problem import Problem
    from automl_jobs.engine.progress import Limits
    from automl_jobs.spec.jobs import JobSpec

__all__ = ["algorithms", "build", "explain", "guardrails", "learner", "most_trials", "search", "session"]


def algorithms(task: str) -> tuple[str, ...]:
    return NAMES


def search(problem: Problem, names: tuple[str, ...], limits: Limits) -> Search:
    """The order of trials. Thresholds, not class weights, make up for a label that few rows have."""
    return Search(
        names=names,
        classification=True,
        rows=problem.rows,
        higher=problem.higher,
        limits=limits,
        seed=problem.seed,
        layouts=features.useful(problem.settings),
    )


def learner(problem: Problem, spec: JobSpec) -> None:
    """No stack is made of labels: Azure's text jobs make none."""


class _Session:
    def __init__(self, problem: Problem, threads: int) -> None:
        from automl_jobs.engine.multilabel.trial import LabelsTrainer

        self.problem = problem
        self.trainer = LabelsTrainer(problem, threads)

    def answer(self, request: Any, folder: Path) -> Any:
        from automl_jobs.engine import after
        from automl_jobs.engine.ensemble import EnsemblePlan
        from automl_jobs.engine.multilabel import ensemble, refit
        from automl_jobs.engine.multilabel.trial import LabelsTrainer
        from automl_jobs.engine.refit import Refit

        # Test data is no part of Azure's text jobs.
        if isinstance(request, after.Describe):
            return after.describe(self.problem, request)
        if isinstance(request, EnsemblePlan):
            return ensemble.run(self.problem, request, folder / request.id)
        if isinstance(request, Refit):
            # What was made for trials gives way to the features of all rows.
            self.trainer = LabelsTrainer(self.problem, self.trainer.threads)
            return refit.run(self.problem, request, self.trainer.threads, folder / f"{request.id}-refit")
        return self.trainer.run(request, folder / request.id)


def session(problem: Problem, threads: int) -> _Session:
    return _Session(problem, threads)
