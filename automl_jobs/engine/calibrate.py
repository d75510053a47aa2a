"""Calibration: probabilities that are plainly off, as those of naive Bayes or of kNN are, set right on held-out rows.

Two classes get Platt's sigmoid of the log-odds, more get a temperature (Guo et al. 2017, "On calibration of modern
neural networks"). It is kept where the log loss falls on rows that did not fit it, clearly and by more than a trifle,
and the primary metric does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_jobs.engine import decide, spread
from forestay_transformers import calibrated

if TYPE_CHECKING:
    from automl_jobs.engine.problem import Problem

PARTS = 5
FEWEST_ROWS, MOST_ROWS = 50, 10_000
# What must be gained: so many standard errors, and such a share of the log loss.
SURE, WORTH = 2.0, 0.01
# The penalty keeps slopes finite where the classes come apart.
ROUNDS, PENALTY, SMALLEST_SLOPE, LARGEST_SLOPE = 20, 1e-6, 0.02, 20.0
TINY = 1e-15
Rule = dict[str, Any]


@dataclass(frozen=True)
class Calibration:
    """What sets probabilities right.

    Attributes
    ----------
    rule: see forestay_transformers.calibrated; None where they are as good as they are.
    document: what is shown: its kind, and the log loss before and after on rows that did not fit it.
    """

    rule: Rule | None = None
    document: dict[str, Any] | None = None

    @classmethod
    def of(cls, document: dict[str, Any] | None) -> Calibration:
        """The calibration that a document, kept with a model, tells of."""
        if document is None:
            return cls()
        return cls({name: document[name] for name in ("slope", "shifts", "floor")}, document)

    @property
    def documents(self) -> dict[str, Any]:
        """The document under its name, where there is one."""
        return {} if self.document is None else {"calibration": self.document}


def calibrate(
    problem: Problem, truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None
) -> Calibration:
    """The calibration of a classifier by its predictions on held-out rows.

    Parameters
    ----------
    truth: class numbers (n,). probabilities: (n, k). weights: of rows, or None.
    """
    if len(truth) < FEWEST_ROWS:
        return Calibration()
    rows = np.random.default_rng(problem.seed).permutation(len(truth))[:MOST_ROWS]
    seen, given = truth[rows], probabilities[rows]
    shares = np.ones(len(rows)) if weights is None else weights[rows]
    part = decide.parts(seen, PARTS)
    after = np.empty_like(given)
    for number in range(PARTS):
        outside, inside = part != number, part == number
        rule = _fit(seen[outside], given[outside], shares[outside])
        if rule is None:
            return Calibration()
        after[inside] = calibrated(given[inside], rule)
    before, now = _losses(seen, given), _losses(seen, after)
    gain = np.average(before - now, weights=shares)
    effective = shares.sum() ** 2 / max(float((shares**2).sum()), TINY)
    error = np.sqrt(np.average((before - now - gain) ** 2, weights=shares) / effective)
    loss = float(np.average(before, weights=shares))
    if not gain > max(SURE * error, WORTH * loss):
        return Calibration()
    rule = _fit(seen, given, shares)
    if rule is None or _falls(problem, truth, probabilities, calibrated(probabilities, rule), weights):
        return Calibration()
    kind = "sigmoid" if probabilities.shape[1] == 2 else "temperature"
    document = {"kind": kind, **rule, "log_loss_before": round(loss, 6), "log_loss": round(loss - float(gain), 6)}
    return Calibration(rule, document)


def joined(first: Rule | None, then: Rule | None) -> Rule | None:
    """One rule that does what two do, one after the other."""
    if first is None or then is None:
        return first or then
    shifts = then["slope"] * np.asarray(first["shifts"]) + np.asarray(then["shifts"])
    return {"slope": first["slope"] * then["slope"], "shifts": shifts.tolist(), "floor": then["floor"]}


def of_priors(factors: np.ndarray) -> Rule:
    """The rule that takes class weights out of the probabilities of a model fitted with them.

    Parameters
    ----------
    factors: (k,) the weight that each class had (Saerens et al. 2002, "Adjusting the outputs of a classifier to new a
        priori probabilities").
    """
    return {"slope": 1.0, "shifts": (-np.log(factors)).tolist(), "floor": 0.0}


def _losses(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return np.asarray(-np.log(np.maximum(probabilities[np.arange(len(truth)), truth], TINY)))


def _falls(
    problem: Problem, truth: np.ndarray, before: np.ndarray, after: np.ndarray, weights: np.ndarray | None
) -> bool:
    """Whether calibration costs the primary metric something. A rule for labels is found after it, and fits it."""
    if decide.provisional(problem) is not None:
        return False
    if decide.by_labels(problem):
        # Rows that turn from right to wrong, against those that turn the other way: more than chance would have it?
        right, was = after.argmax(axis=1) == truth, before.argmax(axis=1) == truth
        lost, won = int((was & ~right).sum()), int((right & ~was).sum())
        return lost - won > np.sqrt(lost + won)
    found = [spread.primary(problem, truth, predictions, weights) for predictions in (before, after)]
    # Rounded, so that no order of near ties decides.
    return round(found[1], 9) < round(found[0], 9)


def _fit(truth: np.ndarray, probabilities: np.ndarray, shares: np.ndarray) -> Rule | None:
    """The rule with the least log loss; None where there is none that keeps the order of probabilities."""
    known = probabilities > 0
    # What is zero is put below all that is not: its logarithm has to be something.
    floor = float(probabilities[known].min()) / 2
    logs = np.log(np.where(known, probabilities, floor))
    count = probabilities.shape[1]
    if count == 2:
        slope, shift = _sigmoid(truth, logs[:, 1] - logs[:, 0], shares)
        shifts = [0.0, shift]
    else:
        slope, shifts = _temperature(truth, logs, shares), [0.0] * count
    if not SMALLEST_SLOPE <= slope <= LARGEST_SLOPE:
        return None
    return {"slope": slope, "shifts": shifts, "floor": floor}


def _sigmoid(truth: np.ndarray, odds: np.ndarray, shares: np.ndarray) -> tuple[float, float]:
    """Slope and shift of the log-odds with the least log loss: Newton's method with halved steps (Lin et al. 2007)."""
    scale = float(odds.std())
    if scale == 0 or len(np.unique(truth)) < 2:
        return 0.0, 0.0
    inputs = np.column_stack([odds / scale, np.ones(len(odds))])
    signs = np.where(truth == 1, 1.0, -1.0)
    share = shares / shares.sum()
    found = np.array([scale, 0.0])  # the probabilities as they are

    def loss(point: np.ndarray) -> float:
        return float(np.logaddexp(0.0, -signs * (inputs @ point)) @ share + PENALTY * point @ point)

    lowest = loss(found)
    for _ in range(ROUNDS):
        positive = 1 / (1 + np.exp(-np.clip(inputs @ found, -700, 700)))
        slopes = inputs.T @ ((positive - (truth == 1)) * share) + 2 * PENALTY * found
        bends = (inputs * (positive * (1 - positive) * share)[:, None]).T @ inputs + 2 * PENALTY * np.eye(2)
        step = np.linalg.solve(bends, slopes)
        size = 1.0
        while size > 1e-4 and loss(found - size * step) > lowest:
            size /= 2
        found = found - size * step
        before, lowest = lowest, loss(found)
        if before - lowest < 1e-9:
            break
    return float(found[0]) / scale, float(found[1])


def _temperature(truth: np.ndarray, logs: np.ndarray, shares: np.ndarray) -> float:
    """The power of probabilities with the least log loss, which is convex in it: Newton's method."""
    slope = 1.0
    right = np.average(logs[np.arange(len(truth)), truth], weights=shares)
    for _ in range(ROUNDS):
        powers = np.exp(slope * logs - (slope * logs).max(axis=1, keepdims=True))
        powers /= powers.sum(axis=1, keepdims=True)
        mean = (powers * logs).sum(axis=1)
        spread_of = (powers * logs**2).sum(axis=1) - mean**2
        step = (right - np.average(mean, weights=shares)) / max(float(np.average(spread_of, weights=shares)), TINY)
        slope = float(np.clip(slope + step, slope / 4, slope * 4))
        if abs(step) < 1e-4 * slope:
            break
    return slope
