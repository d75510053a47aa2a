"""The text of training scripts, and that nothing of the data is in it."""

from __future__ import annotations

import ast
import json
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from automl_jobs.code.gather import Pipeline, Retold
from automl_jobs.code.write import fill
from automl_jobs.engine import problem
from automl_jobs.engine.decide import Decision
from automl_jobs.engine.stack import MetaLearner
from automl_jobs.prepare import prepare
from automl_jobs.spec import load_job
from tests.tables import write_job

FILES = Path(__file__).parent / "files" / "code"
HOSTILE = 'a"""\nimport os\nos.system("id")  # {{ 7 * 7 }}'
LIGHTGBM = {"learning_rate": 0.05, "num_leaves": 8, "subsample": 0.7, "class_weights": True}


def piece(trial: str, algorithm: str, layout: str, parameters: dict[str, Any], **more: Any) -> Pipeline:
    given = {"preprocessor": "Scale", "rows": None, "rounds": None, "weight": 1.0, "calibration": None}
    return Pipeline(trial=trial, algorithm=algorithm, layout=layout, parameters=parameters, **{**given, **more})


def retold(folder: Path, case: str) -> Retold:
    """A trial as it would be gathered: the problem is a real one, no model was fitted."""
    folder.mkdir(exist_ok=True)
    target, metric = ("label", "accuracy")
    if case in ("voting", "stack"):
        target, metric = ("amount", "normalized_root_mean_squared_error")
    job = write_job(folder, target, metric, rows=240)
    if case == "folds":
        text = job.read_text(encoding="utf-8").replace("validation_data: {path: ./valid, type: mltable}\n", "")
        text += (
            "n_cross_validations: 3\n"
            "featurization:\n  mode: custom\n  transformer_params:\n    imputer:\n"
            f"      - {{fields: [kind], parameters: {{strategy: constant, fill_value: {json.dumps(HOSTILE)}}}}}\n"
        )
        job.write_text(text, encoding="utf-8")
        table = pd.read_csv(folder / "train" / "data.csv").rename(columns={"words": HOSTILE})
        table["label"] = table["label"].replace({"high": HOSTILE})
        table.to_csv(folder / "train" / "data.csv", index=False)
        mltable = folder / "train" / "MLTable"
        mltable.write_text(mltable.read_text().replace("utf8}", "utf8, support_multi_line: true}"))
        (folder / "test" / "data.csv").write_bytes((folder / "train" / "data.csv").read_bytes())
        (folder / "test" / "MLTable").write_bytes(mltable.read_bytes())
    made = problem.build(prepare(load_job(job)), 0)
    rows = sum(len(valid) for _, valid in made.splits)
    decision, pieces, algorithm = None, (), ""
    if case == "folds":
        rule = {"weights": [1.0, 2.0, 0.5]}
        decision = Decision(rule, None, {}, (rule, {"weights": [1.0, 1.5, 0.5]}), np.arange(rows) % 2)
        calibration = {"slope": 1.5, "shifts": [0.0, 0.0, 0.0], "floor": 1e-9}
        pieces, algorithm = (piece("7", "LightGBM", "tree", LIGHTGBM, rounds=80, calibration=calibration),), "LightGBM"
    elif case in ("voting", "stack"):
        pieces = (
            piece("3", "ElasticNet", "linear", {"alpha": 0.001, "l1_ratio": 0.5, "log_target": True}, weight=0.4),
            piece("5", "XGBoostRegressor", "target", {"max_depth": 4}, weight=0.6, rounds=120, rows=100),
        )
        algorithm = "VotingEnsemble" if case == "voting" else "StackEnsemble"
    else:
        pieces, algorithm = (piece("2", "RandomForest", "tree", {"min_samples_leaf": 4}),), "RandomForest"
        decision = Decision(None, None, {})
    job_row = SimpleNamespace(job="calm_bay_x8k2m1", primary_metric=metric, target=target)
    found = SimpleNamespace(row=SimpleNamespace(id=pieces[0].trial, rank=1, algorithm=algorithm))
    packages = {"scikit-learn": "1.9.0", "pandas": "3.1.0"}
    learner = MetaLearner("elastic_net", {"alpha": 0.01}) if case == "stack" else None
    return Retold(cast("Any", job_row), cast("Any", found), made, pieces, 0.75, decision, 2, packages, learner)


@pytest.mark.parametrize("case", ["folds", "voting", "stack", "forest"])
def test_written_as_recorded(case: str, tmp_path: Path) -> None:
    """UPDATE_GOLDEN=1 writes the files anew; look at the difference before committing it."""
    folder = tmp_path / "script"
    folder.mkdir()
    fill(retold(tmp_path / "job", case), folder)
    text = (folder / "train.py").read_text(encoding="utf-8")
    golden = FILES / f"{case}.py"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8", newline="")
    assert text == golden.read_bytes().decode()
    imported = {node.module or "" for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    ours = {module for module in imported if module.startswith(("forestay", "automl_jobs", "scoring", "infra"))}
    assert ours <= {path.stem for path in folder.glob("forestay_*.py")}
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    names = {name for names in settings["columns"].values() for name in ([names] if isinstance(names, str) else names)}
    assert names == {name for name, _ in settings["types"]}
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "pandas==3.1.0"
    assert [line.partition("==")[0] for line in lines] == ["pandas", "pyarrow", "scikit-learn"]


def test_names_and_values_of_the_data_are_in_a_data_file_alone(tmp_path: Path) -> None:
    folder = tmp_path / "script"
    folder.mkdir()
    fill(retold(tmp_path / "job", "folds"), folder)
    text = (folder / "train.py").read_text(encoding="utf-8")
    assert "os.system" not in text
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    assert HOSTILE in settings["classes"]
    assert settings["values"] == [HOSTILE]
    assert [HOSTILE, "text"] in settings["types"]
    for word in ("red", "small", "high", "kind", "amount"):
        assert not re.search(rf"\b{word}\b", text), word


def test_rows_and_folds_are_those_of_the_problem(tmp_path: Path) -> None:
    folder = tmp_path / "script"
    folder.mkdir()
    made = retold(tmp_path / "job", "folds")
    fill(made, folder)
    arrays = np.load(folder / "folds.npz", allow_pickle=False)
    assert arrays["target"].tolist() == made.problem.target.tolist()
    for fold, (train, valid) in enumerate(made.problem.splits):
        assert arrays[f"train_{fold}"].tolist() == train.tolist()
        assert arrays[f"valid_{fold}"].tolist() == valid.tolist()
    kept = pd.read_parquet(folder / "rows.parquet")
    assert list(kept.columns) == list(made.problem.frame.columns)
    assert len(kept) == made.problem.rows
