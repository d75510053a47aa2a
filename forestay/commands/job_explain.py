"""`forestay job explain`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from forestay.cli import Command, console
from forestay.commands.job import job_argument, rank_option
from forestay.commands.job_views import importance_view
from forestay.console import table

SHOWN_COLUMNS, SHOWN_ROWS, SHOWN_CONTRIBUTIONS = 30, 20, 5


@click.command(cls=Command)
@job_argument
@rank_option
@click.option(
    "--rows", "rows", type=click.Path(path_type=Path), help="Data whose rows to explain one by one, by trees."
)
@click.option("--seconds", type=click.FloatRange(min=0), help="Time to spend on importances; 30 where none are kept.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Over what was set at submit; repeatable.")
@click.pass_context
def explain(
    context: click.Context,
    job: str,
    rank: int | None,
    rows: Path | None,
    seconds: float | None,
    overrides: tuple[str, ...],
) -> None:
    """Which columns a trial's score rests on.

    Each raw column is shuffled in rows that the model was not fitted on, and what the primary metric loses is its
    importance: in validation rows, or in the test data where the model was fitted on all others. A cross-validated
    job without test data answers by the model of its last fold. With --rows: what each column adds to the answer for
    each row: to a value, or to its log(1 + value) where the model has learned that; to the log-odds of a class.

    Example: forestay job explain latest --rank 2
    """
    from automl_jobs.explain import Request
    from automl_jobs.explain import explain as told
    from automl_jobs.runs import RunStore
    from automl_jobs.submit import parse_overrides

    screen = console(context)
    request = Request(job, rank, seconds, rows, parse_overrides(overrides))
    document = told(RunStore.open(create=False), request, screen.warn)
    screen.emit(document, lambda: _view(document))


def _view(document: dict[str, Any]) -> Iterable[Any]:
    yield f"{document['job']}, trial {document['trial']} (rank {document['rank']}): {document['algorithm']}"
    if "contributions" in document:
        yield from _rows_view(document["contributions"])
        return
    if not document["importances"] and not document["left_out"]:
        yield "the forecast rests on the target's own past: no other column is used"
        return
    yield importance_view(document, SHOWN_COLUMNS)
    if document["data"] == "training":
        yield "measured on training rows, which the model has seen: no model that was fitted without them was kept"
    if document["left_out"]:
        yield f"{len(document['left_out'])} columns were not reached in the time; --seconds gives more"


def _rows_view(rows: list[dict[str, Any]]) -> Iterable[Any]:
    for number, row in enumerate(rows[:SHOWN_ROWS], start=1):
        for label, part in row["classes"].items() if "classes" in row else (("", row),):
            largest = list(part["contributions"].items())[:SHOWN_CONTRIBUTIONS]
            adds = "adds to log(1 + target)" if part.get("link") == "log1p" else "adds"
            yield table(
                ("column", adds),
                [("(start)", f"{part['bias']:+.4f}"), *((name, f"{value:+.4f}") for name, value in largest)],
                title=f"row {number}" + (f", {label}" if label else ""),
                right=(adds,),
            )
    if len(rows) > SHOWN_ROWS:
        yield f"and {len(rows) - SHOWN_ROWS} more rows; --output json has all"
