"""Parquet and JSON Lines files."""

from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from automl_jobs.data import Table, load_table
from forestay.errors import InputError


def lines(folder: Path, *rows: object, name: str = "data.jsonl") -> Table:
    (folder / name).write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return load_table(folder / name)


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    utc = datetime.UTC
    table = pa.table(
        {
            "small": pa.array([1, 2, 2], pa.int8()),
            "holes": pa.array([1, None, 3], pa.int64()),
            "money": pa.array([decimal.Decimal("1.50"), decimal.Decimal("2.25"), None]),
            "half": pa.array([0.5, float("inf"), 1.5], pa.float32()),
            "code": pa.array(["1", "2", "2"]),
            "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
            "flag": pa.array([True, None, False]),
            "day": pa.array([datetime.date(2026, 1, 1), datetime.date(2026, 1, 2), None]),
            "when": pa.array(
                [datetime.datetime(2026, 1, 1, 12, tzinfo=utc)] * 2 + [None], pa.timestamp("ns", "Europe/Paris")
            ),
            "list": pa.array([[1], [2, 3], None]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    found = load_table(tmp_path / "a.parquet")
    assert found.frame.dtypes.astype(str).to_dict() == {
        "small": "int64",
        "holes": "float64",
        "money": "float64",
        "half": "float64",
        "code": "str",
        "kind": "str",
        "flag": "boolean",
        "day": "datetime64[us]",
        "when": "datetime64[us]",
        "list": "str",
    }
    assert found.frame["when"][0] == pd.Timestamp("2026-01-01 12:00")
    assert found.frame["code"].tolist() == ["1", "2", "2"]
    assert "1 infinite" in found.column("half").warnings[0]
    assert found.reading is not None
    assert found.reading.kind == "read_parquet"


def test_a_parquet_file_under_another_name(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1, 2]}).to_parquet(tmp_path / "data")
    assert load_table(tmp_path / "data").frame["a"].tolist() == [1, 2]


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" + b"x" * 100, b"nothing like it"])
def test_a_broken_parquet_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(InputError, match="not a Parquet file"):
        load_table(tmp_path / "a.parquet")


def test_json_lines(tmp_path: Path) -> None:
    table = lines(
        tmp_path,
        {"n": 1, "s": "007", "b": True, "d": "2026-01-01", "o": {"x": [1]}},
        "",
        {"n": 2.5, "s": "1", "b": None, "d": "2026-01-02", "late": "é"},
    )
    assert table.frame.dtypes.astype(str).to_dict() == {
        "n": "float64",
        "s": "str",
        "b": "boolean",
        "d": "datetime64[us]",
        "o": "str",
        "late": "str",
    }
    assert table.frame["o"][0] == '{"x": [1]}'
    assert table.frame["late"].isna().tolist() == [True, False]
    assert table.reading is not None
    assert "nested or mixed values" in table.reading.unusual


def test_a_json_array_of_objects(tmp_path: Path) -> None:
    assert lines(tmp_path, '[{"a": 1}, {"a": 2}]', name="data.json").frame["a"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("rows", "where", "message"),
    [
        (['{"a": 1}', "{broken"], ":2", "not valid JSON"),
        (['{"a": 1}', "3"], ":2", "a JSON object is wanted, found int"),
        (["{}", "{}"], "", "no rows"),
        (["[1, 2"], "", "not valid JSON"),
        (["[" * 100_000], "", "not valid JSON"),
    ],
)
def test_broken_json_lines(tmp_path: Path, rows: list[object], where: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        lines(tmp_path, *rows)
    assert caught.value.problems[0].where == f"{tmp_path / 'data.jsonl'}{where}"
    assert message in caught.value.problems[0].message


def test_numbers_too_large_for_a_column_and_lone_surrogates(tmp_path: Path) -> None:
    table = lines(tmp_path, {"n": 10**30, "s": "x"}, '{"n": 1, "s": "\\ud800"}')
    assert table.frame["n"].tolist() == [str(10**30), "1"]
    assert table.frame["s"].tolist() == ["x", "?"]
