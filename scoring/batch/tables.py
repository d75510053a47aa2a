"""Files of rows, read in blocks and written beside what they give: CSV and Parquet.

CSV records are kept as they stand in the file, so that what is written is what was read, and a result behind it.
"""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import io
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from forestay.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_ROWS = 2000
LONGEST_RECORD = 4 * 2**20  # characters; a quote that is opened and not closed would take the whole file
csv.field_size_limit(2**31 - 1)  # of a cell; by itself it is less than what a server takes
Results = Sequence[Sequence[Any]]  # a value for each result column, a row each


@dataclass(frozen=True)
class Block:
    """Rows that stand together in a file.

    Attributes
    ----------
    first: the number of its first row, from 1.
    message: for a worker. rows: the same as they came, for the writer.
    rejects: reasons by position, of rows that are in no message.
    places: the positions of the message's rows.
    share: how much of the file has been read with it, from 0 to 1.
    """

    first: int
    message: dict[str, Any]
    rows: Any
    rejects: dict[int, str]
    places: list[int]
    share: float


class Table(Protocol):
    """A file of rows, and the one that is written of it."""

    columns: list[str]

    def blocks(self) -> Iterator[Block]: ...

    def text(self, rows: Any, place: int) -> str:
        """A row of a block as text, for the rejects."""
        ...

    def writer(self, path: Path, names: Sequence[str], kinds: Sequence[str]) -> Writer:
        """Write rows of this table with more columns, which are of these kinds: text, boolean, integer, number."""
        ...


class Writer(Protocol):
    def write(self, rows: Any, places: Sequence[int], results: Results) -> None:
        """Write the rows of a block at these places, each with its results."""
        ...

    def close(self) -> None: ...


def open_table(path: Path) -> Table:
    """A table by its name's end. Raises InputError when there is none, or it can't be read."""
    if path.suffix.lower() not in KINDS:
        ends = " or ".join(KINDS)
        raise InputError("is neither CSV nor Parquet by its name", where=str(path), fix=f"name it with {ends}")
    try:
        return KINDS[path.suffix.lower()](path)
    except OSError as error:
        raise InputError(
            f"cannot read: {error.strerror or error}", where=str(path), fix="name a file of rows with --input"
        ) from error


def _require_once(columns: Sequence[str], where: str) -> None:
    twice = {name for name in columns if columns.count(name) > 1}
    if twice:
        name = json.dumps(min(twice), ensure_ascii=False)
        raise InputError(f"the column {name} stands twice", where=where, fix="keep one of them")


# ---- CSV ----


class CsvTable:
    """A CSV file in UTF-8, with a header."""

    def __init__(self, path: Path) -> None:
        self.path, self.size = path, max(path.stat().st_size, 1)
        with path.open("rb") as stream:
            first = next(Records(stream), None)
        if first is None or first.text is None or not first.text.strip():
            raise InputError("there is no header", where=f"{path}:1", fix="give a CSV file in UTF-8 with a header")
        self.header = first.text.removeprefix("\ufeff").rstrip("\r\n")
        try:
            [self.columns] = csv.reader([self.header], strict=True)
        except (csv.Error, ValueError) as error:
            raise InputError(f"the header is no CSV: {error}", where=f"{path}:1", fix="check the quotes") from error
        _require_once(self.columns, f"{path}:1")

    def blocks(self) -> Iterator[Block]:
        with self.path.open("rb") as stream:
            records = Records(stream)
            next(records)
            number, rows = 1, []
            for record in records:
                rows.append(record)
                if len(rows) == BLOCK_ROWS:
                    yield self._block(number, rows, stream.tell() / self.size)
                    number, rows = number + len(rows), []
            if rows:
                yield self._block(number, rows, 1.0)

    def _block(self, first: int, rows: list[Record], share: float) -> Block:
        places = [place for place, one in enumerate(rows) if one.text is not None and not one.problem]
        rejects = {place: one.problem for place, one in enumerate(rows) if one.problem}
        message = {"header": self.columns, "records": [rows[place].text for place in places]}
        return Block(first, message, rows, rejects, places, share)

    def text(self, rows: list[Record], place: int) -> str:
        return rows[place].raw.decode("utf-8", "backslashreplace").rstrip("\r\n")

    def writer(self, path: Path, names: Sequence[str], kinds: Sequence[str]) -> Writer:
        return CsvWriter(path, self.header, names)


@dataclass(frozen=True)
class Record:
    """A record as it stands in the file, a line or several. Where it is not UTF-8, or never ends, it has a problem."""

    raw: bytes
    text: str | None
    problem: str = ""


class Records:
    """The records of a CSV file; empty lines are none."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self.stream = stream
        self.again: deque[bytes] = deque()

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        while True:
            raw = self._line()
            if not raw:
                raise StopIteration
            if not raw.strip(b"\r\n"):
                continue
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                return Record(raw, None, f"not UTF-8 at byte {error.start}")
            return Record(raw, text) if '"' not in text else self._quoted(raw, text)

    def _line(self) -> bytes:
        return self.again.popleft() if self.again else self.stream.readline(LONGEST_RECORD)

    def _quoted(self, raw: bytes, text: str) -> Record:
        """The record that begins with this line; quotes may take it over more lines."""
        lines, read = [raw], 0

        def feed() -> Iterator[str]:
            nonlocal read
            read = len(text)
            yield text
            while read < LONGEST_RECORD and (more := self._line()):
                lines.append(more)
                read += len(more)
                yield more.decode("utf-8", "surrogateescape")

        try:
            next(csv.reader(feed(), strict=True))
        except csv.Error as error:
            # The rest may be good records: of the lines that a quote took, only the first is at fault.
            self.again.extendleft(reversed(lines[1:]))
            return Record(raw, text, f"not CSV: {error}")
        whole = b"".join(lines)
        try:
            return Record(whole, whole.decode("utf-8"))
        except UnicodeDecodeError as error:
            return Record(whole, None, f"not UTF-8 at byte {error.start}")


class CsvWriter:
    def __init__(self, path: Path, header: str, names: Sequence[str]) -> None:
        self.stream = path.open("w", encoding="utf-8", newline="")
        self.stream.write(header + "," + csv_line(names) + "\n")

    def write(self, rows: list[Record], places: Sequence[int], results: Results) -> None:
        parts = []
        for place, values in zip(places, results, strict=True):
            parts += [str(rows[place].text).rstrip("\r\n"), ",", csv_line(values), "\n"]
        self.stream.write("".join(parts))

    def close(self) -> None:
        self.stream.close()


def csv_line(values: Sequence[Any]) -> str:
    """Values as cells, without the end of a line."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow([_cell(value) for value in values])
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


# ---- Parquet ----


@dataclass
class ParquetTable:
    """A Parquet file."""

    path: Path
    columns: list[str] = field(init=False)

    def __post_init__(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.path) as found:
                self.schema: pa.Schema = found.schema_arrow
                self.rows = max(found.metadata.num_rows, 1)
        except pa.ArrowInvalid as error:
            told = str(error).splitlines()[0]
            raise InputError(f"not Parquet: {told}", where=str(self.path), fix="give a Parquet file") from error
        self.columns = list(self.schema.names)
        _require_once(self.columns, str(self.path))

    def blocks(self) -> Iterator[Block]:
        number = 1
        for batch in self._batches():
            rows = [{name: _json_value(value) for name, value in row.items()} for row in batch.to_pylist()]
            count = len(rows)
            yield Block(number, {"rows": rows}, batch, {}, list(range(count)), (number + count - 1) / self.rows)
            number += count

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """Rows as many as a block has. Raises InputError where the file is damaged inside."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.path, pre_buffer=False) as found:
                yield from found.iter_batches(batch_size=BLOCK_ROWS)
        except (OSError, pa.ArrowException) as error:
            told = (str(error).splitlines() or ["it does not say how"])[0]
            raise InputError(f"is damaged: {told}", where=str(self.path), fix="write the file again") from error

    def text(self, rows: pa.RecordBatch, place: int) -> str:
        [row] = rows.slice(place, 1).to_pylist()
        return json.dumps(row, ensure_ascii=False, default=str)

    def writer(self, path: Path, names: Sequence[str], kinds: Sequence[str]) -> Writer:
        return ParquetWriter(path, self.schema, names, kinds)


class ParquetWriter:
    def __init__(self, path: Path, schema: pa.Schema, names: Sequence[str], kinds: Sequence[str]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {"text": pa.string(), "boolean": pa.bool_(), "integer": pa.int64(), "number": pa.float64()}
        self.more = [pa.field(name, types[kind]) for name, kind in zip(names, kinds, strict=True)]
        self.schema = pa.schema([*schema, *self.more], metadata=schema.metadata)
        self.stream = pq.ParquetWriter(path, self.schema)

    def write(self, rows: pa.RecordBatch, places: Sequence[int], results: Results) -> None:
        import pyarrow as pa

        kept = rows.take(pa.array(places, type=pa.int64()))
        columns = list(zip(*results, strict=True)) or [() for _ in self.more]
        made = [
            pa.array([_text(value) if pa.types.is_string(one.type) else value for value in values], type=one.type)
            for one, values in zip(self.more, columns, strict=True)
        ]
        self.stream.write_batch(pa.RecordBatch.from_arrays([*kept.columns, *made], schema=self.schema))

    def close(self) -> None:
        self.stream.close()


def _text(value: Any) -> str | None:
    return None if value is None else str(_cell(value))


def _json_value(value: Any) -> Any:
    """A value of a Parquet file as a request holds it; NaN is a missing value."""
    if isinstance(value, float):
        return value if value == value else None
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, list):
        return [_json_value(one) for one in value]
    return value if value is None or isinstance(value, str | int) else str(value)


KINDS: dict[str, Callable[[Path], Table]] = {".csv": CsvTable, ".parquet": ParquetTable}
