"""What a scoring folder needs to know of a model that Azure trained: columns from the data, outputs from the task.

Azure writes none of it. Nothing of the model is loaded here, since it needs the Python and the packages of its own
conda file; so what it predicts for made-up rows is left to the proof, which asks the model itself in that
environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from forestay import project

if TYPE_CHECKING:
    from automl_jobs.azure.jobs import Seen
    from automl_jobs.data import Table
    from automl_jobs.runs.rows import TrialRow

TASKS = ("classification", "regression", "forecasting")
CONDA = "conda_env_v_1_0_0.yml"
MODEL, SCHEMA, GOLDEN = "model.pkl", "model_schema.json", "golden.json"
SEED = 7


def write(outputs: Path, table: Table, seen: Seen, row: TrialRow) -> None:
    """Write `model_schema.json` and `golden.json` beside a trial's model.

    Parameters
    ----------
    outputs: with model.pkl and the conda file. table: the training data, as the job read it.

    Raises InputError for series whose rows come at no frequency.
    """
    from automl_jobs.azure import forecasts
    from automl_jobs.engine import golden

    details = seen.properties.get("taskDetails") or {}
    target = seen.target
    weights = str(details.get("weightColumnName") or "")
    folds = [str(name) for name in details.get("cvSplitColumnNames") or ()]
    apart = {target, weights, *folds}
    frame = table.frame.drop(columns=[name for name in apart if name in table.frame.columns])
    columns = [column(frame[name], str(name)) for name in frame.columns]
    classes = _classes(table.frame[target]) if seen.row.task == "classification" else None
    drawn = golden.rows(columns, frame, SEED)
    document: dict[str, Any] = {
        "schema_version": 1,
        "task": seen.row.task,
        "target": target,
        "target_type": _target_type(classes),
        "classes": classes,
        "algorithm": row.algorithm,
        "preprocessor": row.preprocessor,
        "python": "",
        "packages": {},
        "files": {MODEL: project.sha256(outputs / MODEL)},
        "takes_array": False,
        "probabilities": classes is not None,
        "foreign": True,
        "elsewhere": True,
    }
    # Rows without a hole: what such a model does with one is not known before it is asked.
    whole = [made for made in drawn if None not in made.values()]
    if seen.row.task == "forecasting":
        described = forecasts.describe(details, table.frame, columns)
        whole = forecasts.golden(described, target, whole)
        document["files"] |= forecasts.write(outputs, described.pop("ends"))
        document |= described
    else:
        document["columns"] = [{**one, "sample": drawn[0][one["name"]]} for one in columns]
    project.write_json(outputs / SCHEMA, document)
    project.write_json(outputs / GOLDEN, {"rows": whole, "predictions": [], "pending": True, "classes": classes})


def column(series: Any, name: str) -> dict[str, Any]:
    """A column of the schema: its type and extremes, or its categories."""
    from scoring.foreign_columns import column as described

    return described(series, name)


def _classes(labels: Any) -> list[Any]:
    """The labels in the order of scikit-learn's `classes_`: sorted, as plain values."""
    import numpy as np

    return [value.item() if isinstance(value, np.generic) else value for value in sorted(labels.dropna().unique())]


def _target_type(classes: list[Any] | None) -> str:
    if classes is None:
        return "number"
    kinds: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}
    return kinds.get(type(classes[0]), "string") if classes else "string"
