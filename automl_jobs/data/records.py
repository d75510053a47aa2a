"""Parquet and JSON Lines to Arrow columns."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

from forestay.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa


def parquet(data: bytes, where: str) -> pa.Table:
    """The columns of a Parquet file. Raises InputError when it is none."""
    import pyarrow as pa
    from pyarrow import parquet as arrow_parquet

    try:
        return arrow_parquet.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"is not a Parquet file that can be read: {str(error).splitlines()[0]}", where=where, fix="write it again"
        ) from error


def json_lines(data: bytes, where: str, drop_invalid: bool = False) -> tuple[pa.Table, bool]:
    """The objects of a JSON Lines file as columns, in the order in which keys appear first.

    Nested values are kept as JSON text, and so is a column with values of several kinds; the second result says
    whether there are any. Raises InputError naming the line that is not a JSON object, unless `drop_invalid`
    (MLTable's invalid_lines: drop).
    """
    import pyarrow as pa

    columns: dict[str, list[object]] = {}
    count = 0
    for number, line in enumerate(io.BytesIO(data), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError(f"a JSON object is wanted, found {type(record).__name__}")
        except (ValueError, RecursionError) as error:
            if drop_invalid:
                continue
            raise InputError(
                f"not valid JSON: {error}" if not isinstance(error, RecursionError) else "nested too deeply",
                where=f"{where}:{number}",
                fix="one JSON object a line; invalid_lines: drop in an MLTable leaves bad ones out",
            ) from error
        for name, value in record.items():
            values = columns.get(name)
            if values is None:
                values = columns[name] = [None] * count
            values.append(value)
        count += 1
        for values in columns.values():
            if len(values) < count:
                values.append(None)
    if not count or not columns:
        raise InputError("holds no rows", where=where, fix="one JSON object a line")
    arrays = [_array(values) for values in columns.values()]
    table = pa.table([array for array, _ in arrays], names=[_encodable(name) for name in columns])
    return table, any(nested for _, nested in arrays)


def _encodable(text: str) -> str:
    """A lone surrogate (\\ud800) is valid JSON but no text: it becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _array(values: list[object]) -> tuple[pa.Array, bool]:
    """A column, and whether some value had to become JSON text."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float}:
        try:
            return pa.array(values, pa.float64() if float in kinds else pa.int64()), False
        except (OverflowError, pa.ArrowException):
            kinds = {object}
    if kinds == {bool}:
        return pa.array(values, pa.bool_()), False
    texts = (
        value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values
    )
    array = pa.array([None if text is None else _encodable(text) for text in texts], pa.string())
    return array, bool(kinds - {str})
