"""How a search stands: its limits, what has been tried, what was best. What every search of trials shares."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from automl_jobs.engine.trial import BASELINE, TrialPlan

if TYPE_CHECKING:
    import optuna

# Azure's rule for `enable_early_termination`: not before 20 trials, then after 10 without a better one.
TERMINATION_AFTER = 20
TERMINATION_PATIENCE = 10
# How many algorithms share the search once all have shown what they can.
SEARCHED_ALGORITHMS = 3


@dataclass(frozen=True)
class Limits:
    """When the search ends.

    Attributes
    ----------
    seconds: for the whole run.
    trial_seconds: for one trial.
    trials: how many trials, the baseline among them; at least one model is tried beside it.
    exit_score: stop once the primary metric is this good.
    early_termination: stop when trials no longer improve.
    """

    seconds: float
    trial_seconds: float
    trials: int
    exit_score: float | None = None
    early_termination: bool = True


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
    """

    higher: bool
    limits: Limits
    seed: int
    started: float = field(default_factory=time.monotonic)
    best: float | None = None
    stop_reason: str = ""
    news: list[str] = field(default_factory=list)
    _handed: int = 0
    _finished: int = 0
    _since_best: int = 0
    _turn: int = 0
    _best_by_algorithm: dict[str, float] = field(default_factory=dict)
    _seconds_by_algorithm: dict[str, float] = field(default_factory=dict)
    _growing: dict[str, float] = field(default_factory=dict)
    _studies: dict[str, optuna.Study] = field(default_factory=dict)
    _asked: dict[str, optuna.trial.Trial] = field(default_factory=dict)

    @abstractmethod
    def next(self) -> TrialPlan | None:
        """The next trial; None when the search is over, with `stop_reason` saying why."""

    def remaining(self) -> float:
        """Seconds left of the whole run."""
        return self.limits.seconds - (time.monotonic() - self.started)

    def deadline(self) -> float:
        """The moment (time.monotonic) at which a trial started now is stopped."""
        return time.monotonic() + min(self.remaining(), self.limits.trial_seconds)

    def next_id(self) -> str:
        """The id of the next trial."""
        self._handed += 1
        return str(self._handed - 1)

    def finished(self, plan: TrialPlan, score: float | None, seconds: float) -> bool:
        """Note how a trial ended (score None: it failed). Returns whether it is the best so far."""
        name = plan.algorithm
        if plan.id in self._asked:
            import optuna

            state = optuna.trial.TrialState.FAIL if score is None else optuna.trial.TrialState.COMPLETE
            self._studies[name].tell(self._asked.pop(plan.id), score, state=state)
        self._seconds_by_algorithm[name] = max(seconds, self._seconds_by_algorithm.get(name, 0.0) / 2)
        if name != BASELINE:
            self._finished += 1
            self._since_best += 1
        if score is None:
            return False
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

    def _better(self, score: float, than: float) -> bool:
        return score > than if self.higher else score < than

    def _fits(self, name: str) -> bool:
        """Whether a trial of this algorithm can end in the time left, by what it took before."""
        return self._seconds_by_algorithm.get(name, 0.0) <= self.remaining()

    def _over(self, more: bool) -> bool:
        """Whether a limit is reached; `more` says that there is something which early termination must wait for."""
        limits = self.limits
        if self.remaining() <= 0:
            self.stop_reason = "the time is used up"
        elif self._handed >= max(2, limits.trials):
            self.stop_reason = f"limits.max_trials ({limits.trials}) is reached"
        elif limits.exit_score is not None and self.best is not None and not self._better(limits.exit_score, self.best):
            self.stop_reason = f"limits.exit_score ({limits.exit_score}) is reached"
        elif (
            limits.early_termination
            and self._finished >= TERMINATION_AFTER
            and self._since_best >= TERMINATION_PATIENCE
            and not more
        ):
            self.stop_reason = f"the last {self._since_best} trials were no better (enable_early_termination)"
        return bool(self.stop_reason)

    def _next_searched(self, searchable: Collection[str]) -> str | None:
        """Whose turn it is to be searched: the best algorithms take turns, those that fit in the time left.

        None ends the search, with `stop_reason` saying why.
        """
        ranked = sorted(
            (name for name in searchable if name in self._best_by_algorithm),
            key=self._best_by_algorithm.__getitem__,
            reverse=self.higher,
        )
        ready = [name for name in ranked if self._fits(name)][:SEARCHED_ALGORITHMS]
        if not ready:
            self.stop_reason = "no further trial fits in the time left" if ranked else "all settings are tried"
            return None
        self._turn += 1
        return ready[(self._turn - 1) % len(ready)]

    def _ask(self, name: str) -> optuna.trial.Trial:
        """A draw from the algorithm's study; `_expect` ties it to the plan that is made of it."""
        import optuna

        if name not in self._studies:
            optuna.logging.set_verbosity(optuna.logging.WARNING)
            self._studies[name] = optuna.create_study(
                direction="maximize" if self.higher else "minimize",
                sampler=optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=5),
            )
        return self._studies[name].ask()

    def _expect(self, plan: TrialPlan, asked: Any) -> TrialPlan:
        """Tell the study of `plan` how it ended, once it has."""
        self._asked[plan.id] = asked
        return plan
