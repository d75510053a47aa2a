"""What a trial leaves for a search that goes on after an interruption: the plan, what was drawn for it, how it ended.

It is kept with the trial as `plan.json`. Floats survive JSON exactly.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.engine.pruning import PRUNED
from automl_jobs.engine.trial import TrialPlan

if TYPE_CHECKING:
    from automl_jobs.runs import EarlierTrial, TrialResult

VERSION = 1
# Trials that were stopped for these reasons were not tried to their end, through no fault of theirs.
STOPPED_AT_LIMIT = "stopped: the job's time was used up"
STOPPED_EARLY = "stopped: finished early, as asked"


@dataclass(frozen=True)
class TrialRecord:
    """A trial of an earlier session.

    Attributes
    ----------
    drawn: what Optuna drew, None where the plan came from elsewhere.
    seconds: that it held a worker. folds: its scores on the folds, as many as it saw.
    growing: of the seconds those that grow with the rows, where they are known.
    result: as it was logged.
    folder: with its `outputs/`, and held-out predictions where it has some; None where they are gone.
    """

    plan: TrialPlan
    drawn: dict[str, Any] | None
    seconds: float
    folds: tuple[float, ...]
    growing: float | None
    result: TrialResult
    folder: Path | None

    @property
    def score(self) -> float | None:
        return self.result.score

    @property
    def pruned(self) -> bool:
        return (self.result.error or "").startswith(PRUNED)

    @property
    def unfinished(self) -> bool:
        """Whether the same settings are worth another try, given time."""
        return self.result.error in (STOPPED_AT_LIMIT, STOPPED_EARLY)

    @classmethod
    def of(cls, earlier: EarlierTrial) -> TrialRecord:
        """The record in what the run store has of a trial."""
        kept = earlier.plan
        plan = TrialPlan(
            kept["id"],
            kept["algorithm"],
            dict(kept.get("parameters", {})),
            kept.get("layout", ""),
            rows=kept.get("rows"),
        )
        folds = tuple(math.nan if score is None else score for score in kept.get("folds", ()))
        seconds = float(kept.get("seconds", earlier.result.duration_seconds))
        growing = kept.get("growing_seconds")
        return cls(plan, kept.get("drawn"), seconds, folds, growing, earlier.result, earlier.folder)


def document(
    plan: TrialPlan,
    drawn: Mapping[str, Any] | None,
    seconds: float,
    folds: Sequence[float],
    growing: float | None = None,
) -> dict[str, Any]:
    """The document that is kept with a trial."""
    return {
        "schema_version": VERSION,
        "id": plan.id,
        "algorithm": plan.algorithm,
        "parameters": plan.parameters,
        "layout": plan.layout,
        "rows": plan.rows,
        "drawn": None if drawn is None else dict(drawn),
        "seconds": round(seconds, 3),
        "growing_seconds": None if growing is None else round(growing, 3),
        "folds": [score if math.isfinite(score) else None for score in folds],
    }


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two sets of parameters are equal once they are written as JSON, where a tuple is a list."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
