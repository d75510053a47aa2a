"""What a model's own job holds for judging it: its test data, and the rows that it was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from automl_jobs import fingerprint
from automl_jobs.evaluate.rows import Rows
from forestay.errors import ForestayError, InputError
from forestay_transformers import category_text

if TYPE_CHECKING:
    from automl_jobs.evaluate.loading import LoadedModel
    from automl_jobs.prepare import Prepared


class Jobs:
    """The data of jobs, as they were trained from it; each is read once."""

    def __init__(self) -> None:
        self._read: dict[str, Prepared] = {}

    def data(self, model: LoadedModel) -> tuple[Prepared, int]:
        """That of the job that made a model, and the job's seed. Raises InputError where it is gone."""
        from automl_jobs.explain import prepared_again

        assert model.detail is not None
        name = model.detail.job
        if name not in self._read:
            self._read[name] = prepared_again(model.detail, None, lambda _: None)
        return self._read[name], int(model.detail.parameters.get("seed", 0))


def test_data(jobs: Jobs, challenger: LoadedModel, champion: LoadedModel) -> tuple[pd.DataFrame, str]:
    """The test rows of the challenger's job, else of the champion's, and which they are.

    Raises InputError where neither has any that can be read.
    """
    reasons = []
    for model in (challenger, champion):
        if model.detail is None:
            reasons.append(f"{model.label} was made by no job that is here")
            continue
        try:
            prepared, seed = jobs.data(model)
            found = _tested(prepared, seed)
        except ForestayError as error:
            reasons.append(f"the data of {model.detail.job} can't be read: {error.problems[0].message}")
            continue
        if found is not None:
            return found, f"the test data of {model.detail.job}"
        reasons.append(f"{model.detail.job} has no test data")
    raise InputError(
        f"there are no rows to judge them on: {'; '.join(dict.fromkeys(reasons))}",
        where="--data",
        fix="give rows that neither was trained on: --data FILE; a job has them by test_data or test_data_size",
    )


def remarks(jobs: Jobs, models: Sequence[LoadedModel], read: Rows) -> Iterator[str]:
    """What of the rows each model was trained on, a line each; a forecast is judged on later periods only."""
    from automl_jobs.engine.problem import test_rows

    for model in {model.label: model for model in models}.values():
        if model.task == "forecasting":
            continue
        if model.detail is None:
            yield f"whether {model.label} was trained on some of these rows is not known: no job of it is here"
            continue
        try:
            prepared, seed = jobs.data(model)
            count = _seen(model, _learned(prepared, seed), read.frame)
            if _is_trained_on(model, read):
                held_out = test_rows(prepared, seed)
                count = max(count, len(read.frame) - (0 if held_out is None else len(held_out)))
        except ForestayError as error:
            yield _untold(model, read, error)
            continue
        changes = fingerprint.differences(_kept(model), fingerprint.of_tables(prepared)) if _kept(model) else []
        if changes:
            yield f"the data of {model.detail.job} has changed since it ran: {'; '.join(changes)}"
        if count:
            share = count / len(read.frame)
            yield f"{model.label} was trained on {count:,} of these rows ({share:.0%}): its score on them is too good"


def _kept(model: LoadedModel) -> dict[str, Any]:
    """The marks of a job's tables as it was trained on them; empty where they were not kept."""
    assert model.detail is not None
    found: dict[str, Any] = (model.detail.documents.get("submit") or {}).get("data") or {}
    return found


def _is_trained_on(model: LoadedModel, read: Rows) -> bool:
    """Whether these rows, as a whole, are the table that the model was trained on."""
    then = _kept(model).get("training_data", {}).get("sha256")
    return then is not None and then == fingerprint.mark(read.frame)["sha256"]


def _untold(model: LoadedModel, read: Rows, error: ForestayError) -> str:
    """What can be told where a job's data can't be read: whether these rows, as a whole, are it."""
    if _is_trained_on(model, read):
        return f"{model.label} was trained on just these rows: its score on them is too good"
    return f"whether {model.label} was trained on some of these rows can't be told: {error.problems[0].message}"


def _tested(prepared: Prepared, seed: int) -> pd.DataFrame | None:
    from automl_jobs.engine.problem import test_rows

    if prepared.test is not None:
        if prepared.loaded.spec.task == "forecasting":
            # What came before is history to a champion that was trained earlier.
            return pd.concat([prepared.require_local().frame, prepared.test.frame], ignore_index=True)
        return prepared.test.frame
    places = test_rows(prepared, seed)
    return None if places is None else prepared.require_local().frame.loc[places]


def _learned(prepared: Prepared, seed: int) -> pd.DataFrame:
    """All rows that a job's model may have learned from: those it is validated on are fitted in the end."""
    from automl_jobs.engine.problem import test_rows

    frame = prepared.require_local().frame
    places = test_rows(prepared, seed)
    if places is not None:
        frame = frame.drop(index=places)
    return frame if prepared.validation is None else pd.concat([frame, prepared.validation.frame], ignore_index=True)


def _seen(model: LoadedModel, learned: pd.DataFrame, asked: pd.DataFrame) -> int:
    """How many of the rows were met in training, features and target equal; 0 where chance explains it."""
    from automl_jobs.engine.guardrails.leaks import repeated

    names = [name for name in (*model.columns, model.target) if name in learned.columns and name in asked.columns]
    return repeated(_plain(asked, names), _plain(learned, names))


def _plain(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The columns in types that do not hang on how a file spells them."""

    def plain(column: pd.Series[Any]) -> pd.Series[Any]:
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            return column.astype("float64")
        if pd.api.types.is_datetime64_any_dtype(column):
            return column.astype("datetime64[us]")
        return column.astype("object").map(category_text).astype(pd.StringDtype(na_value=np.nan))

    return pd.DataFrame({name: plain(frame[name]) for name in names}, index=frame.index)
