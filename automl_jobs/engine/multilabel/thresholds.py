"""From scores to probabilities to labels: what is learned of held-out rows, and judged on others of them.

Scores become probabilities by Platt's sigmoid (Platt 1999, "Probabilistic outputs for support vector machines"), one a
label; each label has a threshold that the primary metric chooses.

Training scripts get a copy of this module, which imports nothing else of Forestay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

# A sigmoid of its own is learned from this many rows with a label, and as many without; else that of all labels.
FEWEST_ROWS = 5
AZURE = 0.5
PASSES = 3
PARTS = 5
STEPS = 50
MOST_PAIRS = 200_000


@dataclass(frozen=True)
class Rule:
    """How scores (log-odds) become labels: `slopes`, `offsets` and `thresholds`, each (k,)."""

    slopes: np.ndarray
    offsets: np.ndarray
    thresholds: np.ndarray

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        return np.asarray(expit(scores * self.slopes + self.offsets))


@dataclass(frozen=True)
class Judged:
    """Held-out rows as a rule says that was learned on others of them: (n, k) probabilities and labels said.

    `rule` is that of all rows, for the model that is served.
    """

    probabilities: np.ndarray
    said: np.ndarray
    rule: Rule


def primary(metric: str, truth: np.ndarray, said: np.ndarray) -> float:
    """The accuracy or the iou alone, quick enough to be asked a thousand times."""
    if metric == "accuracy":
        return float((truth == said).all(axis=1).mean())
    if metric == "iou":
        both = np.logical_and(truth, said).sum(axis=1)
        either = np.logical_or(truth, said).sum(axis=1)
        return float(np.divide(both, either, out=np.zeros(len(truth)), where=either > 0).mean())
    raise ValueError(f"{metric} is no primary metric of a multi-label job")


def judge(scores: np.ndarray, truth: np.ndarray, metric: str, seed: int, calibrated: bool = False) -> Judged:
    """Calibrate and choose thresholds out of fold.

    Parameters
    ----------
    scores: (n, k) log-odds of rows that their model has not seen. truth: (n, k) of 0 and 1.
    calibrated: the scores are those of probabilities already: only thresholds are chosen.

    Thresholds other than Azure's 0.5 are kept only where they were better on rows that did not choose them.
    """
    part = np.random.default_rng(seed).permutation(len(truth)) % PARTS
    probabilities, said = np.empty(scores.shape), np.empty(scores.shape, dtype=bool)
    for number in range(PARTS):
        inside, outside = part == number, part != number
        if not inside.any() or not outside.any():
            outside = np.ones(len(truth), dtype=bool)
        rule = _learn(scores[outside], truth[outside], metric, seed, calibrated)
        probabilities[inside] = rule.probabilities(scores[inside])
        said[inside] = probabilities[inside] > rule.thresholds
    rule = _learn(scores, truth, metric, seed, calibrated)
    usual = probabilities > AZURE
    if primary(metric, truth, usual) >= primary(metric, truth, said):
        said, rule = usual, Rule(rule.slopes, rule.offsets, np.full(truth.shape[1], AZURE))
    return Judged(probabilities, said, rule)


def _learn(scores: np.ndarray, truth: np.ndarray, metric: str, seed: int, calibrated: bool) -> Rule:
    count = truth.shape[1]
    if calibrated:
        slopes, offsets = np.ones(count), np.zeros(count)
    else:
        slopes, offsets = _sigmoids(scores, truth, seed)
    return Rule(slopes, offsets, choose(expit(scores * slopes + offsets), truth, metric))


def _sigmoids(scores: np.ndarray, truth: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A slope and an offset for each label; labels of few rows share those of all labels together."""
    flat_scores, flat_truth = scores.reshape(-1, 1), truth.reshape(-1, 1)
    if len(flat_scores) > MOST_PAIRS:
        chosen = np.random.default_rng(seed).choice(len(flat_scores), MOST_PAIRS, replace=False)
        flat_scores, flat_truth = flat_scores[chosen], flat_truth[chosen]
    shared_slope, shared_offset = _fit(flat_scores, flat_truth)
    if shared_slope[0] <= 0:
        shared_slope, shared_offset = np.ones(1), np.zeros(1)
    slopes, offsets = _fit(scores, truth)
    there = truth.sum(axis=0)
    # A score that says the opposite of what it should has nothing to teach either.
    own = (np.minimum(there, len(truth) - there) >= FEWEST_ROWS) & (slopes > 0)
    return np.where(own, slopes, shared_slope), np.where(own, offsets, shared_offset)


def _fit(scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and offset of P(label) = 1 / (1 + exp(-(slope * score + offset))) of each column, by Newton's method.

    With Platt's targets, which leave room for the rows not seen, and a small ridge there is one best answer. A score
    that never varies has the slope 0.
    """
    centre, spread = scores.mean(axis=0), scores.std(axis=0)
    standard = (scores - centre) / np.where(spread > 0, spread, 1.0)
    there = truth.sum(axis=0)
    target = np.where(truth == 1, (there + 1) / (there + 2), 1 / (len(truth) - there + 2))
    ridge = 0.1 / len(truth)
    mean = target.mean(axis=0)
    slope, offset = np.zeros(len(centre)), np.log(mean / (1 - mean))
    for _ in range(STEPS):
        said = expit(standard * slope + offset)
        wrong, sure = said - target, said * (1 - said)
        by_slope, by_offset = (wrong * standard).mean(axis=0) + ridge * slope, wrong.mean(axis=0)
        mixed = (sure * standard).mean(axis=0)
        twice_slope, twice_offset = (sure * standard**2).mean(axis=0) + ridge, sure.mean(axis=0) + ridge
        area = twice_slope * twice_offset - mixed**2
        step_slope = np.clip((twice_offset * by_slope - mixed * by_offset) / area, -1, 1)
        step_offset = np.clip((twice_slope * by_offset - mixed * by_slope) / area, -1, 1)
        slope, offset = slope - step_slope, offset - step_offset
        if max(np.abs(step_slope).max(), np.abs(step_offset).max()) < 1e-7:
            break
    slope = np.where(spread > 0, slope / np.where(spread > 0, spread, 1.0), 0.0)
    return slope, offset - slope * centre


def choose(probabilities: np.ndarray, truth: np.ndarray, metric: str) -> np.ndarray:
    """The threshold of each label, (k,), that together are best for the metric on these rows.

    By coordinate ascent from 0.5: given what is said of the other labels, each row gains or loses by saying this one,
    so that the best cut of the rows in the order of their probability is found exactly.
    """
    thresholds = np.full(truth.shape[1], AZURE)
    truth = truth.astype(bool)
    said = probabilities > thresholds
    orders = np.argsort(-probabilities, axis=0, kind="stable")
    for _ in range(PASSES):
        before = thresholds.copy()
        counts = _Counts(said, truth)
        for label in range(truth.shape[1]):
            mine, now = truth[:, label], said[:, label]
            counts.add(now, mine, -1)
            gain = counts.gain(mine, metric)
            thresholds[label] = _cut(probabilities[:, label], gain, orders[:, label], thresholds[label])
            said[:, label] = probabilities[:, label] > thresholds[label]
            counts.add(said[:, label], mine, 1)
        if np.array_equal(before, thresholds):
            break
    return thresholds


class _Counts:
    """For each row how many labels are wrong, are both said and true, and are either."""

    def __init__(self, said: np.ndarray, truth: np.ndarray) -> None:
        self.wrong = (said != truth).sum(axis=1)
        self.both = (said & truth).sum(axis=1)
        self.either = (said | truth).sum(axis=1)

    def add(self, said: np.ndarray, truth: np.ndarray, times: int) -> None:
        """Count one label more (`times` 1) or less (-1); both are (n,) of bool."""
        self.wrong += times * (said != truth)
        self.both += times * (said & truth)
        self.either += times * (said | truth)

    def gain(self, truth: np.ndarray, metric: str) -> np.ndarray:
        """What each row's part of the metric gains by saying a label, not counted so far, rather than not: (n,)."""
        if metric == "accuracy":
            return np.asarray(np.where(self.wrong == 0, np.where(truth, 1.0, -1.0), 0.0))
        silent = np.divide(self.both, self.either + truth, out=np.zeros(len(truth)), where=(self.either > 0) | truth)
        return np.asarray((self.both + truth) / (self.either + 1) - silent)


def _cut(probabilities: np.ndarray, gain: np.ndarray, order: np.ndarray, now: float) -> float:
    """The threshold that gains most; the present one where none gains more."""
    ranked = probabilities[order]
    total = np.concatenate([[0.0], np.cumsum(gain[order])])
    # A cut between rows of one probability is none.
    cuts = np.flatnonzero(np.concatenate([[True], ranked[1:] < ranked[:-1], [True]]))
    best = cuts[np.argmax(total[cuts])]
    held = int((ranked > now).sum())
    if total[best] <= total[held] + 1e-12:
        return now
    above = ranked[best - 1] if best else 1.0
    below = ranked[best] if best < len(ranked) else 0.0
    return float((above + below) / 2)
