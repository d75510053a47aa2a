"""Delimited text to Arrow columns of text: the shape is checked, nothing is interpreted."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from automl_jobs.data import dialect
from forestay.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK = 1 << 24
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")


def parse(data: bytes, delimiter: str, where: str) -> pa.Table:
    """The records of UTF-8 `data` as columns of text named f0, f1, ..., the header a record like any other.

    An empty field is null, quoted or not. Quotes are double quotes, doubled inside; blank lines are skipped; values
    may hold line breaks. Raises InputError naming the line whose number of fields differs from the first one's.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    if not dialect.usable(delimiter):
        raise InputError(
            f"{delimiter!r} cannot be a delimiter",
            where=where,
            fix="the delimiter is one character, such as , ; | or \\t",
        )
    at = data.find(b"\0")
    if at >= 0:
        from automl_jobs.data.encoding import line_at

        raise InputError(
            "holds NUL characters",
            where=f"{where}:{line_at(data, at)}",
            fix="give a text file, or say its encoding (--encoding utf16)",
        )
    rows = dialect.sample_rows(data, delimiter, limit=1)
    width = max(len(rows[0]) if rows else 1, data[:_BLOCK].split(b"\n", 1)[0].count(delimiter.encode()) + 1)
    text = {f"f{index}": pa.string() for index in range(width)}
    block = min(max(_BLOCK, 1), max(len(data), 1))
    while True:
        try:
            return arrow_csv.read_csv(
                pa.py_buffer(data),
                read_options=arrow_csv.ReadOptions(autogenerate_column_names=True, block_size=block),
                parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=text, strings_can_be_null=True, null_values=[""], quoted_strings_can_be_null=True
                ),
            )
        except (pa.ArrowException, OverflowError) as error:
            if "straddling" in str(error) and block < len(data):
                block = len(data)
                continue
            raise _diagnose(data, delimiter, where, error) from error


def _diagnose(data: bytes, delimiter: str, where: str, error: Exception) -> InputError:
    """The error for a file that does not split into rows of one width: its first bad line."""
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline=""), delimiter=delimiter)
    expected, first, line = 0, 1, 1
    try:
        for row in reader:
            if row and not expected:
                expected, first = len(row), line
            elif row and len(row) != expected:
                name = dialect.NAMES.get(delimiter, repr(delimiter))
                return InputError(
                    f"{len(row)} field{'s' if len(row) != 1 else ''}, but line {first} has {expected}",
                    where=f"{where}:{line}",
                    fix=f"check the delimiter ({name}; --delimiter) and the quotes around values that hold it",
                )
            line = reader.line_num + 1
    except (csv.Error, UnicodeError) as fault:
        return InputError(f"cannot be split into fields: {fault}", where=f"{where}:{line}", fix="check the quotes")
    return InputError(
        f"cannot be split into fields: {str(error).splitlines()[0]}",
        where=where,
        fix="check for a quote that is opened and never closed",
    )


def header(table: pa.Table, where: str) -> list[str]:
    """The first record as column names; an empty one becomes Column<position>.

    Raises InputError for a name used twice.
    """
    first = [column[0].as_py() if len(column) else None for column in table.columns]
    names = [name if name and name.strip() else f"Column{index}" for index, name in enumerate(first, 1)]
    seen: dict[str, int] = {}
    for index, name in enumerate(names, 1):
        if name in seen:
            raise InputError(
                f"two columns are called {name!r}: fields {seen[name]} and {index}",
                where=f"{where}:1",
                fix="rename one of them in the file",
            )
        seen[name] = index
    return names


def blank_names(table: pa.Table) -> list[int]:
    """Positions, from 1, of the fields of the first record that are empty."""
    return [
        index
        for index, column in enumerate(table.columns, 1)
        if not (len(column) and column[0].as_py() and column[0].as_py().strip())
    ]


def has_line_breaks(table: pa.Table) -> bool:
    """Whether any value holds a line break."""
    import pyarrow.compute as pc

    return any(
        bool(pc.any(pc.match_substring(column, mark)).as_py()) for column in table.columns for mark in ("\n", "\r")
    )


def looks_like_data(table: pa.Table) -> bool:
    """Whether the first record is numbers only, so that it hardly holds names."""
    first = [column[0].as_py() for column in table.columns]
    return all(text is not None and _NUMBER.fullmatch(text.strip()) for text in first)
