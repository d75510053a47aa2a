"""Run the benchmarks, print the table, and write RESULTS.md. Exit code 1 when a bound is passed."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from pathlib import Path

from benchmarks import azure_requests, generate, infra_plan, job_list, start_up
from benchmarks.harness import Measured

SUBJECTS = {
    "start_up": start_up,
    "job_list": job_list,
    "generate": generate,
    "azure": azure_requests,
    "infra_plan": infra_plan,
}
RESULTS = Path(__file__).parent / "RESULTS.md"


def table(rows: list[Measured]) -> str:
    """The measurements as a Markdown table."""
    lines = ["| what | ms | against | ms | ratio | bound |", "|---|---:|---|---:|---:|---:|"]
    lines += [
        f"| {row.what} | {row.seconds * 1000:.0f} | {row.peer} | {row.peer_seconds * 1000:.0f} "
        f"| {row.ratio:.2f} | {row.bound:g} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    rows: list[Measured] = []
    for name, subject in SUBJECTS.items():
        print(f"measuring {name} …", file=sys.stderr)
        rows += subject.measure()
    text = table(rows)
    print(text)
    RESULTS.write_text(
        "# What was measured\n\n"
        "Written by `make bench`: medians of commands that ran in turns in one run.\n\n"
        f"{datetime.date.today().isoformat()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}.\n\n{text}\n",
        encoding="utf-8",
    )
    over = [row for row in rows if row.ratio > row.bound]
    for row in over:
        print(f"over its bound: {row.what} ({row.ratio:.2f} > {row.bound:g})", file=sys.stderr)
    sys.exit(1 if over else 0)


if __name__ == "__main__":
    main()
