"""Jobs and trials as they are, here or in Azure: what the reading commands and the Python API share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forestay import LOCAL

if TYPE_CHECKING:
    from automl_jobs.runs import JobDetail, JobRow, TrialRow
    from automl_jobs.runs.report.content import Content


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


def content(env: str, job: str) -> Content:
    """What a report tells of a job; of one in Azure, without files of trials. Raises InputError where there is none."""
    from automl_jobs.runs.report.content import Content, collect

    if env == LOCAL:
        from automl_jobs.runs import RunStore

        return collect(RunStore.open(create=False), job)
    from automl_jobs.azure import jobs
    from automl_jobs.azure.arm import Arm

    arm = Arm.of(env)
    seen = jobs.find(arm, job)
    return Content(jobs.detail(arm, seen), tuple(jobs.with_metrics(arm, seen)), None, "")
