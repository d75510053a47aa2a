"""A registered model as an object that predicts: loaded here, or asked in its own environment.

What this project trained, in an environment like this one, is loaded in this process. What came from a file (loading
that runs what it holds), from another trainer, or from other versions of packages is asked in the environment that its
scoring folder names, in a process of its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forestay import project
from forestay.errors import InputError, RunFailed
from forestay_transformers import InputFrame
from scoring import environment, imports, reference
from scoring.generate import check_model, generate
from scoring.real_rows import request_rows
from scoring.schema import MODEL, Golden, ModelSchema, Source

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Say = Callable[[str], None]
BLOCK_ROWS = 20_000


def model(name: str, version: str, path: Path, say: Say = lambda _: None, served: Path | None = None) -> Any:
    """What predicts for a version whose outputs folder is `path`.

    Parameters
    ----------
    say: told what takes a while. served: the scoring folder that `path` is a part of, whose environment is taken then.

    Raises InputError when its files are not those recorded, or it is a forecast that can't be loaded here;
    OutsideError when its environment can't be made.
    """
    schema = check_model(path)
    other = imports.differing(schema)
    if not schema.foreign and other is None:
        from automl_jobs.engine import explain

        return explain.load(path)
    if schema.forecasts:
        raise InputError(
            f"{name}:{version} is a forecast that can't be loaded here ({other or 'trained elsewhere'})",
            fix="send its rows to an endpoint: forestay endpoint invoke; or predict where it was trained",
        )
    return AskedModel(Source(name, version, path), schema, say, served)


class AskedModel:
    """A model in its own environment; every question is answered by a process there.

    `predict` gives labels, lists of labels or numbers (n,), `predict_proba` (n, k) in the order of `schema.classes`.
    """

    def __init__(self, source: Source, schema: ModelSchema, say: Say, served: Path | None) -> None:
        self.schema, self.file = schema, source.path / MODEL
        home = project.home()
        with tempfile.TemporaryDirectory() as scratch:
            # The folder that would be served: its environment is the one to ask in.
            folder = served or generate(source, Path(scratch, "folder"), home=home, say=say).path
            pins = environment.read_pins((folder / "conda_env.yaml").read_text(encoding="utf-8"), "conda_env.yaml")
            lock = (folder / "requirements.lock").read_text(encoding="utf-8")
        say(f"{source.name}:{source.version} is asked in its own environment")
        python = environment.ensure(lock, pins.python, home, say).python
        self._ask = reference.here(python, source.path)

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        import numpy as np

        found = np.empty(len(frame), dtype=object)
        for place, answer in self._blocks(frame):
            found[place] = list(answer.predictions)
        return found.astype("float64") if self.schema.classes is None else found

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray:
        import numpy as np

        parts = [np.array(answer.probabilities, dtype="float64") for _, answer in self._blocks(frame)]
        return np.concatenate(parts)

    def _blocks(self, frame: pd.DataFrame) -> Iterator[tuple[slice, Golden]]:
        columns = [one.model_dump() for one in self.schema.used]
        typed = InputFrame([(one["name"], one["type"]) for one in columns]).fit(frame).transform(frame)
        for one in columns:
            # A column of whole numbers in training may hold others here.
            if one["integer"] and not (typed[one["name"]].dropna() % 1 == 0).all():
                one["integer"] = False
        schema = ModelSchema.model_validate({**self.schema.model_dump(), "columns": columns})
        for start in range(0, len(typed), BLOCK_ROWS):
            part = typed.iloc[start : start + BLOCK_ROWS]
            asked = Golden(
                rows=tuple(request_rows(part, columns)), predictions=(), classes=schema.classes, pending=True
            )
            answer, check = reference.answered(schema, asked, str(self.file), self._ask)
            if not check.passed:
                raise RunFailed(
                    check.detail, where=str(self.file), fix="prove it: forestay score generate, score verify"
                )
            yield slice(start, start + len(part)), answer
