"""The example's data are what the script makes; tests/docs/test_walk.py has what a job makes of them."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.conftest import ROOT

EXAMPLE = ROOT / "examples" / "categorize_transactions"
DATA = EXAMPLE / "training-mltable-folder" / "transactions.csv"


def test_the_script_makes_the_file_that_is_kept(tmp_path: Path) -> None:
    again = tmp_path / "transactions.csv"
    subprocess.run([sys.executable, str(EXAMPLE / "make_data.py"), "--to", str(again)], check=True)
    assert again.read_bytes() == DATA.read_bytes()


def test_no_class_dominates() -> None:
    with DATA.open(encoding="utf-8", newline="") as stream:
        labels = Counter(row["category"] for row in csv.DictReader(stream))
    assert sum(labels.values()) >= 3000
    assert max(labels.values()) < 0.4 * sum(labels.values())
    assert len(labels) >= 8
