"""What a report tells of a job, collected from the run store; as JSON it is the report in its plainest form."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from automl_jobs.spec.metrics import higher_is_better

if TYPE_CHECKING:
    from automl_jobs.runs import JobDetail, RunStore, TrialDetail, TrialRow


@dataclass(frozen=True)
class Content:
    """A job as a report has it.

    Attributes
    ----------
    trials: the leaderboard.
    best: the trial that is the job's model; None where no trial has a score, or its files are gone.
    spec_text: the job file, "" where its copy is gone.
    """

    job: JobDetail
    trials: tuple[TrialRow, ...]
    best: TrialDetail | None
    spec_text: str

    @property
    def chosen(self) -> TrialRow | None:
        """The trial that is the job's model, whether its files are here or not."""
        return next((row for row in self.trials if row.chosen), None) if self.best is None else self.best.row

    @property
    def higher(self) -> bool:
        return higher_is_better(self.job.primary_metric)

    @property
    def guardrails(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.job.documents.get("guardrails", [])
        return found

    @property
    def explanation(self) -> dict[str, Any] | None:
        """Importances of the best trial's columns, where they are those of the trial that is the best now."""
        found: dict[str, Any] | None = self.job.documents.get("explanation")
        same = found is not None and self.best is not None and found.get("trial") == self.best.row.id
        return found if same else None

    @property
    def document(self) -> dict[str, Any]:
        return {
            "schema_version": 1,
            "job": self.job.as_dict(),
            "data_profile": self.job.documents.get("data_profile"),
            "trials": [row.as_dict() for row in self.trials],
            "best_trial": None if self.best is None else {**self.best.as_dict(), **self.charts},
            "job_file": self.spec_text,
        }

    @property
    def charts(self) -> dict[str, Any]:
        """The best trial's documents that charts are drawn of, by Azure's names."""
        names = ("confusion_matrix", "accuracy_table", "residuals", "predicted_true", "forecast_table")
        documents: Mapping[str, Any] = {} if self.best is None else self.best.documents
        return {name: documents[name] for name in names if documents.get(name) is not None}


def collect(store: RunStore, name: str) -> Content:
    """What a report of a job needs. Raises InputError where there is no such job."""
    from forestay.errors import InputError

    job = store.job(name)
    trials: Sequence[TrialRow] = store.leaderboard(job.job)
    chosen = next((row for row in trials if row.chosen), None)
    best, text = None, ""
    # Files may have been removed to save space; the rest is told all the same.
    with contextlib.suppress(InputError):
        best = None if chosen is None else store.trial(job.job, chosen.rank)
    with contextlib.suppress(InputError):
        text = store.job_file(job.job)
    return Content(job, tuple(trials), best, text)
