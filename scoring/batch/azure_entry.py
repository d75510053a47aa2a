"""The job in Azure ML that scores a file: every node scores each so-manieth block, with a process a core.

    python -m scoring.batch.azure_entry FOLDER ROWS TO

FOLDER is the proven folder, ROWS the CSV file; FORESTAY_BATCH holds the settings as JSON. What node 3 wrote is in TO as
scored-0003.csv, rejects-0003.csv and index-0003.json, which has the bytes of each block in both, so that all parts can
be put together in the order of the rows. Needs the folder's environment, and nothing of ours but what is sent along.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path

from scoring.batch.pool import Pool
from scoring.batch.sink import Sink
from scoring.batch.tables import CsvTable, CsvWriter


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
    paths = {name: to / f"{name}-{rank:04}.csv" for name in ("scored", "rejects")}
    table = CsvTable(source)
    sizes: list[tuple[int, int]] = []
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        count = asked["workers"] or os.cpu_count() or 1
        settings = {**asked["settings"], "folder": str(folder)}
        pool = stack.enter_context(Pool(Path(sys.executable), settings, work, count))
        pool.wait_ready()
        writer = CsvWriter(paths["scored"], table.header, asked["names"])
        sink = stack.enter_context(contextlib.closing(Sink(table, writer, paths["rejects"])))
        header = before = (writer.written(), sink.rejects_written())
        mine = (block for number, block in enumerate(table.blocks()) if number % size == rank)
        for block, scored in pool.score((block, block.message) for block in mine):
            sink.write(block, scored)
            now = (writer.written(), sink.rejects_written())
            sizes.append((now[0] - before[0], now[1] - before[1]))
            before = now
            print(f"{sink.rows} rows by node {rank} of {size}, {block.share:.0%} of the file", flush=True)
    index = {"nodes": size, "header": header, "blocks": sizes, "rows": sink.rows, "scored": sink.scored}
    document = json.dumps({**index, "rejected": sink.rejected, "first_reason": sink.first_reason})
    (to / f"index-{rank:04}.json").write_text(document, encoding="utf-8")


if __name__ == "__main__":
    main()
