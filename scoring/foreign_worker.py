"""What happens to a model from elsewhere, in a process of its own: loading it runs whatever its file holds.

Started by scoring.foreign as `python -I -c ...` with the path of a JSON request; writes the answer, or what is wrong
with the model, as JSON. Before the model is loaded only what every model needs is imported, so that what comes after is
what this one needs.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import scipy  # noqa: F401  (of what every model needs)
import sklearn
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError

from automl_jobs.engine import golden
from scoring import distributions
from scoring.foreign_columns import column, plain, to_frame, to_rows, unused

ALWAYS = ("joblib", "numpy", "pandas", "scikit-learn", "scipy")
COMPARED_ROWS = 200
SEED = 7
# Import names whose package is called otherwise; what is not here is called as it is imported.
PACKAGES = {
    "sklearn": "scikit-learn",
    "imblearn": "imbalanced-learn",
    "yaml": "PyYAML",
    "PIL": "Pillow",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "dateutil": "python-dateutil",
    "bs4": "beautifulsoup4",
    "google": "google-cloud",
    "umap": "umap-learn",
    "sentence_transformers": "sentence-transformers",
    "category_encoders": "category-encoders",
    "feature_engine": "feature-engine",
}


class Refused(Exception):
    """The model can't be taken: the message, and what to do."""

    def __init__(self, message: str, fix: str, where: str = "--file") -> None:
        super().__init__(message)
        self.document = {"message": message, "fix": fix, "where": where}


def main(request: str) -> None:
    """Answer the request in the JSON file `request`; the answer lies beside it as `answer.json`."""
    path = Path(request)
    asked = json.loads(path.read_text(encoding="utf-8"))
    try:
        answer = examine(asked)
    except Refused as error:
        answer = {"refused": error.document}
    (path.parent / "answer.json").write_text(json.dumps(answer, allow_nan=False), encoding="utf-8")


def examine(asked: dict[str, Any]) -> dict[str, Any]:
    """All that registering needs to know of a model.

    Parameters
    ----------
    asked: `file` (the model), `skops` (whether it is a skops file), `sample` (a Parquet file of rows), `target` and
        `task` (or None), `converted` (where a skops model is written as a pickle).
    """
    sample = pd.read_parquet(asked["sample"])
    before = set(sys.modules)
    model, notes, trained_with = load(asked)
    target = asked["target"]
    if target is not None and target not in sample.columns:
        raise Refused(f"the sample has no column {target!r}", f"it has: {named(sample.columns)}", "--target")
    task = asked["task"] or task_of(model)
    if not hasattr(model, "predict"):
        raise Refused(f"a {type(model).__name__} has no predict", "give an estimator, or a pipeline that ends with one")
    features = sample.drop(columns=[target] if target is not None else [])
    chosen, takes_array = columns_of(model, features)
    frame = features[chosen]
    columns = [column(frame[name], name) for name in chosen]
    predictions = predicted(model, frame, takes_array)
    classes = classes_of(model, task)
    served = to_frame(columns, to_rows(columns, frame))
    again = predicted(model, served, takes_array)
    count = min(len(frame), COMPARED_ROWS)
    if not equal(predictions[:count], again[:count]):
        raise Refused(
            "the model answers otherwise when rows come as JSON: its columns lose their types on the way",
            "fit it on a table as pandas reads it from CSV, numbers as numbers and all else as text",
        )
    columns = [{**found, "nulls": takes_null(model, columns, served, found["name"], takes_array)} for found in columns]
    rows, answers, probabilities = golden_rows(model, columns, frame, takes_array, task)
    columns = [{**found, "sample": rows[0][found["name"]]} for found in columns]
    others = [name for name in features.columns if name not in chosen]
    if asked["skops"]:
        joblib.dump(model, asked["converted"])
    return {
        "task": task,
        "target_type": target_type(classes, answers),
        "classes": classes,
        "columns": columns + [unused(name) for name in others],
        "takes_array": takes_array,
        "probabilities": probabilities is not None,
        "algorithm": type(last_step(model)).__name__,
        "trained_with": trained_with,
        "packages": packages(set(sys.modules) - before, asked["modules"]),
        "golden": {"rows": rows, "predictions": answers, "probabilities": probabilities, "classes": classes},
        "notes": notes,
    }


# ---- loading ----


def load(asked: dict[str, Any]) -> tuple[Any, list[str], str | None]:
    """The model, what to tell its owner, and the scikit-learn that it was saved with where that is another one."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if asked["skops"]:
                import skops.io

                model = skops.io.load(asked["file"], trusted=skops.io.get_untrusted_types(file=asked["file"]))
            else:
                model = joblib.load(asked["file"])
        except ModuleNotFoundError as error:
            raise missing(error) from error
        except (AttributeError, ImportError) as error:
            raise gone(error, versions(caught)) from error
        except MemoryError as error:
            raise Refused("does not fit into memory", "register it on a larger machine") from error
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            raise Refused(
                f"not a pickle, or a broken one ({text[:200]})", "save it with joblib.dump(model, 'model.pkl')"
            ) from error
    saved = versions(caught)
    notes = []
    if saved is not None:
        notes.append(
            f"saved with scikit-learn {saved}, loaded with {sklearn.__version__}: it may predict otherwise. Fit it "
            f"again with {sklearn.__version__}, or install scikit-learn {saved} beside forestay and register it there"
        )
    return model, notes, saved


def versions(caught: Iterable[Any]) -> str | None:
    """The scikit-learn that a model says it was saved with, where that is not the one here."""
    for warning in caught:
        if isinstance(warning.message, InconsistentVersionWarning):
            return str(warning.message.original_sklearn_version)
    return None


def missing(error: ModuleNotFoundError) -> Refused:
    name = (error.name or "").partition(".")[0]
    package = PACKAGES.get(name, name.replace("_", "-"))
    return Refused(
        f"needs the module {error.name}, which is not installed here",
        f"pip install {package} beside forestay; a module of your own goes with it: --code {name}.py",
    )


def gone(error: Exception, saved: str | None) -> Refused:
    text = str(error)
    if "__main__" in text:
        return Refused(
            f"refers to what a script or notebook defined: {text}",
            "define it in a module, import it from there, save the model again, and give the module with --code",
        )
    told = f" (saved with scikit-learn {saved}, here is {sklearn.__version__})" if saved else ""
    return Refused(
        f"refers to what this version of a package no longer has{told}: {text}",
        "install the versions that it was saved with, or fit it again with those here",
    )


# ---- what the model is ----


def task_of(model: Any) -> str:
    with contextlib.suppress(AttributeError, TypeError):  # of an estimator without scikit-learn's tags
        if is_regressor(model):
            return "regression"
        if is_classifier(model):
            return "classification"
    if hasattr(model, "classes_"):
        return "classification"
    raise Refused(
        f"a {type(model).__name__} is neither a classifier nor a regressor",
        "say what it answers: --task classification or --task regression",
        "--task",
    )


def columns_of(model: Any, sample: pd.DataFrame) -> tuple[list[str], bool]:
    """The columns that the model was fitted on, in its order, and whether it was fitted on a plain array."""
    names = attribute(model, "feature_names_in_")
    if names is not None:
        wanted = [str(name) for name in names]
        absent = [name for name in wanted if name not in sample.columns]
        if absent:
            raise Refused(
                f"the sample lacks {len(absent)} column(s) of the model: {named(absent)}",
                f"it has: {named(sample.columns)}",
                "--sample",
            )
        return wanted, False
    count = attribute(model, "n_features_in_")
    if count is not None and int(count) != sample.shape[1]:
        raise Refused(
            f"the model was fitted on {int(count)} columns without names, the sample has {sample.shape[1]}",
            "give a sample with just those columns in that order; --target names the one that is predicted",
            "--sample",
        )
    return list(sample.columns), count is not None


def attribute(model: Any, name: str) -> Any:
    """An attribute of the estimator, or of the first step of a pipeline that doesn't pass it on."""
    try:
        return getattr(model, name)
    except AttributeError:
        steps = getattr(model, "steps", None)
        return attribute(steps[0][1], name) if steps else None


def last_step(model: Any) -> Any:
    return model.steps[-1][1] if getattr(model, "steps", None) else model


def classes_of(model: Any, task: str) -> list[Any] | None:
    if task != "classification":
        return None
    found = getattr(model, "classes_", None)
    if found is None:
        raise Refused("a classifier without classes_", "fit it again, or say --task regression")
    if isinstance(found, list) or np.ndim(found) != 1:
        raise Refused("answers several labels a row", "register a model with one label a row")
    return [plain(label) for label in np.asarray(found)]


def target_type(classes: list[Any] | None, answers: list[Any]) -> str:
    if classes is None:
        return "number"
    kinds: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}
    first = classes[0]
    if type(first) not in kinds:
        raise Refused(f"its labels are of type {type(first).__name__}", "fit it on labels of text, numbers or booleans")
    return kinds[type(first)]


# ---- predictions ----


def predicted(model: Any, frame: pd.DataFrame, takes_array: bool, method: str = "predict") -> Any:
    """What the model answers. Raises Refused when it is not fitted, or can't answer rows of the sample."""
    try:
        found = np.asarray(getattr(model, method)(frame.to_numpy() if takes_array else frame))
    except NotFittedError as error:
        raise Refused("the estimator is not fitted", "save it after fit()") from error
    except Exception as error:
        raise Refused(
            f"the model can't predict the sample's rows ({type(error).__name__}: {str(error)[:200]})",
            "give rows as it was fitted on: same columns, numbers as numbers; dates that it needs parsed as Parquet",
            "--sample",
        ) from error
    if found.shape[0] != len(frame) or (method == "predict" and found.ndim != 1):
        raise Refused("it gives several answers a row", "register a model with one answer a row")
    return found


def attempt(model: Any, frame: pd.DataFrame, takes_array: bool) -> bool:
    """Whether the model answers these rows, by something other than NaN."""
    try:
        return not pd.isna(predicted(model, frame, takes_array)).any()
    except Refused:
        return False


def takes_null(model: Any, columns: list[dict[str, Any]], frame: pd.DataFrame, name: str, takes_array: bool) -> bool:
    """Whether the model answers a row that has no value in one column."""
    rows = to_rows(columns, frame.head(1))
    return attempt(model, to_frame(columns, [{**rows[0], name: None}]), takes_array)


def golden_rows(
    model: Any, columns: list[dict[str, Any]], frame: pd.DataFrame, takes_array: bool, task: str
) -> tuple[list[dict[str, Any]], list[Any], list[list[float]] | None]:
    """Rows made from the columns that the model answers, its answers, and its probabilities if it has any."""
    strict = {found["name"] for found in columns if not found["nulls"]}
    made = [
        row
        for row in golden.rows(columns, frame, SEED)
        if not any(value is None and name in strict for name, value in row.items())
    ]
    rows = [row for row in made if attempt(model, to_frame(columns, [row]), takes_array)]
    if not rows:
        raise Refused("the model answers no row made from the sample's columns", "give a larger sample", "--sample")
    served = to_frame(columns, rows)
    answers = [plain(value) for value in predicted(model, served, takes_array)]
    if task != "classification" or not hasattr(model, "predict_proba"):
        return rows, answers, None
    probabilities = predicted(model, served, takes_array, "predict_proba")
    return rows, answers, [[float(value) for value in row] for row in probabilities]


def equal(first: Any, second: Any) -> bool:
    if first.dtype.kind in "fc" or second.dtype.kind in "fc":
        return bool(np.allclose(first.astype(float), second.astype(float), rtol=1e-9, atol=1e-12))
    return bool(np.array_equal(first, second))


# ---- packages ----


def packages(imported: set[str], own: list[str]) -> dict[str, str]:
    """The distributions, with versions, of the modules that were imported, and those that every model needs.

    Parameters
    ----------
    own: names of modules that go with the model.
    """
    found = distributions.of_modules(name for name in imported if name.partition(".")[0] not in own)
    found = {name: version for name, version in found.items() if name not in ("forestay", "skops")}
    return {name: importlib.metadata.version(name) for name in sorted({*ALWAYS, *found})}


def named(names: Iterable[str]) -> str:
    """A few names for a message, quoted."""
    some = [json.dumps(str(name), ensure_ascii=False) for name in names]
    return ", ".join(some[:5]) + (", …" if len(some) > 5 else "")
