"""A whole local run: problem -> trials in workers -> run store."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from automl_jobs.engine import algorithms, features
from automl_jobs.engine.search import Limits, Search
from automl_jobs.engine.worker import Failure, TestScore, Worker
from automl_jobs.runs import JobStart, RunStore, TrialResult
from forestay.errors import ForestayError, InputError, Interrupted, RunFailed
from forestay.project import ensure_folder

if TYPE_CHECKING:
    from automl_jobs.engine.problem import Problem
    from automl_jobs.engine.trial import TrialOutcome, TrialPlan
    from automl_jobs.prepare import Prepared
    from automl_jobs.runs import JobWriter
    from automl_jobs.spec.jobs import JobSpec

TICK_SECONDS = 0.25
ROWS_A_THREAD = 5_000
TEXT_TRIALS = 1_000
TEST_SHARE, MOST_TEST_SECONDS = 0.1, 5.0
STOPPED_AT_LIMIT = "stopped: the job's time was used up"
STOPPED_TRIAL = "stopped: limits.trial_timeout_minutes was reached"
Answer = Literal["continue", "finish", "stop"]


class Listener(Protocol):
    """What a run tells while it goes on."""

    def started(self, job: str, workers: int, threads: int) -> None:
        """The job has its name and its processes."""

    def trial_started(self, plan: TrialPlan) -> None: ...

    def trial_finished(self, result: TrialResult, best: bool) -> None: ...

    def tick(self, remaining: float, running: list[tuple[TrialPlan, float]]) -> None:
        """Called some times a second: seconds left, and the running trials with their seconds so far."""

    def interrupted(self) -> Answer:
        """Ctrl-C was pressed: go on, finish now with what there is, or stop."""

    def note(self, text: str) -> None: ...


@dataclass(frozen=True)
class RunSettings:
    """Settings that Azure's job file lacks.

    Attributes
    ----------
    seconds: for the whole run.
    seed: of everything random.
    """

    seconds: float
    seed: int


@dataclass
class _State:
    """What the loop knows of a job."""

    search: Search
    workers: list[Worker]
    deadlines: dict[str, float] = field(default_factory=dict)
    best: TrialResult | None = None
    best_outputs: Path | None = None
    completed: int = 0
    errors: list[str] = field(default_factory=list)
    finishing: bool = False


def available(prepared: Prepared) -> tuple[str, ...]:
    """The job's algorithms that this machine has, in Azure's names.

    Raises InputError when none of those that the file allows is one.
    """
    spec = prepared.loaded.spec
    here = {algorithm.name for algorithm in algorithms.for_task(spec.task != "regression")}
    names = tuple(name for name in spec.algorithms if name in here)
    if not names:
        line = prepared.loaded.line_of("training") or 1
        raise InputError(
            "no algorithm is left that runs on this machine",
            where=f"{prepared.loaded.path}:{line}",
            fix=f"allow one of {', '.join(sorted(here))}",
        )
    return names


def run(prepared: Prepared, home: Path, settings: RunSettings, listener: Listener) -> str:
    """Train a prepared job on this machine; returns the job's name.

    Everything is in the store when this returns or raises. Raises InputError before anything is written; RunFailed
    when no trial completed or the job was canceled from outside; Interrupted when the listener says stop.
    """
    from automl_jobs.engine import problem as problems

    names = available(prepared)
    problem = problems.build(prepared, settings.seed)
    spec = prepared.loaded.spec
    limits = Limits(
        seconds=settings.seconds - (_test_reserve(settings.seconds) if problem.test is not None else 0.0),
        trial_seconds=spec.limits.trial_timeout_minutes * 60,
        trials=_most_trials(spec),
        concurrent=max(1, spec.limits.max_concurrent_trials),
        exit_score=spec.limits.exit_score,
        early_termination=spec.limits.enable_early_termination,
    )
    writer = RunStore.open().start_job(_start(prepared, settings))
    try:
        with _scratch(home, writer.job) as folder:
            writer.status("Preparing")
            problem_file = folder / "problem.pkl"
            problem.save(problem_file)
            test = problem.test is not None
            search = Search(
                names=names,
                classification=problem.classification,
                rows=len(problem.frame),
                higher=problem.higher,
                limits=limits,
                seed=settings.seed,
                layouts=features.useful(problem.settings),
            )
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            count = min(limits.concurrent, cores)
            # On a small table threads cost more than they bring.
            threads = max(1, min(cores // count, 1 + len(problem.frame) // ROWS_A_THREAD))
            if spec.limits.max_cores_per_trial > 0:
                threads = min(threads, spec.limits.max_cores_per_trial)
            state = _State(search, [Worker(problem_file, folder, threads) for _ in range(count)])
            listener.started(writer.job, count, threads)
            writer.status("Running")
            try:
                _loop(problem, state, writer, listener, folder)
                scores = _test_scores(state, listener) if test else None
            finally:
                for worker in state.workers:
                    worker.kill()
            _finish(state, writer, scores)
            listener.note(f"stopped: {search.stop_reason}")
    except KeyboardInterrupt:
        writer.finish("Canceled", error="interrupted")
        raise Interrupted(f"stopped; the finished trials are kept in job {writer.job}") from None
    except ForestayError as error:
        writer.finish("Canceled" if isinstance(error, Interrupted) else "Failed", error=str(error))
        raise
    except Exception as error:
        writer.finish("Failed", error=f"{type(error).__name__}: {error}")
        raise
    return writer.job


def _test_reserve(seconds: float) -> float:
    """Seconds of the budget kept for scoring the best trial on the test data."""
    return min(MOST_TEST_SECONDS, TEST_SHARE * seconds)


def _most_trials(spec: JobSpec) -> int:
    """`limits.max_trials`. Azure's default for text tasks, one trial, is for a language model: not meant here."""
    if spec.task == "text_classification" and "max_trials" not in spec.limits.model_fields_set:
        return TEXT_TRIALS
    return spec.limits.max_trials


def _start(prepared: Prepared, settings: RunSettings) -> JobStart:
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
    if plan.folds:
        parameters["folds"] = str(plan.folds)
    return JobStart(
        name=spec.name,
        experiment=spec.experiment_name or "Default",
        task=spec.task,
        primary_metric=spec.metric,
        env="local",
        spec_text=loaded.text,
        path=str(loaded.path),
        parameters=parameters,
        tags={str(key): str(value) for key, value in (spec.tags or {}).items()},
        target=spec.target_column_name,
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


def _loop(problem: Problem, state: _State, writer: JobWriter, listener: Listener, folder: Path) -> None:
    """Hand out trials and take in results until the search ends."""
    while True:
        try:
            _hand_out(state, listener)
            busy = [worker for worker in state.workers if worker.busy]
            if not busy:
                return
            ready = wait([worker.pipe for worker in busy], timeout=TICK_SECONDS)
            for worker in busy:
                if worker.pipe in ready:
                    _take_in(problem, state, worker, writer, listener, folder)
            _stop_late(state, writer, listener)
            running = [(worker.request, time.monotonic() - worker.started) for worker in state.workers if worker.busy]
            listener.tick(max(0.0, state.search.remaining()), [item for item in running if _is_plan(item[0])])  # type: ignore[misc]
            if writer.cancel_requested():
                raise Interrupted(f"job {writer.job} was canceled", fix=f"its trials: forestay job show {writer.job}")
        except KeyboardInterrupt:
            answer = listener.interrupted()
            if answer == "stop":
                raise
            if answer == "finish":
                state.finishing = True
                state.search.stop_reason = "finished early, as asked"
                _abandon(state, writer, listener, "stopped: finished early, as asked")


def _is_plan(request: object) -> bool:
    return not isinstance(request, TestScore)


def _hand_out(state: _State, listener: Listener) -> None:
    for worker in state.workers:
        if worker.busy or state.finishing:
            continue
        plan = state.search.next()
        if plan is None:
            state.finishing = True
            return
        # Also the baseline has a deadline, so that nothing can hold the job beyond its time.
        state.deadlines[plan.id] = state.search.deadline()
        worker.ask(plan)
        listener.trial_started(plan)


def _take_in(
    problem: Problem, state: _State, worker: Worker, writer: JobWriter, listener: Listener, folder: Path
) -> None:
    plan = worker.request
    assert plan is not None
    assert not isinstance(plan, TestScore)
    seconds = time.monotonic() - worker.started
    answer = worker.answer()
    assert not isinstance(answer, dict)
    if isinstance(answer, Failure):
        _failed(state, plan, answer.error, seconds, writer, listener)
        return
    if not math.isfinite(answer.score):
        _failed(state, plan, f"{problem.metric} is not a number", seconds, writer, listener)
        return
    result = _result(answer)
    writer.log_trial(result)
    best = state.search.finished(plan, answer.score, seconds)
    state.completed += 1
    if best:
        if state.best_outputs is not None:
            shutil.rmtree(state.best_outputs.parent, ignore_errors=True)
        state.best, state.best_outputs = result, answer.outputs
    else:
        shutil.rmtree(folder / plan.id, ignore_errors=True)
    listener.trial_finished(result, best)


def _result(outcome: TrialOutcome) -> TrialResult:
    return TrialResult(
        id=outcome.plan.id,
        algorithm=outcome.plan.algorithm,
        preprocessor=outcome.preprocessor,
        status="Completed",
        score=outcome.score,
        metrics=outcome.metrics,
        artifacts=outcome.artifacts,
        parameters=outcome.parameters,
        duration_seconds=outcome.duration_seconds,
        error=None,
        outputs=outcome.outputs,
    )


def _failed(state: _State, plan: TrialPlan, error: str, seconds: float, writer: JobWriter, listener: Listener) -> None:
    stopped = error.startswith("stopped")
    result = TrialResult(
        id=plan.id,
        algorithm=plan.algorithm,
        preprocessor="",
        status="Canceled" if stopped else "Failed",
        score=None,
        metrics={},
        artifacts={},
        parameters={name: str(value) for name, value in plan.parameters.items()},
        duration_seconds=seconds,
        error=error,
        outputs=None,
    )
    writer.log_trial(result)
    state.search.finished(plan, None, seconds)
    if not stopped:
        state.errors.append(f"{plan.algorithm}: {error}")
    listener.trial_finished(result, best=False)


def _stop_late(state: _State, writer: JobWriter, listener: Listener) -> None:
    """Stop trials that are past their time; a trial that hangs can't hold the job."""
    over = state.search.remaining() <= 0
    for worker in state.workers:
        plan = worker.request
        if plan is None or isinstance(plan, TestScore) or time.monotonic() < state.deadlines[plan.id]:
            continue
        seconds = time.monotonic() - worker.started
        worker.kill()
        _failed(state, plan, STOPPED_AT_LIMIT if over else STOPPED_TRIAL, seconds, writer, listener)
        if not over:
            worker.start()


def _abandon(state: _State, writer: JobWriter, listener: Listener, why: str) -> None:
    for worker in state.workers:
        plan = worker.request
        if plan is not None and not isinstance(plan, TestScore):
            seconds = time.monotonic() - worker.started
            worker.kill()
            _failed(state, plan, why, seconds, writer, listener)


def _test_scores(state: _State, listener: Listener) -> dict[str, float] | None:
    """The best trial's metrics on the job's test data."""
    if state.best_outputs is None:
        return None
    listener.note("scoring the best trial on the test data")
    worker = state.workers[0]
    if worker.busy or not worker.alive:
        worker.kill()
        worker.start()
    worker.ask(TestScore(state.best_outputs))
    answer = worker.answer()
    if isinstance(answer, Failure):
        raise RunFailed(f"the test data could not be scored: {answer.error}", fix="the trials are kept; see job show")
    assert isinstance(answer, dict)
    return answer


def _finish(state: _State, writer: JobWriter, scores: dict[str, float] | None) -> None:
    if state.completed == 0 or (state.completed == 1 and state.errors):
        reason = state.errors[0] if state.errors else "no trial ended within the time"
        raise RunFailed(
            f"no model was trained: {reason}",
            fix=f"give it more time (--time-budget), or see the trials: forestay job leaderboard {writer.job}",
        )
    writer.finish("Completed", test_metrics=scores)
