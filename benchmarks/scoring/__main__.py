"""`python -m benchmarks.scoring`: ask every server, write RESULTS.md."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path

import click
import psutil

from benchmarks.scoring import load, model, report, servers
from benchmarks.scoring.report import Cell
from forestay import project
from forestay.errors import ForestayError

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ROWS = (1, 100, 1_000, 10_000)
CLIENTS = (1, 8)
# Requests in all, and the most seconds that they may take, by rows a request.
COUNTS = {1: 400, 100: 150, 1_000: 60, 10_000: 12}
SECONDS = 25.0
WARM_UP = 3

work_option = click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    default=ROOT / "build" / "scoring",
    help="Where the model, environments and logs lie.  [default: build/scoring]",
)


@click.command()
@click.option("--scale", default=1.0, show_default=True, help="Of the number of requests: 0.1 for a try.")
@click.option("--only", help="Only servers with this in their name.")
@work_option
@click.option(
    "--results",
    type=click.Path(path_type=Path, dir_okay=False),
    default=HERE / "RESULTS.md",
    help="The page to write.  [default: benchmarks/scoring/RESULTS.md]",
)
def main(scale: float, only: str | None, work: Path, results: Path) -> None:
    """One model behind several servers, each pinned to one core, asked over loopback from another.

    Example: python -m benchmarks.scoring --scale 0.1 --only Forestay --results /tmp/RESULTS.md
    """
    work = project.ensure_folder(work.resolve())
    try:
        with project.lock(work / "lock", "this benchmark", wait_seconds=1):
            cells, notes = measure(servers.prepare(work, work / "home", say), scale, only)
    except ForestayError as error:
        for line in error.lines():
            say(line)
        sys.exit(error.exit_code)
    project.write_atomic(results, report.render(cells, notes, machine()))
    say(f"written: {results}")


def measure(bench: servers.Bench, scale: float, only: str | None) -> tuple[list[Cell], list[str]]:
    """Every cell of the table, and what could not be measured."""
    core, other = cores()
    os.sched_setaffinity(0, {other})
    cells: list[Cell] = []
    notes = [f"Server on core {core}, clients on core {other}. Load of the machine {busy()} at the start"]
    expected = {rows: servers.in_process(bench, model.requested(rows), 3, "pipeline", core)["answers"] for rows in ROWS}
    for server in servers.SERVERS:
        if only and only.lower() not in server.name.lower():
            continue
        try:
            with servers.running(server, bench, core) as (pid, port):
                cells += ask(server, pid, port, scale, expected)
        except ForestayError as error:
            notes.append(f"{server.name}: {error.problems[0].message}")
            say(notes[-1])
    for way, name in (("pipeline", report.PIPELINE), ("served", report.SERVED)):
        for rows in ROWS:
            found = servers.in_process(bench, model.requested(rows), requests(rows, scale), way, core)
            found.pop("answers")
            cells.append(Cell(name, rows, 1, load.Load(requests=requests(rows, scale), failed=0, **found)))
            say(report.line(cells[-1]))
    notes[0] += f" and {busy()} at the end; above one and a half, other work ran beside."
    return cells, notes


def ask(server: servers.Server, pid: int, port: int, scale: float, expected: dict[int, list[str]]) -> list[Cell]:
    """One server's cells. Answers that differ from those of the fitted pipeline end the benchmark."""
    cells = []
    for rows in ROWS:
        body = server.body(model.requested(rows))
        for _ in range(WARM_UP):
            status, answer = load.once(port, server.path, body)
        if server.name != servers.EMPTY and server.answers(json.loads(answer)) != expected[rows]:
            raise SystemExit(f"{server.name} answers {rows} rows otherwise ({status}): {answer[:200]!r}")
        for clients in CLIENTS:
            found = load.run(
                pid, port, server.path, body, clients=clients, count=requests(rows, scale), seconds=SECONDS
            )
            cells.append(Cell(server.name, rows, clients, found))
            say(report.line(cells[-1]))
    return cells


def requests(rows: int, scale: float) -> int:
    return max(8, round(COUNTS[rows] * scale))


def cores() -> tuple[int, int]:
    """The core for servers, and another one for the clients where there is one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def busy() -> str:
    """How many programs want to run."""
    return f"{os.getloadavg()[0]:.1f}"


def machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, {platform.machine()}"


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
