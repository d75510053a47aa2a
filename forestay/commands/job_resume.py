"""`forestay job resume`."""

from __future__ import annotations

import click

from forestay.cli import Command, console


@click.command(cls=Command)
@click.argument("job", default="latest")
@click.option("--time-budget", metavar="TIME", help="For all sessions together: 30s, 5m, 1h; else as submitted.")
@click.option("--max-trials", type=click.IntRange(2), metavar="N", help="For all sessions together; else as submitted.")
@click.pass_context
def resume(context: click.Context, job: str, time_budget: str | None, max_trials: int | None) -> None:
    """Go on with a job that was stopped, killed, or should get more.

    Its finished trials are kept, and none is trained twice; time that it has used counts. Options of its submit hold
    again. The job file and the data must be what they were.

    Example: forestay job resume latest --time-budget 10m
    """
    from automl_jobs.engine import nursery
    from automl_jobs.resume import More, find
    from automl_jobs.resume import resume as go_on
    from automl_jobs.runs import RunStore
    from automl_jobs.submit import duration
    from forestay.commands.job_views import job_view
    from forestay.live import listener_for

    screen = console(context)
    store = RunStore.open(create=False)
    more = More(None if time_budget is None else duration(time_budget), max_trials)
    with nursery.at_hand() as workers:
        found = find(store, job, more, workers)
        if found is None:
            detail = store.job(job)
            screen.note(
                f"{detail.job} is Completed, nothing is left to do; --time-budget or --max-trials gives it more"
            )
        else:
            with listener_for(screen, found.detail.primary_metric, found.seconds_left) as listener:
                detail = RunStore.open().job(go_on(found, listener))
    screen.emit(detail.as_dict(), lambda: job_view(detail))
