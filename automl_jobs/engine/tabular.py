"""Classification, regression and texts: tables of rows. The `tasks.TaskEngine` of these tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.engine import algorithms as catalogue
from automl_jobs.engine import features, staged
from automl_jobs.engine import guardrails as guards
from automl_jobs.engine.decide import wants_class_weights
from automl_jobs.engine.explain import explain
from automl_jobs.engine.problem import Problem, build
from automl_jobs.engine.search import Search
from automl_jobs.engine.stack import MetaLearner
from automl_jobs.prepare.uses import TEXT_TASKS

if TYPE_CHECKING:
    from automl_jobs.engine.guardrails import Guardrail
    from automl_jobs.engine.progress import Limits
    from automl_jobs.engine.trial import Trainer
    from automl_jobs.prepare import Prepared
    from automl_jobs.spec.jobs import JobSpec

__all__ = ["algorithms", "build", "explain", "guardrails", "learner", "most_trials", "search", "session"]

TEXT_TRIALS = 1_000


def algorithms(task: str) -> tuple[str, ...]:
    return tuple(algorithm.name for algorithm in catalogue.for_task(task != "regression"))


def most_trials(spec: JobSpec) -> int:
    """`limits.max_trials`. Azure's default for text tasks, one trial, is for a language model: not meant here."""
    if spec.task in TEXT_TASKS and "max_trials" not in spec.limits.model_fields_set:
        return TEXT_TRIALS
    return spec.limits.max_trials


def search(problem: Problem, names: tuple[str, ...], limits: Limits) -> Search:
    """The order of trials; on a large table with a single split the early ones see a sample of the training rows."""
    shared: dict[str, Any] = {
        "names": names,
        "classification": problem.classification,
        "rows": problem.rows,
        "higher": problem.higher,
        "limits": limits,
        "seed": problem.seed,
        "layouts": features.useful(problem.settings),
        "skewed": problem.skewed,
        "unbalanced": wants_class_weights(problem),
    }
    if not problem.refit:
        training = len(problem.splits[0][0])
        texts = len(problem.settings.of_type("text"))
        columns = len(problem.settings.columns) + (staged.TEXT_COLUMNS - 1) * texts
        sample = staged.sample_rows(training, columns, limits)
        if sample is not None:
            return staged.StagedSearch(sample=sample, training_rows=training, **shared)
    return Search(**shared)


def learner(problem: Problem, spec: JobSpec) -> MetaLearner | None:
    settings = spec.training.stack_ensemble_settings
    return MetaLearner.of(settings, problem.classification, folds=len(problem.splits) > 1)


def guardrails(prepared: Prepared, problem: Problem) -> tuple[Guardrail, ...]:
    return guards.check(prepared, problem)


class _Session:
    def __init__(self, problem: Problem, threads: int) -> None:
        self.problem = problem
        self.threads = threads
        self._trainer: tuple[int | None, Trainer] | None = None

    def answer(self, request: Any, folder: Path) -> Any:
        from automl_jobs.engine import after, ensemble, judging, refit
        from automl_jobs.engine.worker import TestScore

        if isinstance(request, TestScore):
            return judging.test_metrics(self.problem, request.outputs)
        if isinstance(request, after.Describe):
            return after.describe(self.problem, request)
        if isinstance(request, ensemble.EnsemblePlan):
            return ensemble.run(self.problem, request, folder / request.id)
        if isinstance(request, refit.Refit):
            # What was made for trials gives way to the features of all rows.
            self._trainer = None
            return refit.run(self.problem, request, self.threads, folder / f"{request.id}-refit")
        return self._trainer_of(request.rows).run(request, folder / request.id)

    def _trainer_of(self, rows: int | None) -> Trainer:
        """The trainer of so many training rows; the features of another number of rows are forgotten."""
        from automl_jobs.engine import trial

        if self._trainer is None or self._trainer[0] != rows:
            self._trainer = None
            problem = self.problem if rows is None else self.problem.sampled(rows)
            self._trainer = rows, trial.Trainer(problem, self.threads)
        return self._trainer[1]


def session(problem: Problem, threads: int) -> _Session:
    return _Session(problem, threads)
