"""Files of rows in blocks: records are what Python's csv reads, and what can't be read is told and passed over."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestay.errors import InputError
from scoring.batch import tables
from scoring.batch.pool import Pool
from scoring.batch.tables import Records, open_table

CELLS = st.lists(st.lists(st.text(alphabet='a",\r\n é', max_size=6), min_size=2, max_size=2), min_size=1, max_size=8)


def records(raw: bytes) -> list[tuple[bytes, str]]:
    return [(one.raw, one.problem) for one in Records(io.BufferedReader(io.BytesIO(raw)))]


@settings(max_examples=300, deadline=None)
@given(CELLS, st.sampled_from(["\n", "\r\n"]))
def test_records_are_those_of_csv(cells: list[list[str]], end: str) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(cells)
    raw = written.getvalue().encode()
    found = records(raw)
    assert b"".join(one for one, _ in found) == raw
    assert [next(csv.reader([one.decode()], strict=True)) for one, _ in found] == cells
    assert not any(problem for _, problem in found)


def test_what_is_no_record_is_told_and_the_next_one_read() -> None:
    raw = b'a,"open\nb,1\n\n\xff,2\nc,"x"y\nd,"two\nlines"\ne,5" pipe\n'
    found = records(raw)
    assert [one for one, _ in found] == [
        b'a,"open\n', b"b,1\n", b"\xff,2\n", b'c,"x"y\n', b'd,"two\nlines"\n', b'e,5" pipe\n',
    ]  # fmt: skip
    problems = [problem for _, problem in found]
    assert [problem[:8] for problem in problems] == ["not CSV:", "", "not UTF-", "not CSV:", "", ""]


def test_a_quote_that_never_ends_takes_no_more_than_it_may() -> None:
    raw = b'a,"open\n' + b"b,1\n" * 1000
    with mock.patch.object(tables, "LONGEST_RECORD", 100):
        found = records(raw)
    assert len(found) == 1001
    assert [bool(problem) for _, problem in found] == [True, *[False] * 1000]


@pytest.mark.parametrize(
    ("name", "raw", "says"),
    [
        ("x.csv", b"", "there is no header"),
        ("x.csv", b'a,"b\n1,2\n', "no header|the header"),
        ("x.csv", b"a,a\n1,2\n", "stands twice"),
        ("x.parquet", b"no", "not Parquet"),
        ("x.parquet", b"twice", "stands twice"),
        ("x.txt", b"a\n", "neither CSV nor Parquet"),
        ("gone.csv", None, "cannot read: No such file"),
    ],
)
def test_files_that_are_none(tmp_path: Path, name: str, raw: bytes | None, says: str) -> None:
    if raw == b"twice":
        pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / name)
    elif raw is not None:
        (tmp_path / name).write_bytes(raw)
    with pytest.raises(InputError, match=says):
        open_table(tmp_path / name)


def test_csv_is_written_as_it_was_read(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes('\ufeffa,"b ""c"""\r\n 1 ,"x\ny"\r\n2,é'.encode())
    table = open_table(tmp_path / "x.csv")
    assert table.columns == ["a", 'b "c"']
    [block] = table.blocks()
    assert (block.first, block.share, block.places) == (1, 1.0, [0, 1])
    writer = table.writer(tmp_path / "y.csv", ["p", "q"], ["text", "number"])
    writer.write(block.rows, [0, 1], [['say "x"', 0.5], [True, None]])
    writer.close()
    written = (tmp_path / "y.csv").read_bytes().decode()
    assert written == 'a,"b ""c""",p,q\n 1 ,"x\ny","say ""x""",0.5\n2,é,true,\n'


def test_parquet_keeps_types_and_gains_columns(tmp_path: Path) -> None:
    given = pa.table({"a": pa.array([1, 2, 3], pa.int8()), "t": pa.array([0, 1, None], pa.timestamp("us"))})
    pq.write_table(given, tmp_path / "x.parquet")
    table = open_table(tmp_path / "x.parquet")
    [block] = table.blocks()
    assert block.message["rows"][0] == {"a": 1, "t": "1970-01-01T00:00:00"}
    assert table.text(block.rows, 1) == '{"a": 2, "t": "1970-01-01 00:00:00.000001"}'
    writer = table.writer(tmp_path / "y.parquet", ["p", "b"], ["text", "boolean"])
    writer.write(block.rows, [0, 2], [["x", True], [["l"], None]])
    writer.close()
    found = pq.read_table(tmp_path / "y.parquet")
    assert found.select(["a", "t"]).equals(given.take([0, 2]))
    assert found["p"].to_pylist() == ["x", '["l"]']
    assert found["b"].to_pylist() == [True, None]


def test_a_parquet_file_that_is_damaged_inside_is_the_users(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": [number + 0.1 for number in range(50_000)]}), path, row_group_size=10_000)
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 3000] = b"\xff" * 3000
    path.write_bytes(raw)
    blocks = open_table(path).blocks()
    assert len(next(blocks).places) == tables.BLOCK_ROWS
    with pytest.raises(InputError, match="damaged") as caught:
        list(blocks)
    assert caught.value.problems[0].where == str(path)


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_long_text_is_a_cell_as_any_other(tmp_path: Path, quote: str) -> None:
    """A worker of its own reads it, too: what it imports is its own."""
    text = f"{quote}{'x' * 200_000}{quote}"
    (tmp_path / "x.csv").write_text(f"t,n\n{text},1\nshort,2\n")
    [block] = open_table(tmp_path / "x.csv").blocks()
    assert (block.rejects, block.places) == ({}, [0, 1])
    (tmp_path / "score.py").write_text(
        "import json\n"
        "def init(): pass\n"
        "class Answer:\n"
        "    status_code = 200\n"
        "    def __init__(self, data): self.data = data\n"
        "    def get_data(self): return json.dumps({'Results': [len(row['t']) for row in self.data]})\n"
        "def run(data): return Answer(data)\n"
    )
    columns = [{"name": "t", "type": "text"}]
    settings = {"folder": str(tmp_path), "form": "data", "probabilities": [], "columns": columns}
    with Pool(Path(sys.executable), settings, tmp_path, 1) as pool:
        pool.wait_ready()
        [(_, scored)] = pool.score([(block, block.message)])
    assert (scored.results, scored.rejects) == ([[200_000], [5]], {})
