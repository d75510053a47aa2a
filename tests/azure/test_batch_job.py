"""A file scored by a job in Azure, on several nodes, gives to the byte what this machine gives, CSV and Parquet."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from automl_jobs.azure.storage import Datastore
from forestay.errors import RunFailed
from scoring import environment
from scoring.batch import azure as job
from scoring.batch import run, tables
from scoring.batch.azure_entry import PACKED, pack
from scoring.batch.tables import open_table
from scoring.folder import open_folder, snapshot
from tests import quick_server, served
from tests.azure.conftest import Azure, Cli

pytestmark = pytest.mark.usefixtures("quick")


CLUSTER = "cpu-catego-jlmja"  # the stack's own
# A model that every Python can run, and that refuses some rows.
SCORE = """
import json

class Answer:
    def __init__(self, document, status_code=200):
        self.document, self.status_code = document, status_code
    def get_data(self):
        return json.dumps(self.document)

def init():
    pass

def run(data, GlobalParameters=None):
    bad = [{"row": place, "column": "a", "problem": "too large"} for place, row in enumerate(data) if row["a"] > 4990]
    if bad:
        return Answer({"error": {"message": "no", "details": bad}}, 400)
    if GlobalParameters:
        return Answer({"Results": [{"no": row["a"] / 10000, "yes": 1 - row["a"] / 10000} for row in data]})
    return Answer({"Results": ["yes" if row["a"] % 3 else "no" for row in data]})
"""


@pytest.fixture
def folder(azure: Azure, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(environment, "ensure", lambda *_: environment.Environment(Path(sys.executable), built=False))
    monkeypatch.setattr(job, "LOOK_SECONDS", 0.1)
    path = quick_server.scoring_folder(project / "folder", "1")
    (path / "score.py").write_text(SCORE)
    served.keep_proof(open_folder(path), project / ".forestay")
    azure.service.cluster(CLUSTER)
    return path


def table(path: Path, rows: int) -> Path:
    """Rows with a column that the model does not know; some can't be read, some are refused."""
    lines = ["not,enough,cells" if number % 970 == 5 else f'"{number}, a text",{number}' for number in range(rows)]
    path.write_text("\n".join(["note,a", *lines]) + "\n", encoding="utf-8")
    return path


def parquet(path: Path, rows: int) -> Path:
    """Rows whose types no CSV keeps, in groups that are not blocks; some are refused."""
    numbers = range(rows)
    given = pa.table({
        "note": pa.array([None if number % 7 == 0 else f"{number}, na" for number in numbers]).dictionary_encode(),
        "a": pa.array(numbers, pa.int16()),
        "when": pa.array([1000 * number for number in numbers], pa.timestamp("ms", "UTC")),
        "list": pa.array([[number, None] for number in numbers], pa.list_(pa.float32())),
        "price": pa.array(numbers, pa.decimal128(9, 2)),
    })  # fmt: skip
    pq.write_table(given, path, row_group_size=1700)
    return path


@pytest.mark.parametrize(("make", "rejected"), [(table, 15), (parquet, 9)])
def test_parts_of_nodes_make_the_whole(
    azure: Azure, cli: Cli, folder: Path, project: Path, make: Callable[[Path, int], Path], rejected: int
) -> None:
    kind = ".csv" if make is table else ".parquet"
    source = make(project / f"rows{kind}", 5000)  # three blocks
    home, here, there = project / ".forestay", project / f"here{kind}", project / f"azure{kind}"
    expected = run.score_file(folder, source, here, probabilities=True, workers=1, home=home)
    assert expected.rejected == rejected
    words = ("score", "batch", "Quick:1", "--from", folder, "--input", source, "-o", there)
    done = cli(*words, "--probabilities", "--nodes", "2", "--workers", "1").json
    assert (done["rows"], done["scored"], done["rejected"]) == (expected.rows, expected.scored, expected.rejected)
    assert there.read_bytes() == here.read_bytes()
    assert Path(done["rejects"]).read_bytes() == Path(str(expected.rejects)).read_bytes()
    [made] = azure.service.jobs.values()
    assert made.properties["resources"] == {"instanceCount": 2}
    assert azure.service.refusals == []
    assert list((home / "copies").iterdir()) == []
    if make is parquet:
        found = pq.read_table(there)
        assert found.schema.names[-3:] == ["prediction", "probability_no", "probability_yes"]
        assert found.select(range(5)).equals(pq.read_table(source).slice(0, found.num_rows))


def test_rejects_are_there_before_the_rows_and_old_ones_go(folder: Path, project: Path) -> None:
    """Who finds the output finds beside it what is missing in it, and nothing else."""
    source, output, rejects = project / "rows.csv", project / "out.csv", project / "out.rejects.csv"
    output.mkdir()  # so that the rows can't be put in their place
    with pytest.raises(OSError, match="directory"):
        run.score_file(folder, table(source, 10), output, workers=1, home=project / ".forestay")
    assert len(rejects.read_text().splitlines()) == 2
    output.rmdir()
    source.write_text("note,a\nx,1\n")
    done = run.score_file(folder, source, output, workers=1, home=project / ".forestay")
    assert (done.rejects, output.exists(), rejects.exists()) == (None, True, False)


def test_a_copy_that_another_command_makes_meanwhile_takes_nothing_away(
    azure: Azure, cli: Cli, folder: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, taken = parquet(project / "rows.parquet", 10), []

    def beside(act: Callable[..., Any]) -> Callable[..., Any]:
        def acted(*given: Any, **more: Any) -> Any:
            with snapshot(open_folder(folder), project / ".forestay", taken.append):
                return act(*given, **more)

        return acted

    for name in ("upload", "download"):
        monkeypatch.setattr(Datastore, name, beside(getattr(Datastore, name)))
    words = ("score", "batch", "Quick:1", "--from", folder, "--input", source, "-o", project / "out.parquet")
    assert cli(*words, "--workers", "1").json["scored"] == 10
    assert taken == []


def test_what_runs_there_needs_nothing_but_python(tmp_path: Path) -> None:
    """Readers, packed rows and all: without a package, pyarrow least of all."""
    pack(open_table(parquet(tmp_path / "rows.parquet", 5000)), ["a", "price"], tmp_path / PACKED)
    for package, files in job.SENT.items():
        for name in files:
            target = tmp_path / package.__name__ / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(str(package.__file__)).parent / name, target)
    program = (
        "import pathlib, sys; sys.path.insert(0, '.'); from scoring.batch.azure_entry import messages\n"
        "both = [one for rank in (0, 1) for one in messages(pathlib.Path(sys.argv[1]), rank, 2)]\n"
        "rows = [row for one in both for row in one['rows']]\n"
        "print(len(rows), sorted(row['a'] for row in rows) == list(range(5000)), rows[9])"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, PACKED], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == "5000 True {'a': 9, 'price': 9.0}\n", done.stderr


def test_answers_come_back_in_the_order_of_the_rows(
    folder: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five blocks of three nodes, of which one had to reject all of a block."""
    monkeypatch.setattr(tables, "BLOCK_ROWS", 2)
    source, parts, home = table(project / "rows.csv", 9), project / "parts", project / ".forestay"
    parts.mkdir()
    work = run.look(folder, source, project / "whole.csv", None, False, home)
    asked = job.Asked(work, source, "", nodes=3, workers=1)
    answers: list[list[list[Any]]] = [
        [[["a1"], ["a2"]], []], [[], [[0, "no"], [1, "no"]]], [[["c1"]], [[1, "cells"]]],
        [[["d1"], ["d2"]], []], [[["e1"]], []],
    ]  # fmt: skip
    for rank in range(3):
        (parts / f"scored-{rank:04}.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in answers[rank::3]))
        (parts / f"index-{rank:04}.json").write_text("{}")

    def join() -> run.Done:
        return run.write(work, source, project / "whole.csv", job._answers(asked, parts), lambda *_: None, 0.0)

    done = join()
    assert (done.rows, done.scored, done.rejected) == (9, 6, 3)
    with (project / "whole.csv").open() as stream:
        found = [(row["a"], row["prediction"]) for row in csv.DictReader(stream)]
    assert found == [("0", "a1"), ("1", "a2"), ("4", "c1"), ("6", "d1"), ("7", "d2"), ("8", "e1")]
    (parts / "scored-0001.jsonl").write_text("")
    (project / "whole.csv").unlink()
    with pytest.raises(RunFailed, match="node 1 of the job gave no answer to row 3"):
        join()
    (parts / "index-0002.json").unlink()
    with pytest.raises(RunFailed, match="2 of the job's 3 nodes gave their part"):
        join()
    assert not (project / "whole.csv").exists()


def test_what_fails_is_told_and_leaves_nothing(azure: Azure, cli: Cli, folder: Path, project: Path) -> None:
    words = ("score", "batch", "Quick:1", "--from", folder, "-o", project / "out.csv", "--workers", "1")
    (project / "wrong.csv").write_text("age\n1\n")
    assert "lacks what the model needs" in cli(*words, "--input", project / "wrong.csv", code=2).err
    source = table(project / "rows.csv", 10)
    assert "is one node" in cli(*words, "--input", source, "--nodes", "2", env="", code=2).err
    azure.service.things.pop(f"computes/{CLUSTER}")
    assert "forestay infra up" in cli(*words, "--input", source, code=2).err
    assert azure.service.jobs == {}
    assert not (project / "out.csv").exists()
