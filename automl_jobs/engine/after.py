"""What is told of a job's best model once it is chosen: its features, its explanation, how sure its test score is."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_jobs.engine import decide, explain, spread, summary
from automl_jobs.engine.judging import unseen_as_missed

if TYPE_CHECKING:
    from automl_jobs.engine.problem import Problem
    from automl_jobs.prepare import ColumnUse

TEST_ROWS = 20_000
INTERVAL_SHARE, MOST_INTERVAL_SECONDS = 0.4, 3.0


@dataclass(frozen=True)
class Describe:
    """A request to describe the best trial.

    Attributes
    ----------
    trial, rank: its id and its place on the leaderboard. outputs: the folder with its model. columns: what the job does
        with each raw column. explain: whether importances are wanted. seconds: time to spend.
    """

    trial: str
    rank: int
    outputs: Path
    columns: tuple[ColumnUse, ...]
    explain: bool
    seconds: float


def describe(problem: Problem, request: Describe) -> dict[str, Any]:
    """Documents of the job, by name: its features, and the test interval and the explanation where they are due."""
    started = time.monotonic()
    model = explain.load(request.outputs)
    documents: dict[str, Any] = {"featurization_summary": summary.summarise(request.columns, model)}
    if problem.test is not None:
        seconds = min(MOST_INTERVAL_SECONDS, INTERVAL_SHARE * request.seconds if request.explain else request.seconds)
        documents["test_metrics_interval"] = _test_interval(problem, model, seconds)
    if request.explain:
        left = request.seconds - (time.monotonic() - started)
        # Without a value of the metric on the rows at hand there is no explanation; the rest is told all the same.
        with contextlib.suppress(ValueError):
            last_fold = explain.load_last_fold(request.outputs.parent)
            found = explain.explain(problem, model, max(left, 0.0), last_fold)
            documents["explanation"] = {"rank": request.rank, "trial": request.trial, **found.as_dict()}
    return documents


def _test_interval(problem: Problem, model: Any, seconds: float) -> dict[str, Any]:
    assert problem.test is not None
    frame, truth = problem.test
    rows = np.random.default_rng(problem.seed).permutation(len(truth))[:TEST_ROWS]
    truth = truth[rows]
    predicted = explain.predict(problem, model, frame.iloc[rows])
    labels = decide.labels(model, predicted)
    if problem.classes is not None:
        truth, predicted = unseen_as_missed(truth, predicted)
    weights = None if problem.test_weights is None else problem.test_weights[rows]
    return spread.interval(problem, truth, predicted, seconds, labels, weights)
