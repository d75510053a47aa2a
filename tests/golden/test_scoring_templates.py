"""The text of a scoring folder's rendered files, and that the rendered Python is fit to be owned."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import templates
from scoring import styles
from scoring.schema import ColumnSchema, ModelSchema
from tests.scoring_models import HOSTILE_COLUMNS

ROOT = Path(__file__).resolve().parents[2]
FILES = Path(__file__).parent / "files" / "scoring"

PACKAGES = {"numpy": "2.4.6", "lightgbm": "4.7.0", "scikit-learn": "1.9.1"}
COLUMNS = [
    ColumnSchema(name="age", type="numeric", used=True, integer=True),
    ColumnSchema(name="customer id", type="identifier", used=False),
    *(ColumnSchema(name=name, type="text", used=True) for key, name in HOSTILE_COLUMNS.items() if key != "long"),
]
TASKS = ("classification", "text_classification", "text_classification_multilabel", "regression", "forecasting")


def schema(task: str, **more: Any) -> ModelSchema:
    """A schema with names that try to break out."""
    return ModelSchema(
        task=task,
        target="'); import os #",
        target_type="number",
        classes=None,
        columns=tuple(COLUMNS),
        algorithm="LightGBM",
        python="3.11.7",
        packages=PACKAGES,
        files={},
        **more,
    )


SERIES: dict[str, Any] = {
    "time_column": "# {{ day }}",
    "series_columns": ("<b>store", '"'),
    "frequency": "W-SUN",
    "horizon": 7,
}
LABELS = ["{{ yes }} <b>", 'no"']
THRESHOLD = {"setting": "f1", "rule": "threshold", "threshold": 0.25, "positive_label": LABELS[0]}
WEIGHTS = {"setting": "balanced", "rule": "weights", "weights": [0.5, 2.0], "classes": LABELS}
READMES = {
    "README_classification.md": schema("classification", decision={"setting": "auto", "rule": "argmax"}),
    "README_threshold.md": schema("classification", decision=THRESHOLD),
    "README_weights.md": schema("classification", decision=WEIGHTS),
    "README_regression.md": schema("regression", trusted_types=("sklearn.pipeline.Pipeline",)),
    "README_forecasting.md": schema("forecasting", **SERIES),
    "README_multilabel.md": schema("text_classification_multilabel", pickle_reason='skops can\'t write "it"'),
}
SIMPLE = {
    "simple_frame.py": {"task": "classification", "array": False, "to_array": False, "dates": True},
    "simple_array.py": {"task": "regression", "array": True, "to_array": True, "dates": False},
    "simple_mixed_array.py": {"task": "text_classification", "array": False, "to_array": True, "dates": False},
    "simple_multilabel.py": {
        "task": "text_classification_multilabel",
        "array": False,
        "to_array": False,
        "dates": False,
    },
}
MODULES = ("scoring_input.py", "scoring_cells.py", "wsgi.py")
OPTIONS = ("--no-control-socket",)
FOREIGN = {
    "foreign_classification.py": {"task": "classification", "foreign": True, "probabilities": True, "safe": True},
    "foreign_labels_only.py": {"task": "classification", "foreign": True, "probabilities": False, "safe": False},
    "foreign_regression.py": {"task": "regression", "foreign": True, "probabilities": True, "safe": True},
}
RENDERED: dict[str, tuple[str, dict[str, Any]]] = {
    "score_classification.py": ("score.py.j2", {"task": "classification"}),
    "score_regression.py": ("score.py.j2", {"task": "regression"}),
    "score_forecasting.py": ("score.py.j2", {"task": "forecasting"}),
    "score_forecasting_azure.py": ("score.py.j2", {"task": "forecasting", "foreign": True, "elsewhere": True}),
    "score_multilabel.py": ("score.py.j2", {"task": "text_classification_multilabel"}),
    "score_skops.py": ("score.py.j2", {"task": "regression", "safe": True}),
    "conda_env_python38.yaml": ("conda_env.yaml.j2", {"python": "3.8.20", "packages": {"numpy": "1.24.4"}}),
    "conda_env.yaml": ("conda_env.yaml.j2", {"python": "3.11.7", "packages": PACKAGES}),
    "Dockerfile": (
        "Dockerfile.j2",
        {"python": "3.11.7", "packages": PACKAGES, "modules": MODULES, "gunicorn_options": OPTIONS},
    ),
    "Dockerfile_without_lightgbm": (
        "Dockerfile.j2",
        {"python": "3.12.1", "packages": {"numpy": "2.4.6"}, "modules": MODULES, "gunicorn_options": OPTIONS},
    ),
    "Dockerfile_azureml": (
        "Dockerfile.j2",
        {"python": "3.11.7", "packages": PACKAGES, "modules": MODULES, "gunicorn_options": OPTIONS, "base": "azureml"},
    ),
    **{
        file: (
            "README.md.j2",
            {"model": 'Ch"urn <b>', "version": "3", "schema": found, "style": styles.of(styles.AZUREML, found)},
        )
        for file, found in READMES.items()
    },
    "README_simple.md": (
        "README.md.j2",
        {
            "model": "M",
            "version": "1",
            "schema": schema("classification"),
            "style": styles.of(styles.SIMPLE, schema("classification")),
        },
    ),
    "README_mlflow.md": (
        "README.md.j2",
        {
            "model": "M",
            "version": "1",
            "schema": schema("classification"),
            "style": styles.of(styles.MLFLOW, schema("classification")),
        },
    ),
    **{file: ("simple_score.py.j2", values) for file, values in SIMPLE.items()},
    **{file: ("score.py.j2", values) for file, values in FOREIGN.items()},
    "mlflow_score.py": ("mlflow_score.py.j2", {}),
}


@pytest.mark.parametrize("file", RENDERED)
def test_rendered_as_recorded(file: str) -> None:
    """UPDATE_GOLDEN=1 writes the files anew; look at the difference before committing it."""
    template, values = RENDERED[file]
    text = templates.render(f"scoring/{template}", **values)
    if os.environ.get("UPDATE_GOLDEN"):
        (FILES / file).write_text(text, encoding="utf-8", newline="")
    assert text == (FILES / file).read_bytes().decode()


SCRIPTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"{task} {safe}": ("score.py.j2", {"task": task, "safe": safe}) for task in TASKS for safe in (True, False)},
    **{file: ("simple_score.py.j2", values) for file, values in SIMPLE.items()},
    **{file: ("score.py.j2", values) for file, values in FOREIGN.items()},
    "mlflow_score.py": ("mlflow_score.py.j2", {}),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_score_py_compiles_and_passes_ruff(name: str) -> None:
    template, values = SCRIPTS[name]
    source = templates.render(f"scoring/{template}", **values)
    ast.parse(source)
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", "templates/scoring/score.py", "-"],
            input=source,
            text=True,
            capture_output=True,
            cwd=ROOT,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_conda_env_is_yaml_with_exact_pins() -> None:
    document = yaml.safe_load((FILES / "conda_env.yaml").read_text())
    assert document["dependencies"][0] == "python=3.11.7"
    pip = document["dependencies"][-1]["pip"]
    assert "lightgbm==4.7.0" in pip
    assert all(line.count("==") == 1 for line in pip)


def test_image_holds_no_expected_answers() -> None:
    copied = [line for line in (FILES / "Dockerfile").read_text().splitlines() if line.startswith("COPY")]
    assert copied == [
        "COPY requirements.lock /tmp/requirements.lock",
        "COPY --from=packages /opt/environment /opt/environment",
        "COPY scoring_input.py scoring_cells.py wsgi.py /srv/scoring/",
        "COPY model /srv/scoring/model",
        "COPY score.py service.json openapi.json /srv/scoring/",
    ]


def test_names_in_the_readme_are_read_as_text() -> None:
    """Every name stands on one line of an indented block, where Markdown has no meaning."""
    for name in READMES:
        lines = (FILES / name).read_text().split("\n")
        marked = [line for line in lines if any(sign in line for sign in ("<script>", "{{", "heading", "<b>"))]
        assert marked
        assert all(line.startswith("    ") for line in marked)
