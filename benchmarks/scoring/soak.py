"""`python -m benchmarks.scoring.soak`: our server under load for minutes; writes SOAK.md, exits with 1 where it fails.

Eight clients ask for a row, for a hundred, and for rows that don't fit. Memory is looked at all along; at the end the
server is told to stop while requests are under way, every one of which must be answered.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import statistics
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import click
import psutil

from benchmarks.scoring import load, model, servers
from benchmarks.scoring.__main__ import HERE, machine, say, work_option
from forestay import project
from forestay.errors import ForestayError

CLIENTS = 8
# What a process may hold more at the end than once it is warm, in MB: a leak of 1 kB a request would be far above.
GROWTH_MB = 8.0
WARM_SHARE = 0.2
GONE_SECONDS = 30.0
LAST_ROWS = 3_000


@dataclass
class Soak:
    """What happened: answers by kind, milliseconds of one row, memory by time, and what went wrong."""

    answers: Counter[str] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def run(pid: int, port: int, seconds: float) -> Soak:
    """Load for so long, memory looked at every second."""
    rows = model.requested(100)
    wrong = dict(rows[0], amount_0="not a number")
    asked = (("1 row", model.records(rows[:1]), 200), ("100 rows", model.records(rows), 200))
    asked += (("refused", model.records([wrong]), 400),)
    found, ends = Soak(), time.monotonic() + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(load.HOST, port, timeout=load.ANSWER_SECONDS)
        turn = number
        while time.monotonic() < ends:
            # Of ten requests eight are for one row.
            name, body, expected = asked[{8: 1, 9: 2}.get(turn % 10, 0)]
            turn += 1
            started = time.perf_counter()
            try:
                status, answer = load.post(connection, "/score", body)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                found.failures.append(f"{name}: {error!r}")
                continue
            if status != expected:
                found.failures.append(f"{name}: {status} {answer[:100]!r}")
            if name == "1 row":
                found.took.append((time.perf_counter() - started) * 1000)
            found.answers[name] += 1
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    while time.monotonic() < ends:
        found.memory.append((time.monotonic() - begun, load.memory_mb(pid)))
        time.sleep(1.0)
    for thread in threads:
        thread.join()
    return found


def growth_mb(memory: list[tuple[float, float]]) -> float:
    """What is held more in the last fifth of the time than in the fifth after warming up."""
    warm = memory[int(len(memory) * WARM_SHARE) :]
    part = max(1, len(warm) // 4)
    return statistics.median(size for _, size in warm[-part:]) - statistics.median(size for _, size in warm[:part])


def stop_under_load(master: psutil.Process, port: int) -> tuple[int, int, bool]:
    """Ask for many rows, tell the server to stop meanwhile: how many were asked, how many answered, whether it is gone.

    A client whose connection was not yet taken is refused at once, as by any server that is gone, and doesn't count.
    """
    body = model.records(model.requested(LAST_ROWS))
    asked, answered = [0], [0]
    under_way = threading.Event()

    def client() -> None:
        connection = http.client.HTTPConnection(load.HOST, port, timeout=load.ANSWER_SECONDS)
        connection.connect()
        connection.request("POST", "/score", body, load.HEADERS)
        asked[0] += 1
        under_way.set()
        response = connection.getresponse()
        answered[0] += response.status == 200 and len(json.loads(response.read())["Results"]) == LAST_ROWS
        connection.close()

    thread = threading.Thread(target=client)
    thread.start()
    under_way.wait(load.ANSWER_SECONDS)
    time.sleep(0.02)
    master.send_signal(signal.SIGTERM)
    thread.join(load.ANSWER_SECONDS)
    gone, alive = psutil.wait_procs([master], timeout=GONE_SECONDS)
    return asked[0], answered[0], bool(gone) and not alive


def render(found: Soak, seconds: float, stopped: tuple[int, int, bool], passed: bool) -> str:
    """SOAK.md."""
    p50, p99 = load.percentiles(found.took)
    asked, answered, gone = stopped
    every = max(1, len(found.memory) // 10)
    lines = [
        "# Our server under load",
        "",
        f"`make soak`, {datetime.now(UTC):%Y-%m-%d}: {seconds / 60:.1f} minutes, {CLIENTS} clients, one worker, on",
        f"{machine()}; load of the machine at the end {os.getloadavg()[0]:.1f}.",
        "",
        "| what | found | bar |",
        "|---|--:|--:|",
        *(f"| answers: {name} | {count:,} | |" for name, count in sorted(found.answers.items())),
        f"| failed requests | {len(found.failures)} | 0 |",
        f"| one row, p50 / p99 ms with all clients at once | {p50:.1f} / {p99:.1f} | |",
        f"| memory held more at the end than once warm, MB | {growth_mb(found.memory):.1f} | <= {GROWTH_MB:g} |",
        f"| answered of the requests under way when it was told to stop | {answered} of {asked} | all |",
        f"| gone within {GONE_SECONDS:.0f} s of that | {'yes' if gone else 'no'} | yes |",
        "",
        f"{'Passed.' if passed else 'FAILED.'}",
        "",
        "| seconds | MB |",
        "|--:|--:|",
        *(f"| {at:.0f} | {size:.1f} |" for at, size in found.memory[::every]),
    ]
    return "\n".join(lines) + "\n"


@click.command()
@click.option("--minutes", default=10.0, show_default=True, help="How long.")
@work_option
@click.option(
    "--results",
    type=click.Path(path_type=Path, dir_okay=False),
    default=HERE / "SOAK.md",
    help="The page to write.  [default: benchmarks/scoring/SOAK.md]",
)
def main(minutes: float, work: Path, results: Path) -> None:
    """Our server under load for minutes: no failed request, no growth, a clean end.

    Example: python -m benchmarks.scoring.soak --minutes 2
    """
    work = project.ensure_folder(work.resolve())
    usable = sorted(os.sched_getaffinity(0))
    try:
        with project.lock(work / "lock", "this benchmark", wait_seconds=1):
            bench = servers.prepare(work, work / "home", say)
            os.sched_setaffinity(0, {usable[-1]})
            with servers.running(servers.SERVERS[0], bench, usable[0]) as (pid, port):
                found = run(pid, port, minutes * 60)
                stopped = stop_under_load(psutil.Process(pid), port)
    except ForestayError as error:
        for line in error.lines():
            say(line)
        sys.exit(error.exit_code)
    asked, answered, gone = stopped
    passed = not found.failures and growth_mb(found.memory) <= GROWTH_MB and asked == answered and gone
    project.write_atomic(results, render(found, minutes * 60, stopped, passed))
    for line in found.failures[:10]:
        say(line)
    say(f"{'passed' if passed else 'FAILED'}; written: {results}")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
