"""The job in Azure ML that scores a file: every node scores each so-manieth block, with a process a core.

    python -m scoring.batch.azure_entry FOLDER ROWS TO

FOLDER is the proven folder; FORESTAY_BATCH holds the settings as JSON. ROWS is a CSV file, or what pack() made of
another. Node 3 writes into TO scored-0003.jsonl, the answers to its blocks, one a line, and when it has all of them
index-0003.json. Needs the folder's environment, and nothing of ours but what is sent along.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scoring.batch.pool import Pool
from scoring.batch.tables import CsvTable, Table

PACKED = "rows.jsonl.gz"


def pack(table: Table, columns: list[str], to: Path) -> None:
    """Write the rows of a table as messages for workers, one a line: every Python can read them."""
    with to.open("wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as stream:  # the same rows, the same bytes
        for block in table.blocks():
            rows = [{name: row[name] for name in columns} for row in block.message["rows"]]
            stream.write(json.dumps({"rows": rows}).encode() + b"\n")


def messages(source: Path, rank: int, size: int) -> Iterator[dict[str, Any]]:
    """The messages for workers of every `size`-th block, from the block `rank` on."""
    if source.name == PACKED:
        with gzip.open(source, "rt", encoding="utf-8") as stream:
            yield from map(json.loads, itertools.islice(stream, rank, None, size))
    else:
        yield from (block.message for block in itertools.islice(CsvTable(source).blocks(), rank, None, size))


def node() -> tuple[int, int]:
    """Which node this is, and of how many, as MPI tells every process that it starts."""
    return int(os.environ.get("OMPI_COMM_WORLD_RANK", "0")), int(os.environ.get("OMPI_COMM_WORLD_SIZE", "1"))


def main() -> None:
    folder, source, to = (Path(word) for word in sys.argv[1:])
    asked = json.loads(os.environ["FORESTAY_BATCH"])
    rank, size = node()
    if source.is_dir():
        source = next(path for path in sorted(source.rglob("*")) if path.is_file())
    to.mkdir(parents=True, exist_ok=True)
    rows = 0
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        count = asked["workers"] or os.cpu_count() or 1
        settings = {**asked["settings"], "folder": str(folder)}
        pool = stack.enter_context(Pool(Path(sys.executable), settings, work, count))
        pool.wait_ready()
        answers = stack.enter_context((to / f"scored-{rank:04}.jsonl").open("w", encoding="utf-8"))
        for _, scored in pool.score((None, message) for message in messages(source, rank, size)):
            answers.write(json.dumps([scored.results, sorted(scored.rejects.items())]) + "\n")
            rows += len(scored.results) + len(scored.rejects)
            print(f"{rows} rows by node {rank} of {size}", flush=True)
    (to / f"index-{rank:04}.json").write_text(json.dumps({"nodes": size}), encoding="utf-8")


if __name__ == "__main__":
    main()
