"""A whole local run: problem -> trials in workers -> ensemble -> test scores -> the model on all rows -> run store."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs import fingerprint
from automl_jobs.engine import guardrails, tasks, yardstick
from automl_jobs.engine.after import Describe
from automl_jobs.engine.ensemble import STACK, VOTING
from automl_jobs.engine.loop import Listener, Loop
from automl_jobs.engine.progress import Limits
from automl_jobs.engine.records import TrialRecord
from automl_jobs.engine.worker import Failure, TestScore, Worker, give_back
from automl_jobs.prepare.profile import profile
from automl_jobs.runs import JobStart, RunStore
from automl_jobs.runs.choice import SCORE
from automl_jobs.runs.rows import PROFILE, SUBMITTED
from automl_jobs.spec.jobs import runnable
from forestay import LOCAL
from forestay.errors import ForestayError, InputError, Interrupted, RunFailed
from forestay.project import ensure_folder

if TYPE_CHECKING:
    from automl_jobs.engine.guardrails import Guardrail
    from automl_jobs.engine.tasks import AnyProblem
    from automl_jobs.prepare import Prepared
    from automl_jobs.runs import JobWriter, Reopened
    from automl_jobs.spec.jobs import JobSpec

# Trials side by side use cores better than threads inside one do, until the copies of a table cost too much memory.
MOST_WORKERS, ROWS_FOR_WORKERS, ROWS_A_THREAD = 4, 100_000, 5_000
# A table of so many rows takes seconds to be read: they count as the run's, up to this share of the budget.
MANY_ROWS, MOST_READING = 200_000, 0.5
# Shares of the budget, and most seconds, that are kept for scoring the test data and for the ensemble.
TEST_SHARE, MOST_TEST_SECONDS = 0.05, 5.0
ENSEMBLE_SHARE, MOST_ENSEMBLE_SECONDS = 0.07, 20.0
STACK_SHARE, MOST_STACK_SECONDS = 0.03, 10.0
# And for describing the best trial: its features, its importances, the interval of its test score.
DESCRIBE_SHARE, MOST_DESCRIBE_SECONDS, DESCRIBE_GRACE_SECONDS = 0.05, 10.0, 1.5
# A search that ends before its time leaves more of it for that.
UNUSED_DESCRIBE_SECONDS = 20.0
# How far past its budget a run may go for what is told of its model, as a share of it and in seconds at least: what has
# not come by then is left out. The rest of what is allowed, 5 % and 3 seconds, is for writing it down.
LATE_SHARE, LATE_SECONDS = 0.03, 2.0
# An ensemble of fewer trials than this is not worth its place in `limits.max_trials`.
FEWEST_FOR_ENSEMBLE, FEWEST_FOR_STACK = 5, 8


@dataclass(frozen=True)
class RunSettings:
    """Settings that Azure's job file lacks.

    Attributes
    ----------
    seconds: for the whole run.
    seed: of everything random.
    prefer: speed, balanced or score: which trial is the job's model (see `runs.choice`).
    options: what was asked for at submit, as JSON values; kept with the job for whom resumes or explains it.
    """

    seconds: float
    seed: int
    prefer: str = "balanced"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Budget:
    """How the seconds of a run are shared out."""

    test: float
    ensemble: float
    stack: float
    describe: float
    search: float

    @classmethod
    def of(cls, seconds: float, test: bool, voting: bool, stack: bool) -> _Budget:
        for_test = min(MOST_TEST_SECONDS, TEST_SHARE * seconds) if test else 0.0
        for_ensemble = min(MOST_ENSEMBLE_SECONDS, ENSEMBLE_SHARE * seconds) if voting else 0.0
        for_stack = min(MOST_STACK_SECONDS, STACK_SHARE * seconds) if stack else 0.0
        describing = min(MOST_DESCRIBE_SECONDS, DESCRIBE_SHARE * seconds)
        rest = seconds - for_test - for_ensemble - for_stack - describing
        return cls(for_test, for_ensemble, for_stack, describing, rest)


def available(prepared: Prepared) -> tuple[str, ...]:
    """The job's algorithms that this machine has, in Azure's names.

    Raises InputError when none of those that the file allows is one, or the task does not train here at all.
    """
    spec = prepared.loaded.spec
    if not spec.runs_here:
        raise InputError(
            f"{spec.task} jobs do not train on this machine",
            where=prepared.loaded.where("task"),
            fix=f"Azure ML takes this file as it is: submit it with --env NAME; here train {', '.join(runnable())}",
        )
    here = tasks.of(spec.task).algorithms(spec.task)
    names = tuple(name for name in spec.algorithms if name in here)
    if not names:
        raise InputError(
            "no algorithm is left that runs on this machine",
            where=prepared.loaded.where("training"),
            fix=f"allow one of {', '.join(sorted(here))}",
        )
    return names


def run(prepared: Prepared, home: Path, settings: RunSettings, listener: Listener, resumed: str = "") -> str:
    """Train a prepared job on this machine; returns the job's name.

    Parameters
    ----------
    resumed: the name of a job of the store that goes on: its trials are taken in first, and what its sessions took
        counts. The caller has made sure that it is the same job on the same data.

    Everything is in the store when this returns or raises. Raises InputError before anything is written; RunFailed
    when no trial completed; Interrupted when the job was canceled from outside or the listener says stop; OutsideError
    when another process runs the job that is to go on.
    """
    names = available(prepared)
    spec = prepared.loaded.spec
    engine = tasks.of(spec.task)
    began: float | None = None
    rows = len(prepared.require_local().frame)
    if rows >= MANY_ROWS:
        # Reading a large table is a part of the run; a small one's is what any command takes to start.
        began = time.monotonic() - min(prepared.seconds, MOST_READING * settings.seconds)
        listener.note(f"splitting {rows:,} rows and laying them out for the training processes")
    problem: AnyProblem = engine.build(prepared, settings.seed)
    most = engine.most_trials(spec)
    voting = spec.training.enable_vote_ensemble and most >= FEWEST_FOR_ENSEMBLE
    stack = engine.learner(problem, spec) if spec.training.enable_stack_ensemble and most >= FEWEST_FOR_STACK else None
    kinds = {name for name, wanted in ((VOTING, voting), (STACK, stack is not None)) if wanted}
    submitted = {
        "schema_version": 1,
        "options": dict(settings.options),
        "data": fingerprint.of_tables(prepared),
        "measured_by": yardstick.of(problem, spec.weight_column_name),
    }
    store = RunStore.open()
    earlier = store.reopen(resumed) if resumed else None
    writer = earlier.writer if earlier else store.start_job(_start(prepared, settings, submitted))
    seconds = max(0.0, settings.seconds - earlier.used_seconds) if earlier else settings.seconds
    budget = _Budget.of(seconds, problem.test is not None, voting, stack is not None)
    try:
        with _scratch(home, writer.job) as folder:
            writer.status("Preparing")
            problem_file = folder / "problem.pkl"
            tasks.save(problem, problem_file)
            problem = tasks.load(problem_file)
            limits = Limits(
                seconds=budget.search,
                trial_seconds=spec.limits.trial_timeout_minutes * 60,
                trials=_searched(most, kinds, earlier),
                exit_score=spec.limits.exit_score,
                early_termination=spec.limits.enable_early_termination,
                most=most,
            )
            search = engine.search(problem, names, limits)
            search.started = search.started if began is None else began
            count, threads = shares(spec, problem.rows)
            workers = [Worker(problem_file, folder, threads) for _ in range(count)]
            loop = Loop(problem, search, workers, writer, listener, folder, blended=bool(kinds))
            try:
                listener.started(writer.job, count, threads)
                if earlier:
                    writer.log_document(SUBMITTED, submitted)
                    loop.restore([TrialRecord.of(one) for one in earlier.trials])
                _guard(engine.guardrails(prepared, problem), writer, listener)
                prepared.release()
                give_back()
                writer.status("Running")
                loop.run()
                end = search.started + seconds
                # What is kept for fitting the model again comes last.
                judged = end - search.reserved
                until, bounded = judged - budget.test - budget.describe, settings.prefer != SCORE
                if voting:
                    loop.ensemble(until - budget.stack, bounded=bounded)
                if stack is not None:
                    loop.ensemble(until, stack, bounded)
                if loop.completed == 0 or (loop.completed == 1 and loop.errors):
                    raise _nothing_trained(loop.errors, writer.job)
                late = latest(end, seconds)
                scores = _test_scores(problem, loop, min(late, max(judged, time.monotonic() + MOST_TEST_SECONDS)))
                describing = min(max(budget.describe, UNUSED_DESCRIBE_SECONDS), max(1.0, judged - time.monotonic()))
                _describe(prepared, loop, writer, describing, late)
                loop.fit_again(end)
            finally:
                for worker in workers:
                    worker.kill()
            writer.finish("Completed", test_metrics=scores)
            listener.note(f"stopped: {search.stop_reason}")
            chosen = writer.chosen()
            if chosen is not None and chosen.reason:
                listener.note(f"chosen: rank {chosen.rank}, {chosen.algorithm}: {chosen.reason}")
    except KeyboardInterrupt:
        writer.finish("Canceled", error="interrupted")
        raise Interrupted(
            f"stopped; the finished trials are kept in job {writer.job}",
            fix=f"go on: forestay job resume {writer.job}",
            job=writer.job,
        ) from None
    except ForestayError as error:
        writer.finish("Canceled" if isinstance(error, Interrupted) else "Failed", error=str(error))
        raise
    except Exception as error:
        writer.finish("Failed", error=f"{type(error).__name__}: {error}")
        raise
    return writer.job


def latest(end: float, seconds: float) -> float:
    """The moment after which nothing more is told of a model, in a run of so many seconds that is to end at `end`."""
    return end + max(LATE_SECONDS, LATE_SHARE * seconds)


def _searched(most: int, kinds: set[str], earlier: Reopened | None) -> int:
    """How many of the job's trials are the search's: ensembles, of these kinds, are trials too, as in Azure.

    A job that has had its ensembles and goes on tries something new first, and makes them anew where there is room.
    """
    trials = earlier.trials if earlier else ()
    last = {one.result.algorithm for one in trials[-len(kinds) :]}
    return max(most - len(kinds), min(most, len(trials) + 1) if kinds and last == kinds else 0)


def shares(spec: JobSpec, rows: int) -> tuple[int, int]:
    """How many workers, and how many threads each may use; together no more than there are cores.

    Azure's default for `max_concurrent_trials`, one, is for a cluster's nodes: where the file does not say it, all
    cores are used, unless `max_trials` is set, so that the same seed gives the same trials.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if spec.limits.model_fields_set & {"max_concurrent_trials", "max_trials"}:
        count = min(max(1, spec.limits.max_concurrent_trials), cores)
    else:
        count = min(MOST_WORKERS, cores) if rows <= ROWS_FOR_WORKERS else 1
    # On a small table threads cost more than they bring.
    threads = max(1, min(cores // count, 1 + rows // ROWS_A_THREAD))
    if spec.limits.max_cores_per_trial > 0:
        threads = min(threads, spec.limits.max_cores_per_trial)
    return count, threads


def _start(prepared: Prepared, settings: RunSettings, submitted: dict[str, Any]) -> JobStart:
    loaded = prepared.loaded
    spec = loaded.spec
    plan = prepared.plan
    parameters = {
        "validation": plan.kind,
        "rows": str(len(prepared.require_local().frame)),
        "columns": str(sum(column.used for column in prepared.columns)),
        "seed": str(settings.seed),
        "time_budget_seconds": f"{settings.seconds:g}",
    }
    if spec.forestay.decision is not None:
        parameters["decision"] = str(spec.forestay.decision)
    if spec.forestay.bagged_folds:
        parameters["bagged_folds"] = "true"
    if plan.folds:
        parameters["folds"] = str(plan.folds)
    return JobStart(
        name=spec.name,
        experiment=spec.experiment_name or "Default",
        task=spec.task,
        primary_metric=spec.metric,
        env=LOCAL,
        prefer=settings.prefer,
        spec_text=loaded.text,
        path=str(loaded.path.absolute()),
        parameters=parameters,
        tags={str(key): str(value) for key, value in (spec.tags or {}).items()},
        target=spec.target_column_name,
        documents={SUBMITTED: submitted, PROFILE: profile(prepared)},
    )


@contextmanager
def _scratch(home: Path, job: str) -> Iterator[Path]:
    """A folder for the job's workers; what a killed job left is removed by the next one."""
    parent = ensure_folder(home / "tmp")
    _sweep(parent)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=f"{job}.{os.getpid()}."))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    import psutil

    for folder in parent.iterdir():
        process = folder.name.split(".")[1:2]
        if process and process[0].isdigit() and not psutil.pid_exists(int(process[0])):
            shutil.rmtree(folder, ignore_errors=True)


def _test_scores(problem: AnyProblem, loop: Loop, deadline: float) -> dict[str, float] | None:
    """The best trial's metrics on the job's test data; None without test data, or when it takes too long."""
    best = loop.best()
    if problem.test is None or best is None:
        return None
    loop.listener.note("scoring the best trial on the test data")
    answer = loop.ask(TestScore(best[1]), deadline)
    if answer is None:
        loop.listener.note("the test data could not be scored in the time left")
        return None
    if isinstance(answer, Failure):
        raise RunFailed(f"the test data could not be scored: {answer.error}", fix="the trials are kept; see job show")
    assert isinstance(answer, dict)
    return answer


def _guard(found: tuple[Guardrail, ...], writer: JobWriter, listener: Listener) -> None:
    """Keep the data guardrails and tell those that the user should look at."""
    writer.log_document("guardrails", [one.as_dict() for one in found])
    for one in guardrails.alerts(found):
        listener.note(f"data guardrail: {one.description}{f'; {one.fix}' if one.fix else ''}")


def _describe(prepared: Prepared, loop: Loop, writer: JobWriter, seconds: float, latest: float) -> None:
    """Keep what there is to say of the best trial, until `latest`; a job is complete without it."""
    best = loop.best()
    if best is None:
        return
    chosen, outputs = best
    wanted = prepared.loaded.spec.training.enable_model_explainability
    request = Describe(chosen.id, chosen.rank, outputs, prepared.columns, wanted, seconds)
    answer = loop.ask(request, min(latest, time.monotonic() + seconds + DESCRIBE_GRACE_SECONDS))
    if isinstance(answer, dict):
        for name, document in answer.items():
            writer.log_document(name, document)
    elif isinstance(answer, Failure):
        loop.listener.note(f"the best trial is not explained: {answer.error}")


def _nothing_trained(errors: list[str], job: str) -> RunFailed:
    see = f"see the trials: forestay job leaderboard {job}"
    if errors:
        return RunFailed(f"no model was trained: {errors[0]}", fix=see)
    return RunFailed(
        "no model was trained: no trial ended within the time", fix=f"give it more time (--time-budget), or {see}"
    )
