"""`forestay job submit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forestay import LOCAL
from forestay.cli import Command, console
from forestay.errors import InputError

if TYPE_CHECKING:
    from automl_jobs.submit import SubmitOptions


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
    from forestay.commands.job_views import job_view
    from forestay.training import require_completed, send, train_here

    screen = console(context)
    if env != LOCAL:
        from automl_jobs.submit import parse_overrides

        refuse_local_options(time_budget, seed, prefer, decision, bagged_folds)
        given = parse_overrides(overrides)
        sent = send(
            screen, job_file, given, env, stream=stream, if_new=if_new, force=force, create_compute=create_compute
        )
        screen.emit(sent.as_dict(), lambda: job_view(sent.job))
        if stream:
            require_completed(screen, sent)
        return
    refuse_azure_options(stream=stream, if_new=if_new, force=force, create_compute=create_compute)
    options = read_options(overrides, time_budget, seed, prefer, decision, bagged_folds, env)
    found = train_here(screen, job_file, options)
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
