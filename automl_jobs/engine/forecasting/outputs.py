"""A forecasting trial's files: those of the other tasks, with the module that forecasting models need."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import warnings
from pathlib import Path
from typing import Any

import forestay_forecasting
import forestay_transformers
import templates
from automl_jobs.engine.forecasting import golden
from automl_jobs.engine.forecasting.problem import ForecastProblem
from automl_jobs.engine.outputs import COMPRESSION, CONDA, GOLDEN, MLFLOW, MODEL, SCHEMA, SCORING, SERVED_ALWAYS
from forestay.project import sha256, write_json
from forestay_forecasting import ForecastModel

MODULES = (forestay_transformers, forestay_forecasting)


def write(
    folder: Path,
    problem: ForecastProblem,
    model: ForecastModel,
    algorithm: str,
    preprocessor: str,
    packages: tuple[str, ...],
) -> Path:
    """Write the outputs folder of a trial, and return it. Golden rows are predicted here, by the fitted model."""
    import joblib

    folder.mkdir(parents=True)
    joblib.dump(model, folder / MODEL, compress=COMPRESSION)
    code = [Path(str(module.__file__)) for module in MODULES]
    for path in code:
        shutil.copyfile(path, folder / path.name)
    versions = {name: importlib.metadata.version(name) for name in sorted((*SERVED_ALWAYS, *packages))}
    schema: dict[str, Any] = {
        **problem.schema,
        "algorithm": algorithm,
        "preprocessor": preprocessor,
        "python": platform.python_version(),
        "packages": versions,
        "files": {name: sha256(folder / name) for name in (MODEL, *(path.name for path in code))},
    }
    write_json(folder / SCHEMA, schema)
    rows = golden.to_frame(problem.schema["columns"], problem.golden_rows, problem.target)
    predictions = [float(value) for value in model.predict(rows)]
    document = {"rows": problem.golden_rows, "predictions": predictions, "probabilities": None, "classes": None}
    write_json(folder / GOLDEN, document)
    (folder / CONDA).write_text(
        templates.render("scoring/conda_env.yaml.j2", python=schema["python"], packages=versions), encoding="utf-8"
    )
    (folder / SCORING).write_text(templates.render("scoring/score.py.j2", task=problem.task), encoding="utf-8")
    _write_mlflow(folder / MLFLOW, model, code, versions)
    return folder


def _write_mlflow(folder: Path, model: ForecastModel, code: list[Path], versions: dict[str, str]) -> None:
    import mlflow.sklearn

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            model,
            str(folder),
            serialization_format="cloudpickle",
            code_paths=[str(path) for path in code],
            pip_requirements=[f"{name}=={version}" for name, version in versions.items()],
        )
