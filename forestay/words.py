"""Numbers, durations and moments as a person reads them, on a terminal and on a page."""

from __future__ import annotations

import math
from collections.abc import Sequence


def number(value: float | None) -> str | None:
    """A score with the digits that matter."""
    if value is None:
        return None
    return f"{value:.5f}" if abs(value) < 100 else f"{value:,.2f}"


def duration(seconds: float | None) -> str | None:
    """Seconds as a person says them: 0.8 s, 42 s, 3 min 05 s, 2 h 10 min."""
    if seconds is None:
        return None
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def when(moment: str) -> str:
    """An ISO moment in UTC, short."""
    return moment.replace("T", " ").removesuffix("+00:00")


def short(value: float | None) -> str:
    """A number of a chart or a table in four digits or so; a dash for none."""
    if value is None:
        return "-"
    size = abs(value)
    if size >= 100_000:
        return f"{value:,.0f}"
    if size >= 0.001:
        digits = 2 if size >= 100 else 4
        return f"{value:,.{digits}f}".rstrip("0").rstrip(".")
    return f"{value:.3g}"


def some(names: Sequence[str], most: int) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def size(count: int) -> str:
    """Bytes as a person says them: 0 bytes, 812 kB, 1.4 GB."""
    if count < 1000:
        return f"{count} bytes"
    units = ("kB", "MB", "GB", "TB")
    power = min(len(units), int(math.log10(count)) // 3)
    amount = count / 1000**power
    return f"{amount:.1f} {units[power - 1]}" if amount < 9.95 else f"{amount:.0f} {units[power - 1]}"
