"""The notebook runs from its first cell to its last, and lies in git without outputs."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.runs_support import give_store

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs_are_kept(path: Path) -> None:
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None), "".join(cell["source"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(path: Path, project: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    shutil.copytree(ROOT / "examples", project / "examples")
    here = project / "docs" / "notebooks"
    here.mkdir(parents=True)
    give_store(project / ".forestay")
    document: Any = nbformat.read(path, as_version=4)
    NotebookClient(document, timeout=240, resources={"metadata": {"path": str(here)}}).execute()
    shown = [output for cell in document.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [one for one in shown if one.output_type == "error"] == []
    pages = "".join(one.data.get("text/html", "") for one in shown if one.output_type == "execute_result")
    assert "Score of each trial" in pages
    assert "Completed" in pages
    told = "".join(one.text for one in shown if one.output_type == "stream" and one.name == "stderr")
    assert re.search(r"^trial +\d+  \w+ 0\.\d", told, re.MULTILINE)
    assert "Traceback" not in told
    assert (here / "jobs" / "transactions" / "job.yml").is_file()
