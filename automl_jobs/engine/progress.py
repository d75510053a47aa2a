"""How a search stands: its limits, what has been tried, what was best. What every search of trials shares."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from automl_jobs.engine.durations import Durations
from automl_jobs.engine.trial import BASELINE, TrialPlan

if TYPE_CHECKING:
    import optuna

    from automl_jobs.engine.records import TrialRecord

# Azure's rule for `enable_early_termination`: not before 20 trials, then after 10 without a better one.
TERMINATION_AFTER = 20
TERMINATION_PATIENCE = 10
# How many algorithms share the search once all have shown what they can.
SEARCHED_ALGORITHMS = 3
# No trial is given up after some of its folds before so many have seen all of theirs.
FIRST_TRIALS = 5
STARTUP_DRAWS = 5
# The first trial of a job is the baseline.
BASELINE_ID = "0"


@dataclass(frozen=True)
class Limits:
    """When the search ends.

    Attributes
    ----------
    seconds: for the whole run.
    trial_seconds: for one trial.
    trials: how many trials, the baseline among them; at least one model is tried beside it.
    most: `limits.max_trials`, where some of them are kept for ensembles beside `trials`.
    exit_score: stop once the primary metric of a trial is this good; the baseline's does not count.
    early_termination: stop when trials no longer improve.
    """

    seconds: float
    trial_seconds: float
    trials: int
    exit_score: float | None = None
    early_termination: bool = True
    most: int | None = None

    @property
    def reached(self) -> str:
        """What ends a search that has had its trials."""
        return f"limits.max_trials ({self.most or self.trials}) is reached"


@dataclass(frozen=True)
class Outlook:
    """How far a search is.

    Attributes
    ----------
    remaining: seconds after which it is stopped.
    finished: trials that have ended.
    trials: how many it will come to, where their number ends it and not the time; else None.
    expected: seconds that it will take by what trials took so far; no more than `remaining`.
    """

    remaining: float
    finished: int
    trials: int | None
    expected: float


@dataclass(kw_only=True)
class Progress(ABC):
    """The bookkeeping of a search; which trial comes next is the search's own.

    Parameters
    ----------
    higher: whether more of the metric is better.
    limits: when to stop.
    seed: of the settings that Optuna draws.

    Attributes
    ----------
    best: the best score so far. stop_reason: why the search has ended, once it has.
    news: what there is to tell of the way it goes; whoever tells it empties the list.
    reserved: seconds of the run that are kept for fitting its model again.
    """

    higher: bool
    limits: Limits
    seed: int
    started: float = field(default_factory=time.monotonic)
    best: float | None = None
    stop_reason: str = ""
    news: list[str] = field(default_factory=list)
    reserved: float = 0.0
    _ids: set[str] = field(default_factory=set)
    _count: int = 0
    _finished: int = 0
    _whole: int = 0
    _since_best: int = 0
    _turn: int = 0
    _busy_seconds: float = 0.0
    _best_by_algorithm: dict[str, float] = field(default_factory=dict)
    _best_folds: tuple[float, tuple[float, ...]] | None = None
    _durations: Durations = field(default_factory=Durations)
    _growing: dict[str, float] = field(default_factory=dict)
    _studies: dict[str, optuna.Study] = field(default_factory=dict)
    _asked: dict[str, optuna.trial.Trial] = field(default_factory=dict)

    @abstractmethod
    def next(self) -> TrialPlan | None:
        """The next trial; None when the search is over, with `stop_reason` saying why.

        None without a reason: there is none now, and what comes of those that are running may open the way to one.
        """

    @abstractmethod
    def _draw(self, name: str, asked: optuna.trial.Trial) -> tuple[dict[str, Any], str]:
        """Parameters and feature layout of algorithm `name`, drawn from an Optuna trial."""

    @abstractmethod
    def _passed(self, plan: TrialPlan) -> None:
        """A trial of an earlier session was tried without a draw: it need not come again."""

    def _kin(self, name: str) -> str:
        """What the algorithms have in common that take about as long as this one."""
        return name

    @property
    def _handed(self) -> int:
        """How many trials there are, running ones among them."""
        return len(self._ids)

    @property
    def _running(self) -> bool:
        """Whether a trial has not ended."""
        return self._handed > self._count

    @property
    def has_room(self) -> bool:
        """Whether another trial, an ensemble, is within `limits.max_trials`."""
        return self.limits.most is None or self._handed < self.limits.most

    def remaining(self) -> float:
        """Seconds left of the whole run."""
        return self.limits.seconds - self.reserved - (time.monotonic() - self.started)

    def deadline(self) -> float:
        """The moment (time.monotonic) at which a trial started now is stopped."""
        return time.monotonic() + self._longest()

    def _longest(self) -> float:
        """Seconds that a trial started now has until it is stopped."""
        return min(self.remaining(), self.limits.trial_seconds)

    def outlook(self, running: int) -> Outlook:
        """How far the search is, with so many trials `running` side by side."""
        remaining = max(0.0, self.remaining())
        left = max(0, max(2, self.limits.trials) - self._count)
        if not self._count or self._busy_seconds <= 0:
            return Outlook(remaining, self._count, None, remaining)
        expected = left * self._busy_seconds / self._count / max(1, running)
        if expected > remaining:
            return Outlook(remaining, self._count, None, remaining)
        return Outlook(remaining, self._count, self._count + left, expected)

    def next_id(self) -> str:
        """The id of the next trial: the smallest number that no trial has."""
        number = 0
        while str(number) in self._ids:
            number += 1
        self._ids.add(str(number))
        return str(number)

    def bar(self, plan: TrialPlan) -> tuple[float, ...]:
        """The best trial's scores on all folds, which `plan` is given up for missing clearly (see `pruning`).

        Empty for the baseline, for the first trial of an algorithm, for one on a part of the rows, and while few trials
        have seen all of their folds.
        """
        if self._best_folds is None or self._whole < FIRST_TRIALS or plan.rows is not None:
            return ()
        if plan.algorithm not in self._best_by_algorithm:
            return ()
        return self._best_folds[1]

    def finished(
        self,
        plan: TrialPlan,
        score: float | None,
        seconds: float,
        folds: Sequence[float] = (),
        pruned: bool = False,
    ) -> bool:
        """Note how a trial ended. Returns whether it is the best so far.

        Parameters
        ----------
        score: None when it failed or was stopped. folds: scores on its folds, as many as it saw.
        pruned: it was given up after these folds.
        """
        name = plan.algorithm
        self._count += 1
        self._busy_seconds += seconds
        self._tell(plan, score, folds, pruned)
        whole = seconds * len(self._best_folds[1]) / len(folds) if pruned and folds and self._best_folds else seconds
        # A trial that failed at once says nothing of those that don't.
        if score is not None or whole > self._durations.estimate(name, plan.layout, self._kin(name)):
            self._durations.note(name, plan.layout, self._kin(name), whole)
        if name != BASELINE:
            self._finished += 1
            self._since_best += 1
        if score is None:
            return False
        if name != BASELINE:
            self._whole += 1
            if folds and plan.rows is None and (self._best_folds is None or self._better(score, self._best_folds[0])):
                self._best_folds = score, tuple(folds)
        known = self._best_by_algorithm.get(name)
        if known is None or self._better(score, known):
            self._best_by_algorithm[name] = score
        # Trials run side by side: the baseline may end after a better one.
        if self.best is None or self._better(score, self.best):
            self.best, self._since_best = score, 0
            return True
        return False

    def grows(self, plan: TrialPlan, seconds: float) -> None:
        """Note, before `finished`, how many seconds of a trial grow with the rows that it sees."""
        self._growing[plan.id] = seconds

    def restore(self, record: TrialRecord) -> bool:
        """Take in a trial of an earlier session as if it had just ended; in the order in which they ended.

        Returns whether it is the best so far.
        """
        plan = record.plan
        self._ids.add(plan.id)
        if record.drawn is not None:
            self._turn += 1
            self._study(plan.algorithm).enqueue_trial(record.drawn)
            asked = self._ask(plan.algorithm)
            self._draw(plan.algorithm, asked)
            self._expect(plan, asked)
        elif not record.unfinished:
            self._passed(plan)
        if record.growing is not None:
            self.grows(plan, record.growing)
        return self.finished(plan, record.score, record.seconds, record.folds, record.pruned)

    def drawn(self, plan: TrialPlan) -> dict[str, Any] | None:
        """What Optuna drew for a plan that has not ended; None where its settings were not drawn."""
        asked = self._asked.get(plan.id)
        return None if asked is None else dict(asked.params)

    def _tell(self, plan: TrialPlan, score: float | None, folds: Sequence[float], pruned: bool) -> None:
        asked = self._asked.pop(plan.id, None)
        if asked is None:
            return
        from optuna.trial import TrialState

        study = self._studies[plan.algorithm]
        if pruned and folds:
            asked.report(sum(folds) / len(folds), len(folds))
            study.tell(asked, state=TrialState.PRUNED)
        else:
            study.tell(asked, score, state=TrialState.FAIL if score is None else TrialState.COMPLETE)

    def _better(self, score: float, than: float) -> bool:
        return score > than if self.higher else score < than

    def _fits(self, name: str, layout: str = "") -> bool:
        """Whether a trial of this algorithm can end in the time left, by what it and its like took before."""
        return self._durations.estimate(name, layout, self._kin(name)) <= self.remaining()

    def _over(self, more: bool) -> bool:
        """Whether a limit is reached; `more` says that there is something which early termination must wait for."""
        limits = self.limits
        if self.remaining() <= 0:
            self.stop_reason = "the time is used up"
        elif self._handed >= max(2, limits.trials):
            self.stop_reason = limits.reached
        elif self._good_enough():
            self.stop_reason = f"limits.exit_score ({limits.exit_score}) is reached"
        elif (
            limits.early_termination
            and self._finished >= TERMINATION_AFTER
            and self._since_best >= TERMINATION_PATIENCE
            and not more
        ):
            self.stop_reason = f"the last {self._since_best} trials were no better (enable_early_termination)"
        return bool(self.stop_reason)

    def _good_enough(self) -> bool:
        """Whether `limits.exit_score` is reached, by a model and not by the baseline."""
        goal, scores = self.limits.exit_score, self._best_by_algorithm.items()
        return goal is not None and any(name != BASELINE and not self._better(goal, score) for name, score in scores)

    def _next_searched(self, searchable: Collection[str]) -> str | None:
        """Whose turn it is to be searched: the best algorithms take turns, those that fit in the time left.

        None ends the search, with `stop_reason` saying why, or has it wait for what is running.
        """
        ranked = sorted(
            (name for name in searchable if name in self._best_by_algorithm),
            key=self._best_by_algorithm.__getitem__,
            reverse=self.higher,
        )
        ready = [name for name in ranked if self._fits(name)][:SEARCHED_ALGORITHMS]
        if not ready:
            if not self._running:
                self.stop_reason = "no further trial fits in the time left" if ranked else "all settings are tried"
            return None
        self._turn += 1
        return ready[(self._turn - 1) % len(ready)]

    def _study(self, name: str) -> optuna.Study:
        import optuna

        if name not in self._studies:
            optuna.logging.set_verbosity(optuna.logging.WARNING)
            self._studies[name] = optuna.create_study(direction="maximize" if self.higher else "minimize")
        return self._studies[name]

    def _ask(self, name: str) -> optuna.trial.Trial:
        """A draw from the algorithm's study; `_expect` ties it to the plan that is made of it.

        Each draw has a seed of its own, so that it depends on the trials before it and on nothing else: a search that
        goes on after an interruption draws what it would have drawn.
        """
        import numpy as np
        import optuna

        study = self._study(name)
        number = len(study.get_trials(deepcopy=False))
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_DRAWS)
        return study.ask()

    def _expect(self, plan: TrialPlan, asked: Any) -> TrialPlan:
        """Tell the study of `plan` how it ended, once it has."""
        self._asked[plan.id] = asked
        return plan
