"""Which forecasting trial comes next: a baseline, the portfolio, an ensemble of its best, then Optuna and ensembles."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from automl_jobs.engine.forecasting import catalogue
from automl_jobs.engine.forecasting.trainer import ENSEMBLE
from automl_jobs.engine.progress import Progress
from automl_jobs.engine.search import ROUND_STEP
from automl_jobs.engine.trial import BASELINE, TrialPlan

ENSEMBLE_SIZES = (3, 5)
# Ensembles are tried again after so many trials of the search.
ENSEMBLE_EVERY = 12


@dataclass(kw_only=True)
class ForecastSearch(Progress):
    """The order of trials of one forecasting job. It answers the same calls as `engine.search.Search`.

    Parameters
    ----------
    names: Azure's names of the algorithms to use.
    rows: of all series.
    positive: whether the target's logarithm can be taken.
    vote: whether ensembles may be made.
    """

    names: tuple[str, ...]
    rows: int
    positive: bool
    vote: bool = True
    _until_ensemble: int = 0
    _scores: dict[str, tuple[float, str, dict[str, Any]]] = field(default_factory=dict)
    _ensembles: list[dict[str, Any]] = field(default_factory=list)
    _made: set[str] = field(default_factory=set)
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

    def next(self) -> TrialPlan | None:
        """The next trial; None when the search is over, with `stop_reason` saying why."""
        if self._handed == 0:
            return self._plan(BASELINE, {})
        # The first ensemble is due once the portfolio is through.
        due = bool(self._portfolio or self._ensembles) or (self.vote and self._until_ensemble <= 0)
        if self._over(more=due):
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
        while self._portfolio:
            name, parameters = self._portfolio.pop(0)
            if self._fits(name):
                return self._plan(name, parameters)
        turn = self._next_searched(self._searchable)
        if turn is None:
            return None
        asked = self._ask(turn)
        space = catalogue.by_name(turn).space
        assert space is not None
        drawn = space(asked)
        return self._expect(self._plan(turn, drawn if self.positive else {**drawn, "log": False}), asked)

    def _plan(self, name: str, parameters: dict[str, Any]) -> TrialPlan:
        return TrialPlan(self.next_id(), name, parameters)

    def finished(self, plan: TrialPlan, score: float | None, seconds: float) -> bool:
        """Note how a trial ended (score None: it failed). Returns whether it is the best so far."""
        if score is not None and plan.algorithm not in (BASELINE, ENSEMBLE):
            self._scores[plan.id] = (score, plan.algorithm, plan.parameters)
        return super().finished(plan, score, seconds)

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
