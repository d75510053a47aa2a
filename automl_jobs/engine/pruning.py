"""Whether a trial is given up after some of its folds: it is then clearly worse than the best one.

Both are scored on the same folds, so their differences say more than their means. The mean of the differences so far
is compared with its standard error by a one-sided z test. The noise of one difference is taken to be that of the best
trial's own scores over the folds: two models find the same folds hard, so it is rather less than that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

FEWEST_FOLDS = 3
# How the reason of a trial begins that was given up.
PRUNED = "stopped: clearly worse than the best"
# Standard errors. Far out, since it is asked after every fold, and a good trial lost costs more than a bad one kept.
CLEARLY = 3.0


class GivenUp(Exception):
    """A trial was given up after some of its folds; `folds` are its scores on them."""

    def __init__(self, folds: list[float], best: Sequence[float]) -> None:
        super().__init__(
            f"{PRUNED} after {len(folds)} of {len(best)} folds ({fmean(folds):.5f} on them, "
            f"where the best has {fmean(best[: len(folds)]):.5f})"
        )
        self.folds = folds


def clearly_worse(so_far: Sequence[float], best: Sequence[float], higher: bool) -> bool:
    """Whether a trial with the scores `so_far` on its first folds need not see the others.

    Parameters
    ----------
    best: the best trial's scores on all folds; empty, or of fewer than three folds, gives nothing up.
    higher: whether more of the metric is better.
    """
    done = len(so_far)
    if len(best) < FEWEST_FOLDS or not 0 < done < len(best):
        return False
    if not all(map(math.isfinite, [*so_far, *best])):
        return False
    behind = fmean(theirs - own if higher else own - theirs for own, theirs in zip(so_far, best, strict=False))
    return behind > CLEARLY * stdev(best) / math.sqrt(done) and behind > 0
