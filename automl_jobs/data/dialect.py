"""Which character separates the fields: the one under which the first lines fall into equal rows."""

from __future__ import annotations

import csv
from collections import Counter

CANDIDATES = (",", ";", "\t", "|")
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}
_SAMPLE_BYTES = 1 << 16
_SAMPLE_ROWS = 300
csv.field_size_limit(1 << 30)


def usable(delimiter: str) -> bool:
    """Whether this can separate fields: one ASCII character that is no quote and no line break."""
    return len(delimiter) == 1 and delimiter.isascii() and delimiter not in '"\r\n\0'


def sample_rows(data: bytes, delimiter: str, limit: int = _SAMPLE_ROWS) -> list[list[str]]:
    """The first records of UTF-8 `data`, blank lines left out; the last one may be cut."""
    head = data[:_SAMPLE_BYTES]
    cut = len(head) < len(data)
    text = head.decode("utf-8", errors="ignore")
    rows: list[list[str]] = []
    try:
        for row in csv.reader(text.splitlines(keepends=True), delimiter=delimiter):
            if row:
                rows.append(row)
            if len(rows) > limit:
                break
    except csv.Error:
        return rows
    return rows[:-1] if cut and 1 < len(rows) <= limit else rows


def guess(data: bytes, suffix: str) -> str:
    """The delimiter of UTF-8 `data`.

    Best is a candidate that splits the first record into several fields and gives most other records as many; of
    equals the one with more fields, then the earlier in CANDIDATES (tab first for .tsv). Where none splits the first
    record, the file has one column, and a candidate that never occurs in it is taken.
    """
    candidates = ("\t", *CANDIDATES) if suffix == ".tsv" else CANDIDATES
    best, best_score = candidates[0], (-1.0, 0)
    single: str | None = None
    for candidate in candidates:
        rows = sample_rows(data, candidate)
        if not rows:
            continue
        width = len(rows[0])
        share = Counter(len(row) for row in rows)[width] / len(rows)
        if width == 1:
            if share == 1.0 and single is None:
                single = candidate
            continue
        score = (round(share, 2), width)
        if score > best_score:
            best, best_score = candidate, score
    return best if best_score[0] >= 0 or single is None else single
