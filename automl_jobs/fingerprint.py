"""What a job's tables hold, as short marks: whether the data is still that on which trials were compared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from automl_jobs.prepare import Prepared


def of_tables(prepared: Prepared) -> dict[str, dict[str, Any]]:
    """The marks of a prepared job's tables by the job file's key: `{"rows", "columns", "sha256", "periods"}`.

    The hash is of names, types and values as they were read, in their order; how the files spell them does not count.
    The periods are the first and the last moment of each column of times.
    """
    tables = {"training_data": prepared.train, "validation_data": prepared.validation, "test_data": prepared.test}
    return {key: mark(table.frame) for key, table in tables.items() if table is not None}


def mark(frame: pd.DataFrame) -> dict[str, Any]:
    """The mark of one table."""
    total = hashlib.sha256()
    for name, column in frame.items():
        total.update(f"{name}\0{column.dtype}\0".encode())
        total.update(_hashes(column).tobytes())
    return {
        "rows": len(frame),
        "columns": [str(name) for name in frame.columns],
        "sha256": total.hexdigest(),
        "periods": {
            str(name): [times.min().isoformat(), times.max().isoformat()]
            for name, times in frame.select_dtypes("datetime").items()
            if times.notna().any()
        },
    }


def _hashes(column: pd.Series) -> Any:
    from pandas.util import hash_array, hash_pandas_object

    try:
        return hash_pandas_object(column, index=False).to_numpy()
    except TypeError:  # values that can't be hashed, such as lists of labels
        return hash_array(column.map(repr).to_numpy(dtype="object"))


def differences(then: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What has changed between the marks of two moments, a line each."""
    lines = []
    for key in dict.fromkeys([*then, *now]):
        old, new = then.get(key), now.get(key)
        if old is None or new is None:
            lines.append(f"{key} is {'no longer' if new is None else 'now'} there")
        elif old["columns"] != new["columns"]:
            changed = [name for name in [*new["columns"], *old["columns"]] if name not in _both(old, new)]
            what = f"columns {', '.join(map(repr, changed[:5]))}" if changed else "the order of columns"
            lines.append(f"{key}: {what} changed")
        elif old["rows"] != new["rows"]:
            lines.append(f"{key} has {new['rows']:,} rows, had {old['rows']:,}")
        elif old["sha256"] != new["sha256"]:
            lines.append(f"{key} has other values in its {new['rows']:,} rows")
    return lines


def _both(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    return set(old["columns"]) & set(new["columns"])
