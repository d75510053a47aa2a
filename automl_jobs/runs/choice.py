"""Which trial of a job is its model: the best score that can be served, unless the job prefers otherwise.

The leaderboard stays in the order of scores; the choice is one of its rows, with the reason where it is not the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from automl_jobs.runs.rows import BestTrial, TrialRow

SPEED, BALANCED, SCORE = "speed", "balanced", "score"
MOST_MS, MOST_MB = 20.0, 50.0
"""What a model may cost to be a job's own choice: milliseconds of predicting one row, megabytes of model.pkl."""

TIE, TIE_OF_ERROR = 0.005, 0.01
"""Where there is one split and so no standard error: scores this close are a tie (an error: in proportion).

Gaps of this size change sign from one split of the data to the next.
"""
SAMPLE = 2.0
"""A model of a sample of the rows was fitted on at most one part in so many of what others were (engine/staged.py)."""
BASELINE = "Baseline"
VOTING = "VotingEnsemble"
STEADY_TASKS = ("forecasting",)
"""Tasks whose few folds leave much to luck: a mean of models that is within noise of the best one goes before it."""
_STEP = 1.25  # costs whose ratio is less are one cost: they are measured on a machine that does other things too


@dataclass(frozen=True)
class Choice:
    """The trial that is a job's model; `reason` says why it is not the first of the leaderboard, "" where it is."""

    row: TrialRow
    reason: str = ""

    def as_best(self) -> BestTrial:
        row = self.row
        assert row.score is not None
        return BestTrial(row.id, row.algorithm, row.preprocessor, row.score, row.run_id, row.rank, self.reason)


def ranked(rows: Iterable[tuple[TrialRow, int]], higher: bool) -> list[TrialRow]:
    """Rows with their ranks, best first: by score, then the earlier one. Failed ones come last, in the order they ran.

    What a trial took is no tie-break: the same job run twice has the same order.

    Parameters
    ----------
    rows: pairs of a row and its place in the job. higher: whether more of the metric is better.
    """
    direction = -1.0 if higher else 1.0

    def place(pair: tuple[TrialRow, int]) -> tuple[bool, float, int]:
        row, order = pair
        if row.score is None or row.status != "Completed":
            return (True, 0.0, order)
        return (False, direction * row.score, order)

    return [replace(row, rank=rank) for rank, (row, _) in enumerate(sorted(rows, key=place), start=1)]


def fits(row: TrialRow) -> bool:
    """Whether a model is small and quick enough to be served; what was not measured counts as so."""
    return (row.predict_ms or 0.0) <= MOST_MS and (row.model_mb or 0.0) <= MOST_MB


def choose(rows: Sequence[TrialRow], prefer: str, higher: bool, task: str = "") -> Choice | None:
    """The trial that is a job's model, or None where none has a score.

    Parameters
    ----------
    rows: the leaderboard, best first.
    prefer: `score` takes the best score, whatever the model costs; `balanced` the best score among models within
        MOST_MS and MOST_MB; `speed` the cheapest of those whose score is within noise of the best: one standard error
        over the folds (Breiman et al. 1984, "Classification and Regression Trees", section 3.4.3), within the bounds
        too; where they are all over one, as `balanced`.
    higher: whether more of the metric is better.
    task: for those of STEADY_TASKS `balanced` takes a voting ensemble whose score is within noise of the best: of the
        best of many scores of few folds much is luck, and the more so the fewer models stand behind it.

    A model that does no better than the baseline is never chosen before it. Where no model that does is within the
    bounds, the best score is taken, and the reason says so. A model of a sample of the rows is chosen only where it is
    better than all that were fitted on all rows, by more than noise: their time may not have come.
    """
    scored = _whole([row for row in rows if row.score is not None and row.status == "Completed"], higher)
    if not scored:
        return None
    found = _choose(scored, prefer, higher, task)
    sampled = not found.reason and found.row.rank > 1
    return replace(found, reason="the best of those that were fitted on all rows") if sampled else found


def _whole(scored: list[TrialRow], higher: bool) -> list[TrialRow]:
    """Rows without the models of a sample, where one of the others is as good as the best of all."""
    most = max((row.rows or 0 for row in scored), default=0)
    whole = [row for row in scored if row.rows is None or SAMPLE * row.rows > most]
    if not whole or whole[0].algorithm == BASELINE:
        return scored
    return whole if _behind(whole[0], scored[0], higher) <= _noise(scored[0], higher)[0] else scored


def _choose(scored: list[TrialRow], prefer: str, higher: bool, task: str) -> Choice:
    first = scored[0]
    place = next((number for number, row in enumerate(scored) if row.algorithm == BASELINE), len(scored))
    models = [row for row in scored[:place] if fits(row)]
    if prefer == SCORE or place == 0:
        return Choice(first)
    if not models:
        return Choice(first, f"no model is within {MOST_MS:g} ms a row and {MOST_MB:g} MB")
    if prefer == SPEED:
        noise, source = _noise(first, higher)
        close = [row for row in models if _behind(row, first, higher) <= noise]
        if close:
            chosen = min(close, key=_cost)
            return Choice(chosen, "" if chosen is first else _quicker(chosen, noise, source))
    elif task in STEADY_TASKS:
        noise, source = _noise(models[0], higher)
        blends = [row for row in models if row.algorithm == VOTING and _behind(row, models[0], higher) <= noise]
        if blends and blends[0] is not first:
            return Choice(blends[0], _steadier(noise, source))
    return Choice(models[0], "" if models[0] is first else _too_much(first, models[0]))


def _behind(row: TrialRow, first: TrialRow, higher: bool) -> float:
    assert row.score is not None
    assert first.score is not None
    return first.score - row.score if higher else row.score - first.score


def _noise(first: TrialRow, higher: bool) -> tuple[float, str]:
    """How far behind the best a score may be to be as good, and how that is known."""
    assert first.score is not None
    if first.score_se is not None:
        return first.score_se, "one standard error"
    return (TIE, "a tie") if higher else (TIE_OF_ERROR * abs(first.score), f"{TIE_OF_ERROR:.0%}, a tie")


def _cost(row: TrialRow) -> tuple[int, float, int]:
    """By time in coarse steps, then by size, then by rank."""
    from math import floor, log

    milliseconds = max(row.predict_ms or 0.0, 0.1)
    return (floor(log(milliseconds, _STEP)), row.model_mb or 0.0, row.rank)


def _quicker(row: TrialRow, noise: float, source: str) -> str:
    return f"the quickest whose score is within {noise:.2g} ({source}) of the best"


def _steadier(noise: float, source: str) -> str:
    return f"several models, whose score is within {noise:.2g} ({source}) of the best: less of it is luck"


def _too_much(first: TrialRow, chosen: TrialRow) -> str:
    """Why rows before the chosen one are not it, by the example of the first."""
    over = []
    if first.predict_ms is not None and first.predict_ms > MOST_MS:
        over.append(f"takes {first.predict_ms:.0f} ms a row, more than {MOST_MS:g}")
    if first.model_mb is not None and first.model_mb > MOST_MB:
        over.append(f"has {first.model_mb:.0f} MB, more than {MOST_MB:g}")
    others = chosen.rank - 2
    more = f"; {others} more are over a bound too" if others > 1 else "; so is rank 2 over a bound" if others else ""
    return f"rank 1 {' and '.join(over)}{more}"
