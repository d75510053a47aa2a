"""Carry out an MLTable: find its files, read them, apply its steps in order.

Explicit types win over inference: a column named in convert_column_types is parsed from the text of the file and never
guessed at. A value that does not fit the type becomes missing, as in Azure, and the column carries a warning.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from automl_jobs.data import dates, delimited, encoding, numbers, records
from automl_jobs.data.kinds import as_text, show, unknown_column
from automl_jobs.data.mltable import Conversion, MLTable, PathEntry, Reader, Step
from forestay.errors import InputError, OutsideError

if TYPE_CHECKING:
    import pyarrow as pa

_REMOTE = re.compile(r"(azureml|https?|wasbs?|abfss?|adl):", re.IGNORECASE)


@dataclass
class Columns:
    """Columns on their way through the steps.

    Attributes
    ----------
    said: columns of text that stay text, because the MLTable says string.
    warnings: column -> what happened to its values.
    days: see ReadOptions.
    """

    values: dict[str, pa.ChunkedArray]
    said: set[str] = field(default_factory=set)
    warnings: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    days: tuple[str, ...] = ()


def outside(path: str, where: str) -> OutsideError | None:
    """The error for a path that lies in a cloud; None for a local one."""
    if not _REMOTE.match(path):
        return None
    return OutsideError(
        f"{path} cannot be reached from here",
        where=where,
        fix="download it and give the local path; Azure reads it where it is",
    )


def run(table: MLTable, days: tuple[str, ...] = ()) -> Columns:
    """Read the files and apply the steps; `days` as in ReadOptions.

    Raises InputError or OutsideError naming MLTable:line.
    """
    files = find(table)
    columns = Columns(_read(table, files), days=days)
    if table.reader.kind == "read_delimited" and not table.reader.infer:
        columns.said = set(columns.values)
    for step in table.steps:
        _apply(step, columns, table.where)
    return columns


def find(table: MLTable) -> list[tuple[Path, str]]:
    """The files that `paths` name, in order, each with its name for messages."""
    files: dict[Path, str] = {}
    for entry in table.paths:
        where = f"{table.where}:{entry.line}"
        error = outside(entry.value, where)
        if error is not None:
            raise error
        for path in _matches(entry, table.folder, where):
            files.setdefault(path, str(path))
    return list(files.items())


def _matches(entry: PathEntry, folder: Path, where: str) -> list[Path]:
    text = entry.value.removeprefix("file://")
    try:
        if entry.kind == "pattern":
            found = sorted(folder / name for name in glob.glob(text, root_dir=folder, recursive=True))
            found = [path for path in found if path.is_file()]
        else:
            path = folder / text
            if entry.kind == "file" and path.is_dir():
                raise InputError(f"{text} is a folder", where=where, fix="write `folder:` instead of `file:`")
            found = [path]
            if entry.kind == "folder":
                found = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else []
                found = [item for item in found if not item.name.startswith(".") and item.name != "MLTable"]
        if not found or not found[0].is_file():
            raise InputError(f"there is no file at {entry.value}", where=where, fix=f"paths are relative to {folder}")
    except (OSError, ValueError, re.error) as error:
        raise InputError(f"cannot look up {entry.value!r}: {error}", where=where, fix="check the path") from error
    return found


def _read(table: MLTable, files: Sequence[tuple[Path, str]]) -> dict[str, pa.ChunkedArray]:
    reader = table.reader
    if reader.kind == "read_delimited":
        parts = _delimited(table, files)
    else:
        parts = []
        for path, where in files:
            data, _ = encoding.read_bytes(path, where, text=reader.kind == "read_json_lines")
            if reader.kind == "read_parquet":
                parts.append(records.parquet(data, where))
            else:
                text = encoding.to_utf8(data, reader.encoding, where)
                parts.append(records.json_lines(text, where, reader.drop_invalid)[0])
    names = list(dict.fromkeys(name for part in parts for name in part.column_names))
    if reader.path_column is not None:
        parts = [_with_path(part, reader, path, table) for part, (path, _) in zip(parts, files, strict=True)]
        names.insert(0, reader.path_column)
    return {name: _stack(name, parts, table) for name in names}


def _with_path(part: pa.Table, reader: Reader, path: Path, table: MLTable) -> pa.Table:
    import pyarrow as pa

    if reader.path_column in part.column_names:
        raise InputError(
            f"the data has a column {reader.path_column!r} of its own",
            where=f"{table.where}:{reader.line}",
            fix="leave include_path_column out",
        )
    try:
        name = path.relative_to(table.folder).as_posix()
    except ValueError:
        name = path.as_posix()
    return part.append_column(reader.path_column, pa.array([name] * len(part), pa.string()))


def _stack(name: str, parts: Sequence[pa.Table], table: MLTable) -> pa.ChunkedArray:
    """One column of all files, null where a file lacks it; text when the files disagree on its type."""
    import pyarrow as pa
    import pyarrow.compute as pc

    types = {part.column(name).type for part in parts if name in part.column_names}
    kind = types.pop() if len(types) == 1 else None
    if kind is None:
        kind = pa.float64() if all(pa.types.is_integer(t) or pa.types.is_floating(t) for t in types) else pa.string()
    chunks: list[pa.Array] = []
    for part in parts:
        if name not in part.column_names:
            chunks.append(pa.nulls(len(part), kind))
            continue
        column = part.column(name)
        if column.type != kind:
            column = as_text(column) if kind == pa.string() else pc.cast(column, kind, safe=False)
        chunks.extend(column.chunks)
    return pa.chunked_array(chunks, kind)


def _delimited(table: MLTable, files: Sequence[tuple[Path, str]]) -> list[pa.Table]:
    reader = table.reader
    parts: list[pa.Table] = []
    names: list[str] | None = None
    for path, where in files:
        data, _ = encoding.read_bytes(path, where)
        text = encoding.to_utf8(data, reader.encoding, where)
        part = delimited.parse(text, reader.delimiter, where)
        if not reader.multi_line and b'"' in text and delimited.has_line_breaks(part):
            raise InputError(
                "a quoted value holds a line break, at which Azure would cut the row",
                where=f"{table.where}:{reader.line}",
                fix="add `support_multi_line: true` to read_delimited",
            )
        own = delimited.header(part, where) if reader.header != "no_header" else None
        if names is None or reader.header == "all_files_different_headers":
            names = own or [f"Column{index}" for index in range(1, part.num_columns + 1)]
            skip = 0 if own is None else 1
        else:
            skip = 1 if reader.header == "all_files_same_headers" else 0
            if part.num_columns != len(names):
                raise InputError(
                    f"{part.num_columns} columns, but {files[0][1]} has {len(names)}",
                    where=where,
                    fix="say header: all_files_different_headers when the files differ",
                )
            if skip and own != names:
                odd = next((mine, theirs) for mine, theirs in zip(own or [], names, strict=True) if mine != theirs)
                raise InputError(
                    f"column {show(odd[0])} stands where {files[0][1]} has {show(odd[1])}",
                    where=f"{where}:1",
                    fix="say header: all_files_different_headers when the files differ",
                )
        part = part.slice(skip).rename_columns(names)
        parts.append(_fill_empty(part) if reader.empty_as_string else part)
    if not any(len(part) for part in parts):
        raise InputError("has a header but no rows", where=files[0][1], fix="give a file with rows")
    return parts


def _fill_empty(part: pa.Table) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pa.table([pc.fill_null(column, "") for column in part.columns], names=part.column_names)


def _apply(step: Step, columns: Columns, file: str) -> None:
    import pyarrow as pa

    where = f"{file}:{step.line}"
    values = columns.values
    named = [*step.columns, *(name for conversion in step.conversions for name in conversion.columns)]
    for name in named:
        if name not in values:
            line = next((c.line for c in step.conversions if name in c.columns), step.line)
            raise unknown_column(name, list(values), f"{file}:{line}")
    if step.kind == "keep_columns":
        columns.values = {name: column for name, column in values.items() if name in step.columns}
    elif step.kind == "drop_columns":
        columns.values = {name: column for name, column in values.items() if name not in step.columns}
        if not columns.values:
            raise InputError("drops every column", where=where, fix="keep at least one")
    elif step.kind == "convert_column_types":
        for conversion in step.conversions:
            for name in conversion.columns:
                _convert(name, conversion, columns, f"{file}:{conversion.line}")
    elif step.kind in ("take", "skip"):
        bounds = (0, step.count) if step.kind == "take" else (step.count, None)
        columns.values = {name: column.slice(*bounds) for name, column in values.items()}
    else:
        import numpy as np

        rows = len(next(iter(values.values())))
        mask = pa.array(np.random.default_rng(step.seed or 0).random(rows) < step.probability)
        columns.values = {name: column.filter(mask) for name, column in values.items()}
        columns.notes.append("take_random_sample draws other rows here than in Azure")
    if not len(next(iter(columns.values.values()))):
        raise InputError(f"{step.kind} leaves no rows", where=where, fix="take more, or skip fewer")


def _convert(name: str, conversion: Conversion, columns: Columns, where: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = columns.values[name]
    columns.said.discard(name)
    if conversion.type == "string":
        columns.values[name] = as_text(values)
        columns.said.add(name)
        return
    if conversion.type == "datetime" and (pa.types.is_timestamp(values.type) or pa.types.is_date(values.type)):
        return
    text = pc.utf8_trim_whitespace(as_text(values))
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    if conversion.type == "boolean":
        columns.values[name] = _boolean(name, text, conversion, where)
        return
    if conversion.type == "datetime":
        converted, moved = _datetime(text, name, conversion, where, name in columns.days)
        if moved:
            columns.warnings.setdefault(name, []).append(dates.IN_UTC)
    else:
        converted = _number(text, whole=conversion.type == "int")
    columns.values[name] = converted
    lost = converted.null_count - text.null_count
    if lost:
        odd = text.filter(pc.and_(pc.is_null(converted), pc.is_valid(text)))
        shown = ", ".join(repr(value) for value in pc.unique(odd).slice(0, 3).to_pylist())
        if converted.null_count == len(converted):
            raise InputError(
                f"column {name!r} is not {conversion.type}: {shown}", where=where, fix="convert it to string"
            )
        columns.warnings.setdefault(name, []).append(f"{lost} values are not {conversion.type}, and missing: {shown}")


def _number(text: pa.ChunkedArray, whole: bool) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    found = numbers.to_numbers(text)
    if found is None:
        fits = numbers.matches(text, numbers.NUMBER)
        found = numbers.to_numbers(pc.if_else(fits, text, pa.scalar(None, pa.string())))
        if found is None:
            found = pc.cast(pc.if_else(fits, text, pa.scalar(None, pa.string())), pa.float64())
    if whole and pa.types.is_floating(found.type):
        fits = pc.and_(pc.equal(pc.round(found), found), pc.less(pc.abs(found), 2.0**63))
        return pc.cast(pc.if_else(fits, found, pa.scalar(None, pa.float64())), pa.int64(), safe=False)
    return found if whole else pc.cast(found, pa.float64(), safe=False)


def _boolean(name: str, text: pa.ChunkedArray, conversion: Conversion, where: str) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    true, false = conversion.true_values, conversion.false_values
    if not true:
        true, false = ("true", "1"), ("false", "0")
        text = pc.utf8_lower(text)
    is_true = pc.is_in(text, value_set=pa.array(true, pa.string()))
    is_false = pc.is_in(text, value_set=pa.array(false, pa.string()))
    odd = pc.and_(pc.is_valid(text), pc.invert(pc.or_(is_true, is_false)))
    if conversion.mismatch_as == "error" and pc.any(odd).as_py():
        shown = ", ".join(repr(value) for value in pc.unique(text.filter(odd)).slice(0, 3).to_pylist())
        raise InputError(
            f"column {name!r} is not boolean: {shown}",
            where=where,
            fix="name the values in true_values and false_values, or say mismatch_as: true or false",
        )
    truth = pc.if_else(odd, conversion.mismatch_as == "true", is_true)
    return pc.if_else(pc.is_valid(text), truth, pa.scalar(None, pa.bool_()))


def _datetime(
    text: pa.ChunkedArray, name: str, conversion: Conversion, where: str, days: bool
) -> tuple[pa.ChunkedArray, bool]:
    """Text as times, and whether an offset has moved them to UTC though the column might have held days."""
    import pyarrow as pa
    import pyarrow.compute as pc

    formats = conversion.formats
    if not formats:
        counts = pc.value_counts(text.drop_null())
        found = dates.look_at(counts.field("values"), counts.field("counts"), None) if len(counts) else None
        if found is None and len(counts):
            raise InputError(
                f"column {name!r} has no dates in a format that is known", where=where, fix="say `datetime: formats:`"
            )
        formats = found.formats if found else ()
    try:
        parsed, moved = dates.parse_days(text, formats, days)
    except ValueError as error:
        raise InputError(f"a datetime format cannot be used: {error}", where=where, fix="as in %Y-%m-%d") from error
    return pa.chunked_array([pa.Array.from_pandas(parsed)]), moved
