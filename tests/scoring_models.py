"""Outputs folders as a training engine leaves them: small scikit-learn pipelines on made-up data."""

from __future__ import annotations

import atexit
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import joblib
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from automl_jobs.engine import outputs
from forestay_transformers import CategoryCodes, DateParts, InputFrame

PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn", "joblib")
ROWS = 200
GOLDEN = 12

HOSTILE_COLUMNS = {
    "quotes": 'it\'s a "column"',
    "lines": "two\nlines\r\nand\ta tab",
    "template": "{{ 7 * 7 }}{% raw %}",
    "proto": "__proto__",
    "emoji": "price 💶 é",
    "script": "<script>alert(1)</script>",
    "long": "x" * 3000,
    "code": "'); import os; os.system('true') #",
    "backslash": "C:\\new\\table",
    "markdown": "```\n# heading | `tick`",
    "empty": " ",
}
HOSTILE_LABELS = ["{{ yes }}", "no\n\"'</script>", "__proto__"]


@dataclass(frozen=True)
class Model:
    """What a registry gives of a model version."""

    name: str
    version: str
    job: str
    trial: str
    path: Path
    card: str | None = None


def bank_frame() -> pd.DataFrame:
    """A column of each type; gaps in some."""
    random = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 90, ROWS),
            "balance": random.normal(1000, 300, ROWS).round(2),
            "job": pd.array(random.choice(["admin", "baker", "clerk"], ROWS), dtype="str"),
            "note": pd.array(random.choice(["pays late", "good client", "new account"], ROWS), dtype="str"),
            "opened": (np.datetime64("2020-01-01") + random.integers(0, 900, ROWS).astype("timedelta64[D]")).astype(
                "datetime64[us]"
            ),
            "active": pd.array(random.integers(0, 2, ROWS).astype(bool), dtype="boolean"),
            "id": pd.array([f"c{number:05d}" for number in range(ROWS)], dtype="str"),
        }
    )
    frame.loc[::17, "balance"] = np.nan
    frame.loc[::19, "job"] = np.nan
    return frame


BANK_TYPES = {
    "age": "numeric",
    "balance": "numeric",
    "job": "categorical",
    "note": "text",
    "opened": "datetime",
    "active": "boolean",
    "id": "identifier",
}


def bank(folder: Path, labels: list[Any] | None = None, **known: str) -> Model:
    """A classifier with a column of each type; `labels` are its two classes."""
    frame = bank_frame()
    classes = labels or ["no", "yes"]
    high = (frame["age"] + frame["balance"].fillna(1000) / 40 + np.where(frame["job"] == "baker", 20, 0)) > 75
    target = np.array(classes)[high.astype(int)]
    return write(folder, frame, BANK_TYPES, target, "classification", **known)


def regression(folder: Path) -> Model:
    frame = bank_frame().drop(columns=["note", "id"])
    target = frame["age"] * 2.5 + frame["balance"].fillna(0) / 7
    return write(
        folder, frame, {name: BANK_TYPES[name] for name in frame}, target.to_numpy(), "regression", name="Price"
    )


def hostile(folder: Path) -> Model:
    """A classifier whose column names and labels try to break out of every file that they get into."""
    random = np.random.default_rng(3)
    frame = pd.DataFrame({name: random.normal(size=ROWS) for name in list(HOSTILE_COLUMNS.values())[:6]})
    kinds = dict.fromkeys(frame, "numeric")
    for name in list(HOSTILE_COLUMNS.values())[6:]:
        frame[name] = pd.array(random.choice(["{{ a }}", "</td>", 'q"'], ROWS), dtype="str")
        kinds[name] = "categorical"
    position = (frame.iloc[:, 0] + 1.2).clip(0, 2.4).astype(int)
    return write(folder, frame, kinds, np.array(HOSTILE_LABELS)[position], "classification", name='{{ M }} <b>"x"')


def forecasting(folder: Path, name: str = "Sales") -> Model:
    """A forecast of two series, north and 7, with a feature known ahead and one that is not; trained to 29 April."""
    from automl_jobs.engine.forecasting.trainer import ForecastTrainer
    from automl_jobs.engine.trial import TrialPlan
    from tests.forecasting_support import problem, stores

    folder.mkdir(parents=True, exist_ok=True)
    frame = stores()
    frame["visitors"] = (frame["sales"] * 3).round()
    extra = "  time_series_id_column_names: store\n"
    extra += "  feature_lags: auto\n  features_unknown_at_forecast_time: visitors\n"
    trainer = ForecastTrainer(problem(folder, frame, extra), 1)
    ridge = {"steps": "recursive", "offset": "season", "log": False, "alpha": 1.0, "l1_ratio": 0}
    outcome = trainer.run(TrialPlan("1", "ElasticNet", ridge), folder / "trial")
    return Model(name, "1", "calm_reed", "calm_reed_1", outcome.outputs)


def plain_arrays(folder: Path) -> Model:
    """A regression fitted on a plain array of three numbers, as models from elsewhere often are."""
    random = np.random.default_rng(5)
    frame = pd.DataFrame(random.normal(size=(ROWS, 3)), columns=["a", "b", "c"])
    target = (frame["a"] * 3 - frame["c"]).to_numpy()
    model = write(folder, frame, dict.fromkeys(frame, "numeric"), target, "regression", name="Arrays")
    fitted = Ridge().fit(frame.to_numpy(), target)
    joblib.dump(fitted, folder / "model.pkl")
    change_schema(folder, lambda schema: schema.update(takes_array=True, foreign=True))
    change_schema(folder, lambda schema: [column.update(nulls=False) for column in schema["columns"]])
    rows = json.loads((folder / "golden.json").read_text())["rows"][1:]
    predictions = fitted.predict(np.array([list(row.values()) for row in rows])).tolist()
    _write_json(folder / "golden.json", {"rows": rows, "predictions": predictions})
    rehash(folder)
    return model


def change_schema(outputs: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Let `change` edit the schema of a model."""
    schema = json.loads((outputs / "model_schema.json").read_text())
    change(schema)
    _write_json(outputs / "model_schema.json", schema)


class LabelLists(ClassifierMixin, BaseEstimator):
    """A classifier a label; `predict` gives lists of labels, as a served text model does."""

    def __init__(self, classes: list[str]) -> None:
        self.classes = classes

    @property
    def classes_(self) -> np.ndarray:
        return np.array(self.classes, dtype=object)

    def fit(self, X: Any, y: Any) -> LabelLists:
        self.each_ = OneVsRestClassifier(LogisticRegression(C=100.0, max_iter=300)).fit(X, y)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        return np.asarray(self.each_.predict_proba(X))

    def predict(self, X: Any) -> np.ndarray:
        found = np.empty(X.shape[0], dtype=object)
        for row, said in enumerate(self.predict_proba(X) > 0.5):
            found[row] = self.classes_[said].tolist()
        return found


def multilabel(folder: Path, labels: list[str] | None = None) -> Model:
    """Labels of notes: the first one for bread or soup, the last one for goal, the middle one for hardly any."""
    classes = labels or ["food", "rare", "sports"]
    random = np.random.default_rng(11)
    notes = [" ".join(random.choice(["bread", "soup", "goal", "and", "the", "of"], 3)) for _ in range(ROWS)]
    frame = pd.DataFrame({"note": pd.array(notes, dtype="str"), "pages": random.integers(1, 9, ROWS)})
    target = np.stack(
        [frame["note"].str.contains("bread|soup"), random.random(ROWS) < 0.05, frame["note"].str.contains("goal")],
        axis=1,
    )
    final = LabelLists(classes)
    kinds = {"note": "text", "pages": "numeric"}
    return write(folder, frame, kinds, target.astype(int), "text_classification_multilabel", name="Tags", final=final)


def write(
    folder: Path,
    frame: pd.DataFrame,
    kinds: dict[str, str],
    target: np.ndarray,
    task: str,
    name: str = "Bank",
    version: str = "1",
    final: Any = None,
) -> Model:
    """Fit a pipeline that ends with `final`; write model.pkl, model_schema.json, golden.json and the transformers."""
    folder.mkdir(parents=True, exist_ok=True)
    used = {column: kind for column, kind in kinds.items() if kind != "identifier"}
    final = final or (LogisticRegression(max_iter=300) if task == "classification" else Ridge())
    pipeline = _pipeline(used, final).fit(frame, target)
    joblib.dump(pipeline, folder / "model.pkl")
    code = [Path(str(module.__file__)) for module in outputs.MODULES]
    for path in code:
        shutil.copyfile(path, folder / path.name)
    classes = None if task == "regression" else pipeline.classes_.tolist()
    types: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}
    schema = {
        "schema_version": 1,
        "task": task,
        "target": "y",
        "target_type": types[type((classes or target.tolist())[0])],
        "classes": classes,
        "columns": [_column(frame[column], column, kind) for column, kind in kinds.items()],
        "algorithm": "LogisticRegression" if classes else "ElasticNet",
        "preprocessor": "InputFrame",
        "python": platform.python_version(),
        "packages": {package: importlib.metadata.version(package) for package in PACKAGES},
        "files": {file: _hash(folder / file) for file in ("model.pkl", *(path.name for path in code))},
    }
    _write_json(folder / "model_schema.json", schema)
    golden = frame.sample(GOLDEN, random_state=1).reset_index(drop=True)
    golden.loc[0, list(used)] = None
    _write_json(
        folder / "golden.json",
        {
            "rows": [{column: _cell(value) for column, value in row.items()} for row in golden.to_dict("records")],
            "predictions": pipeline.predict(golden).tolist(),
            "probabilities": pipeline.predict_proba(golden).tolist() if classes else None,
            "classes": classes,
        },
    )
    return Model(name, version, "calm_reed", "calm_reed_0", folder)


def change_weight(outputs: Path) -> None:
    """Move one coefficient of a bank model's pipeline."""
    pipeline = joblib.load(outputs / "model.pkl")
    pipeline[-1].coef_.flat[0] += 0.25
    joblib.dump(pipeline, outputs / "model.pkl")


def rehash(outputs: Path) -> None:
    """Write the hashes of the files that lie in `outputs` into its schema."""
    schema = json.loads((outputs / "model_schema.json").read_text())
    schema["files"] = {name: _hash(outputs / name) for name in schema["files"]}
    _write_json(outputs / "model_schema.json", schema)


def _pipeline(used: dict[str, str], final: Any) -> Pipeline:
    def of(kind: str) -> list[str]:
        return [column for column, found in used.items() if found == kind]

    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    parts: list[Any] = [("numbers", numbers, of("numeric") + of("boolean"))]
    if of("categorical"):
        parts.append(("categories", make_pipeline(CategoryCodes(), SimpleImputer()), of("categorical")))
    if of("datetime"):
        parts.append(("dates", make_pipeline(DateParts(), SimpleImputer(), StandardScaler()), of("datetime")))
    parts += [(f"text {column}", TfidfVectorizer(), column) for column in of("text")]
    return Pipeline(
        [("input", InputFrame(list(used.items()))), ("features", ColumnTransformer(parts)), ("model", final)]
    )


def _column(series: pd.Series, name: str, kind: str) -> dict[str, Any]:
    column: dict[str, Any] = {
        "name": name,
        "type": kind,
        "used": kind != "identifier",
        "integer": series.dtype.kind == "i",
        "nullable": bool(series.isna().any()),
        "minimum": None,
        "maximum": None,
        "values": sorted(series.dropna().unique().tolist()) if kind == "categorical" else None,
        "max_length": int(series.str.len().max()) if kind in ("text", "categorical", "identifier") else None,
    }
    if kind in ("numeric", "datetime"):
        column["minimum"], column["maximum"] = _cell(series.min()), _cell(series.max())
    return column


def _cell(value: Any) -> Any:
    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return value.item() if isinstance(value, np.generic) else value


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write_json(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False), encoding="utf-8")


@functools.cache
def conversions() -> Path:
    """Where models of this test run are kept as skops, so that each is converted once."""
    folder = tempfile.mkdtemp(prefix="forestay-conversions-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def keep_lock(outputs: Path, home: Path) -> None:
    """Put small locks where the resolver would keep them, and what tracing would find: generate() needs no network."""
    from scoring import environment, imports, safe, styles
    from scoring.schema import read_schema

    home.mkdir(parents=True, exist_ok=True)
    if not (home / "models").exists():
        (home / "models").symlink_to(conversions())
    schema = read_schema(outputs)
    for more in ({}, {"skops": safe.skops_version()}):
        packages = {**schema.packages, **more}
        served = schema.model_copy(update={"packages": packages})
        traced = imports.kept_path(served, home)
        traced.parent.mkdir(parents=True, exist_ok=True)
        _write_json(traced, packages)
        for style in (styles.AZUREML, styles.SIMPLE) if not schema.forecasts else (styles.AZUREML,):
            needed = styles.needs(styles.of(style, schema), served)
            pins = environment.read_pins(environment.conda_env(needed), "conda_env.yaml")
            lines = [f"{name}=={found} \\\n    --hash=sha256:{'0' * 64}\n" for name, found in pins.versions().items()]
            path = environment.lock_path(pins, home)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(sorted(lines)), encoding="utf-8")


def load_score(model_folder: Path, style: str = "azureml", version: str = "1") -> ModuleType:
    """A rendered score.py, imported as the server imports it, for the model in `model_folder`.

    The server's own packages are not installed here: what score.py takes from them is stood in for.
    """
    import templates
    from scoring import styles
    from scoring.schema import read_schema

    schema = read_schema(model_folder)
    texts = styles.texts(styles.of(style, schema), schema)
    for name, text in texts.items():
        if name.startswith("model/"):
            (model_folder / Path(name).name).write_text(text, encoding="utf-8")
    source = texts["score.py"]
    path = model_folder / "score_under_test.py"
    path.write_text(source, encoding="utf-8")
    for module in ("scoring_input.py", "scoring_cells.py"):
        shutil.copyfile(templates.FOLDER / "scoring" / module, model_folder / module)
    _write_json(model_folder / "service.json", {"model": "Bank", "version": version})
    spec = importlib.util.spec_from_file_location("score_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with (
        mock.patch.dict(sys.modules, _server_stand_ins()),
        mock.patch.object(sys, "path", list(sys.path)),
        mock.patch.dict(os.environ, {"AZUREML_MODEL_DIR": str(model_folder)}),
    ):
        spec.loader.exec_module(module)
    return module


class StandInResponse:
    """What score.py gives back: a body and a status."""

    def __init__(self, message: str, status_code: int, response_headers: dict[str, str]) -> None:
        self.body, self.status, self.headers = message, status_code, response_headers

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def _server_stand_ins() -> dict[str, ModuleType]:
    def plain(*_: Any, **__: Any) -> Callable[[Any], Any]:
        return lambda function: function

    contents: dict[str, dict[str, Any]] = {
        "flask": {"has_request_context": lambda: False, "has_app_context": lambda: False},
        "azureml_inference_server_http": {},
        "azureml_inference_server_http.api": {},
        "azureml_inference_server_http.api.aml_response": {"AMLResponse": StandInResponse},
        "inference_schema": {},
        "inference_schema.parameter_types": {},
        "inference_schema.parameter_types.numpy_parameter_type": {"NumpyParameterType": lambda _: None},
        "inference_schema.parameter_types.pandas_parameter_type": {"PandasParameterType": lambda _: None},
        "inference_schema.parameter_types.standard_py_parameter_type": {"StandardPythonParameterType": lambda _: None},
        "inference_schema.schema_decorators": {"input_schema": plain, "output_schema": plain},
    }
    modules = {}
    for name, values in contents.items():
        modules[name] = ModuleType(name)
        vars(modules[name]).update(values)
    return modules
