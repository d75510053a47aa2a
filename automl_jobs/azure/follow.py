"""A job in Azure followed until it has ended, and what is told of one that did not complete."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from automl_jobs import watch
from automl_jobs.azure import failures, jobs
from automl_jobs.azure.arm import Arm
from automl_jobs.runs.rows import JobDetail, JobRow, TrialRow
from forestay.errors import RunFailed


def follow(arm: Arm, given: str, watcher: watch.Watcher) -> JobDetail:
    """Watch a job until it has ended; the whole job. Raises what `watch.watch` and `jobs.find` raise."""
    seen = jobs.find(arm, given)

    def look() -> tuple[JobRow, Sequence[TrialRow]]:
        nonlocal seen
        seen = jobs.find(arm, seen.row.job)
        return seen.row, seen.trials

    watch.watch(look, watcher)
    return jobs.detail(arm, seen)


def require_completed(arm: Arm, found: JobDetail, say: Callable[[str], None]) -> None:
    """Raise RunFailed for a job that ended otherwise, after the end of its log was said."""
    if found.status == "Canceled":
        raise RunFailed(
            f"{found.job} was canceled",
            fix=f"its trials stay: forestay job leaderboard {found.job} --env {found.env}",
        )
    if found.status != "Failed":
        return
    failure = failures.of(arm, jobs.find(arm, found.job))
    if failure.tail:
        say(f"the end of {failure.log}, {failure.run}:")
        for line in failure.tail:
            say(f"  {line}")
    raise RunFailed(f"{found.job} failed: {failure.message}", fix=failure.suggestion)
