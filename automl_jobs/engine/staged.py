"""The search on a large table: settings are tried on a sample of the training rows, and the best of them on all rows.

A round is a search on the sample for half of the time left, then full fits of the settings that did best there, the
best first, as many as fit; then the next round. Every trial is scored on the same held-out rows, so that scores can be
compared, and says on how many rows it was trained. How long a full fit will take is reckoned from the sample: what
grows with the rows (features and fit) in proportion, the rest as it was.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

from automl_jobs.engine.progress import Limits
from automl_jobs.engine.search import Search
from automl_jobs.engine.trial import BASELINE, TrialPlan

# So many cells (rows times columns) of a sample for each second of the budget, which gives some twenty trials.
CELLS_A_SECOND = 12_000
FEWEST_ROWS = 20_000
# A text takes as long as so many other columns.
TEXT_COLUMNS = 20
# Sampling pays when all rows are at least so many samples.
LEAST_RATIO = 4.0
# Full fits of a round, and how many of them may be of one algorithm: an ensemble needs variety.
FINALISTS, FINALISTS_OF_ONE_KIND = 4, 2
# A job of fewer trials than this has none to spend on samples.
FEWEST_TRIALS = 6
SAMPLED_SHARE = 0.5
# Of the time left, what a trial on the sample may take though no full fit would fit after it.
LEAST_SHARE = 0.25
# A fit on more rows takes more rounds until it stops.
CAUTION = 1.2
# Seconds kept for what comes after a fit, beside what that took on the sample.
SPARE_SECONDS = 0.5


def sample_rows(rows: int, columns: int, limits: Limits) -> int | None:
    """How many training rows the early trials of a job see; None where all of them do.

    Parameters
    ----------
    rows: training rows. columns: the used ones, a text counting as many (TEXT_COLUMNS).
    """
    wanted = max(FEWEST_ROWS, int(CELLS_A_SECOND * limits.seconds / max(1, columns)))
    return wanted if limits.trials >= FEWEST_TRIALS and rows >= LEAST_RATIO * wanted else None


@dataclass(frozen=True)
class _Tried:
    """A trial on the sample that ended well: its score, its seconds, and those of them that grow with the rows."""

    plan: TrialPlan
    score: float
    seconds: float
    growing: float


def _same(one: TrialPlan, other: TrialPlan) -> bool:
    return (one.algorithm, one.parameters, one.layout) == (other.algorithm, other.parameters, other.layout)


@dataclass(kw_only=True)
class StagedSearch(Search):
    """A search whose early trials see `sample` of the `training_rows` rows."""

    sample: int
    training_rows: int
    _tried: dict[str, _Tried] = field(default_factory=dict)
    _promoted: set[str] = field(default_factory=set)
    _full: bool = False
    _in_round: int = 0
    _round_ends: float = 0.0
    _ended: str = ""
    _sampled: int = 0
    _sampled_seconds: float = 0.0
    _all: Limits | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._all = self.limits
        self.news.append(
            f"early trials see {self.sample:,} of the {self.training_rows:,} training rows; the best settings are then "
            "fitted on all of them"
        )
        self._begin_round()

    def next(self) -> TrialPlan | None:
        """The next trial, on the sample or on all rows; None when the search is over or waits: see `Progress.next`."""
        assert self._all is not None
        if not self._full:
            if not self._due():
                plan = self._next_sampled()
                if plan is not None or not self.stop_reason:
                    return plan
            if self._handed < self.limits.trials:
                self._ended, self.stop_reason = self.stop_reason, ""
            self._full, self._in_round, self.limits = True, 0, self._all
        if self._stopped():
            return None
        plan = self._next_full()
        if plan is not None:
            return plan
        # Another round pays when a full fit could follow it.
        if not self._ended and self._in_round and self._affordable(self.remaining() * SAMPLED_SHARE):
            self._full = False
            self._begin_round()
            return self.next()
        if not self._running:
            short = self.remaining() <= self.limits.trial_seconds
            bound = "the time left" if short else "limits.trial_timeout_minutes"
            self.stop_reason = self._ended or f"no further fit on all rows fits in {bound}"
        return None

    def finished(self, plan: TrialPlan, score: float | None, seconds: float, *more: Any, **said: Any) -> bool:
        """Note how a trial ended, as every search does, and what a full fit of its settings would take."""
        # What a full fit took says nothing of a further trial on the sample.
        took = seconds if plan.rows is not None or plan.algorithm == BASELINE else 0.0
        best = super().finished(plan, score, took, *more, **said)
        if plan.rows is None:
            # Also of a fit in an earlier session of the job.
            self._promoted |= {number for number, one in self._tried.items() if _same(one.plan, plan)}
        else:
            self._sampled += 1
            self._sampled_seconds += seconds
        if plan.rows is not None and score is not None:
            self._tried[plan.id] = _Tried(plan, score, seconds, self._growing.pop(plan.id, seconds))
        return best

    def deadline(self) -> float:
        """The moment at which a trial started now is stopped: one on the sample leaves time for a full fit."""
        latest = super().deadline()
        return latest if self._full else min(latest, time.monotonic() + self._share())

    def _share(self) -> float:
        """Seconds that one trial on the sample may take at most."""
        left = self.remaining()
        share = max(left * LEAST_SHARE, min(left * SAMPLED_SHARE, left - self._kept()))
        return min(share, self._longest())

    def _begin_round(self) -> None:
        assert self._all is not None
        self._round_ends, self.stop_reason = self.remaining() * (1 - SAMPLED_SHARE), ""
        # Full fits are trials, too.
        left = max(1, min(FINALISTS, self._all.trials // 4))
        self.limits = replace(self._all, trials=max(self._handed, self._all.trials - left))

    def _due(self) -> bool:
        """Whether it is time for full fits."""
        left, kept = self.remaining(), self._kept()
        return kept > 0 and (left <= self._round_ends or left - self._typical() <= kept)

    def _next_sampled(self) -> TrialPlan | None:
        """The next trial on the sample; None when there is none, `stop_reason` saying why, or none yet."""
        plan = super().next()
        if plan is None or plan.algorithm == BASELINE:
            return plan
        # What scoring and writing takes is known once there was a trial; the first one keeps half of its time for it.
        rest = [one.seconds - one.growing for one in self._tried.values()]
        share = self._share()
        after = max(CAUTION * max(rest) + SPARE_SECONDS, share * LEAST_SHARE) if rest else share / 2
        return replace(plan, rows=self.sample, seconds=max(1.0, share - after))

    def _next_full(self) -> TrialPlan | None:
        """The best settings of the sample that were not tried on all rows and fit in the time left."""
        # A score that was good enough on the sample needs one full fit, not several.
        most = 1 if "exit_score" in self._ended else FINALISTS
        if self._in_round >= most:
            return None
        chosen = self._affordable(self.remaining())
        if chosen is None:
            return None
        self._promoted.add(chosen.plan.id)
        self.news.append(
            f"{chosen.plan.algorithm} of trial {chosen.plan.id} is fitted on all {self.training_rows:,} training rows, "
            f"about {self._cost(chosen):.0f} s"
        )
        self._in_round += 1
        after = CAUTION * (chosen.seconds - chosen.growing) + SPARE_SECONDS
        return replace(chosen.plan, id=self.next_id(), rows=None, seconds=max(1.0, self._longest() - after))

    def _affordable(self, seconds: float) -> _Tried | None:
        """The best settings whose full fit takes no more than these seconds, and than a trial may take."""
        seconds = min(seconds, self.limits.trial_seconds)
        by_kind: dict[str, int] = {}
        for one in self._ranked():
            name = one.plan.algorithm
            if one.plan.id in self._promoted:
                by_kind[name] = by_kind.get(name, 0) + 1
        for one in self._ranked():
            fresh = one.plan.id not in self._promoted
            if fresh and by_kind.get(one.plan.algorithm, 0) < FINALISTS_OF_ONE_KIND and self._cost(one) <= seconds:
                return one
        return None

    def _ranked(self) -> list[_Tried]:
        return sorted(self._tried.values(), key=lambda one: one.score, reverse=self.higher)

    def _cost(self, one: _Tried) -> float:
        """Seconds that a full fit will take."""
        ratio = self.training_rows / self.sample
        return one.seconds - one.growing + CAUTION * ratio * one.growing + SPARE_SECONDS

    def _kept(self) -> float:
        """Seconds that trials on the sample leave for the best settings whose full fit fits in the time; 0 for none."""
        best = self._affordable(self.remaining())
        return 0.0 if best is None else self._cost(best)

    def _typical(self) -> float:
        """Seconds of a trial on the sample."""
        return self._sampled_seconds / max(1, self._sampled)

    def _stopped(self) -> bool:
        """Whether time or trials are used up; no other reason keeps the best settings from their full fit."""
        assert self._all is not None
        self.stop_reason = ""
        if self.remaining() <= 0:
            self.stop_reason = "the time is used up"
        elif self._handed >= max(2, self._all.trials):
            self.stop_reason = self._all.reached
        return bool(self.stop_reason)
