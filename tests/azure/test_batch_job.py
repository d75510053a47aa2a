"""A file scored by a job in Azure, on several nodes, gives to the byte what this machine gives."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from scoring import environment
from scoring.batch import azure as job
from scoring.batch import run
from scoring.folder import open_folder
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


def test_parts_of_nodes_make_the_whole(azure: Azure, cli: Cli, folder: Path, project: Path) -> None:
    source = table(project / "rows.csv", 5000)  # three blocks
    home = project / ".forestay"
    expected = run.score_file(folder, source, project / "here.csv", probabilities=True, workers=1, home=home)
    assert expected.rejected == 15
    words = ("score", "batch", "Quick:1", "--from", folder, "--input", source, "-o", project / "azure.csv")
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
