"""A trial's files, under Azure's names: model, schema, environment, scoring file, golden predictions."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import pandas as pd

import forestay_encoders
import forestay_labels
import forestay_models
import forestay_quick
import forestay_reading
import forestay_serving
import forestay_transformers
import templates
from forestay.project import sha256, write_json

MODEL = "model.pkl"
SCHEMA = "model_schema.json"
GOLDEN = "golden.json"
CONDA = "conda_env_v_1_0_0.yml"
SCORING = "scoring_file_v_2_0_0.py"
MLFLOW = "mlflow-model"
# The modules of ours that a model of a table is made of; they lie beside it.
MODULES = (
    forestay_transformers,
    forestay_reading,
    forestay_encoders,
    forestay_quick,
    forestay_serving,
    forestay_models,
    forestay_labels,
)
COMPRESSION = 3
TIMED_TRIES = 7
# On a busy machine a call waits longer than it works. Windows counts the work in steps of 16 ms, which are too coarse.
CLOCK = time.process_time if time.get_clock_info("process_time").resolution < 1e-4 else time.perf_counter
GOLDEN_QUANTILES = (0.1, 0.9)
# What loading and calling any of our pipelines imports, as distributions.
SERVED_ALWAYS = ("joblib", "numpy", "pandas", "scikit-learn", "scipy")


class Packable(Protocol):
    """What of a problem goes into its trials' outputs."""

    @property
    def task(self) -> str: ...

    @property
    def schema(self) -> dict[str, Any]: ...

    @property
    def classes(self) -> list[Any] | None: ...

    @property
    def golden_rows(self) -> list[dict[str, Any]]: ...

    def golden_frame(self) -> pd.DataFrame:
        """The golden rows as a raw frame."""


@dataclass(frozen=True)
class Written:
    """An outputs folder, and what its model costs to serve.

    Attributes
    ----------
    predict_ms: milliseconds of predicting one row: the processor's, and the quickest of a few tries, since what else
        the machine does is no cost of the model. features_ms: those of them that go into its features; models of one
        layout share them.
    model_mb: size of model.pkl.
    """

    folder: Path
    predict_ms: float
    features_ms: float
    model_mb: float

    def as_metrics(self) -> dict[str, float]:
        return {"predict_ms": self.predict_ms, "features_ms": self.features_ms, "model_mb": self.model_mb}


def write(
    folder: Path,
    problem: Packable,
    model: Any,
    algorithm: str,
    preprocessor: str,
    packages: tuple[str, ...],
    modules: Sequence[ModuleType] = MODULES,
    extra: Mapping[str, Any] | None = None,
) -> Written:
    """Write the outputs folder of a trial.

    Parameters
    ----------
    folder: made here.
    model: fitted; it takes a raw frame.
    packages: distributions that this model needs beside those that every model needs.
    modules: those of ours that the model is made of; they are copied beside it.
    extra: what the schema says of this model beside its columns, such as how it decides.

    Golden rows are predicted here, by the fitted model itself.
    """
    import joblib

    folder.mkdir(parents=True)
    joblib.dump(model, folder / MODEL, compress=COMPRESSION)
    code = [Path(str(module.__file__)) for module in modules]
    for path in code:
        shutil.copyfile(path, folder / path.name)
    versions = {name: importlib.metadata.version(name) for name in sorted((*SERVED_ALWAYS, *packages))}
    schema = {
        **problem.schema,
        **(extra or {}),
        "algorithm": algorithm,
        "preprocessor": preprocessor,
        "python": platform.python_version(),
        "packages": versions,
        "files": {name: sha256(folder / name) for name in (MODEL, *(path.name for path in code))},
    }
    write_json(folder / SCHEMA, schema)
    write_json(folder / GOLDEN, golden_document(problem, model))
    (folder / CONDA).write_text(
        templates.render("scoring/conda_env.yaml.j2", python=schema["python"], packages=versions), encoding="utf-8"
    )
    (folder / SCORING).write_text(templates.render("scoring/score.py.j2", task=problem.task), encoding="utf-8")
    _write_mlflow(folder / MLFLOW, model, code, versions)
    row = problem.golden_frame().head(1)
    features = _quickest_ms(lambda: model.features(row)) if hasattr(model, "features") else 0.0
    return Written(folder, _quickest_ms(lambda: model.predict(row)), features, (folder / MODEL).stat().st_size / 1e6)


def _quickest_ms(call: Callable[[], Any]) -> float:
    """Milliseconds of a call, the quickest of a few."""
    took = []
    for _ in range(TIMED_TRIES):
        started = CLOCK()
        call()
        took.append(CLOCK() - started)
    return 1000 * min(took)


def read_schema(folder: Path) -> dict[str, Any]:
    """The model schema in an outputs folder."""
    schema: dict[str, Any] = json.loads((folder / SCHEMA).read_text(encoding="utf-8"))
    return schema


def own_packages(schema: dict[str, Any]) -> set[str]:
    """The distributions that a model needs beside those that every model needs."""
    return set(schema["packages"]) - set(SERVED_ALWAYS)


def golden_document(problem: Packable, model: Any) -> dict[str, Any]:
    """golden.json: the problem's golden rows, and what the fitted model says of them in this process.

    A served pipeline's own way of answering is what they prove; they come from scikit-learn's.
    """
    frame = problem.golden_frame()
    model = model.plain() if hasattr(model, "plain") else model
    predictions = [_plain(value) for value in model.predict(frame)]
    probabilities = None if problem.classes is None else model.predict_proba(frame).tolist()
    return {
        "rows": problem.golden_rows,
        "predictions": predictions,
        "probabilities": probabilities,
        "classes": problem.classes,
        "quantiles": _quantiles(model, frame),
    }


def _quantiles(model: Any, frame: pd.DataFrame) -> dict[str, list[float]] | None:
    """What a forecast says beside its value, by level as text; None for models without quantiles."""
    if getattr(model, "spread", None) is None:
        return None
    found = model.forecast(frame, quantiles=GOLDEN_QUANTILES)
    return {json.dumps(level): found[level].tolist() for level in GOLDEN_QUANTILES}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _write_mlflow(folder: Path, model: Any, code: list[Path], versions: dict[str, str]) -> None:
    """The same model in MLflow's format, for tools that take one."""
    import mlflow.sklearn

    with warnings.catch_warnings():
        # It warns that pickles run code when they are loaded, and of integer columns; both are known here.
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            model,
            str(folder),
            serialization_format="cloudpickle",
            code_paths=[str(path) for path in code],
            pip_requirements=[f"{name}=={version}" for name, version in versions.items()],
        )
