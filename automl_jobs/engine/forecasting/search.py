"""Which forecasting trial comes next: a baseline, the portfolio, an ensemble of its best, then Optuna and ensembles."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from automl_jobs.engine.forecasting import catalogue
from automl_jobs.engine.forecasting.trainer import ENSEMBLE
from automl_jobs.engine.search import ROUND_STEP, TERMINATION_AFTER, TERMINATION_PATIENCE, Limits
from automl_jobs.engine.trial import BASELINE, TrialPlan

if TYPE_CHECKING:
    import optuna

SEARCHED_ALGORITHMS = 3
ENSEMBLE_SIZES = (3, 5)
# Ensembles are tried again after so many trials of the search.
ENSEMBLE_EVERY = 12


@dataclass
class ForecastSearch:
    """The order of trials of one forecasting job. It answers the same calls as `engine.search.Search`.

    Parameters
    ----------
    names: Azure's names of the algorithms to use.
    rows: of all series. higher: whether more of the metric is better.
    positive: whether the target's logarithm can be taken.
    vote: whether ensembles may be made.
    """

    names: tuple[str, ...]
    rows: int
    higher: bool
    limits: Limits
    seed: int
    positive: bool
    vote: bool = True
    started: float = field(default_factory=time.monotonic)
    best: float | None = None
    stop_reason: str = ""
    _handed: int = 0
    _finished: int = 0
    _since_best: int = 0
    _turn: int = 0
    _until_ensemble: int = 0
    _seconds: dict[str, float] = field(default_factory=dict)
    _scores: dict[str, tuple[float, str, dict[str, Any]]] = field(default_factory=dict)
    _ensembles: list[dict[str, Any]] = field(default_factory=list)
    _made: set[str] = field(default_factory=set)
    _studies: dict[str, optuna.Study] = field(default_factory=dict)
    _asked: dict[str, tuple[str, optuna.trial.Trial]] = field(default_factory=dict)
    _portfolio: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        chosen = [algorithm for algorithm in catalogue.CATALOGUE if algorithm.name in self.names]
        fit = [one for one in chosen if one.max_rows is None or self.rows <= one.max_rows] or chosen
        order = []
        for algorithm in fit:
            settings = [parameters for parameters in algorithm.portfolio if self.positive or not parameters.get("log")]
            settings = settings or [{**algorithm.portfolio[0], "log": False}]
            order += [
                (algorithm.rank + ROUND_STEP * place, algorithm.rank, algorithm.name, parameters)
                for place, parameters in enumerate(settings)
            ]
        self._portfolio = [(name, parameters) for *_, name, parameters in sorted(order, key=lambda item: item[:2])]
        self._searchable = [algorithm.name for algorithm in fit if algorithm.space is not None]
        self._until_ensemble = len(self._portfolio)

    def remaining(self) -> float:
        """Seconds left of the whole run."""
        return self.limits.seconds - (time.monotonic() - self.started)

    def deadline(self) -> float:
        """The moment (time.monotonic) at which a trial started now is stopped."""
        return time.monotonic() + min(self.remaining(), self.limits.trial_seconds)

    def next(self) -> TrialPlan | None:
        """The next trial; None when the search is over, with `stop_reason` saying why."""
        if self._handed == 0:
            return self._plan(BASELINE, {})
        if self._over():
            return None
        last = self._handed + 1 >= self.limits.trials
        if self.vote and (last or self._until_ensemble <= 0):
            if not self._ensembles and self._until_ensemble <= 0:
                self._until_ensemble = ENSEMBLE_EVERY
                self._ensembles = self._candidates()
            if last and not self._ensembles:
                self._ensembles = self._candidates()[:1]
        if self._ensembles:
            return self._plan(ENSEMBLE, self._ensembles.pop(0))
        self._until_ensemble -= 1
        left = self.remaining()
        while self._portfolio:
            name, parameters = self._portfolio.pop(0)
            if self._seconds.get(name, 0.0) <= left:
                return self._plan(name, parameters)
        return self._searched(left)

    def _searched(self, left: float) -> TrialPlan | None:
        best: dict[str, float] = {}
        for score, name, _ in sorted(self._scores.values(), key=lambda item: item[0], reverse=not self.higher):
            best[name] = score
        ranked = sorted((name for name in self._searchable if name in best), key=best.__getitem__, reverse=self.higher)
        ready = [name for name in ranked if self._seconds.get(name, 0.0) <= left][:SEARCHED_ALGORITHMS]
        if not ready:
            self.stop_reason = "no further trial fits in the time left" if ranked else "all settings are tried"
            return None
        name = ready[self._turn % len(ready)]
        self._turn += 1
        asked = self._study(name).ask()
        space = catalogue.by_name(name).space
        assert space is not None
        drawn = space(asked)
        plan = self._plan(name, drawn if self.positive else {**drawn, "log": False})
        self._asked[plan.id] = (name, asked)
        return plan

    def _plan(self, name: str, parameters: dict[str, Any]) -> TrialPlan:
        plan = TrialPlan(str(self._handed), name, parameters)
        self._handed += 1
        return plan

    def _candidates(self) -> list[dict[str, Any]]:
        """Ensembles of the best models so far, one of each algorithm, that were not made before."""
        ranked = sorted(self._scores.values(), key=lambda item: item[0], reverse=self.higher)
        members: list[tuple[str, dict[str, Any]]] = []
        seen: set[str | float] = set()
        for score, name, parameters in ranked:
            # Two models of the very same score give the same forecasts.
            if not seen & {name, score}:
                members.append((name, parameters))
            seen |= {name, score}
        found = []
        for size in ENSEMBLE_SIZES:
            chosen = members[:size]
            mark = json.dumps(chosen, sort_keys=True)
            if len(chosen) > 1 and mark not in self._made:
                self._made.add(mark)
                found.append({"members": chosen})
        return found

    def _over(self) -> bool:
        limits = self.limits
        wanted = limits.exit_score
        if self.remaining() <= 0:
            self.stop_reason = "the time is used up"
        elif self._handed >= max(2, limits.trials):
            self.stop_reason = f"limits.max_trials ({limits.trials}) is reached"
        elif wanted is not None and self.best is not None and not self._better(wanted, self.best):
            self.stop_reason = f"limits.exit_score ({wanted}) is reached"
        elif (
            limits.early_termination
            and self._finished >= TERMINATION_AFTER
            and self._since_best >= TERMINATION_PATIENCE
            and not self._portfolio
            and not self._ensembles
            # The first ensemble is due once the portfolio is through.
            and (not self.vote or self._until_ensemble > 0)
        ):
            self.stop_reason = f"the last {self._since_best} trials were no better (enable_early_termination)"
        return bool(self.stop_reason)

    def _better(self, score: float, than: float) -> bool:
        return score > than if self.higher else score < than

    def _study(self, name: str) -> optuna.Study:
        if name not in self._studies:
            import optuna

            optuna.logging.set_verbosity(optuna.logging.WARNING)
            sampler = optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=5)
            self._studies[name] = optuna.create_study(
                direction="maximize" if self.higher else "minimize", sampler=sampler
            )
        return self._studies[name]

    def finished(self, plan: TrialPlan, score: float | None, seconds: float) -> bool:
        """Note how a trial ended (score None: it failed). Returns whether it is the best so far."""
        name = plan.algorithm
        if plan.id in self._asked:
            import optuna

            asked_of, asked = self._asked.pop(plan.id)
            state = optuna.trial.TrialState.FAIL if score is None else optuna.trial.TrialState.COMPLETE
            self._studies[asked_of].tell(asked, score, state=state)
        self._seconds[name] = max(seconds, self._seconds.get(name, 0.0) / 2)
        if name != BASELINE:
            self._finished += 1
            self._since_best += 1
        if score is None:
            return False
        if name not in (BASELINE, ENSEMBLE):
            self._scores[plan.id] = (score, name, plan.parameters)
        if self.best is None or self._better(score, self.best):
            self.best, self._since_best = score, 0
            return True
        return False
