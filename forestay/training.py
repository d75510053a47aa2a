"""A job trained on this machine, or sent to Azure and followed there: what the commands and the Python API share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forestay.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from automl_jobs.azure.arm import Arm
    from automl_jobs.prepare import Prepared
    from automl_jobs.runs import JobDetail
    from automl_jobs.submit import SubmitOptions
    from forestay.console import Console


def train_here(
    screen: Console, job_file: Path, options: SubmitOptions, look: Callable[[Prepared], None] | None = None
) -> JobDetail:
    """Check a job file and train it on this machine; the job. Raises InputError, RunFailed, Interrupted.

    Parameters
    ----------
    screen: where warnings and progress are told.
    look: is shown the job and its data once they are found right, before anything is trained; it may raise.
    """
    from automl_jobs.engine import nursery
    from automl_jobs.runs import RunStore
    from automl_jobs.submit import budget, meaning_here, prepare_job, submit
    from forestay.live import listener_for

    with nursery.at_hand() as workers:
        prepared = prepare_job(job_file, options, screen.note, workers)
        if look is not None:
            look(prepared)
        for warning in prepared.warnings:
            screen.warn(f"{warning.where}: {warning.message}" if warning.where else warning.message)
        limit = budget(prepared.loaded, options)
        for line in meaning_here(prepared, limit):
            screen.note(line)
        with listener_for(screen, prepared.loaded.spec.metric, limit) as listener:
            job = submit(prepared, options, listener)
    return RunStore.open().job(job)


def train_again(
    screen: Console, job: str, given: SubmitOptions, data: Path | None = None, to: Path | None = None
) -> JobDetail:
    """Train a job of this machine again; the new job. See `automl_jobs.rerun.find` for the parameters and errors."""
    from automl_jobs import rerun
    from automl_jobs.runs import RunStore

    store = RunStore.open(create=False)
    found = rerun.find(store, job, given, data, to)
    if found.written is not None:
        screen.note(f"{found.of} again, from {found.job_file}")

    def compare(prepared: Prepared) -> None:
        for line in found.check(prepared):
            screen.warn(line)

    try:
        return train_here(screen, found.job_file, found.options, compare)
    except InputError as error:
        if found.written is None or any(row.job == found.options.overrides["name"] for row in store.jobs()):
            raise
        raise rerun.taken_back(found, error, data) from error


@dataclass(frozen=True)
class Sent:
    """A job that is in Azure.

    Attributes
    ----------
    existing: whether it was there before, and nothing was sent.
    estimate: the most that it can cost, as JSON values; None for one that was there, or was sent again as it was.
    """

    arm: Arm
    job: JobDetail
    existing: bool = False
    estimate: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        more = {} if self.estimate is None else {"estimate": dict(self.estimate)}
        return {**self.job.as_dict(), "existing": self.existing, **more}


def send(
    screen: Console,
    job_file: Path,
    overrides: Mapping[str, str],
    env: str,
    *,
    stream: bool = False,
    if_new: bool = False,
    force: bool = False,
    create_compute: bool = False,
) -> Sent:
    """Check a job file and send it to Azure ML. Raises InputError, OutsideError.

    Parameters
    ----------
    overrides: dotted keys over the file. env: the stack.
    stream: follow the job until it has ended.
    if_new: where an equal job runs or has completed, that is the job. force: also there.
    create_compute: make a cluster that is missing.
    """
    from automl_jobs.azure import jobs
    from automl_jobs.azure import submit as azure
    from automl_jobs.azure.arm import Arm
    from forestay.watching import progress_for

    if if_new and force:
        raise InputError("are opposites", where="--if-new, --force", fix="leave one of them out")
    arm = Arm.of(env)
    with azure.checked(job_file, overrides, screen.note, screen.warn) as (loaded, tables):
        ready = azure.look(arm, loaded, tables, create_compute, screen.note)
        screen.note(f"at most {ready.estimate.line()}")
        if ready.quota:
            screen.warn(ready.quota)
        twin = ready.twin
        told = "" if twin is None else f"{twin.job} ({twin.status})"
        if twin and if_new:
            screen.note(f"nothing is new: the equal job {told} is there")
            equal = watch_in_azure(screen, arm, twin.job) if stream else jobs.detail(arm, jobs.find(arm, twin.job))
            return Sent(arm, equal, existing=True)
        if twin and not force and not screen.confirm(f"The equal job {told} is there. Submit another one?"):
            raise InputError(
                f"an equal job is there: {told}; same file, same data",
                where=str(job_file),
                fix=f"look at it: forestay job show {twin.job} --env {env}; or --force another one",
            )
        with progress_for(screen, "uploading") as progress:
            name = azure.send(arm, ready, progress, screen.note)
    return Sent(arm, followed(screen, arm, name, stream=stream), estimate=ready.estimate.as_dict())


def send_again(
    screen: Console, job: str, env: str, data: Path | None = None, *, stream: bool = False, force: bool = False
) -> Sent:
    """Send a job of Azure again as Azure keeps it. See `automl_jobs.azure.rerun.send` for parameters and errors."""
    from automl_jobs.azure.arm import Arm
    from automl_jobs.azure.rerun import send as again
    from forestay.watching import progress_for

    arm = Arm.of(env)
    with progress_for(screen, "uploading") as progress:
        name = again(arm, job, data, force, progress, screen.note, screen.warn)
    return Sent(arm, followed(screen, arm, name, stream=stream))


def followed(screen: Console, arm: Arm, name: str, *, stream: bool) -> JobDetail:
    """A job in Azure: as it is, or with `stream` as it has ended."""
    from automl_jobs.azure import jobs

    if stream:
        return watch_in_azure(screen, arm, name)
    screen.note(f"{name} goes on in Azure; forestay job watch {name} --env {arm.place.env} follows it")
    return jobs.detail(arm, jobs.find(arm, name))


def watch_in_azure(screen: Console, arm: Arm, job: str) -> JobDetail:
    """Watch a job in Azure until it has ended; the job."""
    from automl_jobs.azure.follow import follow
    from forestay.watching import watcher_for

    with watcher_for(screen) as watcher:
        return follow(arm, job, watcher)


def require_completed(screen: Console, sent: Sent) -> None:
    """Raise RunFailed where a job that was followed did not complete."""
    from automl_jobs.azure import follow

    follow.require_completed(sent.arm, sent.job, screen.note)
