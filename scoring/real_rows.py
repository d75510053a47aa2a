"""Real validation rows of the job that made a model, with what the model says of them in this process.

They are read from the job's own data when a proof asks for them, and are kept nowhere: not in the scoring folder, not
in the proof, not in an image.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from forestay.errors import InputError
from scoring import imports
from scoring.schema import Golden, ModelSource, read_schema

if TYPE_CHECKING:
    import pandas as pd

    from automl_jobs.engine.problem import Problem

MOST_ROWS = 200


def real_golden(source: ModelSource, warn: Callable[[str], None]) -> Golden:
    """Up to MOST_ROWS validation rows of the model's job, spread evenly over all of them, and their predictions.

    Parameters
    ----------
    source: the model version of the registry.
    warn: told when the job's data has changed since it ran.

    Raises InputError when the job, its file or its data is gone, for a forecasting model, and where this is not the
    environment that trained the model.
    """
    from automl_jobs.engine import explain
    from automl_jobs.engine.problem import Problem
    from automl_jobs.explain import rebuilt_problem
    from automl_jobs.runs import RunStore

    schema = read_schema(source.path)
    differing = imports.differing(schema)
    if differing:
        raise InputError(
            f"real rows must be predicted by what trained the model: here is {differing}",
            where="--golden",
            fix="run this in the environment that trained it, or leave --golden away",
        )
    problem = rebuilt_problem(RunStore.open(create=False).job(source.job), None, warn)
    if not isinstance(problem, Problem):
        raise InputError(
            "a forecasting model is asked for periods after its training only, which its data does not have",
            where="--golden",
            fix="leave --golden away: rows made from the schema are replayed",
        )
    return of_problem(problem, explain.load(source.path))


def of_problem(problem: Problem, model: Any) -> Golden:
    """Validation rows of a training problem, and what its fitted model says of them."""
    import numpy as np

    from automl_jobs.engine import outputs

    validation = np.unique(np.concatenate([valid for _, valid in problem.splits]))
    spread = np.unique(np.linspace(0, len(validation) - 1, MOST_ROWS).astype(int))
    frame = problem.frame.iloc[validation[spread]]
    used = [column for column in problem.schema["columns"] if column["used"]]
    document = outputs.golden_document(replace(problem, golden_rows=request_rows(frame, used)), model)
    return Golden.model_validate_json(json.dumps(document, allow_nan=False), strict=True)


def request_rows(frame: pd.DataFrame, columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a raw frame as a request would hold them."""
    cells = {column["name"]: [_cell(value, column) for value in frame[column["name"]]] for column in columns}
    return [dict(zip(cells, values, strict=True)) for values in zip(*cells.values(), strict=True)]


def _cell(value: Any, column: dict[str, Any]) -> Any:
    import pandas as pd

    if pd.isna(value):
        return None
    if column["type"] == "datetime":
        return value.isoformat()
    if column["type"] == "boolean":
        return bool(value)
    if column["type"] != "numeric":
        return str(value)
    if column["integer"]:
        return int(value)
    return float(value) if math.isfinite(value) else None
