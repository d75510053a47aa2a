"""`python -m benchmarks.automl`: measure what is not yet measured, cell by cell, and write the pages of results."""

from __future__ import annotations

import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

import click
import psutil

from benchmarks.automl import forecasting, growth, report, series, sets, systems
from benchmarks.automl.cells import (
    FORECAST,
    FORECAST_SYSTEMS,
    GROWTH,
    TABLE,
    TABLE_SYSTEMS,
    UNBUDGETED,
    Cell,
    Record,
    Store,
    plan,
)
from forestay import project
from forestay.errors import ForestayError, Interrupted

HERE = Path(__file__).parent
MAIN_BUDGET = 60.0
# Shorter and longer, on a small, a middling and a large table.
OTHER_BUDGETS, OTHER_SETS = (30.0, 180.0), ("credit", "hotel", "nass")
# What a cell takes beside its budget, and what one without a budget takes; for the first guess of the time left.
BESIDE_SECONDS, UNBUDGETED_SECONDS = 25.0, 15.0

MEASURES: dict[str, Callable[[Cell, Path], Record]] = {
    TABLE: systems.measure_table,
    FORECAST: forecasting.measure,
    GROWTH: growth.measure,
}


def words(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip()) if value else ()


def numbers(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[float, ...]:
    try:
        found = tuple(float(word) for word in words(context, parameter, value))
    except ValueError:
        raise click.BadParameter("numbers, with commas between them") from None
    if any(number < 0 for number in found):
        raise click.BadParameter("none may be negative")
    return found


@click.command()
@click.option("--sets", "names", callback=words, help="Only these tables and series, with commas between them.")
@click.option("--systems", "chosen", callback=words, help="Only these systems, with commas between them.")
@click.option("--budget", "budgets", callback=numbers, help="Seconds; without it 60, and 30 and 180 on three tables.")
@click.option("--seed", "seeds", callback=numbers, default="0", show_default=True, help="One, or several with commas.")
@click.option("--growth", "grow", is_flag=True, help="Measure how Forestay grows instead: rows, columns, trials.")
@click.option("--report", "only_report", is_flag=True, help="Measure nothing; write the pages from what is stored.")
@click.option("--again", is_flag=True, help="Measure the chosen cells again, though they are stored.")
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    default=sets.ROOT / "build" / "automl",
    help="Where data, logs and the measured cells lie.  [default: build/automl]",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=HERE,
    help="Where the pages go.  [default: benchmarks/automl]",
)
def main(
    names: tuple[str, ...],
    chosen: tuple[str, ...],
    budgets: tuple[float, ...],
    seeds: tuple[float, ...],
    grow: bool,
    only_report: bool,
    again: bool,
    work: Path,
    results: Path,
) -> None:
    """Forestay against FLAML, AutoGluon and plain LightGBM; forecasts against statsforecast.

    Example: python -m benchmarks.automl --sets credit,ames --systems forestay,lightgbm --budget 60
    """
    signal.signal(signal.SIGTERM, _interrupt)
    work = work.resolve()
    store = Store(work / "cells")
    try:
        if not only_report:
            cells = growth.cells() if grow else choose(names, chosen, budgets, [int(seed) for seed in seeds])
            with project.lock(work / "lock", "this benchmark", wait_seconds=1):
                if again:
                    for cell in cells:
                        store.forget(cell)
                run(cells, store, work)
        write(store.all(), results)
    except ForestayError as error:
        for line in error.lines():
            say(line)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say("stopped; the measured cells are kept, and the same command goes on from there")
        sys.exit(Interrupted.exit_code)


def choose(
    names: tuple[str, ...], chosen: tuple[str, ...], budgets: tuple[float, ...], seeds: Iterable[int]
) -> list[Cell]:
    """The cells that the flags ask for. What can't be had here is told and left out."""
    known = {*sets.SETS, *series.SERIES_SETS}
    _all_known("--sets", names, known)
    _all_known("--systems", chosen, {*TABLE_SYSTEMS, *FORECAST_SYSTEMS})
    tables, no_tables = sets.available()
    times, no_times = series.available()
    missing = {one.name: one.source for one in no_tables} | {one.name: one.source for one in no_times}
    for name, source in missing.items():
        if not names or name in names:
            say(f"{name} is left out: {source} is not there")
    seeds = list(seeds)
    tabular = [one.name for one in tables if not names or one.name in names]
    forecast = [one.name for one in times if not names or one.name in names]
    on_tables = [system for system in TABLE_SYSTEMS if not chosen or system in chosen]
    on_series = [system for system in FORECAST_SYSTEMS if not chosen or system in chosen]
    main_budgets = budgets or (MAIN_BUDGET,)
    cells = plan(TABLE, tabular, on_tables, main_budgets, seeds)
    cells += plan(FORECAST, forecast, on_series, main_budgets, seeds)
    if not budgets:
        cells += plan(TABLE, [name for name in OTHER_SETS if name in tabular], on_tables, OTHER_BUDGETS, seeds)
    return list(dict.fromkeys(cells))


def _all_known(flag: str, given: Iterable[str], known: Iterable[str]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise click.BadParameter(
            f"unknown: {', '.join(unknown)}; there are {', '.join(sorted(known))}", param_hint=flag
        )


def run(cells: list[Cell], store: Store, work: Path) -> None:
    """Measure, one after the other, the cells that are not stored."""
    if hasattr(os, "sched_setaffinity"):
        # Every system inherits this, so that none takes more cores than another.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: systems.THREADS])
    pending = [cell for cell in cells if not store.has(cell)]
    say(f"{len(pending)} of {len(cells)} cells to measure, about {minutes(sum(map(expected, pending)))}")
    spent = guessed = 0.0
    for place, cell in enumerate(pending, 1):
        started = time.monotonic()
        record = MEASURES[cell.kind](cell, work)
        store.put(record)
        spent += time.monotonic() - started
        guessed += expected(cell)
        left = sum(map(expected, pending[place:])) * spent / guessed
        said = record.error or ", ".join(
            f"{name} {report.number(value)}"
            for name, value in (("score", record.score), ("s", record.seconds), ("MB", record.peak_mb))
            if value is not None
        )
        say(f"[{place}/{len(pending)}] {cell.key}: {said}; {minutes(left)} left")


def expected(cell: Cell) -> float:
    """A guess of the seconds that a cell takes."""
    if cell.system in UNBUDGETED:
        return UNBUDGETED_SECONDS
    if cell.kind == GROWTH:
        return cell.budget / 5
    return cell.budget + BESIDE_SECONDS


def write(records: list[Record], results: Path) -> None:
    """The pages of what was measured, and the plot where growth was."""
    project.ensure_folder(results)
    grown = [record for record in records if record.cell.kind == GROWTH]
    if grown:
        growth.plot(grown, results / "growth.svg")
    for name, text in report.pages(records, machine(), "growth.svg" if grown else None).items():
        project.write_atomic(results / name, text)
        say(f"written: {results / name}")


def machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{systems.THREADS} cores of {os.cpu_count()}, {memory:.0f} GiB, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()};"
    )


def minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
