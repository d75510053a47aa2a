"""Jobs and trials as they are, here or in Azure: what the reading commands and the Python API share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forestay import LOCAL

if TYPE_CHECKING:
    from automl_jobs.runs import JobDetail, JobRow, TrialRow


def rows(env: str) -> list[JobRow]:
    """The jobs, newest first; of Azure's the last hundred."""
    if env == LOCAL:
        from automl_jobs.runs import RunStore

        return RunStore.open(create=False).jobs()
    from automl_jobs.azure import jobs
    from automl_jobs.azure.arm import Arm

    return jobs.listed(Arm.of(env))


def detail(env: str, job: str) -> JobDetail:
    """One job. Raises InputError where there is none."""
    if env == LOCAL:
        from automl_jobs.runs import RunStore

        return RunStore.open(create=False).job(job)
    from automl_jobs.azure import jobs
    from automl_jobs.azure.arm import Arm

    arm = Arm.of(env)
    return jobs.detail(arm, jobs.find(arm, job))


def trials(env: str, job: str) -> tuple[JobRow, list[TrialRow]]:
    """A job and its leaderboard. Raises InputError where there is none."""
    if env == LOCAL:
        from automl_jobs.runs import RunStore

        return RunStore.open(create=False).job_and_trials(job)
    from automl_jobs.azure import jobs
    from automl_jobs.azure.arm import Arm

    arm = Arm.of(env)
    seen = jobs.find(arm, job)
    return seen.row, jobs.with_metrics(arm, seen)
