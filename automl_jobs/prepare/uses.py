"""Which columns a job trains on, and as what: the inferred types, and what `featurization` says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from automl_jobs.data import Column, ColumnType, Table
from automl_jobs.prepare.findings import Findings
from automl_jobs.spec import JobSpec
from forestay.documents.names import shown

if TYPE_CHECKING:
    import pandas as pd

# Azure's column types (FeatureType) as ours. The hashed ones differ only in how categories are encoded.
_FORCED = {
    "Numeric": ColumnType.NUMERIC,
    "Categorical": ColumnType.CATEGORICAL,
    "CategoricalHash": ColumnType.CATEGORICAL,
    "Hashes": ColumnType.IDENTIFIER,
    "DateTime": ColumnType.DATETIME,
    "Text": ColumnType.TEXT,
}
TEXT_TASKS = ("text_classification", "text_classification_multilabel")
_WORDS = (ColumnType.CATEGORICAL, ColumnType.TEXT, ColumnType.IDENTIFIER)


@dataclass(frozen=True)
class ColumnUse:
    """A column of the training data.

    Attributes
    ----------
    used: whether models see it.
    reason: why not, in a few words; empty when used.
    """

    name: str
    type: ColumnType
    used: bool
    reason: str = ""


def roles(spec: JobSpec) -> dict[str, str]:
    """The columns that are no features, and what they are instead."""
    found = dict.fromkeys(spec.cv_split_column_names or (), "marks the folds")
    if spec.weight_column_name:
        found[spec.weight_column_name] = "the weight of each row"
    if spec.target_column_name:
        found[spec.target_column_name] = "the target"
    return found


def column_uses(spec: JobSpec, columns: tuple[Column, ...]) -> tuple[ColumnUse, ...]:
    """What becomes of each column."""
    taken = roles(spec)
    text_task = spec.task in TEXT_TASKS
    has_words = any(
        column.name not in taken and column.type in (ColumnType.CATEGORICAL, ColumnType.TEXT) for column in columns
    )
    found = []
    for column in columns:
        if column.name in taken:
            found.append(ColumnUse(column.name, column.type, False, taken[column.name]))
        elif text_task:
            found.append(_use_of_text(column, has_words))
        else:
            found.append(_use(spec, column))
    return tuple(found)


def _use(spec: JobSpec, column: Column) -> ColumnUse:
    forced = spec.featurization.column_name_and_types.get(column.name)
    if forced in ("Ignore", "AllNan"):
        return ColumnUse(column.name, column.type, False, f"featurization says {forced}")
    kind = _FORCED[forced] if forced else column.type
    series = spec.forecasting and (spec.forecasting.time_column_name, *spec.forecasting.time_series_id_column_names)
    if series and column.name in series:
        return ColumnUse(column.name, kind, True)
    if column.type is ColumnType.CONSTANT:
        return ColumnUse(column.name, column.type, False, "constant")
    if kind is ColumnType.IDENTIFIER:
        return ColumnUse(column.name, kind, False, "an identifier")
    if spec.forecasting and kind in (ColumnType.TEXT, ColumnType.DATETIME):
        return ColumnUse(column.name, kind, False, f"a forecast uses no {kind}")
    unknown = spec.forecasting.features_unknown_at_forecast_time if spec.forecasting else ()
    if spec.forecasting and column.name in unknown and spec.forecasting.feature_lags == "none":
        return ColumnUse(column.name, kind, False, "not known ahead, and forecasting.feature_lags is none")
    if spec.featurization.mode == "off" and kind not in (ColumnType.NUMERIC, ColumnType.BOOLEAN):
        return ColumnUse(column.name, kind, False, "featurization is off")
    return ColumnUse(column.name, kind, True)


def _use_of_text(column: Column, has_words: bool) -> ColumnUse:
    """A text task reads its words: short ones that look like categories, too, and names where there is nothing else.

    Azure reads every column as text; here numbers, dates and truths beside the texts stay what they are.
    """
    if column.type in (ColumnType.CATEGORICAL, ColumnType.TEXT):
        return ColumnUse(column.name, ColumnType.TEXT, True)
    if column.type is ColumnType.IDENTIFIER and not has_words:
        return ColumnUse(column.name, ColumnType.TEXT, True)
    if column.type is ColumnType.CONSTANT or column.type is ColumnType.IDENTIFIER:
        reason = "constant" if column.type is ColumnType.CONSTANT else "an identifier"
        return ColumnUse(column.name, column.type, False, reason)
    return ColumnUse(column.name, column.type, True)


def as_typed(table: Table, types: Mapping[str, ColumnType], findings: Findings, key: str) -> Table:
    """The table with these columns turned into these types; what can't be turned is an error at `key`."""
    from automl_jobs.data.describe import describe
    from automl_jobs.data.kinds import Typed

    changed = {
        column.name: types[column.name]
        for column in table.columns
        if types.get(column.name, column.type) != column.type
    }
    if not changed:
        return table
    turned: dict[str, Typed] = {}
    for name, kind in changed.items():
        series, bad = _turn(table.frame[name], kind)
        if bad is not None:
            findings.error(
                key,
                f"column {shown(name)!r} can't be read as {kind}: row {bad + 1} of {shown(table.source)} holds "
                f"{shown(table.frame[name].iloc[bad])!r}",
                "correct the data, or give the column another type in featurization.column_name_and_types",
            )
        turned[name] = Typed(series, kind)
    told = {column.name: column for column in describe(turned)}
    frame = table.frame.assign(**{name: typed.series for name, typed in turned.items()})
    columns = tuple(told.get(column.name, column) for column in table.columns)
    return Table(frame, columns, table.source, table.notes, table.reading)


def _turn(series: pd.Series[Any], kind: ColumnType) -> tuple[pd.Series[Any], int | None]:
    """A column as another type, and the position of the first value that isn't one."""
    import numpy as np
    import pandas as pd

    from forestay_transformers import category_text

    if kind in _WORDS:
        words = series.astype("object").map(category_text)
        return words.astype(pd.StringDtype(na_value=np.nan)), None
    result: pd.Series[Any]
    if kind is ColumnType.NUMERIC:
        if pd.api.types.is_datetime64_any_dtype(series):
            return series, int(series.notna().to_numpy().argmax())
        result = pd.to_numeric(series, errors="coerce").astype("float64")
    elif kind is ColumnType.BOOLEAN:
        truths = {"true": True, "false": False, "1": True, "0": False}
        words = series.astype("object").map(category_text, na_action="ignore")
        result = words.map(lambda word: truths.get(str(word).lower()), na_action="ignore").astype("boolean")
    elif kind is ColumnType.DATETIME:
        if pd.api.types.is_numeric_dtype(series):
            return series, int(series.notna().to_numpy().argmax())
        result = pd.to_datetime(series, errors="coerce", format="ISO8601", utc=True)
        result = result.dt.tz_localize(None).astype("datetime64[us]")
    else:
        return series, None
    lost = (result.isna() & series.notna()).to_numpy()
    return result, int(lost.argmax()) if lost.any() else None
