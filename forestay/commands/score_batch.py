"""`forestay score batch`: score a file of any size."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forestay import LOCAL
from forestay.cli import Command, console
from forestay.commands.azure import arm_of
from forestay.commands.endpoint import proven_folder_option
from forestay.errors import InputError

if TYPE_CHECKING:
    from forestay.console import Console
    from scoring.batch.run import Done

NEWS_SECONDS = 15.0


def _read_outputs(context: click.Context, _: click.Parameter, values: tuple[str, ...]) -> Path:
    """The file that is meant. What to print, `json` or `table`, has the same option in every command."""
    formats = [value for value in values if value in ("table", "json")]
    files = [value for value in values if value not in formats]
    if formats:
        console(context).output = formats[-1]
    if len(files) != 1:
        raise InputError("must name one file", where="--output", fix="say where to write: --output scored.csv")
    return Path(files[0])


@click.command(cls=Command)
@click.argument("model", metavar="MODEL[:VERSION]")
@click.option(
    "--input", "source", type=click.Path(path_type=Path), required=True, metavar="DATA", help="CSV or Parquet."
)
@click.option(
    "--output",
    "-o",
    "to",
    multiple=True,
    callback=_read_outputs,
    metavar="FILE",
    help="Of the input's kind. --output json beside it prints JSON on stdout.",
)
@click.option(
    "--rejects",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where rows that fail go, as CSV; by default FILE's name with .rejects.csv.",
)
@click.option("--probabilities", is_flag=True, help="A column for the probability of each class, too.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes, each with the model; by default one a core.")
@click.option(
    "--env", default=LOCAL, show_default=True, metavar="ENV", help="Here, or on the cluster of a stack: `dev`."
)
@click.option("--nodes", type=click.IntRange(1, 100), default=1, help="How many of the cluster's nodes score at once.")
@proven_folder_option
@click.pass_context
def batch(
    context: click.Context,
    model: str,
    source: Path,
    to: Path,
    rejects: Path | None,
    probabilities: bool,
    workers: int | None,
    env: str,
    nodes: int,
    folder: Path | None,
) -> None:
    """Score a file of any size, here or in Azure, in the proven environment and with the proven score.py.

    The output has all columns of the input and `prediction`; it is there when all is done, or not at all. A row that
    fails goes to the rejects with its number and the reason, and the rest is scored. Exit code 1 when no row could be.

    Example: forestay score batch Churn:3 --input customers.csv --output scored.csv
    """
    from forestay import project
    from scoring.batch.run import score_file
    from scoring.targets import find_proven

    found = console(context)
    home = project.home()
    proven = find_proven(home, model, folder, env)
    if env == LOCAL and nodes > 1:
        raise InputError("this machine is one node", where="--nodes", fix="name an environment in Azure: --env dev")
    with _progress(found) as progress:
        given: dict[str, Any] = {
            "rejects": rejects, "probabilities": probabilities, "workers": workers, "home": home,
            "say": found.note, "progress": progress,
        }  # fmt: skip
        if env == LOCAL:
            done = score_file(proven, source, to, **given)
        else:
            from scoring.batch import azure

            done = azure.score_file(arm_of(env), proven, source, to, nodes=nodes, **given)
    found.emit(done.as_dict(), lambda: _lines(done))


def _lines(done: Done) -> Iterator[str]:
    speed = done.rows / max(done.duration_seconds, 0.01)
    took = f"{done.duration_seconds:.1f} s ({speed:.0f} rows a second)"
    yield f"{done.output}: {done.scored} of {done.rows} rows scored in {took}"
    if done.rejects:
        yield f"{done.rejects}: {done.rejected} rows that failed, with the reasons"


@contextlib.contextmanager
def _progress(screen: Console) -> Iterator[Callable[[int, float], None]]:
    """A bar with an estimate on a terminal, a line now and then elsewhere."""
    started = last = time.monotonic()

    def plain(rows: int, share: float) -> None:
        nonlocal last
        now = time.monotonic()
        if share and now - last > NEWS_SECONDS:
            last = now
            left = (now - started) * (1 - share) / share
            screen.note(f"{rows} rows, {share:.0%}, about {left:.0f} s left")

    if not screen.live:
        yield plain
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.fields[rows]} rows"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen.err, transient=True) as bar:
        task = bar.add_task("rows", total=1.0, rows=0)
        yield lambda rows, share: bar.update(task, completed=share, rows=rows)
