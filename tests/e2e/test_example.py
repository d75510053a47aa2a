"""The example's data are what the script makes, and neither trivial nor hopeless."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.conftest import ROOT, Run

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


def test_the_best_trial_is_good_and_not_perfect_on_rows_never_seen(forestay: Run) -> None:
    done = forestay("job", "submit", EXAMPLE / "job.yml", "--set", "limits.max_trials=8", "-o", "json")
    assert done.returncode == 0, done.stderr
    accuracy = json.loads(done.stdout)["test_metrics"]["accuracy"]
    assert 0.80 <= accuracy <= 0.97
