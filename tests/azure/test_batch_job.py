"""A file scored by a job in Azure, on several nodes, gives to the byte what this machine gives."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from scoring import environment
from scoring.batch import azure as job
from scoring.batch import run, tables
from tests.azure.conftest import Azure, Cli

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(autouse=True)
def here(bank: tuple[Path, Path], azure: Azure, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home with the proven folder; the environment of its lock is the one of the tests, which has the same."""
    monkeypatch.setattr(environment, "ensure", lambda *_: environment.Environment(Path(sys.executable), built=False))
    monkeypatch.setattr(job, "LOOK_SECONDS", 0.1)
    monkeypatch.setenv("FORESTAY_HOME", str(bank[0]))
    return bank[0]


def table(path: Path, rows: int = 700) -> Path:
    """Rows of the bank's columns; some that no model could score."""
    from tests.scoring_models import bank_frame

    frame = bank_frame()
    lines = frame.to_csv(index=False).split("\n")
    header, body = lines[0], [line for line in lines[1:] if line]
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write(header + "\n")
        for number in range(rows):
            stream.write(("not,enough" if number % 97 == 5 else body[number % len(body)]) + "\n")
    return path


def test_parts_of_nodes_make_the_whole(
    azure: Azure, cli: Cli, here: Path, bank: tuple[Path, Path], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = table(project / "rows.csv")
    expected = run.score_file(bank[1], source, project / "here.csv", probabilities=True, workers=1, home=here)
    monkeypatch.setattr(tables, "BLOCK_ROWS", 2000)
    words = ("score", "batch", "Bank:1", "--from", bank[1], "--input", source, "-o", project / "azure.csv")
    done = cli(*words, "--probabilities", "--nodes", "2", "--workers", "1").json
    assert (done["rows"], done["scored"], done["rejected"]) == (expected.rows, expected.scored, expected.rejected)
    assert (project / "azure.csv").read_bytes() == (project / "here.csv").read_bytes()
    assert Path(done["rejects"]).read_bytes() == Path(str(expected.rejects)).read_bytes()
    [made] = azure.service.jobs.values()
    assert made.properties["resources"] == {"instanceCount": 2}
    assert azure.service.refusals == []


def test_blocks_come_back_in_the_order_of_the_rows(tmp_path: Path) -> None:
    """Five blocks of three nodes, of which one had to reject all of a block."""
    blocks = [["a1", "a2"], ["b1"], [], ["d1"], ["e1", "e2"]]
    for rank in range(3):
        mine = blocks[rank::3]
        header, texts = "id\n", ["".join(f"{row}\n" for row in one) for one in mine]
        (tmp_path / f"scored-{rank:04}.csv").write_text(header + "".join(texts))
        (tmp_path / f"rejects-{rank:04}.csv").write_text("row\n")
        index = {
            "nodes": 3, "header": [3, 4], "blocks": [[len(text), 0] for text in texts], "rows": 3, "scored": 2,
            "rejected": 0, "first_reason": "",
        }  # fmt: skip
        (tmp_path / f"index-{rank:04}.json").write_text(json.dumps(index))
    output = tmp_path / "whole.csv"
    assert job._join(tmp_path, tmp_path / "rows.csv", output, tmp_path / "rejects.csv") == (9, 6, 0)
    with output.open() as stream:
        assert [row["id"] for row in csv.DictReader(stream)] == ["a1", "a2", "b1", "d1", "e1", "e2"]
    assert not (tmp_path / "rejects.csv").exists()
    (tmp_path / "index-0002.json").unlink()
    with pytest.raises(Exception, match="2 nodes of the job gave their part"):
        job._join(tmp_path, tmp_path / "rows.csv", output, tmp_path / "rejects.csv")


def test_what_fails_is_told_and_leaves_nothing(azure: Azure, cli: Cli, bank: tuple[Path, Path], project: Path) -> None:
    words = ("score", "batch", "Bank:1", "--from", bank[1], "-o", project / "out.csv", "--workers", "1")
    (project / "wrong.csv").write_text("age\n1\n")
    assert "lacks what the model needs" in cli(*words, "--input", project / "wrong.csv", code=2).err
    assert azure.service.jobs == {}
    azure.service.things.pop("computes/cpu-cluster")
    source = table(project / "rows.csv", 10)
    assert "forestay infra up" in cli(*words, "--input", source, code=2).err
    assert "is one node" in cli(*words, "--input", source, "--nodes", "2", env="", code=2).err
    assert not (project / "out.csv").exists()
