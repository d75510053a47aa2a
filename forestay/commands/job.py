"""`forestay job list|show|watch|leaderboard|trial|download|cancel`: what ran, what came of it, and stopping it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from forestay import LOCAL
from forestay.cli import Command, console
from forestay.commands.azure import arm_of, env_option
from forestay.commands.job_views import job_view, leaderboard_view, list_view, trial_view
from forestay.errors import InputError, RunFailed

if TYPE_CHECKING:
    from automl_jobs.runs import JobDetail, JobRow, RunStore
    from forestay.console import Console

job_argument = click.argument("job")
rank_option = click.option("--rank", type=int, help="Which trial of the leaderboard; without it the chosen one.")


@click.command("list", cls=Command)
@env_option
@click.pass_context
def list_jobs(context: click.Context, env: str) -> None:
    """The jobs, newest first; of Azure's the last hundred.

    Example: forestay job list --env dev
    """
    from forestay.looking import rows as jobs

    rows = jobs(env)
    shown = console(context)
    if not rows:
        shown.note("no job has run here yet; forestay job submit JOB.yml starts one")
    shown.emit([row.as_dict() for row in rows], lambda: [list_view(rows)] if rows else [])


@click.command(cls=Command)
@job_argument
@env_option
@click.pass_context
def show(context: click.Context, job: str, env: str) -> None:
    """One job: status, best trial, metrics.

    JOB is a job's name, the beginning of only one name, or `latest`. Of a job that failed in Azure the end of its log
    is shown, and what to do.

    Example: forestay job show latest
    """
    screen = console(context)
    found = _detail(env, job, screen)
    screen.emit(found.as_dict(), lambda: job_view(found, screen.verbose))


def _detail(env: str, job: str, screen: Console) -> JobDetail:
    from forestay.looking import detail

    found = detail(env, job)
    if env != LOCAL and found.status == "Failed":
        from automl_jobs.azure import failures, jobs

        arm = arm_of(env)
        seen = jobs.find(arm, found.job)
        failure = failures.of(arm, seen)
        for line in failure.tail:
            screen.note(f"{failure.log} | {line}")
        screen.note(f"what to do: {failure.suggestion}")
    return found


@click.command(cls=Command)
@job_argument
@env_option
@click.pass_context
def watch(context: click.Context, job: str, env: str) -> None:
    """Follow a job until it has ended: status, trials as they come, the best so far.

    It may have been started by another process or machine. Ctrl-C ends the watching; the job goes on. Exit code 1 when
    the job fails or is canceled.

    Example: forestay job watch latest --env dev
    """
    screen = console(context)
    if env == LOCAL:
        found = _watched_here(screen, job)
        screen.emit(found.as_dict(), lambda: job_view(found))
        if found.status != "Completed":
            raise RunFailed(f"{found.job} ended as {found.status}: {found.error or 'no reason given'}")
        return
    from automl_jobs.azure import follow
    from forestay.training import watch_in_azure

    arm = arm_of(env)
    found = watch_in_azure(screen, arm, job)
    screen.emit(found.as_dict(), lambda: job_view(found))
    follow.require_completed(arm, found, screen.note)


def _watched_here(screen: Console, job: str) -> JobDetail:
    from automl_jobs import watch as watching
    from automl_jobs.runs import RunStore
    from forestay.watching import watcher_for

    store = RunStore.open(create=False)
    name = store.job(job).job
    with watcher_for(screen) as watcher:
        watching.watch(lambda: store.job_and_trials(name), watcher)
    return store.job(name)


@click.command(cls=Command)
@job_argument
@env_option
@click.pass_context
def leaderboard(context: click.Context, job: str, env: str) -> None:
    """The trials of a job, best first.

    JOB is a job's name, the beginning of only one name, or `latest`.

    Example: forestay job leaderboard latest
    """
    from forestay.looking import trials

    found, rows = trials(env, job)
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
@env_option
@click.pass_context
def trial(context: click.Context, job: str, rank: int | None, env: str) -> None:
    """One trial: parameters, metrics, files. One of Azure's is fetched into the run store here.

    Example: forestay job trial latest --rank 2
    """
    store, name, place = _store_with(console(context), env, job, rank)
    found = store.trial(name, place)
    console(context).emit(found.as_dict(), lambda: trial_view(found))


def _store_with(screen: Console, env: str, job: str, rank: int | None) -> tuple[RunStore, str, int | None]:
    """The run store with a trial in it: one of Azure's is fetched. Also the job's name and the trial's rank there."""
    from automl_jobs.runs import RunStore

    if env == LOCAL:
        return RunStore.open(create=False), job, rank
    from automl_jobs.azure.fetch import fetch
    from forestay.watching import progress_for

    store = RunStore.open()
    with progress_for(screen, "fetching") as progress:
        name, place = fetch(arm_of(env), store, job, rank, progress, screen.note)
    return store, name, place


@click.command(cls=Command)
@job_argument
@rank_option
@click.option("--to", "to", type=click.Path(path_type=Path), help="A new folder, or an empty one.")
@env_option
@click.pass_context
def download(context: click.Context, job: str, rank: int | None, to: Path | None, env: str) -> None:
    """Copy a trial's files, model.pkl among them.

    A trial of Azure's is fetched into the run store here, its job and leaderboard with it, so that what works on local
    jobs works on it; --to is needed for local ones only.

    Example: forestay job download latest --rank 1 --to model/
    """
    screen = console(context)
    if to is None and env == LOCAL:
        raise InputError("is missing", where="--to", fix="name a new folder: --to model")
    store, name, place = _store_with(screen, env, job, rank)
    if to is None:
        kept = store.trial(name, place)
        to, names, found = kept.outputs or Path(), tuple(path for path, _ in kept.files), kept
    else:
        found, names = store.download(name, place, to)
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
@env_option
@click.pass_context
def cancel(context: click.Context, job: str, env: str) -> None:
    """Stop a running job. Its finished trials stay.

    The job stops within seconds, between two trials or by stopping the one that runs. A job that has ended is left
    as it is.

    Example: forestay job cancel latest
    """
    found, asked = _cancel(env, job)
    if asked:
        there = "" if env == LOCAL else f" --env {env}"
        text = f"{found.job} was asked to stop; forestay job show {found.job}{there} says when it has"
    elif (found.status, found.error) == ("Failed", "interrupted"):
        text = f"{found.job} is not running: its process is gone, and it is marked {found.status} (interrupted)"
    else:
        text = f"{found.job} has ended already: {found.status}"
    console(context).emit({"job": found.job, "status": found.status, "requested": asked}, lambda: [text])


def _cancel(env: str, job: str) -> tuple[JobRow, bool]:
    if env == LOCAL:
        from automl_jobs.runs import RunStore

        return RunStore.open(create=False).cancel(job)
    from automl_jobs.azure import jobs

    return jobs.cancel(arm_of(env), job)
