"""`forestay job code`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from forestay.cli import Command, console
from forestay.commands.job import job_argument, rank_option


@click.command(cls=Command)
@job_argument
@rank_option
@click.option(
    "--to", type=click.Path(path_type=Path), metavar="DIR", help="A new folder, or an empty one (JOB-rank-N)."
)
@click.pass_context
def code(context: click.Context, job: str, rank: int | None, to: Path | None) -> None:
    """Write a trial's training script: readable, runnable without Forestay, with the data that the job learned from.

    train.py retrains the pipeline of the chosen trial, or of --rank, on the job's rows and folds, prints the score that
    the leaderboard has, and writes model.pkl. Ensembles become a script of their members, a StackEnsemble with what
    learns from them; a forecast one that rolls its origin. Trials of Azure have no script. A booster that the job's
    clock stopped in a fold trains to its end there, and scores otherwise. The rows are in the folder: treat it as data.

    Example: forestay job code latest --rank 2 --to script
    """
    from automl_jobs.code.write import SCRIPT
    from automl_jobs.code.write import code as write
    from automl_jobs.runs import RunStore

    screen = console(context)
    made = write(RunStore.open(create=False), job, rank, to, screen.warn)
    folder = shlex.quote(str(made.folder))
    screen.emit(
        made.as_dict(),
        f"{made.folder / SCRIPT}: trial {made.trial} (rank {made.rank}), {made.algorithm}, "
        f"{made.metric} {made.score:.5f}",
        f"run it: cd {folder} && uv venv && uv pip install -r requirements.txt && .venv/bin/python {SCRIPT}",
    )
