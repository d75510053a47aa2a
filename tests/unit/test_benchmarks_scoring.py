"""The benchmark of servers: its load generator, its bars, its page."""

from __future__ import annotations

import http.server
import itertools
import os
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from benchmarks.scoring import load, model, report, servers, soak
from benchmarks.scoring.report import Cell


class Answers(http.server.BaseHTTPRequestHandler):
    """Every fourth request fails."""

    numbers: ClassVar[Iterator[int]]

    def do_POST(self) -> None:
        number = next(Answers.numbers)  # one step, so that two threads never have the same
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(500 if number % 4 == 0 else 200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *_: Any) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    Answers.numbers = itertools.count(1)
    with http.server.ThreadingHTTPServer((load.HOST, 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_requests_are_bounded_in_count_and_failures_are_counted(port: int) -> None:
    found = load.run(os.getpid(), port, "/score", b"{}", clients=4, count=40, seconds=30)
    assert (found.requests, found.failed) == (30, 10)
    assert 0 < found.p50_ms <= found.p99_ms
    assert found.memory_mb > 1


def test_requests_are_bounded_in_time(port: int) -> None:
    found = load.run(os.getpid(), port, "/score", b"{}", clients=2, count=10**9, seconds=0.2)
    assert 0 < found.requests < 10_000


def cell(name: str, rows: int, clients: int, cpu: float, rate: float) -> Cell:
    return Cell(name, rows, clients, load.Load(10, 0, cpu, cpu * 1.1, cpu * 2, rate, 100.0))


def test_bars_tell_what_is_met() -> None:
    cells = [
        cell(servers.OURS, 1, 1, 3.0, 300),
        cell(servers.EMPTY, 1, 1, 1.0, 900),
        cell(report.PIPELINE, 1, 1, 6.0, 150),
        cell(report.SERVED, 1, 1, 2.0, 500),
        cell(report.MLFLOW, 1, 1, 2.5, 300),
    ]
    for clients in (1, 8):
        cells += [cell(servers.OURS, 1_000, clients, 20, 60), cell(report.MLFLOW, 1_000, clients, 40, 40 + clients)]
    found = {what: met for what, _, _, met in report.bars(cells)}
    assert found.pop("one row, CPU: of the quickest peer") is False
    assert found.pop("1,000 rows, CPU: of the quickest peer") is True
    assert found.pop("1,000 rows, 8 client(s): requests a second, of MLflow's") is False
    assert len(found) == 5
    assert all(value is False for what, value in found.items() if "1,000 rows" in what)
    assert all(value for what, value in found.items() if "1,000 rows" not in what)
    page = report.render(cells, ["A note."], "a machine")
    assert page.count("\n| Forestay") == 3
    assert "| one row as served, p50 ms | 3.30 | < 10 | yes |" in page
    assert report.bars(cells[1:]) == []


def test_bodies_hold_the_same_rows() -> None:
    rows = model.requested(3)
    assert model.requested(5)[:1][0].keys() == rows[0].keys()
    assert len(rows[0]) == 20
    assert model.records(rows).startswith(b'{"data": [{"amount_0"')
    assert model.split(rows).startswith(b'{"dataframe_split": {"columns": ["amount_0"')


def test_growth_is_told_from_warming_up() -> None:
    steady = [(float(second), 100.0 if second < 20 else 140.0) for second in range(100)]
    leaking = [(float(second), 100.0 + second / 2) for second in range(100)]
    assert soak.growth_mb(steady) <= soak.GROWTH_MB
    assert soak.growth_mb(leaking) > soak.GROWTH_MB
