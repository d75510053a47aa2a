"""`python -m benchmarks.memory`: what jobs on small and large tables take in memory and time; writes MEMORY.md.

The tables have 20 columns (12 fractions, 4 whole numbers, 4 categories of 10 to 1,000 values) and a target of two
classes. The job has 60 seconds and nothing else set. Bounds: all processes together hold six times the table and 500
megabytes at most; the whole command, its start included, ends 5 % or 3 seconds after the budget at most.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.automl import process
from benchmarks.harness import forestay

RESULTS = Path(__file__).parent / "MEMORY.md"
ROWS, KINDS = (5_000, 20_000, 100_000, 1_000_000), ("parquet", "csv")
BUDGET = 60.0
TABLE_TIMES, FIXED_MB = 6.0, 500.0
LATE_SHARE, LATE_SECONDS = 0.05, 3.0
READERS = {"parquet": pd.read_parquet, "csv": pd.read_csv}
JOB = """\
type: automl
task: classification
primary_metric: auc_weighted
target_column_name: y
training_data:
  type: mltable
  path: data.{kind}
"""


@dataclass(frozen=True)
class Footprint:
    """One job.

    Attributes
    ----------
    table_mb: the table in memory, as pandas reads it. peak_mb: the most that the job's processes held together.
    seconds: of the whole command. trials: how many there were; full: how many of them, the baseline left out, were
        fitted on all training rows. score: AUC of the job's model, on `best_rows` rows.
    """

    rows: int
    kind: str
    table_mb: float
    peak_mb: float
    seconds: float
    trials: int
    full: int
    score: float
    best_rows: int | None

    @property
    def memory_bound(self) -> float:
        return TABLE_TIMES * self.table_mb + FIXED_MB

    @property
    def late(self) -> float:
        return self.seconds - BUDGET

    @property
    def within(self) -> bool:
        return self.peak_mb <= self.memory_bound and self.late <= max(LATE_SHARE * BUDGET, LATE_SECONDS)


def make(rows: int) -> pd.DataFrame:
    """The same table each time."""
    draw = np.random.default_rng(0)
    numbers = np.round(draw.normal(size=(rows, 12)), 6)
    columns: dict[str, np.ndarray] = {f"x{place}": numbers[:, place] for place in range(12)}
    whole = [draw.integers(0, high, rows) for high in (5, 50, 1_000, 100_000)]
    columns |= {f"n{place}": values for place, values in enumerate(whole)}
    lean = numbers[:, 0] + 0.7 * numbers[:, 1] * numbers[:, 2] + 0.02 * (whole[1] - 25)
    for place, count in enumerate((10, 50, 200, 1_000)):
        values, effects = draw.integers(0, count, rows), 0.6 * draw.normal(size=count)
        columns[f"c{place}"] = np.array([f"level {number}" for number in range(count)])[values]
        lean = lean + effects[values]
    columns["y"] = np.where(draw.random(rows) < 1 / (1 + np.exp(-lean)), "yes", "no")
    return pd.DataFrame(columns)


def measure(rows: int, kind: str, folder: Path) -> Footprint:
    """Run the job. Raises RuntimeError when it fails."""
    folder.mkdir()
    frame = make(rows)
    data = folder / f"data.{kind}"
    if kind == "csv":
        frame.to_csv(data, index=False)
    else:
        frame.to_parquet(data)
    table_mb = READERS[kind](data).memory_usage(deep=True).sum() / 1e6
    del frame
    (folder / "job.yml").write_text(JOB.format(kind=kind), encoding="utf-8")
    env = {**os.environ, "FORESTAY_HOME": str(folder / "home")}
    env.pop("MLFLOW_TRACKING_URI", None)

    def run(name: str, *words: str) -> tuple[process.Ended, dict[str, object]]:
        out, log = folder / f"{name}.json", folder / f"{name}.log"
        command = forestay(*words, "--output", "json")
        ended = process.run(command, env=env, cwd=folder, limit=10 * BUDGET, log=log, out=out)
        if ended.code != 0:
            raise RuntimeError(f"{' '.join(words)} ended with {ended.code}: {log.read_text(encoding='utf-8')[-500:]}")
        return ended, json.loads(out.read_text(encoding="utf-8"))

    ended, job = run("submit", "job", "submit", "job.yml", "--time-budget", f"{BUDGET:g}s")
    _, board = run("leaderboard", "job", "leaderboard", str(job["job"]))
    trials = board["trials"]
    assert isinstance(trials, list)
    best = job["best_trial"]
    assert isinstance(best, dict)
    fitted = [trial for trial in trials if trial["rows"] is not None and trial["algorithm"] != "Baseline"]
    most = max((trial["rows"] for trial in fitted), default=0)
    return Footprint(
        rows=rows,
        kind=kind,
        table_mb=float(table_mb),
        peak_mb=ended.peak_mb,
        seconds=ended.seconds,
        trials=len(trials),
        full=sum(trial["rows"] * 2 > rows for trial in fitted),
        score=float(best["score"]),
        best_rows=next((trial["rows"] for trial in trials if trial["id"] == best["id"]), most),
    )


def table(found: list[Footprint]) -> str:
    """The measurements as a Markdown table."""
    lines = [
        "| rows | file | table, MB | peak, MB | bound, MB | times the table, beyond 500 MB | command, s "
        "| over budget, s | trials | on all rows | AUC | of a model of rows |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {one.rows:,} | {one.kind} | {one.table_mb:.0f} | {one.peak_mb:.0f} | {one.memory_bound:.0f} "
        f"| {(one.peak_mb - FIXED_MB) / one.table_mb:.1f} | {one.seconds:.1f} | {one.late:+.1f} "
        f"| {one.trials} | {one.full} | {one.score:.4f} | {'-' if one.best_rows is None else f'{one.best_rows:,}'} |"
        for one in found
    ]
    return "\n".join(lines)


def page(text: str) -> str:
    """What is written of a table of measurements."""
    return (
        "# What a table takes\n\n"
        f"Written by `make bench-memory`: jobs of {BUDGET:g} seconds on 20 columns and a target of two classes. "
        "The peak is that of all processes together: memory without a file as its proportional share (PSS), of each "
        "file the most that one process has mapped. A sum of resident sets would count what they share again and again."
        f"\n\n{datetime.date.today().isoformat()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}, mean load of the machine at the end {os.getloadavg()[1]:.1f}.\n\n"
        f"{text}\n"
    )


def by_hand(before: str) -> str:
    """What people wrote into the page: all from its first heading of the second level on."""
    place = before.find("\n## ")
    return "" if place < 0 else before[place:]


def main() -> None:
    found: list[Footprint] = []
    with tempfile.TemporaryDirectory() as folder:
        for rows in ROWS:
            for kind in KINDS:
                print(f"measuring {rows:,} rows of {kind} …", file=sys.stderr)
                found.append(measure(rows, kind, Path(folder) / f"{rows}-{kind}"))
                print(table(found[-1:]).splitlines()[-1], file=sys.stderr)
    text = table(found)
    print(text)
    kept = by_hand(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else ""
    RESULTS.write_text(f"{page(text)}{kept}", encoding="utf-8")
    over = [one for one in found if not one.within]
    for one in over:
        print(f"over its bound: {one.rows:,} rows of {one.kind}", file=sys.stderr)
    sys.exit(1 if over else 0)


if __name__ == "__main__":
    main()
