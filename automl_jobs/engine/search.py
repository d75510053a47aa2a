"""Which trial comes next, and when to stop.

A baseline, then each algorithm's portfolio, cheap and strong settings first, then Optuna's TPE over the algorithms that
did best, until a limit is reached.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from automl_jobs.engine import algorithms
from automl_jobs.engine.algorithms import LOG_TARGET
from automl_jobs.engine.trial import BASELINE, TrialPlan

if TYPE_CHECKING:
    import optuna

# Azure's rule for `enable_early_termination`: not before 20 trials, then after 10 without a better one.
TERMINATION_AFTER = 20
TERMINATION_PATIENCE = 10
# How many algorithms share the search once all have shown what they can.
SEARCHED_ALGORITHMS = 3
# A second round of settings of one algorithm comes this many ranks after its first.
ROUND_STEP = 6


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


@dataclass
class Search:
    """The order of trials of one job.

    Parameters
    ----------
    names: Azure's names of the algorithms to use.
    classification, rows, seed: of the problem.
    layouts: the feature layouts that differ for its columns.
    skewed: whether the target is skewed to the right and never negative: its logarithm is tried too.
    higher: whether more of the metric is better.
    limits: when to stop.
    """

    names: tuple[str, ...]
    classification: bool
    rows: int
    higher: bool
    limits: Limits
    seed: int
    layouts: frozenset[str]
    skewed: bool = False
    started: float = field(default_factory=time.monotonic)
    best: float | None = None
    _handed: int = 0
    _finished: int = 0
    _since_best: int = 0
    _best_by_algorithm: dict[str, float] = field(default_factory=dict)
    _seconds_by_algorithm: dict[str, float] = field(default_factory=dict)
    _portfolio: list[tuple[str, algorithms.Setting]] = field(default_factory=list)
    _studies: dict[str, optuna.Study] = field(default_factory=dict)
    _asked: dict[str, tuple[str, optuna.trial.Trial]] = field(default_factory=dict)
    _turn: int = 0
    stop_reason: str = ""

    def __post_init__(self) -> None:
        chosen = [a for a in algorithms.for_task(self.classification) if a.name in self.names]
        # An algorithm that grows too slowly for this many rows is used all the same when nothing else is allowed.
        fit = [a for a in chosen if a.max_rows is None or self.rows <= a.max_rows] or chosen
        order: list[tuple[float, int, str, algorithms.Setting]] = [
            (algorithm.rank + ROUND_STEP * position, algorithm.rank, algorithm.name, setting)
            for algorithm in fit
            for position, setting in enumerate(algorithm.portfolio)
        ]
        if self.skewed:
            # The logarithm is tried half a round after the target itself.
            order += [
                (
                    place + ROUND_STEP / 2,
                    rank,
                    name,
                    replace(setting, parameters=setting.parameters | {LOG_TARGET: True}),
                )
                for place, rank, name, setting in order
            ]
        self._portfolio = [(name, setting) for _, _, name, setting in sorted(order, key=lambda item: item[:3])]
        self._searchable = [algorithm.name for algorithm in fit if algorithm.space is not None]

    def remaining(self) -> float:
        """Seconds left of the whole run."""
        return self.limits.seconds - (time.monotonic() - self.started)

    def deadline(self) -> float:
        """The moment (time.monotonic) at which a trial started now is stopped."""
        return time.monotonic() + min(self.remaining(), self.limits.trial_seconds)

    def next(self) -> TrialPlan | None:
        """The next trial; None when the search is over, with `stop_reason` saying why."""
        if self._handed == 0:
            self._handed = 1
            return TrialPlan("0", BASELINE)
        if self._over():
            return None
        left = self.remaining()
        while self._portfolio:
            name, setting = self._portfolio.pop(0)
            if self._seconds_by_algorithm.get(name, 0.0) <= left:
                return self._plan(name, setting.parameters, setting.layout)
        turn = self._next_searched(left)
        if turn is None:
            waiting = any(algorithm in self._best_by_algorithm for algorithm in self._searchable)
            self.stop_reason = "no further trial fits in the time left" if waiting else "all settings are tried"
            return None
        asked = self._study(turn).ask()
        algorithm = algorithms.by_name(turn, self.classification)
        assert algorithm.space is not None
        choices = [layout for layout in algorithm.layouts if layout in self.layouts]
        layout = asked.suggest_categorical("layout", choices) if len(choices) > 1 else ""
        parameters = algorithm.space(asked)
        if self.skewed and asked.suggest_categorical(LOG_TARGET, [False, True]):
            parameters[LOG_TARGET] = True
        plan = self._plan(turn, parameters, layout)
        self._asked[plan.id] = (turn, asked)
        return plan

    def _plan(self, name: str, parameters: dict[str, Any], layout: str) -> TrialPlan:
        """A plan; a layout that differs in nothing here is the algorithm's usual one."""
        plan = TrialPlan(str(self._handed), name, parameters, layout if layout in self.layouts else "")
        self._handed += 1
        return plan

    def _over(self) -> bool:
        limits = self.limits
        if self.remaining() <= 0:
            self.stop_reason = "the time is used up"
        elif self._handed >= max(2, limits.trials):
            self.stop_reason = f"limits.max_trials ({limits.trials}) is reached"
        elif self._good_enough():
            self.stop_reason = f"limits.exit_score ({limits.exit_score}) is reached"
        elif (
            limits.early_termination
            and self._finished >= TERMINATION_AFTER
            and self._since_best >= TERMINATION_PATIENCE
            and not self._portfolio
        ):
            self.stop_reason = f"the last {self._since_best} trials were no better (enable_early_termination)"
        return bool(self.stop_reason)

    def _good_enough(self) -> bool:
        wanted = self.limits.exit_score
        if wanted is None or self.best is None:
            return False
        return self.best >= wanted if self.higher else self.best <= wanted

    def _next_searched(self, left: float) -> str | None:
        """Whose turn it is: the best algorithms take turns, those that fit in the time left."""
        ranked = sorted(
            (name for name in self._searchable if name in self._best_by_algorithm),
            key=lambda name: self._best_by_algorithm[name],
            reverse=self.higher,
        )
        ready = [name for name in ranked if self._seconds_by_algorithm.get(name, 0.0) <= left][:SEARCHED_ALGORITHMS]
        if not ready:
            return None
        self._turn += 1
        return ready[(self._turn - 1) % len(ready)]

    def _study(self, name: str) -> optuna.Study:
        if name not in self._studies:
            import optuna

            optuna.logging.set_verbosity(optuna.logging.WARNING)
            sampler = optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=5)
            self._studies[name] = optuna.create_study(
                direction="maximize" if self.higher else "minimize", sampler=sampler
            )
        return self._studies[name]

    def next_id(self) -> str:
        """The id of a trial that the search did not plan."""
        self._handed += 1
        return str(self._handed - 1)

    def finished(self, plan: TrialPlan, score: float | None, seconds: float) -> bool:
        """Note how a trial ended (score None: it failed). Returns whether it is the best so far."""
        name = plan.algorithm
        if plan.id in self._asked:
            _, asked = self._asked.pop(plan.id)
            import optuna

            study = self._studies[name]
            if score is None:
                study.tell(asked, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(asked, score)
        self._seconds_by_algorithm[name] = max(seconds, self._seconds_by_algorithm.get(name, 0.0) / 2)
        if name == BASELINE:
            if score is not None:
                self.best = score
            return score is not None
        self._finished += 1
        if score is None:
            self._since_best += 1
            return False
        known = self._best_by_algorithm.get(name)
        if known is None or self._better(score, known):
            self._best_by_algorithm[name] = score
        if self.best is None or self._better(score, self.best):
            self.best, self._since_best = score, 0
            return True
        self._since_best += 1
        return False

    def _better(self, score: float, than: float) -> bool:
        return score > than if self.higher else score < than
