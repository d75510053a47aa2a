"""Why a job failed in Azure: error code, the end of its log, and one thing to do about it."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass

from automl_jobs.azure import storage, trials
from automl_jobs.azure.arm import Arm
from automl_jobs.azure.jobs import Seen
from forestay.errors import ForestayError

TAIL_LINES = 20
_LOGS = ("user_logs/std_log.txt", "logs/azureml/azureml_automl.log", "azureml-logs/70_driver_log.txt", "system_logs/")
# What went wrong, by the words of the error and of the log, and what to do; the first that fits.
SUGGESTIONS: tuple[tuple[str, str, str], ...] = (
    (
        r"quota|AmlComputeAllocationFailed|insufficient capacity|VMSizeNotAvailable|LowPriority.*preempt",
        "quota",
        "ask for more quota in the portal (Quotas), take another VM size, or fewer nodes: limits.max_concurrent_trials",
    ),
    (
        r"\b403\b|Authorization|forbidden|permission|does not have access|credential",
        "permissions",
        "grant the cluster's identity Storage Blob Data Contributor and AcrPull (forestay infra up does), wait some "
        "minutes, submit again",
    ),
    (
        r"image build|ImageBuild|AcrPull|docker (pull|build)|environment.*(fail|build)|conda.*(fail|solve)",
        "image build",
        "a private registry needs the workspace's imageBuildCompute (forestay infra up sets it); else submit again",
    ),
    (
        r"MLTable|DataPrep|dataset|data validation|column|Input data|schema|null values|UserErrorException.*data|rows",
        "data",
        "check the data here: forestay job check JOB.yml; then compare with what the data asset holds",
    ),
    (
        r"out of memory|MemoryError|OOM|killed",
        "memory",
        "take a larger VM size, or fewer cores a trial: limits.max_cores_per_trial",
    ),
    (r"time.?out|ExperimentTimeout", "time", "raise limits.timeout_minutes or limits.trial_timeout_minutes"),
)
_ELSE = ("other", "read the log above; forestay job show --verbose says more, and the studio has all of it")


@dataclass(frozen=True)
class Failure:
    """What is known of a failed job.

    Attributes
    ----------
    run: the job or trial that failed. message: with the error's code. log: its name. tail: its last lines.
    kind: quota, permissions, image build, data, memory, time or other. suggestion: what to do.
    """

    run: str
    message: str
    log: str
    tail: tuple[str, ...]
    kind: str
    suggestion: str


def of(arm: Arm, seen: Seen) -> Failure:
    """Why a failed job failed. What can't be read is left out; it never raises."""
    job, message, run, step = seen.row.job, "", seen.row.job, ""
    with contextlib.suppress(ForestayError):
        history = arm.history(f"runs/{job}/details", f"the run {job}")
        message = trials.error_of(history or {}) or ""
    with contextlib.suppress(ForestayError):
        run, step = _failing(arm, job)
    log, tail = last_lines(arm, run)
    if not tail and run != job:
        log, tail = last_lines(arm, job)
        run = job if tail else run
    kind, suggestion = suggest("\n".join((message, step, *tail)))
    return Failure(run, message or step or "Azure gives no reason", log, tail, kind, suggestion)


def _failing(arm: Arm, job: str) -> tuple[str, str]:
    """The run of the step that failed first, and what it says: set-up, featurization, a trial; else the job itself."""
    failed = [run for run in arm.children(job, f"the steps of {job}") if run.get("status") == "Failed"]
    for run in sorted(failed, key=lambda run: str(run.get("createdUtc") or "")):
        return str(run.get("runId") or job), trials.error_of(run) or ""
    return job, ""


def suggest(text: str) -> tuple[str, str]:
    """The kind of a failure and what to do, by its words."""
    for pattern, kind, fix in SUGGESTIONS:
        if re.search(pattern, text, re.IGNORECASE):
            return kind, fix
    return _ELSE


def last_lines(arm: Arm, run: str) -> tuple[str, tuple[str, ...]]:
    """The name and the last lines of the log that tells most."""
    prefix = f"ExperimentRun/dcid.{run}/"
    try:
        store = storage.open_store(arm, storage.ARTIFACT_STORE)
        there = [name.removeprefix(prefix) for name in store.names(prefix)]
        name = next((name for want in _LOGS for name in there if name.startswith(want)), None)
        if name is None:
            return "", ()
        text = store.read(prefix + name).decode("utf-8", "replace")
    except ForestayError:
        return "", ()
    return name, tuple(line.rstrip() for line in text.splitlines() if line.strip())[-TAIL_LINES:]
