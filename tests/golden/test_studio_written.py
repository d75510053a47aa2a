"""The studio's pages as they are written, but for what differs from run to run: moments, ids, secrets, versions."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.studio_support import Client
from tests.unit import test_studio_pages as stored

FILES = Path(__file__).parent / "files" / "studio"
place, client = stored.place, stored.client
CHANGING = (
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d", "MOMENT"),
    (r"/static/[0-9a-f]{12}/", "/static/HASH/"),
    (r'(name="csrf" (?:content|value))="\w+"', r'\1="CSRF"'),
    (r"\b\d+\.\d s\b|\b\d+ s\b|\d+ min \d\d s", "TIME"),
    (r'<progress value="\d+"(.*?)>\d+ %<', r'<progress value="0"\1>0 %<'),
    (r"/[\w./-]*/(\.forestay|\.outputs)/[\w./-]*", r"\1/..."),
)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("jobs", "/"),
        ("new-data", "/new"),
        ("new", "/new?data=boxes.csv"),
        ("job-running", "/jobs/keen_sail_cccccc"),
        ("trial-regression", "/jobs/warm_dune_bbbbbb/trials/2"),
        ("models", "/models"),
        ("model", "/models/Boxes"),
        ("endpoints", "/endpoints"),
        ("calls", "/calls"),
        ("error", "/jobs/nothing"),
    ],
)
def test_written_as_recorded(client: Client, name: str, path: str) -> None:
    """UPDATE_GOLDEN=1 writes the files anew; look at the difference before committing it."""
    text = client.get(path).text
    for pattern, mark in CHANGING:
        text = re.sub(pattern, mark, text)
    golden = FILES / f"{name}.html"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
