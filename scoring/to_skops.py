"""A fitted model from pickle to skops, in a process of its own: `python -I -B to_skops.py FOLDER TARGET`.

Here the pickle is loaded, which runs what it says, as it ran when the model was trained and will again when a folder
with it is verified. The caller has compared its hash. The modules that lie beside the model are those it is made of,
and may not be the ones of this installation: in this process only they are imported.

FOLDER holds model.pkl, model_schema.json, golden.json and those modules. Written are TARGET, the model, and on standard
output one JSON object: `trusted`, the names of all types that loading it needs beside those that skops always takes; or
`reason`, why the pickle has to stay. Only the standard library is imported before FOLDER goes on the path.

Measured: to load a booster or a linear model takes 0.02 s either way; a forest of 100 deep trees 0.5 s where the
pickle takes 0.35 s, one of 500 (38 MB) 4.7 s to 2.2 s; the import of skops adds 0.5 s to a start-up of 4 s.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import pickle
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Published libraries whose types are taken; what a model of ours is made of beside the modules that lie with it.
LIBRARIES = frozenset({"builtins", "collections", "lightgbm", "numpy", "scipy", "sklearn", "xgboost"})
# Beside their classes: what histogram boosting keeps of its check of categories. What is inside a partial is asked for.
OTHERS = frozenset({"functools.partial", "sklearn.utils.validation.check_array"})
ANSWERS = ("predict", "predict_proba")


class Unsuited(Exception):
    """The model can't be written so: why, in words that follow "because"."""


def convert(folder: Path, target: Path) -> list[str]:
    """Write the model; returns the types to trust. Raises Unsuited."""
    import joblib
    from skops import io

    schema = json.loads((folder / "model_schema.json").read_text(encoding="utf-8"))
    golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    modules = {Path(name).stem for name in schema["files"] if name.endswith(".py")}
    model = joblib.load(folder / "model.pkl")
    try:
        io.dump(model, target, compression=zipfile.ZIP_DEFLATED, compresslevel=3)
        trusted = io.get_untrusted_types(file=target)
    except Exception as error:
        raise Unsuited(f"skops can't write it: {type(error).__name__}: {error}") from error
    strange = [name for name in trusted if not known(name, modules)]
    if strange:
        raise Unsuited(f"{strange[0]} is no type of a library that is known here")
    try:
        again = io.load(target, trusted=trusted)
    except Exception as error:
        raise Unsuited(f"skops can't read what it wrote: {type(error).__name__}: {error}") from error
    place = difference(model, again)
    if place is not None:
        raise Unsuited(f"{place} is another one after loading")
    rows = frame(golden["rows"], schema)
    if schema.get("takes_array"):
        rows = rows.to_numpy()
    for answer in ANSWERS:
        if hasattr(model, answer) and not equal(getattr(model, answer)(rows), getattr(again, answer)(rows)):
            raise Unsuited(f"the loaded model's {answer} differs on golden rows")
    return trusted


def known(name: str, modules: set[str]) -> bool:
    """Whether a name that skops asks about is a class of a known library, or one of ours that lies beside the model."""
    if name in OTHERS:
        return True
    module, _, attribute = name.rpartition(".")
    root = module.partition(".")[0]
    if root not in LIBRARIES and not (root.startswith("forestay_") and root in modules):
        return False
    try:
        return inspect.isclass(getattr(importlib.import_module(module), attribute))
    except (ImportError, AttributeError):
        return False


def difference(one: Any, other: Any) -> str | None:
    """Where two models differ, such as `Pipeline.steps[1][1].mean_`; None when nothing does.

    JSON, in which skops keeps plain values, has no keys but text and no numbers of numpy's types: a dictionary may come
    back changed in a way that golden rows don't show. So every attribute is compared, to the last bit.
    """
    pending: list[tuple[Any, Any, str]] = [(one, other, type(one).__name__)]
    seen: set[tuple[int, int]] = set()
    while pending:
        left, right, place = pending.pop()
        if (id(left), id(right)) in seen:
            continue
        seen.add((id(left), id(right)))
        parts = _parts(left, right, place)
        if parts is None:
            return place
        pending += parts
    return None


def _parts(left: Any, right: Any, place: str) -> list[tuple[Any, Any, str]] | None:
    """What is left to compare of two objects, each with its place; None when they differ themselves."""
    import numpy as np

    if isinstance(left, np.generic) or isinstance(right, np.generic):
        # numpy's numbers come back as Python's; they count and compare the same.
        left, right = (value.item() if isinstance(value, np.generic) else value for value in (left, right))
    if type(left) is not type(right):
        return None
    if isinstance(left, np.ndarray):
        if left.shape != right.shape:
            return None
        if left.dtype.kind == right.dtype.kind == "i":  # places in a sparse matrix may come back in another width
            return [] if np.array_equal(left, right) else None
        if left.dtype != right.dtype:
            return None
        if left.dtype == object:
            return [(a, b, f"{place}[{n}]") for n, (a, b) in enumerate(zip(left.flat, right.flat, strict=True))]
        if left.dtype.names:  # what lies between the fields means nothing
            return [(left[name], right[name], f"{place}[{name!r}]") for name in left.dtype.names]
        return [] if left.tobytes() == right.tobytes() else None
    if isinstance(left, functools.partial):
        return [(left.func, right.func, place), (left.args, right.args, place), (left.keywords, right.keywords, place)]
    if isinstance(left, Mapping):
        if list(left) != list(right) or [type(key) for key in left] != [type(key) for key in right]:
            return None
        return [(left[key], right[key], f"{place}[{key!r}]") for key in left]
    if isinstance(left, list | tuple):
        if len(left) != len(right):
            return None
        return [(a, b, f"{place}[{n}]") for n, (a, b) in enumerate(zip(left, right, strict=True))]
    if isinstance(left, float):
        return [] if left == right or (left != left and right != right) else None
    if isinstance(left, str | bytes | bytearray | int | set | frozenset | type(None)):
        return [] if left == right else None
    if isinstance(left, type) or (callable(left) and not hasattr(left, "__dict__")):
        return [] if left is right or pickle.dumps(left) == pickle.dumps(right) else None
    state = left.__getstate__()
    if state is None:  # of a type written in C: what pickle makes of it is all there is
        return [] if pickle.dumps(left) == pickle.dumps(right) else None
    other = right.__getstate__()
    if isinstance(state, dict) and isinstance(other, dict):  # the order of attributes means nothing
        if state.keys() != other.keys():
            return None
        return [(state[name], other[name], f"{place}.{name}") for name in state]
    return [(state, other, place)]


def frame(rows: list[dict[str, Any]], schema: dict[str, Any]) -> Any:
    """Golden rows with the model's columns, in the types that score.py gives them."""
    import numpy as np
    import pandas as pd

    columns = [column for column in schema["columns"] if column["used"]]
    if schema["task"] == "forecasting":
        columns.append({"name": schema["target"], "type": "numeric"})
    made = {}
    for column in columns:
        values = [row.get(column["name"]) for row in rows]
        if column["type"] == "numeric":
            whole = column.get("integer") and None not in values
            array: Any = np.array([np.nan if value is None else value for value in values], "int64" if whole else float)
        elif column["type"] == "boolean":
            array = pd.array(values, dtype="boolean")
        elif column["type"] == "datetime":
            times = pd.to_datetime(pd.Series(values, dtype="str"), format="ISO8601", utc=True)
            array = times.dt.tz_localize(None).astype("datetime64[us]").array
        else:
            array = pd.array(values, dtype="str")
        made[column["name"]] = array
    return pd.DataFrame(made)


def equal(one: Any, other: Any) -> bool:
    """Whether two arrays of answers are equal to the last bit; NaN equals itself."""
    import numpy as np

    one, other = np.asarray(one), np.asarray(other)
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return (
        one.tolist() == other.tolist()
        if one.dtype == object
        else np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    )


def main() -> None:
    folder, target = Path(sys.argv[1]), Path(sys.argv[2])
    sys.path.insert(0, str(folder))
    try:
        answer: dict[str, Any] = {"trusted": convert(folder, target)}
    except Unsuited as error:
        answer = {"reason": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
