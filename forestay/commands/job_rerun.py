"""`forestay job rerun`."""

from __future__ import annotations

from pathlib import Path

import click

from forestay import LOCAL
from forestay.cli import Command, console
from forestay.commands.job import job_argument
from forestay.commands.job_submit import (
    azure_options,
    read_options,
    refuse_azure_options,
    refuse_local_options,
    submit_options,
)
from forestay.errors import InputError


@click.command(cls=Command)
@job_argument
@click.option(
    "--data", type=click.Path(path_type=Path), metavar="DATA", help="A data file, or a folder with an MLTable, instead."
)
@click.option("--to", type=click.Path(path_type=Path), metavar="DIR", help="The job folder to write (jobs/NAME-2).")
@submit_options
@click.option("--stream", is_flag=True, help="With --env of Azure: follow the job until it has ended.")
@azure_options
@click.pass_context
def rerun(
    context: click.Context,
    job: str,
    data: Path | None,
    to: Path | None,
    overrides: tuple[str, ...],
    time_budget: str | None,
    seed: int | None,
    prefer: str | None,
    decision: str | None,
    bagged_folds: bool,
    env: str,
    stream: bool,
    force: bool,
    create_compute: bool,
) -> None:
    """Run a job again: the same file and settings, on its own data or on new.

    Flags go over those of its submit; the new job carries the tag rerun_of. New data is read as the old was, and its
    columns are compared with those that the job knew: one that is missing stops it, others are told. For new data, and
    where the job file has changed since, a job folder is written that can be submitted by itself. With --env a job of
    Azure is sent there again as Azure keeps it.

    Example: forestay job rerun latest --data transactions-march.csv
    """
    from forestay import training
    from forestay.commands.job_views import job_view

    screen = console(context)
    if env != LOCAL:
        refuse_local_options(time_budget, seed, prefer, decision, bagged_folds)
        for flag, given in (("--set", overrides), ("--to", to), ("--create-compute", create_compute)):
            if given:
                fix = "leave it out, or change the job file and submit that: forestay job submit JOB.yml --env " + env
                raise InputError("has no place in a job that is sent again as it was", where=flag, fix=fix)
        sent = training.send_again(screen, job, env, data, stream=stream, force=force)
        screen.emit(sent.as_dict(), lambda: job_view(sent.job))
        if stream:
            training.require_completed(screen, sent)
        return
    refuse_azure_options(stream=stream, force=force, create_compute=create_compute)
    options = read_options(overrides, time_budget, seed, prefer, decision, bagged_folds, env)
    found = training.train_again(screen, job, options, data, to)
    screen.emit(found.as_dict(), lambda: job_view(found))
