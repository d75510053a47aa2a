"""Which forecasting trial comes next: a baseline, the portfolio in the order that fits the series, then Optuna."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from automl_jobs.engine import records
from automl_jobs.engine.forecasting import catalogue
from automl_jobs.engine.progress import BASELINE_ID, Progress
from automl_jobs.engine.search import ROUND_STEP
from automl_jobs.engine.trial import BASELINE, TrialPlan

if TYPE_CHECKING:
    import optuna


@dataclass(kw_only=True)
class ForecastSearch(Progress):
    """The order of trials of one forecasting job.

    Parameters
    ----------
    names: Azure's names of the algorithms to use.
    rows: of all series.
    positive: whether the target's logarithm can be taken.
    multiplicative: whether it is tried first: swings grow with the level.
    features: whether there are columns known ahead, which models of the target alone can't use: they come later then.
    direct: whether the series are long enough to forecast a whole horizon at once.
    """

    names: tuple[str, ...]
    rows: int
    positive: bool
    multiplicative: bool = True
    features: bool = False
    direct: bool = True
    _portfolio: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        chosen = [algorithm for algorithm in catalogue.CATALOGUE if algorithm.name in self.names]
        fit = [one for one in chosen if one.max_rows is None or self.rows <= one.max_rows] or chosen
        order = []
        for algorithm in fit:
            late = ROUND_STEP if self.features and not algorithm.features else 0
            order += [
                (algorithm.rank + late + ROUND_STEP * place, algorithm.rank, algorithm.name, parameters)
                for place, parameters in enumerate(self._settings(algorithm))
            ]
        self._portfolio = [(name, parameters) for *_, name, parameters in sorted(order, key=lambda item: item[:2])]
        self._searchable = [algorithm.name for algorithm in fit if algorithm.space is not None]

    def _settings(self, algorithm: catalogue.Algorithm) -> list[dict[str, Any]]:
        """The settings to try of an algorithm, those first that look at the target in the scale of its swings."""
        found: list[dict[str, Any]] = []
        for parameters in algorithm.portfolio:
            possible = self._possible(parameters)
            if possible not in found:
                found.append(possible)
        return sorted(found, key=lambda one: "log" in one and one["log"] != self.multiplicative)

    def _possible(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The settings without what these series don't allow."""
        changed = dict(parameters)
        if not self.positive and changed.get("log"):
            changed["log"] = False
        if not self.direct and changed.get("steps") == catalogue.DIRECT:
            changed["steps"] = catalogue.RECURSIVE
        return changed

    def next(self) -> TrialPlan | None:
        """The next trial; None when the search is over, or waits for those that are running: see `Progress.next`."""
        if BASELINE_ID not in self._ids:
            return self._plan(BASELINE, {})
        if self._over(more=bool(self._portfolio)):
            return None
        while self._portfolio:
            name, parameters = self._portfolio.pop(0)
            if self._fits(name):
                return self._plan(name, parameters)
        turn = self._next_searched(self._searchable)
        if turn is None:
            return None
        asked = self._ask(turn)
        return self._expect(self._plan(turn, self._draw(turn, asked)[0]), asked)

    def _draw(self, name: str, asked: optuna.trial.Trial) -> tuple[dict[str, Any], str]:
        space = catalogue.by_name(name).space
        assert space is not None
        return self._possible(space(asked)), ""

    def _passed(self, plan: TrialPlan) -> None:
        for position, (name, parameters) in enumerate(self._portfolio):
            if name == plan.algorithm and records.same(parameters, plan.parameters):
                del self._portfolio[position]
                return

    def _plan(self, name: str, parameters: dict[str, Any]) -> TrialPlan:
        return TrialPlan(self.next_id(), name, parameters)
