"""A path to a Table: picks the reader by what lies there, then types and describes the columns."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from automl_jobs.data.table import Reading, ReadOptions, Table
from forestay.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from automl_jobs.data.infer import Inferred

MLTABLE = "MLTable"
_JSON = (".jsonl", ".json", ".ndjson")


def load_table(path: Path | str, read: ReadOptions | None = None, base: Path | None = None) -> Table:
    """Read an MLTable folder, or a delimited text, Parquet or JSON Lines file.

    Parameters
    ----------
    path: as the user gave it; a relative one is looked up from `base`, or from the current folder.
    read: what the user says of the file; what is not said is guessed, and the guess noted in the table.

    Raises InputError (file:line) for what is wrong with the file, OutsideError for a path in a cloud.
    """
    from automl_jobs.data import encoding, steps

    options = read or ReadOptions()
    source = str(path)
    error = steps.outside(source, "")
    if error is not None:
        raise error
    place = (base or Path()) / path
    try:
        folder = place.is_dir()
    except (OSError, ValueError) as fault:
        raise InputError(f"cannot be a path: {fault}", where=repr(source)) from fault
    if folder and not (place / MLTABLE).is_file():
        raise InputError(
            "the folder has no file called MLTable", where=source, fix="give a data file, or a folder with an MLTable"
        )
    if folder or place.name == MLTABLE:
        return _mltable(place / MLTABLE if folder else place, source, options)
    data, packed = encoding.read_bytes(place, source, text=False)
    suffix = Path(place.stem).suffix.lower() if packed else place.suffix.lower()
    if suffix in (".parquet", ".pq") or data.startswith(b"PAR1"):
        return _parquet(data, source, options)
    if suffix in _JSON or data.lstrip()[:1] == b"{":
        return _json(data, source, options, packed)
    return _delimited(data, source, options, suffix, packed)


def _delimited(data: bytes, source: str, options: ReadOptions, suffix: str, packed: bool) -> Table:
    from automl_jobs.data import delimited, dialect, encoding
    from automl_jobs.data.infer import infer
    from automl_jobs.data.kinds import listed

    encoding.refuse_binary(data, source)
    notes: list[str] = []
    unusual = ["gzip"] if packed else []
    name = (encoding.known(options.encoding) or options.encoding) if options.encoding else encoding.detect(data, source)
    if not options.encoding and name not in ("utf8", "utf8bom"):
        notes.append(f"encoding {name}: --encoding sets another")
    if name not in encoding.EVERYWHERE:
        unusual.append(f"encoding {name}")
    text = encoding.to_utf8(data, name, source)
    delimiter = options.delimiter or dialect.guess(text, suffix)
    raw = delimited.parse(text, delimiter, source)
    if not options.delimiter and delimiter != ("\t" if suffix == ".tsv" else ","):
        found = (
            f"{dialect.NAMES[delimiter]} between fields" if raw.num_columns > 1 else "one column, lines are not split"
        )
        notes.append(f"{found}: --delimiter sets another")
    quoted = b'"' in text
    del data, text  # the columns hold their own copy
    multi_line = quoted and delimited.has_line_breaks(raw)
    if options.header:
        names = delimited.header(raw, source)
        blank = delimited.blank_names(raw)
        if blank:
            unusual.append("columns without a name")
            notes.append(f"columns without a name: {listed([names[index - 1] for index in blank])}")
        if delimited.looks_like_data(raw):
            notes.append("the first line looks like data, but names the columns: --no-header makes it a row")
        raw = raw.slice(1)
    else:
        names = [f"Column{index}" for index in range(1, raw.num_columns + 1)]
    if not len(raw):
        raise InputError("has a header but no rows", where=source, fix="give a file with rows, or say --no-header")
    columns = dict(zip(names, raw.columns, strict=True))
    del raw
    inferred = infer(columns, options, european=delimiter == ";")
    reading = Reading(
        "read_delimited",
        delimiter,
        name,
        options.header,
        multi_line,
        MappingProxyType({column: typed.formats for column, typed in inferred.columns.items() if typed.formats}),
        (*unusual, *inferred.unusual),
    )
    return _table(inferred, source, notes, reading)


def _parquet(data: bytes, source: str, options: ReadOptions) -> Table:
    from automl_jobs.data import records
    from automl_jobs.data.infer import infer

    inferred = infer(_columns(records.parquet(data, source), source), options, text="none")
    return _table(inferred, source, [], Reading("read_parquet"))


def _json(data: bytes, source: str, options: ReadOptions, packed: bool) -> Table:
    from automl_jobs.data import encoding, records
    from automl_jobs.data.infer import infer

    unusual = ["gzip"] if packed else []
    notes: list[str] = []
    name = (encoding.known(options.encoding) or options.encoding) if options.encoding else encoding.detect(data, source)
    if name not in encoding.EVERYWHERE:
        unusual.append(f"encoding {name}")
    text = encoding.to_utf8(data, name, source)
    if text.lstrip()[:1] == b"[":
        unusual.append("a JSON array")
        text = _as_lines(text, source)
    raw, nested = records.json_lines(text, source)
    if nested:
        unusual.append("nested or mixed values")
        notes.append("nested and mixed values are taken as JSON text")
    inferred = infer(_columns(raw, source), options, text="dates")
    formats = {column: typed.formats for column, typed in inferred.columns.items() if typed.formats}
    reading = Reading(
        "read_json_lines", encoding=name, formats=MappingProxyType(formats), unusual=(*unusual, *inferred.unusual)
    )
    return _table(inferred, source, notes, reading)


def _as_lines(text: bytes, source: str) -> bytes:
    """A JSON array of objects as JSON Lines."""
    try:
        rows = json.loads(text)
        return "\n".join(json.dumps(row) for row in rows).encode()
    except (ValueError, RecursionError) as error:
        raise InputError(f"not valid JSON: {error}", where=source, fix="one JSON object a line") from error


def _columns(raw: pa.Table, source: str) -> dict[str, pa.ChunkedArray]:
    names = raw.column_names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two columns are called {twice[0]!r}", where=source, fix="rename one of them")
    if not names or not len(raw):
        raise InputError("holds no rows", where=source, fix="give a file with rows")
    return dict(zip(names, raw.columns, strict=True))


def _mltable(path: Path, source: str, options: ReadOptions) -> Table:
    from automl_jobs.data import mltable, steps
    from automl_jobs.data.infer import infer

    where = source if Path(source).name == MLTABLE else str(Path(source) / MLTABLE)
    said = [
        flag
        for flag, given in (
            ("--delimiter", options.delimiter is not None),
            ("--encoding", options.encoding is not None),
            ("--no-header", not options.header),
        )
        if given
    ]
    if said:
        raise InputError(
            "the MLTable says how its files are read", where=said[0], fix=f"leave the flag out, or change {where}"
        )
    table = mltable.parse(path, where)
    columns = steps.run(table, options.days)
    text = {"read_delimited": "all", "read_parquet": "none", "read_json_lines": "dates"}[table.reader.kind]
    # Azure knows no decimal comma and no thousands marks: without the user's word there are none.
    options = dataclasses.replace(options, decimal=options.decimal or ".", thousands=options.thousands or "")
    inferred = infer(columns.values, options, text, table.reader.delimiter == ";", frozenset(columns.said))
    notes = (re.sub(r": --.*", ": convert_column_types in the MLTable settles it", note) for note in inferred.notes)
    columns.notes.extend(notes)
    warned = {
        name: dataclasses.replace(typed, warnings=(*typed.warnings, *columns.warnings.get(name, ())))
        for name, typed in inferred.columns.items()
    }
    return _table(dataclasses.replace(inferred, columns=warned, notes=()), source, columns.notes, None)


def _table(inferred: Inferred, source: str, notes: list[str], reading: Reading | None) -> Table:
    import pandas as pd

    from automl_jobs.data.describe import describe

    frame = pd.DataFrame({name: typed.series for name, typed in inferred.columns.items()})
    return Table(frame, describe(inferred.columns), source, (*notes, *inferred.notes), reading)
