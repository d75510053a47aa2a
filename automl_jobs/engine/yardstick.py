"""What the scores of a job are measured by, beside the rows: kept with the job, for whom scores its model later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from automl_jobs.engine.tasks import AnyProblem


def of(problem: AnyProblem, weights: str | None) -> dict[str, Any]:
    """The document of a problem whose rows have their weights in the column `weights`.

    Keys: weights (that column, or null), positive (the job's positive label, or null), sizes (rows of each class), span
    (smallest and largest target of a regression, which its errors are divided by), series (of a forecast, for each:
    key, smallest and largest training value, mean absolute seasonal difference). What a task has no use for is null.
    """
    from automl_jobs.engine.forecasting.problem import ForecastProblem
    from automl_jobs.engine.problem import Problem

    found: dict[str, Any] = {"weights": weights, "positive": None, "sizes": None, "span": None, "series": None}
    if isinstance(problem, ForecastProblem):
        found["weights"] = None  # every period counts the same
        spans, scales = problem.spans, problem.scales
        found["series"] = [[list(key), *spans[key], float(scales[key])] for key in spans]
    elif isinstance(problem, Problem) and problem.classes is not None:
        if problem.positive is not None:
            found["positive"] = problem.classes[problem.positive]
        if not problem.multilabel:
            found["sizes"] = problem.class_sizes.tolist()
    elif isinstance(problem, Problem):
        found["span"] = list(problem.span)
    return found
