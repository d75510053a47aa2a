"""`score batch`: a file through the proven environment, with rows that fail, and when it is cut short."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from forestay.errors import InputError
from scoring.batch import tables
from scoring.batch.run import score_file
from scoring.schema import read_golden
from tests import served

Score = Callable[..., Any]


@pytest.fixture
def score(bank: tuple[Path, Path], tmp_path: Path) -> Score:
    def run(source: Path, output: str, **more: Any) -> Any:
        return score_file(bank[1], source, tmp_path / output, home=bank[0], **more)

    return run


@pytest.fixture
def golden_csv(bank: tuple[Path, Path], tmp_path: Path) -> tuple[Path, list[Any]]:
    """The golden rows as CSV with a column of the user's own, and what the training process predicted."""
    golden = read_golden(bank[1])
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["my id", *golden.rows[0]])
        writer.writeheader()
        for number, row in enumerate(golden.rows):
            writer.writerow({"my id": f"r{number}", **{name: text(value) for name, value in row.items()}})
    return path, list(golden.predictions)


def text(value: Any) -> Any:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_golden_rows_get_the_golden_predictions(
    score: Score, bank: tuple[Path, Path], golden_csv: tuple[Path, list[Any]], tmp_path: Path
) -> None:
    source, expected = golden_csv
    done = score(source, "out.csv", probabilities=True)
    found = read(tmp_path / "out.csv")
    assert (done.rows, done.scored, done.rejected, done.rejects) == (len(expected), len(expected), 0, None)
    assert [row["prediction"] for row in found] == expected
    assert [row["my id"] for row in found] == [f"r{number}" for number in range(len(expected))]
    golden = read_golden(bank[1])
    assert golden.classes is not None
    assert golden.probabilities is not None
    for row, values in zip(found, golden.probabilities, strict=True):
        assert [float(row[f"probability_{name}"]) for name in golden.classes] == pytest.approx(values)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "rows.csv"]


def test_rows_that_fail_are_told_and_the_rest_is_scored_in_order(
    score: Score, golden_csv: tuple[Path, list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, expected = golden_csv
    monkeypatch.setattr(tables, "BLOCK_ROWS", 150)
    header, *lines = source.read_text().splitlines()
    many = [f"{number}{line[line.index(',') :]}" for number in range(80) for line in lines]
    place = header.split(",").index("age")
    cells = many[200].split(",")
    cells[place] = "old"
    many[200] = ",".join(cells)
    many[300] = "too,few"
    many[301] = '"open'
    source.write_text("\n".join([header, *many]))
    done = score(source, "out.csv", rejects=tmp_path / "bad.csv", workers=2)
    bad = read(tmp_path / "bad.csv")
    assert (done.rows, done.rejected) == (len(many), 3)
    assert [(row["row"], row["record"]) for row in bad] == [(str(one + 1), many[one]) for one in (200, 300, 301)]
    assert bad[0]["reason"] == 'column "age": "old" is not a number'
    assert bad[1]["reason"] == f"2 cells, and the header has {len(header.split(','))}"
    found = read(tmp_path / "out.csv")
    kept = [number for number in range(len(many)) if number not in (200, 300, 301)]
    assert [row["prediction"] for row in found] == [expected[number % len(lines)] for number in kept]
    assert [row["my id"] for row in found] == [many[number].split(",")[0] for number in kept]


def test_parquet_in_parquet_out_with_what_the_service_refuses(
    score: Score, golden_csv: tuple[Path, list[Any]], bank: tuple[Path, Path], tmp_path: Path
) -> None:
    golden = read_golden(bank[1])
    rows = [{**row, "own": number} for number, row in enumerate(golden.rows)]
    rows[4] = {**rows[4], "age": 1e300}
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    done = score(tmp_path / "rows.parquet", "out.parquet")
    assert (done.scored, done.rejected) == (len(rows) - 1, 1)
    [bad] = read(tmp_path / "out.rejects.csv")
    assert bad["row"] == "5"
    assert 'column "age"' in bad["reason"]
    assert json.loads(bad["record"])["own"] == 4
    found = pq.read_table(tmp_path / "out.parquet")
    assert found["prediction"].to_pylist() == [one for number, one in enumerate(golden.predictions) if number != 4]
    assert found["own"].to_pylist() == [number for number in range(len(rows)) if number != 4]


def test_wrong_input_leaves_no_file(score: Score, golden_csv: tuple[Path, list[Any]], tmp_path: Path) -> None:
    source, _ = golden_csv
    lacking = tmp_path / "lacking.csv"
    lacking.write_text("age\n3\n")
    there = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(InputError, match="lacks what the model needs: 'balance'"):
        score(lacking, "out.csv")
    (tmp_path / "typo.csv").write_text(source.read_text().replace("balance", "Balanse", 1))
    with pytest.raises(InputError, match="lacks what the model needs: 'balance'") as told:
        score(tmp_path / "typo.csv", "out.csv")
    assert told.value.problems[0].fix == "rename 'Balanse' to 'balance', if that is what they hold"
    (tmp_path / "typo.csv").unlink()
    with pytest.raises(InputError, match="of the input's kind"):
        score(source, "out.parquet")
    with pytest.raises(InputError, match="named twice"):
        score(source, "rows.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == there


def test_ctrl_c_leaves_what_was_there(
    bank: tuple[Path, Path], golden_csv: tuple[Path, list[Any]], tmp_path: Path
) -> None:
    source, _ = golden_csv
    header, *lines = source.read_text().splitlines()
    source.write_text("\n".join([header, *lines * 20_000]))
    (tmp_path / "out.csv").write_text("before")
    code = "import sys; from pathlib import Path; from scoring.batch.run import score_file as s\n"
    code += "def told(rows, share): print(rows, flush=True)\n"
    code += "s(*map(Path, sys.argv[1:4]), home=Path(sys.argv[4]), progress=told)"
    words = [sys.executable, "-c", code, bank[1], source, tmp_path / "out.csv", bank[0]]
    running = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert running.stdout is not None
    running.stdout.readline()
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == -signal.SIGINT
    assert (tmp_path / "out.csv").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "rows.csv"]
    served.wait_for(lambda: not served.processes(str(bank[0] / "copies") + os.sep))
