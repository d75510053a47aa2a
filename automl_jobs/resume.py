"""A job that goes on: the same file, options and data as at its submit, and what is left of its time and trials."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.submit import SubmitOptions, budget, prepare_job, submit, submitted_options
from forestay.errors import InputError, Problem

if TYPE_CHECKING:
    from automl_jobs.engine.loop import Listener
    from automl_jobs.prepare import Prepared
    from automl_jobs.runs import JobDetail, RunStore


@dataclass(frozen=True)
class More:
    """What a resumed job gets beyond what it was submitted with; None leaves it as it was.

    Attributes
    ----------
    time_budget: seconds for all its sessions together. trials: for all of them, `limits.max_trials` anew.
    """

    time_budget: float | None = None
    trials: int | None = None


@dataclass(frozen=True)
class Resumable:
    """A job that can go on.

    Attributes
    ----------
    options: those of its submit, with what it gets more. seconds_left: of its time budget.
    """

    detail: JobDetail
    prepared: Prepared
    options: SubmitOptions
    seconds_left: float


def find(store: RunStore, name: str, more: More, before_data: Callable[[], None] | None = None) -> Resumable | None:
    """The job, made ready to go on; None when it is Completed and gets nothing more.

    `before_data` is called before its data is read, see `prepare_job`.

    Raises OutsideError when a process is running it, InputError when the job file or the data is no longer what it
    was, or what is given is not more than what the job has had.
    """
    detail = store.job(name)
    store.require_ended(detail.job)
    if detail.status == "Completed" and more == More():
        return None
    options = submitted_options(detail)
    if options is None:
        raise InputError(
            f"how {detail.job} was submitted was not kept, so it can't go on", fix="train again: forestay job submit"
        )
    _check_more(detail, more)
    if more.time_budget is not None:
        options = replace(options, time_budget=more.time_budget)
    if more.trials is not None:
        options = replace(options, overrides={**options.overrides, "limits.max_trials": str(more.trials)})
    path = Path(detail.path)
    if not detail.path or not path.is_file():
        raise InputError(
            f"the job file of {detail.job} is gone, and with it the way to its data",
            where=detail.path or detail.job,
            fix="put it back there; it is kept in the run store as job.yml",
        )
    _check_file(path, store.job_file(detail.job), options)
    prepared = prepare_job(path, options, before_data=before_data)
    _check_data(detail, prepared)
    left = budget(prepared.loaded, options) - (detail.duration_seconds or 0.0)
    return Resumable(detail, prepared, options, max(0.0, left))


def resume(found: Resumable, listener: Listener) -> str:
    """Go on with the job; returns its name. Errors are those of `engine.run.run`."""
    return submit(found.prepared, found.options, listener, resumed=found.detail.job)


def _check_more(detail: JobDetail, more: More) -> None:
    used = detail.duration_seconds or 0.0
    if more.time_budget is not None and more.time_budget <= used:
        raise InputError(
            f"{detail.job} has used {used:.0f} s already",
            where="--time-budget",
            fix="give more than that: it is for all sessions of the job together",
        )
    if more.trials is not None and more.trials <= detail.trials:
        raise InputError(
            f"{detail.job} has {detail.trials} trials already",
            where="--max-trials",
            fix="give more than that: it is for all sessions of the job together",
        )


def _check_file(path: Path, then: str, options: SubmitOptions) -> None:
    """Raise InputError for every key of the job file that has changed; comments and layout may."""
    from automl_jobs.spec import load_job

    loaded = load_job(path, options.overrides)
    if loaded.text == then:
        return
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / path.name
        kept.write_text(then, encoding="utf-8")
        before = load_job(kept, options.overrides).spec.model_dump(mode="json")
    changed = _changed(before, loaded.spec.model_dump(mode="json"))
    if changed:
        raise InputError.of(
            [Problem(loaded.where(key), f"{key} has changed since the job was submitted") for key in changed[:-1]]
            + [
                Problem(
                    loaded.where(changed[-1]),
                    f"{changed[-1]} has changed since the job was submitted",
                    "put it back to go on (--time-budget and --max-trials give more), or submit it as a new job",
                )
            ]
        )


def _changed(before: Any, now: Any, at: str = "") -> list[str]:
    """The dotted keys whose values differ."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return [] if before == now else [at]
    keys = dict.fromkeys([*before, *now])
    return [
        found for key in keys for found in _changed(before.get(key), now.get(key), f"{at}.{key}" if at else str(key))
    ]


def _check_data(detail: JobDetail, prepared: Prepared) -> None:
    from automl_jobs import fingerprint

    then = detail.documents["submit"]["data"]
    changes = fingerprint.differences(then, fingerprint.of_tables(prepared))
    if changes:
        raise InputError(
            f"the data has changed since the job was submitted: {'; '.join(changes)}",
            where=prepared.loaded.where("training_data"),
            fix="its trials can't be compared with new ones: put the data back, or submit it as a new job",
        )
