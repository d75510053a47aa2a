"""The columns of a model from elsewhere, as a sample of rows shows them, and such rows as a request has them.

Of a column's values only the extremes and, where they are few, the categories are kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

MOST_CATEGORIES = 50  # a column of more different texts is free text


def column(series: pd.Series, name: str) -> dict[str, Any]:
    """A column of the schema."""
    known = series.dropna()
    found: dict[str, Any] = {
        "name": name,
        "type": "text",
        "used": True,
        "integer": False,
        "nullable": bool(series.isna().any()),
        "minimum": None,
        "maximum": None,
        "values": None,
        "max_length": None,
    }
    if pd.api.types.is_bool_dtype(series.dtype):
        return {**found, "type": "boolean"}
    if pd.api.types.is_numeric_dtype(series.dtype):
        integer = pd.api.types.is_integer_dtype(series.dtype)
        low, high = (plain(known.min()), plain(known.max())) if len(known) else (None, None)
        return {**found, "type": "numeric", "integer": integer, "minimum": low, "maximum": high}
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        low, high = (known.min().isoformat(), known.max().isoformat()) if len(known) else (None, None)
        return {**found, "type": "datetime", "minimum": low, "maximum": high}
    texts = known.astype(str)
    found["max_length"] = int(texts.str.len().max()) if len(texts) else 0
    values = sorted(texts.unique().tolist())
    if len(values) <= MOST_CATEGORIES and (len(values) < len(texts) or len(texts) <= 3):
        return {**found, "type": "categorical", "values": values}
    return found


def unused(name: str) -> dict[str, Any]:
    return {"name": name, "type": "identifier", "used": False, "integer": False, "nullable": True}


def to_rows(columns: list[dict[str, Any]], frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON has them."""
    found = []
    for values in frame.itertuples(index=False, name=None):
        pairs = zip(columns, values, strict=True)
        found.append({entry["name"]: cell(value, entry["type"]) for entry, value in pairs})
    return found


def cell(value: Any, kind: str) -> Any:
    if pd.isna(value):
        return None
    if kind == "datetime":
        return value.isoformat()
    return str(value) if kind in ("text", "categorical") else plain(value)


def to_frame(columns: list[dict[str, Any]], rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as the frame that a served request becomes."""
    found: dict[str, Any] = {}
    for entry in columns:
        values = [row[entry["name"]] for row in rows]
        if entry["type"] == "numeric":
            whole = entry["integer"] and None not in values
            found[entry["name"]] = np.array(values, dtype=np.int64 if whole else np.float64)
        elif entry["type"] == "datetime":
            found[entry["name"]] = np.array(values, dtype="datetime64[us]")
        else:
            found[entry["name"]] = pd.array(values, dtype="boolean" if entry["type"] == "boolean" else "str")
    return pd.DataFrame(found)


def plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
