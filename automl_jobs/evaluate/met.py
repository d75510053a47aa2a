"""What a model's own job holds for judging it: its test data, and the rows that it was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from automl_jobs.evaluate.rows import Rows
from forestay.errors import ForestayError, InputError
from forestay_transformers import category_text

if TYPE_CHECKING:
    from automl_jobs.evaluate.loading import LoadedModel
    from automl_jobs.prepare import Prepared


def test_data(challenger: LoadedModel, champion: LoadedModel) -> tuple[pd.DataFrame, str]:
    """The test rows of the challenger's job, else of the champion's, and which they are.

    Raises InputError where neither has any that can be read.
    """
    reasons = []
    for model in (challenger, champion):
        if model.detail is None:
            reasons.append(f"{model.label} was made by no job that is here")
            continue
        try:
            prepared, seed = _prepared(model)
            found = _tested(prepared, seed)
        except ForestayError as error:
            reasons.append(f"the data of {model.detail.job} can't be read: {error.problems[0].message}")
            continue
        if found is not None:
            return found, f"judged on the test data of {model.detail.job}"
        reasons.append(f"{model.detail.job} has no test data")
    raise InputError(
        f"there are no rows to judge them on: {'; '.join(dict.fromkeys(reasons))}",
        where="--data",
        fix="give rows that neither was trained on: --data FILE; a job has them by test_data or test_data_size",
    )


def remarks(models: Sequence[LoadedModel], read: Rows) -> Iterator[str]:
    """What of the rows each model was trained on, a line each; a forecast is judged on later periods only."""
    for model in {model.label: model for model in models}.values():
        if model.task == "forecasting":
            continue
        if model.detail is None:
            yield f"whether {model.label} was trained on some of these rows is not known: no job of it is here"
            continue
        try:
            prepared, seed = _prepared(model)
            count = _seen(model, _learned(prepared, seed), read.frame)
        except ForestayError as error:
            yield (
                f"whether {model.label} was trained on some of these rows can't be told: {error.problems[0].message}"
            )
            continue
        if count:
            share = count / len(read.frame)
            yield f"{model.label} was trained on {count:,} of these rows ({share:.0%}): its score on them is too good"


def _prepared(model: LoadedModel) -> tuple[Prepared, int]:
    from automl_jobs.explain import prepared_again

    assert model.detail is not None
    return prepared_again(model.detail, None, lambda _: None), int(model.detail.parameters.get("seed", 0))


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
