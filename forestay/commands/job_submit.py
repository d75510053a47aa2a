"""`forestay job submit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forestay import LOCAL
from forestay.cli import Command, console
from forestay.commands.azure import arm_of, watched
from forestay.errors import InputError

if TYPE_CHECKING:
    from automl_jobs.submit import SubmitOptions
    from forestay.console import Console


def submit_options(function: Any) -> Any:
    """The options that `job submit` and `ship` share."""
    for option in (
        click.option("--env", default=LOCAL, metavar="ENV", help="`local`, or a stack for Azure."),
        click.option(
            "--prefer",
            type=click.Choice(["speed", "balanced", "score"]),
            help="Which trial is chosen: the quickest as good as the best, the best within 20 ms and 50 MB, the best.",
        ),
        click.option(
            "--bagged-folds", is_flag=True, help="Models are the mean of their folds' models, not fitted again."
        ),
        click.option(
            "--decision",
            metavar="RULE",
            help="How probabilities become labels: auto, argmax, f1, balanced, 0.3, cost:FN=5,FP=1.",
        ),
        click.option("--seed", type=click.IntRange(0), help="Of everything random."),
        click.option("--time-budget", metavar="TIME", help="For the whole run: 30s, 5m, 1h; over the file's limit."),
        click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Over the file; repeatable."),
    ):
        function = option(function)
    return function


def azure_options(function: Any) -> Any:
    """The options of a submit to Azure that `ship` has, too."""
    for option in (
        click.option(
            "--create-compute", is_flag=True, help="With --env of Azure: make a missing cluster as the stack has it."
        ),
        click.option(
            "--force", is_flag=True, help="With --env of Azure: also where an equal job runs or has completed."
        ),
    ):
        function = option(function)
    return function


def read_options(
    overrides: tuple[str, ...],
    time_budget: str | None,
    seed: int | None,
    prefer: str | None,
    decision: str | None,
    bagged_folds: bool,
    env: str,
) -> SubmitOptions:
    """The options as the room takes them. Raises InputError naming the flag at fault."""
    from automl_jobs.submit import SubmitOptions, duration, parse_overrides
    from automl_jobs.submit import decision as decided

    return SubmitOptions(
        overrides=parse_overrides(overrides),
        time_budget=None if time_budget is None else duration(time_budget),
        seed=seed,
        prefer=prefer,
        decision=None if decision is None else decided(decision),
        bagged_folds=bagged_folds,
        env=env,
    )


@click.command(cls=Command)
@click.argument("job_file", metavar="JOB.yml", type=click.Path(path_type=Path))
@submit_options
@click.option("--stream", is_flag=True, help="With --env of Azure: follow the job until it has ended.")
@click.option(
    "--if-new",
    is_flag=True,
    help="With --env of Azure: leave it where an equal job runs or has completed, and print that.",
)
@azure_options
@click.pass_context
def submit(
    context: click.Context,
    job_file: Path,
    overrides: tuple[str, ...],
    time_budget: str | None,
    seed: int | None,
    prefer: str | None,
    decision: str | None,
    bagged_folds: bool,
    env: str,
    stream: bool,
    if_new: bool,
    force: bool,
    create_compute: bool,
) -> None:
    """Train the models of a job file and keep them in the run store; or have Azure ML train them, with --env.

    Here Ctrl-C asks whether to go on, to finish now with what there is, or to stop; off a terminal it stops (exit 130).
    In Azure the job is queued and goes on by itself: forestay job watch follows it.

    Example: forestay job submit job.yml --time-budget 60s --set limits.max_trials=20
    """
    if env != LOCAL:
        refuse_local_options(time_budget, seed, prefer, decision, bagged_folds)
        submit_to_azure(console(context), job_file, overrides, env, stream, if_new, force, create_compute)
        return
    refuse_azure_options(stream=stream, if_new=if_new, force=force, create_compute=create_compute)
    from automl_jobs.engine import nursery
    from automl_jobs.runs import RunStore
    from automl_jobs.submit import budget, meaning_here, prepare_job
    from automl_jobs.submit import submit as train
    from forestay.commands.job_views import job_view
    from forestay.live import listener_for

    screen = console(context)
    options = read_options(overrides, time_budget, seed, prefer, decision, bagged_folds, env)
    with nursery.at_hand() as workers:
        prepared = prepare_job(job_file, options, screen.note, workers)
        for warning in prepared.warnings:
            screen.warn(f"{warning.where}: {warning.message}" if warning.where else warning.message)
        limit = budget(prepared.loaded, options)
        for line in meaning_here(prepared, limit):
            screen.note(line)
        with listener_for(screen, prepared.loaded.spec.metric, limit) as listener:
            job = train(prepared, options, listener)
    found = RunStore.open().job(job)
    screen.emit(found.as_dict(), lambda: job_view(found))


def refuse_local_options(
    time_budget: str | None, seed: int | None, prefer: str | None, decision: str | None, bagged_folds: bool
) -> None:
    """Raise InputError for the first option that Azure has no place for."""
    local = {
        "--time-budget": time_budget,
        "--seed": seed,
        "--prefer": prefer,
        "--decision": decision,
        "--bagged-folds": bagged_folds or None,
    }
    _refuse(local, "is for runs on this machine", "leave it out; Azure has limits.timeout_minutes in the job file")


def _refuse(given: dict[str, Any], message: str, fix: str) -> None:
    """Raise InputError for the first flag that was given."""
    for name, value in given.items():
        if value is not None:
            raise InputError(message, where=name, fix=fix)


def refuse_azure_options(**flags: bool) -> None:
    """Raise InputError for the first flag of these that was given and means nothing on this machine."""
    given = {f"--{name.replace('_', '-')}": value or None for name, value in flags.items()}
    _refuse(given, "is for Azure", "add --env dev, or leave it out")


def submit_to_azure(
    screen: Console,
    job_file: Path,
    overrides: tuple[str, ...],
    env: str,
    stream: bool,
    if_new: bool,
    force: bool,
    create_compute: bool,
) -> None:
    """Send a job file to Azure ML and print the job."""
    from automl_jobs.azure import follow, jobs
    from automl_jobs.azure import submit as azure
    from automl_jobs.submit import parse_overrides
    from forestay.commands.job_views import job_view
    from forestay.watching import progress_for

    if if_new and force:
        raise InputError("are opposites", where="--if-new, --force", fix="leave one of them out")
    arm = arm_of(env)
    with azure.checked(job_file, parse_overrides(overrides), screen.note, screen.warn) as (loaded, tables):
        ready = azure.look(arm, loaded, tables, create_compute, screen.note)
        screen.note(f"at most {ready.estimate.line()}")
        if ready.quota:
            screen.warn(ready.quota)
        twin = ready.twin
        told = "" if twin is None else f"{twin.job} ({twin.status})"
        if twin and if_new:
            screen.note(f"nothing is new: the equal job {told} is there")
            equal = jobs.detail(arm, jobs.find(arm, twin.job))
            screen.emit({**equal.as_dict(), "existing": True}, lambda: job_view(equal))
            return
        if twin and not force and not screen.confirm(f"The equal job {told} is there. Submit another one?"):
            raise InputError(
                f"an equal job is there: {told}; same file, same data",
                where=str(job_file),
                fix=f"look at it: forestay job show {twin.job} --env {env}; or --force another one",
            )
        with progress_for(screen, "uploading") as progress:
            name = azure.send(arm, ready, progress, screen.note)
    seen = jobs.find(arm, name)
    if stream:
        found = watched(screen, arm, name)
    else:
        found = jobs.detail(arm, seen)
        screen.note(f"{name} goes on in Azure; forestay job watch {name} --env {env} follows it")
    document = {**found.as_dict(), "existing": False, "estimate": ready.estimate.as_dict()}
    screen.emit(document, lambda: job_view(found))
    if stream:
        follow.require_completed(arm, found, screen.note)
