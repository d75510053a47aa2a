"""`forestay job list|show|leaderboard|trial|download|cancel`: what ran, what came of it, and stopping it."""

from __future__ import annotations

from pathlib import Path

import click

from forestay.cli import Command, console
from forestay.commands.job_views import job_view, leaderboard_view, list_view, trial_view

job_argument = click.argument("job")
rank_option = click.option("--rank", type=int, help="Which trial of the leaderboard; without it the chosen one.")


@click.command("list", cls=Command)
@click.pass_context
def list_jobs(context: click.Context) -> None:
    """The jobs, newest first.

    Example: forestay job list
    """
    from automl_jobs.runs import RunStore

    rows = RunStore.open(create=False).jobs()
    shown = console(context)
    if not rows:
        shown.note("no job has run here yet; forestay job submit JOB.yml starts one")
    shown.emit([row.as_dict() for row in rows], lambda: [list_view(rows)] if rows else [])


@click.command(cls=Command)
@job_argument
@click.pass_context
def show(context: click.Context, job: str) -> None:
    """One job: status, best trial, metrics.

    JOB is a job's name, the beginning of only one name, or `latest`.

    Example: forestay job show latest
    """
    from automl_jobs.runs import RunStore

    found = RunStore.open(create=False).job(job)
    screen = console(context)
    screen.emit(found.as_dict(), lambda: job_view(found, screen.verbose))


@click.command(cls=Command)
@job_argument
@click.pass_context
def leaderboard(context: click.Context, job: str) -> None:
    """The trials of a job, best first.

    JOB is a job's name, the beginning of only one name, or `latest`.

    Example: forestay job leaderboard latest
    """
    from automl_jobs.runs import RunStore

    found, rows = RunStore.open(create=False).job_and_trials(job)
    document = {
        "job": found.job,
        "primary_metric": found.primary_metric,
        "status": found.status,
        "chosen": found.best.as_dict() if found.best else None,
        "trials": [row.as_dict() for row in rows],
    }
    console(context).emit(document, lambda: leaderboard_view(rows, found))


@click.command(cls=Command)
@job_argument
@rank_option
@click.pass_context
def trial(context: click.Context, job: str, rank: int | None) -> None:
    """One trial: parameters, metrics, files.

    Example: forestay job trial latest --rank 2
    """
    from automl_jobs.runs import RunStore

    found = RunStore.open(create=False).trial(job, rank)
    console(context).emit(found.as_dict(), lambda: trial_view(found))


@click.command(cls=Command)
@job_argument
@rank_option
@click.option("--to", "to", type=click.Path(path_type=Path), required=True, help="A new folder, or an empty one.")
@click.pass_context
def download(context: click.Context, job: str, rank: int | None, to: Path) -> None:
    """Copy a trial's files, model.pkl among them.

    Example: forestay job download latest --rank 1 --to model/
    """
    from automl_jobs.runs import RunStore

    found, names = RunStore.open(create=False).download(job, rank, to)
    document = {
        "path": str(to.absolute()),
        "job": found.job,
        "rank": found.row.rank,
        "trial": found.row.id,
        "files": list(names),
    }
    console(context).emit(document, lambda: [f"{len(names)} files of trial {found.row.id} are in {to}"])


@click.command(cls=Command)
@job_argument
@click.pass_context
def cancel(context: click.Context, job: str) -> None:
    """Stop a running job. Its finished trials stay.

    The job stops within seconds, between two trials or by stopping the one that runs. A job that has ended is left
    as it is.

    Example: forestay job cancel latest
    """
    from automl_jobs.runs import RunStore

    found, asked = RunStore.open(create=False).cancel(job)
    if asked:
        text = f"{found.job} was asked to stop; forestay job show {found.job} says when it has"
    elif (found.status, found.error) == ("Failed", "interrupted"):
        text = f"{found.job} is not running: its process is gone, and it is marked {found.status} (interrupted)"
    else:
        text = f"{found.job} has ended already: {found.status}"
    console(context).emit({"job": found.job, "status": found.status, "requested": asked}, lambda: [text])
