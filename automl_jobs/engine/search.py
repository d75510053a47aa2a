"""Which trial comes next, and when to stop.

A baseline, then each algorithm's portfolio, cheap and strong settings first, then Optuna's TPE over the algorithms that
did best, until a limit is reached.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from automl_jobs.engine import algorithms, records
from automl_jobs.engine.algorithms import CLASS_WEIGHTS, LOG_TARGET
from automl_jobs.engine.progress import BASELINE_ID, Progress
from automl_jobs.engine.trial import BASELINE, TrialPlan

if TYPE_CHECKING:
    import optuna

# A second round of settings of one algorithm comes this many ranks after its first.
ROUND_STEP = 6
# The share of a trial's time after which a booster adds no more rounds, so that it ends with a model instead of being
# stopped without one: while nothing is known of what boosters take here, and later.
FIRST_SHARE, LATER_SHARE = 0.5, 0.85


# What boosters have in common (see `Search._kin`).
BOOSTED = "boosted"

# A place in the order of first tries, the algorithm's rank and name, its settings.
_Entry = tuple[float, int, str, algorithms.Setting]


def _variant(entry: _Entry, parameter: str) -> _Entry:
    """The same settings with one thing more, tried half a round later."""
    place, rank, name, setting = entry
    return place + ROUND_STEP / 2, rank, name, replace(setting, parameters=setting.parameters | {parameter: True})


@dataclass(kw_only=True)
class Search(Progress):
    """The order of trials of one job.

    Parameters
    ----------
    names: Azure's names of the algorithms to use.
    classification, rows: of the problem.
    layouts: the feature layouts that differ for its columns.
    skewed: whether the target is skewed to the right and never negative: its logarithm is tried too.
    unbalanced: whether a class is rare and the metric asks for it as for the others: class weights are tried too.
    """

    names: tuple[str, ...]
    classification: bool
    rows: int
    layouts: frozenset[str]
    skewed: bool = False
    unbalanced: bool = False
    _portfolio: list[tuple[str, algorithms.Setting]] = field(default_factory=list)

    def __post_init__(self) -> None:
        chosen = [a for a in algorithms.for_task(self.classification) if a.name in self.names]
        # An algorithm that grows too slowly for this many rows is used all the same when nothing else is allowed.
        fit = [a for a in chosen if a.max_rows is None or self.rows <= a.max_rows] or chosen
        order: list[_Entry] = [
            (algorithm.rank + ROUND_STEP * position, algorithm.rank, algorithm.name, setting)
            for algorithm in fit
            for position, setting in enumerate(algorithm.portfolio)
        ]
        if self.skewed:
            order += [_variant(entry, LOG_TARGET) for entry in order]
        if self.unbalanced:
            weighable = {algorithm.name for algorithm in fit if algorithm.weights}
            order += [_variant(entry, CLASS_WEIGHTS) for entry in order if entry[2] in weighable]
        self._portfolio = [(name, setting) for _, _, name, setting in sorted(order, key=lambda item: item[:3])]
        self._searchable = [algorithm.name for algorithm in fit if algorithm.space is not None]

    def next(self) -> TrialPlan | None:
        """The next trial; None when the search is over, or waits for those that are running: see `Progress.next`."""
        if BASELINE_ID not in self._ids:
            return self._plan(BASELINE, {}, "")
        if self._over(more=bool(self._portfolio)):
            return None
        while self._portfolio:
            name, setting = self._portfolio.pop(0)
            if self._fits(name, self._layout(setting.layout)):
                return self._plan(name, setting.parameters, setting.layout)
        turn = self._next_searched(self._searchable)
        if turn is None:
            return None
        asked = self._ask(turn)
        parameters, layout = self._draw(turn, asked)
        return self._expect(self._plan(turn, parameters, layout), asked)

    def _draw(self, name: str, asked: optuna.trial.Trial) -> tuple[dict[str, Any], str]:
        algorithm = algorithms.by_name(name, self.classification)
        assert algorithm.space is not None
        choices = [layout for layout in algorithm.layouts if layout in self.layouts]
        layout = asked.suggest_categorical("layout", choices) if len(choices) > 1 else ""
        parameters = algorithm.space(asked)
        if self.skewed and asked.suggest_categorical(LOG_TARGET, [False, True]):
            parameters[LOG_TARGET] = True
        if self.unbalanced and algorithm.weights and asked.suggest_categorical(CLASS_WEIGHTS, [False, True]):
            parameters[CLASS_WEIGHTS] = True
        return parameters, layout

    def _passed(self, plan: TrialPlan) -> None:
        for position, (name, setting) in enumerate(self._portfolio):
            alike = name == plan.algorithm and self._layout(setting.layout) == plan.layout
            if alike and records.same(setting.parameters, plan.parameters):
                del self._portfolio[position]
                return

    def _kin(self, name: str) -> str:
        """Boosters take about as long as each other, and so do those that learn from the same features."""
        if name not in self.names:
            return name
        algorithm = algorithms.by_name(name, self.classification)
        return BOOSTED if algorithm.boosted else algorithm.layouts[0]

    def _plan(self, name: str, parameters: dict[str, Any], layout: str) -> TrialPlan:
        layout, kin, seconds = self._layout(layout), self._kin(name), None
        if kin == BOOSTED:
            known = self._durations.estimate(name, layout, kin) > 0
            seconds = (LATER_SHARE if known else FIRST_SHARE) * self._longest()
        return TrialPlan(self.next_id(), name, parameters, layout, seconds=seconds)

    def _layout(self, layout: str) -> str:
        """A layout that differs in nothing here is the algorithm's usual one."""
        return layout if layout in self.layouts else ""
