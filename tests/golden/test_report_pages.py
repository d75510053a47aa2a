"""A small report as it is written: the page, and the same in Markdown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from automl_jobs.runs.report import page
from tests.report_support import content

FILES = Path(__file__).parent / "files" / "report"


@pytest.mark.parametrize(
    ("name", "task"),
    [("classification.html", "classification"), ("forecasting.html", "forecasting"), ("regression.md", "regression")],
)
def test_written_as_recorded(name: str, task: str) -> None:
    """UPDATE_GOLDEN=1 writes the files anew; look at the difference before committing it."""
    write = page.markdown if name.endswith(".md") else page.html
    text = write(content(task, trials=4))
    golden = FILES / name
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
