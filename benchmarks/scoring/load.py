"""Requests from a number of clients at once, to 127.0.0.1 only, bounded in count and in time."""

from __future__ import annotations

import http.client
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

HOST = "127.0.0.1"
ANSWER_SECONDS = 120.0
HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Load:
    """What came of a number of requests.

    Attributes
    ----------
    requests: how many were answered with 200. failed: how many were not.
    cpu_ms: of the server's processes, a request. p50_ms, p99_ms: as a client sees them. rate: requests a second.
    memory_mb: resident, of all its processes, after the last one.
    """

    requests: int
    failed: int
    cpu_ms: float
    p50_ms: float
    p99_ms: float
    rate: float
    memory_mb: float


def post(connection: http.client.HTTPConnection, path: str, body: bytes) -> tuple[int, bytes]:
    """One request; the connection is opened again when the server has closed it."""
    connection.request("POST", path, body, HEADERS)
    response = connection.getresponse()
    return response.status, response.read()


def once(port: int, path: str, body: bytes) -> tuple[int, bytes]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_SECONDS)
    try:
        return post(connection, path, body)
    finally:
        connection.close()


def family(pid: int) -> list[psutil.Process]:
    """A process and all that it has started."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children, the ended ones among them."""
    total = 0.0
    for one in family(pid):
        used = one.cpu_times()
        total += used.user + used.system + used.children_user + used.children_system
    return total


def memory_mb(pid: int) -> float:
    return sum(one.memory_info().rss for one in family(pid)) / 2**20


def run(pid: int, port: int, path: str, body: bytes, *, clients: int, count: int, seconds: float) -> Load:
    """Send `count` requests in all from `clients` threads, each after its last one is answered; `seconds` at most."""
    left, guard = [count], threading.Lock()
    took: list[float] = []
    failed: list[str] = []
    deadline = time.monotonic() + seconds

    def client() -> None:
        connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_SECONDS)
        while time.monotonic() < deadline:
            with guard:
                if left[0] <= 0:
                    break
                left[0] -= 1
            started = time.perf_counter()
            try:
                status, _ = post(connection, path, body)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                failed.append(repr(error))
                continue
            if status == 200:
                took.append((time.perf_counter() - started) * 1000)
            else:
                failed.append(str(status))
        connection.close()

    before, started = cpu_seconds(pid), time.perf_counter()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - started
    cpu = (cpu_seconds(pid) - before) * 1000
    done = len(took)
    return Load(done, len(failed), cpu / max(1, done), *percentiles(took), done / wall, memory_mb(pid))


def percentiles(milliseconds: Sequence[float]) -> tuple[float, float]:
    """The median and the 99th percentile."""
    if len(milliseconds) < 2:
        value = milliseconds[0] if milliseconds else float("nan")
        return value, value
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return cuts[49], cuts[98]
