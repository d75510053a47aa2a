"""What differs from task to task, behind one interface: which algorithms, which problem, which search, who trains.

`run`, `loop` and `worker` know trials, time and the store; what a trial is made of they ask here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from automl_jobs.engine import shared

if TYPE_CHECKING:
    from automl_jobs.engine.explain import Explanation
    from automl_jobs.engine.guardrails import Guardrail
    from automl_jobs.engine.progress import Limits, Progress
    from automl_jobs.engine.stack import MetaLearner
    from automl_jobs.prepare import Prepared
    from automl_jobs.spec.jobs import JobSpec


class AnyProblem(Protocol):
    """What a run knows of a problem, whatever its task."""

    @property
    def task(self) -> str: ...

    @property
    def metric(self) -> str: ...

    @property
    def higher(self) -> bool: ...

    @property
    def rows(self) -> int: ...

    @property
    def training_rows(self) -> int:
        """How many of them the models learn from that are judged."""

    @property
    def hold_out(self) -> bool:
        """Whether the others were drawn from the training data here: the job's model learns from them in the end."""

    @property
    def test(self) -> Any:
        """The test data, or None."""


class Session(Protocol):
    """What a worker process holds: a problem, and what was fitted for it."""

    def answer(self, request: Any, folder: Path) -> Any:
        """The answer to what `Worker.ask` was asked; a trial's files go to a folder of its id in `folder`.

        Whatever goes wrong is raised.
        """


class TaskEngine(Protocol):
    """One kind of task. It is a module: see `tabular`, `multilabel.task` and `forecasting.task`."""

    def algorithms(self, task: str) -> tuple[str, ...]:
        """Azure's names of the algorithms that train here."""

    def most_trials(self, spec: JobSpec) -> int:
        """How many trials the job may have, ensembles among them."""

    def build(self, prepared: Prepared, seed: int) -> Any:
        """The problem of a prepared job. Raises InputError."""

    def search(self, problem: Any, names: tuple[str, ...], limits: Limits) -> Progress:
        """The order of its trials."""

    def session(self, problem: Any, threads: int) -> Session: ...

    def learner(self, problem: Any, spec: JobSpec) -> MetaLearner | None:
        """What a stack ensemble of the finished trials learns with; None where none is made."""

    def guardrails(self, prepared: Prepared, problem: Any) -> tuple[Guardrail, ...]: ...

    def explain(self, problem: Any, model: Any, seconds: float, last_fold: Any = None) -> Explanation:
        """Permutation importance of a model's columns, by that of its last fold where there is one.

        Raises ValueError where the metric has no value.
        """


def of(task: str) -> TaskEngine:
    """The engine of a task that trains here."""
    from automl_jobs.engine import tabular
    from automl_jobs.engine.forecasting import task as forecasting
    from automl_jobs.engine.multilabel import task as multilabel

    if task == "forecasting":
        return forecasting
    return multilabel if task == "text_classification_multilabel" else tabular


def save(problem: AnyProblem, path: Path) -> None:
    """Write a problem for the workers."""
    shared.save(problem, path)


def load(path: Path) -> AnyProblem:
    """The problem that this program wrote before, its rows in memory once for all processes (see shared)."""
    problem: AnyProblem = shared.load(path)
    return problem
