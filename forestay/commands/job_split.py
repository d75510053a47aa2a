"""`forestay job split`."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forestay.cli import Command, console
from forestay.console import table
from forestay.errors import InputError

if TYPE_CHECKING:
    from automl_jobs.split import SplitJob


@click.command(cls=Command)
@click.argument("job_file", metavar="JOB.yml", type=click.Path(path_type=Path))
@click.option("--group", metavar="COLUMN", help="Rows that share its value stay on one side.")
@click.option("--time", metavar="COLUMN", help="The latest fifth of the rows validates what the earlier ones train.")
@click.option("--folds", type=click.IntRange(2), help="Of a group split; the job's n_cross_validations, else 5.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of a group split.")
@click.option("--to", "to", type=click.Path(path_type=Path), required=True, help="A new folder, or an empty one.")
@click.pass_context
def split(
    context: click.Context, job_file: Path, group: str | None, time: str | None, folds: int | None, seed: int, to: Path
) -> None:
    """Write a job whose folds keep groups, or the past, together.

    The folds are columns of a copy of the training data, named in the job as cv_split_column_names: Azure validates on
    them as this machine does.

    Example: forestay job split job.yml --group customer_id --to jobs/by_customer
    """
    from automl_jobs.spec import load_job
    from automl_jobs.split import GROUP, TIME, split_job

    if (group is None) == (time is None):
        raise InputError("name one column to split by", where="--group or --time", fix="forestay job split --help")
    kind, column = (GROUP, group) if group is not None else (TIME, time)
    assert column is not None
    made = split_job(load_job(job_file), column, kind, to, folds, seed)
    console(context).emit(made.as_dict(), lambda: _view(made))


def _view(made: SplitJob) -> Iterable[Any]:
    yield f"Wrote {made.job} and {made.data}"
    yield table(
        ("fold", "training rows", "validation rows"),
        ((fold.column, f"{fold.training_rows:,}", f"{fold.validation_rows:,}") for fold in made.folds),
        right=("training rows", "validation rows"),
    )
    for key in made.replaced:
        yield f"{key} is left out: the folds take its place"
    yield f"Next: forestay job submit {shlex.quote(str(made.job))}"
