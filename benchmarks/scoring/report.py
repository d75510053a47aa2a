"""The page of results: one table, and whether the bars are met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.scoring import servers
from benchmarks.scoring.load import Load

PIPELINE = "in process: scikit-learn's Pipeline"
SERVED = "in process: the model's own form"
MLFLOW = "mlflow models serve"
SLOWER_AT_MOST, FASTER_AT_LEAST, ROW_MS = 1.3, 1.5, 10.0


@dataclass(frozen=True)
class Cell:
    """One server asked in one way."""

    name: str
    rows: int
    clients: int
    load: Load


def line(cell: Cell) -> str:
    found = cell.load
    return (
        f"{cell.name}: {cell.rows} rows, {cell.clients} client(s): {found.requests} answered, {found.failed} failed, "
        f"CPU {found.cpu_ms:.2f} ms, p50 {found.p50_ms:.2f}, p99 {found.p99_ms:.2f}, {found.memory_mb:.0f} MB"
    )


def render(cells: Sequence[Cell], notes: Sequence[str], machine: str) -> str:
    """RESULTS.md."""
    lines = [
        "# One model behind several servers",
        "",
        "`make bench-scoring`: a LightGBM classifier of the engine's on a made-up table of 20 columns (14 numbers, 4",
        "categories, a date, a truth), the same model behind every server, one worker each, one core for the server",
        "and its children, requests over loopback from another core. Answers are compared with the fitted pipeline's.",
        "CPU is that of all the server's processes, a request; p50 and p99 are the client's.",
        "",
        f"Measured on: {machine}.",
        *notes,
        "",
        "| server | rows | clients | requests | failed | CPU ms | p50 ms | p99 ms | requests/s | MB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for cell in sorted(cells, key=lambda cell: (cell.rows, cell.clients)):
        found = cell.load
        lines.append(
            f"| {cell.name} | {cell.rows:,} | {cell.clients} | {found.requests} | {found.failed} | {found.cpu_ms:.2f} "
            f"| {found.p50_ms:.2f} | {found.p99_ms:.2f} | {found.rate:.1f} | {found.memory_mb:.0f} |"
        )
    lines += ["", "## Bars", "", "| what | measured | bar | met |", "|---|--:|--:|---|"]
    lines += [
        f"| {what} | {measured:.2f} | {bar} | {'yes' if met else 'no'} |" for what, measured, bar, met in bars(cells)
    ]
    return "\n".join(lines) + "\n"


def bars(cells: Sequence[Cell]) -> list[tuple[str, float, str, bool]]:
    """What was to be reached: what, measured, the bar, whether it is met. Empty where a server is missing."""
    found = {(cell.name, cell.rows, cell.clients): cell.load for cell in cells}
    peers = [server.name for server in servers.SERVERS if server.name not in (servers.OURS, servers.EMPTY)]
    asked = [name for name in peers if (name, 1, 1) in found]
    needed = [(servers.OURS, 1, 1), (servers.EMPTY, 1, 1), (PIPELINE, 1, 1), (SERVED, 1, 1)]
    if not asked or any(key not in found for key in needed):
        return []
    ours, empty, plain, own = (found[key] for key in needed)
    floor = plain.cpu_ms + empty.cpu_ms
    best = min(found[name, 1, 1].cpu_ms for name in asked)
    rows = [
        ("one row, CPU: of in-process Pipeline + empty server", ours.cpu_ms / floor, f"<= {SLOWER_AT_MOST}",
         ours.cpu_ms <= SLOWER_AT_MOST * floor),
        ("one row, CPU: of the quickest peer", ours.cpu_ms / best, "< 1", ours.cpu_ms < best),
        ("one row, CPU without the empty server's: of in-process Pipeline", (ours.cpu_ms - empty.cpu_ms) / plain.cpu_ms,
         "< 1", ours.cpu_ms - empty.cpu_ms < plain.cpu_ms),
        ("one row in process, CPU: the model's own form of Pipeline", own.cpu_ms / plain.cpu_ms, "< 1",
         own.cpu_ms < plain.cpu_ms),
        ("one row as served, p50 ms", ours.p50_ms, f"< {ROW_MS:g}", ours.p50_ms < ROW_MS),
    ]  # fmt: skip
    for count in (100, 1_000):
        others = [found[name, count, 1].cpu_ms for name in asked if (name, count, 1) in found]
        if others and (servers.OURS, count, 1) in found:
            share = found[servers.OURS, count, 1].cpu_ms / min(others)
            rows.append((f"{count:,} rows, CPU: of the quickest peer", share, "< 1", share < 1))
    if (MLFLOW, 1_000, 1) in found:
        for clients in (1, 8):
            ratio = found[servers.OURS, 1_000, clients].rate / found[MLFLOW, 1_000, clients].rate
            what = f"1,000 rows, {clients} client(s): requests a second, of MLflow's"
            rows.append((what, ratio, f">= {FASTER_AT_LEAST}", ratio >= FASTER_AT_LEAST))
    return rows
