"""What the scores of several systems say together: ranks, gaps, and whether a gap is more than noise."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.automl.cells import Record

# A gap of fewer standard errors than this is a tie.
NOISE_ERRORS = 2.0
# Scores that agree to so many digits are equal: the table shows no more.
DIGITS = 4


@dataclass(frozen=True)
class Gap:
    """How far Forestay is ahead of another system on one set.

    Attributes
    ----------
    ahead: in the score's unit, positive where Forestay is better. error: standard error of that, from paired
    bootstrap samples of the test rows; None where there are none.
    """

    ahead: float
    error: float | None

    @property
    def verdict(self) -> str:
        """better, tie or worse."""
        if self.error is not None and abs(self.ahead) <= NOISE_ERRORS * self.error:
            return "tie"
        return "better" if self.ahead > 0 else "worse" if self.ahead < 0 else "tie"


def rounded(score: float) -> float:
    """A score as the table shows it."""
    return float(f"{score:.{DIGITS}g}")


def ranks(scores: Mapping[str, float | None], higher: bool) -> dict[str, float]:
    """1 for the best; equals share the mean of their ranks, and so do the failed (None) at the end."""
    good = {name: rounded(score) for name, score in scores.items() if score is not None}
    found = {}
    for name, score in good.items():
        before = sum((other > score) if higher else (other < score) for other in good.values())
        equal = sum(other == score for other in good.values())
        found[name] = before + (equal + 1) / 2
    failed = len(scores) - len(good)
    return {name: found.get(name, len(good) + (failed + 1) / 2) for name in scores}


def mean_score(records: Iterable[Record]) -> float | None:
    """Over the seeds; None when one of them failed, or there is none."""
    scores = [record.score for record in records]
    good = [score for score in scores if score is not None]
    return statistics.fmean(good) if good and len(good) == len(scores) else None


def gap(ours: Sequence[Record], theirs: Sequence[Record], higher: bool) -> Gap | None:
    """The mean gap over the seeds that both have a score for; None where there is none."""
    others = {record.cell.seed: record for record in theirs}
    sign = 1.0 if higher else -1.0
    gaps: list[float] = []
    errors: list[float] = []
    for mine in ours:
        other = others.get(mine.cell.seed)
        if mine.score is None or other is None or other.score is None:
            continue
        gaps.append(sign * (mine.score - other.score))
        if len(mine.resampled) > 1 and len(mine.resampled) == len(other.resampled):
            pairs = zip(mine.resampled, other.resampled, strict=True)
            errors.append(statistics.stdev(one - two for one, two in pairs))
    if not gaps:
        return None
    error = math.sqrt(sum(value**2 for value in errors)) / len(errors) if len(errors) == len(gaps) else None
    return Gap(statistics.fmean(gaps), error)


def compared(ours: Sequence[Record], theirs: Sequence[Record], higher: bool) -> str | None:
    """better, tie or worse, where a failure is worse than any score; None where one was not measured or both failed."""
    mine, other = mean_score(ours), mean_score(theirs)
    if not ours or not theirs or (mine is None and other is None):
        return None
    if mine is None or other is None:
        return "worse" if mine is None else "better"
    found = gap(ours, theirs, higher)
    return found.verdict if found else None


def median(values: Iterable[float | None]) -> float | None:
    """Of those that are there; None when none is."""
    there = [value for value in values if value is not None]
    return statistics.median(there) if there else None


def over_budget(record: Record) -> float | None:
    """Seconds that training took past its budget; negative when it ended early; None where there is no budget."""
    if record.seconds is None or not record.cell.budget:
        return None
    return record.seconds - record.cell.budget


def allowed_overrun(budget: float) -> float:
    """Seconds that a run may be late by: 5 % of its budget or 3 s, whichever is larger."""
    return max(0.05 * budget, 3.0)
