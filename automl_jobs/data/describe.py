"""Typed columns to what is said of them: missing, distinct, examples, warnings."""

from __future__ import annotations

from collections.abc import Mapping

from automl_jobs.data.kinds import Typed
from automl_jobs.data.table import Column, ColumnType

_MANY_MISSING = 0.5
_MANY_VALUES = 100
_EXAMPLES = 3
_EXAMPLE_LENGTH = 60


def describe(columns: Mapping[str, Typed]) -> tuple[Column, ...]:
    """A Column for each, in the same order."""
    return tuple(_describe(name, typed) for name, typed in columns.items())


def _describe(name: str, typed: Typed) -> Column:
    series = typed.series
    rows = len(series)
    missing = int(series.isna().sum())
    unique = series.dropna().unique()
    warnings = list(typed.warnings)
    if typed.type is ColumnType.CONSTANT:
        warnings.append("all values are missing" if missing == rows else "always the same value")
    elif missing > rows * _MANY_MISSING:
        warnings.append(f"{missing / rows:.0%} missing")
    if typed.type is ColumnType.IDENTIFIER:
        warnings.append("looks like an identifier: not used for training")
    if typed.type is ColumnType.CATEGORICAL and len(unique) > max(_MANY_VALUES, 0.5 * (rows - missing)):
        warnings.append(f"high cardinality: {len(unique)} different values")
    elif typed.type is ColumnType.CATEGORICAL and len(unique) > _MANY_VALUES:
        warnings.append(f"many categories: {len(unique)}")
    examples = tuple(_text(value) for value in unique[:_EXAMPLES])
    return Column(name, typed.type, missing, len(unique), examples, tuple(warnings))


def _text(value: object) -> str:
    import pandas as pd

    if isinstance(value, pd.Timestamp):
        text = value.isoformat(sep=" ").removesuffix(" 00:00:00")
    elif isinstance(value, float):
        text = f"{value:.10g}"
    else:
        text = str(value)
    return text if len(text) <= _EXAMPLE_LENGTH else text[: _EXAMPLE_LENGTH - 1] + "…"
