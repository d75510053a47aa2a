"""Where scored blocks go: those that could be scored into one file, the others with the reasons into another."""

from __future__ import annotations

import csv
from pathlib import Path

from scoring.batch.pool import Scored
from scoring.batch.tables import Block, Table, Writer


class Sink:
    """Where blocks go when they are scored."""

    def __init__(self, table: Table, writer: Writer, rejects: Path) -> None:
        self.table, self.writer = table, writer
        self.stream = rejects.open("w", encoding="utf-8", newline="")
        self.lines = csv.writer(self.stream, lineterminator="\n")
        self.lines.writerow(["row", "reason", "record"])
        self.rows = self.scored = self.rejected = 0
        self.first_reason = ""

    def write(self, block: Block, scored: Scored) -> None:
        reasons = {**block.rejects, **{block.places[place]: reason for place, reason in scored.rejects.items()}}
        for place in sorted(reasons):
            self.first_reason = self.first_reason or f"row {block.first + place}: {reasons[place]}"
            self.lines.writerow([block.first + place, reasons[place], self.table.text(block.rows, place)])
        kept = [place for number, place in enumerate(block.places) if number not in scored.rejects]
        self.writer.write(block.rows, kept, scored.results)
        self.rows += len(kept) + len(reasons)
        self.scored += len(kept)
        self.rejected += len(reasons)

    def close(self) -> None:
        self.writer.close()
        self.stream.close()
