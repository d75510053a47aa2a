"""`forestay job submit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forestay.cli import Command, console

if TYPE_CHECKING:
    from automl_jobs.submit import SubmitOptions


def submit_options(function: Any) -> Any:
    """The options that `job submit` and `ship` share."""
    for option in (
        click.option("--env", default="local", metavar="ENV", help="`local`, or a stack for Azure."),
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
) -> None:
    """Train the models of a job file and keep them in the run store.

    Ctrl-C asks whether to go on, to finish now with what there is, or to stop; off a terminal it stops (exit 130).

    Example: forestay job submit job.yml --time-budget 60s --set limits.max_trials=20
    """
    from automl_jobs.runs import RunStore
    from automl_jobs.submit import budget, meaning_here, prepare_job
    from automl_jobs.submit import submit as train
    from forestay.commands.job_views import job_view
    from forestay.live import listener_for

    screen = console(context)
    options = read_options(overrides, time_budget, seed, prefer, decision, bagged_folds, env)
    prepared = prepare_job(job_file, options, screen.note)
    for warning in prepared.warnings:
        screen.warn(f"{warning.where}: {warning.message}" if warning.where else warning.message)
    limit = budget(prepared.loaded, options)
    for line in meaning_here(prepared, limit):
        screen.note(line)
    with listener_for(screen, prepared.loaded.spec.metric, limit) as listener:
        job = train(prepared, options, listener)
    found = RunStore.open().job(job)
    screen.emit(found.as_dict(), lambda: job_view(found))
