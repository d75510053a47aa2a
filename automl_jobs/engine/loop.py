"""The loop of one job: trials handed to workers, results taken into the store, until the search ends."""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from automl_jobs.engine import records, refit, spread
from automl_jobs.engine.ensemble import STACK, VOTING, EnsemblePlan, Member
from automl_jobs.engine.records import STOPPED_AT_LIMIT, STOPPED_EARLY, TrialRecord
from automl_jobs.engine.trial import BASELINE, TrialOutcome, TrialPlan
from automl_jobs.engine.worker import NO_BETTER, Failure, TestScore, Worker
from automl_jobs.runs import TrialResult
from automl_jobs.runs.reopen import HELD_OUT_FILES, PLAN
from automl_jobs.runs.writer import FEATURES_MS, MODEL_MB, PREDICT_MS
from forestay.errors import Interrupted

if TYPE_CHECKING:
    from automl_jobs.engine.after import Describe
    from automl_jobs.engine.progress import Outlook, Progress
    from automl_jobs.engine.stack import MetaLearner
    from automl_jobs.engine.tasks import AnyProblem
    from automl_jobs.runs import BestTrial, JobWriter

TICK_SECONDS = 0.25
STOPPED_SHARE = "stopped: it took more than its share of the job's time"
STOPPED_TRIAL = "stopped: limits.trial_timeout_minutes was reached"
# Candidates for the ensemble: the best trials, and no more than this many of one algorithm, since it needs variety.
CANDIDATES, CANDIDATES_OF_ONE_KIND = 15, 4
ENSEMBLES = (VOTING, STACK)
NO_MEMBERS = (BASELINE, *ENSEMBLES)
Answer = Literal["continue", "finish", "stop"]


class Listener(Protocol):
    """What a run tells while it goes on."""

    def started(self, job: str, workers: int, threads: int) -> None:
        """The job has its name and its processes."""

    def resumed(self, results: list[TrialResult], best: float | None) -> None:
        """The job goes on: what it has from before, and its best score."""

    def trial_started(self, plan: TrialPlan) -> None: ...

    def trial_finished(self, result: TrialResult, best: bool) -> None: ...

    def tick(self, outlook: Outlook, running: list[tuple[TrialPlan, float]]) -> None:
        """Called some times a second: how far the job is, and the running trials with their seconds so far."""

    def interrupted(self) -> Answer:
        """Ctrl-C was pressed: go on, finish now with what there is, or stop."""

    def note(self, text: str) -> None: ...


@dataclass(frozen=True)
class _Kept:
    """A finished trial whose files are still at hand."""

    result: TrialResult
    folder: Path

    @property
    def usable(self) -> bool:
        """Whether an ensemble can be made of it: its held-out predictions are there."""
        return any(self.folder.glob(HELD_OUT_FILES))

    @property
    def score(self) -> float:
        return self.result.score if self.result.score is not None else math.nan

    def as_member(self) -> Member:
        measured = self.result.metrics
        cost = {"ms": PREDICT_MS, "features_ms": FEATURES_MS, "mb": MODEL_MB}
        known = {name: measured[metric] for name, metric in cost.items() if metric in measured}
        return Member(self.result.id, self.folder, self.result.preprocessor, **known)


@dataclass
class Loop:
    """One job's trials.

    Parameters
    ----------
    problem: what is trained. search: what comes next. workers: who trains it. writer: where results go.
    listener: who is told. folder: the job's scratch space. blended: whether ensembles of its trials will be made.
    """

    problem: AnyProblem
    search: Progress
    workers: list[Worker]
    writer: JobWriter
    listener: Listener
    folder: Path
    blended: bool = False
    completed: int = 0
    errors: list[str] = field(default_factory=list)
    _kept: list[_Kept] = field(default_factory=list)
    _sampled: set[str] = field(default_factory=set)
    _deadlines: dict[str, float] = field(default_factory=dict)
    _finishing: bool = False
    # Ensembles of all the trials that there are.
    _made: set[str] = field(default_factory=set)
    _refits: refit.Refits | None = None

    def __post_init__(self) -> None:
        if self.problem.hold_out:
            self._refits = refit.Refits(self.problem.rows / self.problem.training_rows)

    def restore(self, earlier: list[TrialRecord]) -> None:
        """Take in the trials of earlier sessions, in the order in which they ended; before `run`."""
        for record in earlier:
            self.search.restore(record)
            if record.score is not None:
                self.completed += 1
                self._note_made(record.plan.algorithm)
                self._note_refit(record.plan, record.result, record.growing or record.seconds)
                if record.plan.rows is not None:
                    self._sampled.add(record.plan.id)
                self._adopt(record)
            elif not (record.result.error or "").startswith("stopped"):
                self.errors.append(f"{record.plan.algorithm}: {record.result.error}")
        self._drop_weak()
        self._reserve()
        self.listener.resumed([record.result for record in earlier], self.search.best)

    def _adopt(self, record: TrialRecord) -> None:
        """Let the files of an earlier trial be found where those of a new one are."""
        if record.folder is None:
            return
        place = self.folder / record.plan.id
        place.mkdir()
        for path in (record.folder / "outputs", *record.folder.glob(HELD_OUT_FILES)):
            (place / path.name).symlink_to(path)
        self._kept.append(_Kept(record.result, place))

    def run(self) -> None:
        """Go on until the search ends. Raises Interrupted when the job is canceled, KeyboardInterrupt when stopped."""
        while True:
            try:
                self._hand_out()
                busy = [worker for worker in self.workers if worker.busy]
                if not busy:
                    return
                ready = wait([worker.pipe for worker in busy], timeout=TICK_SECONDS)
                for worker in busy:
                    if worker.pipe in ready:
                        self._take_in(worker)
                self._stop_late()
                self._tell()
            except KeyboardInterrupt:
                answer = self.listener.interrupted()
                if answer == "stop":
                    raise
                if answer == "finish":
                    self._finish_early()

    def best(self) -> tuple[BestTrial, Path] | None:
        """The trial that is the job's model and its outputs, or None when no trial was completed."""
        chosen = self.writer.chosen()
        if chosen is None:
            return None
        return chosen, self._outputs(chosen.id)

    def ensemble(self, deadline: float, learner: MetaLearner | None = None, bounded: bool = True) -> None:
        """Make an ensemble of the best trials; it is a trial like any other, and has until `deadline`.

        Parameters
        ----------
        learner, bounded: see EnsemblePlan.
        """
        by_kind: dict[str, int] = {}
        members = []
        if (VOTING if learner is None else STACK) in self._made or not self.search.has_room:
            return
        ranked = [kept for kept in self._ranked() if kept.result.algorithm not in NO_MEMBERS and kept.usable]
        # Members fitted on all rows, where there are any.
        for kept in [kept for kept in ranked if kept.result.id not in self._sampled] or ranked:
            name = kept.result.algorithm
            by_kind[name] = by_kind.get(name, 0) + 1
            if by_kind[name] <= CANDIDATES_OF_ONE_KIND:
                members.append(kept.as_member())
        if len(members) < 2:
            return
        plan = EnsemblePlan(self.search.next_id(), tuple(members[:CANDIDATES]), learner, bounded)
        shown = TrialPlan(plan.id, plan.name)
        self.listener.trial_started(shown)
        started = time.monotonic()
        answer = self.ask(plan, deadline)
        seconds = time.monotonic() - started
        if isinstance(answer, TrialOutcome):
            self._completed(answer, seconds)
        elif answer is None or answer.error == NO_BETTER:
            self.listener.note(f"no {plan.name}: " + (answer.error if answer else "the job's time was used up"))
        else:
            self._failed(shown, answer.error, seconds)

    def fit_again(self, deadline: float) -> None:
        """Fit the job's model again on all rows, where its hold-out was drawn from them and `deadline` allows it."""
        best = self.best()
        if self._refits is None or best is None or self.writer.is_refitted(best[0]):
            return
        chosen = best[0]
        rows = self.problem.training_rows
        hindrance = self._refits.hindrance(chosen.id, deadline - time.monotonic())
        if not hindrance:
            self.listener.note(
                f"fitting rank {chosen.rank}, {chosen.algorithm}, again on all {self.problem.rows:,} rows"
            )
            answer = self.ask(self._refits.request(chosen.id, chosen.algorithm, self._outputs), deadline)
            if isinstance(answer, refit.Refitted):
                self.writer.log_refit(chosen, answer.document, answer.outputs)
                return
            hindrance = answer.error if isinstance(answer, Failure) else "the job's time was used up"
        self.writer.log_refit(chosen, refit.kept(hindrance, rows), None)
        self.listener.note(f"rank {chosen.rank} keeps the model of {rows:,} rows: {hindrance}")

    def _outputs(self, trial: str) -> Path:
        """The files of a completed trial's model."""
        at_hand = [kept.folder / "outputs" for kept in self._kept if kept.result.id == trial]
        return at_hand[0] if at_hand else self.writer.outputs(trial)

    def _note_refit(self, plan: TrialPlan, result: TrialResult, seconds: float) -> None:
        if self._refits is not None:
            self._refits.note(plan, result.parameters, seconds)

    def _reserve(self) -> None:
        """Keep the time that fitting the likely model again will take."""
        if self._refits is None:
            return
        ranked = [kept.result.id for kept in self._ranked() if kept.result.algorithm not in NO_MEMBERS]
        self.search.reserved = self._refits.reserve(ranked, self.search.limits.seconds, self.blended)

    def ask(self, request: EnsemblePlan | TestScore | Describe | refit.Refit, deadline: float) -> Any:
        """The answer of a worker to one request, or None when `deadline` (time.monotonic) came first."""
        worker = self.workers[0]
        if worker.busy or not worker.alive:
            worker.kill()
            worker.start()
        worker.ask(request)
        while not wait([worker.pipe], timeout=TICK_SECONDS):
            if time.monotonic() > deadline:
                worker.kill()
                return None
            self._canceled()
        return worker.answer()

    def _ranked(self) -> list[_Kept]:
        return sorted(self._kept, key=lambda kept: kept.score, reverse=self.problem.higher)

    def _hand_out(self) -> None:
        for worker in self.workers:
            if worker.busy or self._finishing:
                continue
            plan = self.search.next()
            while self.search.news:
                self.listener.note(self.search.news.pop(0))
            if plan is None:
                self._finishing = bool(self.search.stop_reason)
                return
            plan = replace(plan, bar=self.search.bar(plan))
            # Also the baseline has a deadline, so that nothing can hold the job beyond its time.
            self._deadlines[plan.id] = self.search.deadline()
            worker.ask(plan)
            self.listener.trial_started(plan)

    def _take_in(self, worker: Worker) -> None:
        plan = worker.request
        assert isinstance(plan, TrialPlan)
        seconds = time.monotonic() - worker.started
        answer = worker.answer()
        if isinstance(answer, TrialOutcome) and math.isfinite(answer.score):
            self._completed(answer, seconds)
        else:
            error = answer.error if isinstance(answer, Failure) else f"{self.problem.metric} is not a number"
            self._failed(plan, error, seconds, answer.folds if isinstance(answer, Failure) else ())

    def _completed(self, outcome: TrialOutcome, seconds: float) -> None:
        plan = outcome.plan
        result = TrialResult(
            id=outcome.plan.id,
            algorithm=outcome.plan.algorithm,
            preprocessor=outcome.preprocessor,
            status="Completed",
            score=outcome.score,
            metrics={**outcome.metrics, **spread.over_folds(outcome.folds)},
            artifacts={**outcome.artifacts, **self._record(plan, seconds, outcome.compared, outcome.growing_seconds)},
            parameters=outcome.parameters,
            duration_seconds=outcome.duration_seconds,
            outputs=outcome.outputs,
            files=tuple(sorted((self.folder / plan.id).glob(HELD_OUT_FILES))),
        )
        self.writer.log_trial(result)
        self.search.grows(plan, outcome.growing_seconds)
        best = self.search.finished(plan, outcome.score, seconds, outcome.compared)
        self.completed += 1
        self._note_made(plan.algorithm)
        if plan.rows is not None:
            self._sampled.add(plan.id)
        self._kept.append(_Kept(result, self.folder / outcome.plan.id))
        self._drop_weak()
        self._note_refit(plan, result, outcome.growing_seconds or seconds)
        self._reserve()
        self.listener.trial_finished(result, best)

    def _note_made(self, name: str) -> None:
        """A trial is completed: an ensemble is made, or those that there are lack a candidate."""
        if name in ENSEMBLES:
            self._made.add(name)
        else:
            self._made.clear()

    def _record(
        self, plan: TrialPlan, seconds: float, folds: tuple[float, ...], growing: float | None = None
    ) -> dict[str, Any]:
        """What lets a search that goes on later take this trial in."""
        return {PLAN: records.document(plan, self.search.drawn(plan), seconds, folds, growing)}

    def _drop_weak(self) -> None:
        """Keep the files of what may still be wanted: the best trials, some of each algorithm, and the chosen one."""
        chosen = self.writer.chosen()
        by_kind: dict[str, int] = {}
        for kept in self._ranked():
            name = kept.result.algorithm
            by_kind[name] = by_kind.get(name, 0) + 1
            if by_kind[name] > CANDIDATES_OF_ONE_KIND and (chosen is None or kept.result.id != chosen.id):
                self._kept.remove(kept)
                shutil.rmtree(kept.folder, ignore_errors=True)

    def _failed(self, plan: TrialPlan, error: str, seconds: float, folds: tuple[float, ...] = ()) -> None:
        stopped = error.startswith("stopped")
        result = TrialResult(
            id=plan.id,
            algorithm=plan.algorithm,
            preprocessor="",
            status="Canceled" if stopped else "Failed",
            score=None,
            artifacts=self._record(plan, seconds, folds),
            parameters={name: str(value) for name, value in plan.parameters.items()},
            duration_seconds=seconds,
            error=error,
        )
        self.writer.log_trial(result)
        self.search.finished(plan, None, seconds, folds, pruned=bool(folds))
        if not stopped:
            self.errors.append(f"{plan.algorithm}: {error}")
        self.listener.trial_finished(result, best=False)

    def _stop_late(self) -> None:
        """Stop trials that are past their time; a trial that hangs can't hold the job."""
        over = self.search.remaining() <= 0
        for worker in self.workers:
            plan = worker.request
            if isinstance(plan, TrialPlan) and time.monotonic() >= self._deadlines[plan.id]:
                late = time.monotonic() - worker.started >= self.search.limits.trial_seconds
                self._stop(worker, plan, STOPPED_AT_LIMIT if over else STOPPED_TRIAL if late else STOPPED_SHARE)
                if not over:
                    worker.start()

    def _stop(self, worker: Worker, plan: TrialPlan, why: str) -> None:
        seconds = time.monotonic() - worker.started
        worker.kill()
        self._failed(plan, why, seconds)

    def _finish_early(self) -> None:
        self._finishing = True
        self.search.stop_reason = "finished early, as asked"
        for worker in self.workers:
            if isinstance(worker.request, TrialPlan):
                self._stop(worker, worker.request, STOPPED_EARLY)

    def _tell(self) -> None:
        now = time.monotonic()
        running = [
            (worker.request, now - worker.started) for worker in self.workers if isinstance(worker.request, TrialPlan)
        ]
        self.listener.tick(self.search.outlook(len(self.workers)), running)
        self._canceled()

    def _canceled(self) -> None:
        if self.writer.cancel_requested():
            job = self.writer.job
            raise Interrupted(f"job {job} was canceled", fix=f"go on: forestay job resume {job}", job=job)
