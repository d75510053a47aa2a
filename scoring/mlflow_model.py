"""A model as a folder in MLflow's format, which managed endpoints take without a script: `model/` of the mlflow style.

It is written from the model's schema, without loading the model. Of MLflow's types double is used for numbers and for
booleans, and string for all else: its others turn null or text into something else, silently; forestay_mlflow.py, which
loads the model, reads them.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import yaml

from scoring import requests
from scoring.schema import MODEL, ModelSchema

LOADER = Path(__file__).resolve().parent.parent / "forestay_mlflow.py"  # importing it would import MLflow
PACKAGE = "mlflow-skinny"
_OUTPUTS = {"boolean": "boolean", "integer": "long", "number": "double", "string": "string"}


def needs(schema: ModelSchema) -> ModelSchema:
    """The schema with the packages that MLflow adds to a model's own."""
    return schema.model_copy(update={"packages": {**schema.packages, PACKAGE: importlib.metadata.version(PACKAGE)}})


def place(name: str) -> str:
    """Where one of the model's files lies inside the folder: modules under code/."""
    return f"code/{name}" if name.endswith(".py") else name


def texts(schema: ModelSchema, conda_env: str) -> dict[str, str]:
    """The files of the folder beside the model's own, by path inside it.

    Parameters
    ----------
    conda_env: the text of the scoring folder's conda_env.yaml, which becomes the model's.
    """
    row = requests.sample_row(schema)
    example = {"columns": list(row), "data": [[_example(value) for value in row.values()]]}
    pins = yaml.safe_load(conda_env)["dependencies"][-1]["pip"]
    python_env = {"python": schema.python, "build_dependencies": [], "dependencies": ["-r requirements.txt"]}
    return {
        "MLmodel": yaml.safe_dump(_mlmodel(schema), sort_keys=True, allow_unicode=True),
        "conda.yaml": conda_env,
        "python_env.yaml": yaml.safe_dump(python_env, sort_keys=False),
        "requirements.txt": "\n".join(pins) + "\n",
        "input_example.json": json.dumps(example, ensure_ascii=False, allow_nan=False),
        "serving_input_example.json": json.dumps({"dataframe_split": example}, ensure_ascii=False, allow_nan=False),
        f"code/{LOADER.name}": LOADER.read_text(encoding="utf-8"),
    }


def _mlmodel(schema: ModelSchema) -> dict[str, Any]:
    """The content of MLmodel. Its id is made of the model's hash, so that the same model gives the same folder."""
    inputs = [
        {"name": column.name, "type": "double" if column.type in ("numeric", "boolean") else "string", "required": True}
        for column in schema.used
    ]
    method = {"name": "method", "type": "string", "default": "predict", "shape": None}
    output = _OUTPUTS.get(schema.target_type, "string") if schema.classes else "double"
    signature = {
        "inputs": json.dumps(inputs),
        "outputs": None if schema.multilabel else json.dumps([{"type": output, "required": True}]),
        "params": json.dumps([method]),
    }
    return {
        "flavors": {
            "python_function": {
                "code": "code",
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": LOADER.stem,
                "python_version": schema.python,
            }
        },
        "mlflow_version": importlib.metadata.version(PACKAGE),
        "model_uuid": hashlib.sha256(schema.files[MODEL].encode()).hexdigest()[:32],
        "saved_input_example_info": {
            "artifact_path": "input_example.json",
            "pandas_orient": "split",
            "serving_input_path": "serving_input_example.json",
            "type": "dataframe",
        },
        "signature": signature,
    }


def _example(value: Any) -> Any:
    """A value of the example. Servers read the type of a column from it: whole numbers would make one that cuts."""
    return float(value) if isinstance(value, bool | int) else value
