"""The decision: how a classifier's probabilities become labels.

By default the most probable class, as Azure decides. Where the primary metric depends on labels, or the user asks for
it, a threshold (two classes) or a weight for each class (more) is chosen on held-out predictions. What a choice gains
on the rows that made it is not counted: it must gain on rows that did not, or the most probable class stays. The
labels that are scored come from such choices too, so that the leaderboard promises no more than a new row gets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_jobs.prepare.labels import balances, imbalanced
from automl_jobs.spec import decisions
from forestay_transformers import decided

if TYPE_CHECKING:
    from automl_jobs.engine.problem import Problem

Rule = dict[str, Any]
# Confusion matrices (..., k, k), true classes in rows, to a number each, of which more is better.
Goal = Callable[[np.ndarray], np.ndarray]
PARTS = 5
# A decision that nobody asked for must gain in all but so small a share of resamples; one that was asked for, on the
# whole.
NOISE, RESAMPLES = 0.01, 400
FEWEST_ROWS, MOST_ROWS = 20, 50_000
# Several classes are looked at again for each weight that is tried.
MOST_CELLS = 40_000
POWERS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
STEPS = (0.5, 0.7, 1.4, 2.0)
# Weights of more classes than this are not tuned one by one: there are too few rows of each.
MOST_SINGLE = 10


@dataclass(frozen=True)
class Decision:
    """How a model decides.

    Attributes
    ----------
    rule: what the model takes (see forestay_transformers.decided); None for the most probable class.
    labels: class numbers of the held-out rows, each decided by what other rows chose; None for the most probable ones.
    document: the decision as it is shown and kept in the model's schema.
    parts, part: the rules that chose those labels, and which of them each row was decided by, -1 where it was `rule`.
    """

    rule: Rule | None
    labels: np.ndarray | None
    document: dict[str, Any]
    parts: tuple[Rule, ...] = ()
    part: np.ndarray | None = None


def decide(problem: Problem, truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None) -> Decision:
    """The decision of a model by its predictions on held-out rows.

    Parameters
    ----------
    problem: of a classification. truth: class numbers (n,). probabilities: (n, k). weights: of rows, or None.
    """
    setting = problem.decision
    document = setting.as_dict()
    fixed = _fixed(problem)
    if fixed is not None:
        return Decision(fixed, decided(probabilities, fixed), document | _told(problem, fixed))
    name, goal = _goal(problem)
    if goal is None:
        return Decision(None, None, document | {"rule": "argmax"})
    document["goal"] = name
    most_probable = Decision(None, None, document | {"rule": "argmax"})
    if len(truth) < FEWEST_ROWS:
        return most_probable
    rows = np.random.default_rng(problem.seed).permutation(len(truth))[: _most_rows(problem)]
    rule, labels, rules, part = _cross_chosen(problem, truth[rows], probabilities[rows], _of(weights, rows), goal)
    gain, sure = _gain(truth[rows], labels, probabilities[rows].argmax(axis=1), _of(weights, rows), goal, problem)
    if not (sure > 0 if setting.kind == decisions.AUTO else gain > 0):
        return most_probable
    every = decided(probabilities, rule)
    every[rows] = labels
    by = np.full(len(truth), -1)
    by[rows] = part
    return Decision(rule, every, document | {"gain": round(gain, 6)} | _told(problem, rule), tuple(rules), by)


def _most_rows(problem: Problem) -> int:
    return MOST_ROWS if problem.class_count == 2 else MOST_CELLS // problem.class_count


def labels(model: Any, probabilities: np.ndarray) -> np.ndarray | None:
    """Class numbers as a pipeline's last step decides; None where it is the most probable class, and for regression."""
    rule = getattr(model.steps[-1][1], "decision", None)
    return None if rule is None else decided(probabilities, rule)


def provisional(problem: Problem) -> Rule | None:
    """The rule by which predictions are compared before anything is tuned; None for the most probable class."""
    fixed = _fixed(problem)
    if fixed is None and _goal(problem)[0] == "norm_macro_recall":
        shares = problem.class_sizes / len(problem.target)
        return {"weights": (1 / np.maximum(shares, 1e-12)).tolist()}
    return fixed


def by_labels(problem: Problem) -> bool:
    """Whether the primary metric depends on labels, and not on probabilities alone."""
    return problem.metric in GOALS


def wants_class_weights(problem: Problem) -> bool:
    """Whether a class is rare and what is sought asks for it as for the others: models are then fitted so too."""
    if not problem.classification or not imbalanced(problem.class_sizes):
        return False
    return balances(problem.metric, problem.decision)


def parts(truth: np.ndarray, count: int) -> np.ndarray:
    """The part, 0..count-1, that each row is in; every part has its share of each class."""
    part = np.empty(len(truth), dtype=int)
    part[np.argsort(truth, kind="stable")] = np.arange(len(truth)) % count
    return part


def _of(weights: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if weights is None else weights[rows]


def _positive(problem: Problem) -> int:
    """The positive class of two: the job's, or the second one, as in Azure."""
    return 1 if problem.positive is None else problem.positive


def _fixed(problem: Problem) -> Rule | None:
    threshold = problem.decision.threshold
    # Validation rows may have a class more than the training data that the setting was checked against.
    if threshold is None or problem.class_count != 2:
        return None
    return {"threshold": threshold, "position": _positive(problem)}


def _told(problem: Problem, rule: Rule) -> dict[str, Any]:
    """A rule in the words of its classes."""
    assert problem.classes is not None
    if "threshold" in rule:
        label = problem.classes[rule["position"]]
        return {"rule": "threshold", "threshold": rule["threshold"], "positive_label": label}
    return {"rule": "weights", "weights": rule["weights"], "classes": problem.classes}


def _goal(problem: Problem) -> tuple[str, Goal | None]:
    """What a decision is tuned for, and its name; None where no decision could change it."""
    kind, positive = problem.decision.kind, _positive(problem)
    if kind == decisions.F1 and problem.class_count == 2:
        return "f1_score_binary", lambda tables: _f1(tables, positive)
    if kind == decisions.BALANCED:
        return "norm_macro_recall", _macro_recall
    goal = GOALS.get(problem.metric) if kind == decisions.AUTO else None
    return problem.metric, goal


def _accuracy(tables: np.ndarray) -> np.ndarray:
    return np.asarray(np.trace(tables, axis1=-2, axis2=-1) / np.maximum(tables.sum(axis=(-2, -1)), 1e-12))


def _macro_recall(tables: np.ndarray) -> np.ndarray:
    """Macro recall over the classes that occur, from 0 (chance) to 1, as norm_macro_recall is."""
    sizes = tables.sum(axis=-1)
    hits = np.diagonal(tables, axis1=-2, axis2=-1)
    present = sizes > 0
    count = np.maximum(present.sum(axis=-1), 1)
    mean = np.where(present, hits / np.where(present, sizes, 1.0), 0.0).sum(axis=-1) / count
    chance = 1 / count
    return np.asarray(np.maximum(0.0, mean - chance) / np.maximum(1 - chance, 1e-12))


def _weighted_precision(tables: np.ndarray) -> np.ndarray:
    sizes, said = tables.sum(axis=-1), tables.sum(axis=-2)
    hits = np.diagonal(tables, axis1=-2, axis2=-1)
    precision = np.where(said > 0, hits / np.where(said > 0, said, 1.0), 0.0)
    return np.asarray((precision * sizes).sum(axis=-1) / np.maximum(sizes.sum(axis=-1), 1e-12))


# The primary metrics that depend on labels.
GOALS: dict[str, Goal] = {
    "accuracy": _accuracy,
    "norm_macro_recall": _macro_recall,
    "precision_score_weighted": _weighted_precision,
}


def _f1(tables: np.ndarray, positive: int) -> np.ndarray:
    hits = tables[..., positive, positive]
    total = tables[..., positive, :].sum(axis=-1) + tables[..., :, positive].sum(axis=-1)
    return np.asarray(2 * hits / np.maximum(total, 1e-12))


def _cross_chosen(
    problem: Problem, truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None, goal: Goal
) -> tuple[Rule, np.ndarray, list[Rule], np.ndarray]:
    """The rule that the parts of the rows agree on, and for each row the label by what the other parts chose.

    Also what the others of each part chose, and the part of each row.
    """
    part = parts(truth, PARTS)
    labels = np.empty(len(truth), dtype=int)
    rules = []
    for number in range(PARTS):
        outside, inside = part != number, part == number
        rules.append(_choose(problem, truth[outside], probabilities[outside], _of(weights, outside), goal))
        labels[inside] = decided(probabilities[inside], rules[-1])
    if "threshold" in rules[0]:
        middle = float(np.median([rule["threshold"] for rule in rules]))
        return {**rules[0], "threshold": middle}, labels, rules, part
    logs = np.median(np.log([rule["weights"] for rule in rules]), axis=0)
    return {"weights": np.exp(logs - logs.mean()).tolist()}, labels, rules, part


def _choose(
    problem: Problem, truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None, goal: Goal
) -> Rule:
    shares = np.ones(len(truth)) if weights is None else weights
    if probabilities.shape[1] == 2:
        return _threshold(truth, probabilities, shares, _positive(problem), goal)
    return {"weights": _class_weights(truth, probabilities, shares, goal).tolist()}


def _threshold(truth: np.ndarray, probabilities: np.ndarray, shares: np.ndarray, positive: int, goal: Goal) -> Rule:
    """The best cut between two neighbouring probabilities; of equally good ones that next to a half."""
    order = np.argsort(probabilities[:, positive], kind="stable")
    values = probabilities[order, positive]
    hit = np.where(truth[order] == positive, shares[order], 0.0)
    miss = np.where(truth[order] == positive, 0.0, shares[order])
    cuts = np.flatnonzero(np.diff(values) > 0) + 1
    if not cuts.size:
        return {"threshold": 0.5, "position": positive}
    below_hit, below_miss = np.cumsum(hit)[cuts - 1], np.cumsum(miss)[cuts - 1]
    tables = np.empty((len(cuts), 2, 2))
    other = 1 - positive
    tables[:, positive, positive], tables[:, positive, other] = hit.sum() - below_hit, below_hit
    tables[:, other, positive], tables[:, other, other] = miss.sum() - below_miss, below_miss
    middles = (values[cuts - 1] + values[cuts]) / 2
    found = goal(tables)
    best = np.flatnonzero(found >= found.max() - 1e-12)
    chosen = best[np.argmin(np.abs(middles[best] - 0.5))]
    return {"threshold": float(middles[chosen]), "position": positive}


def _class_weights(truth: np.ndarray, probabilities: np.ndarray, shares: np.ndarray, goal: Goal) -> np.ndarray:
    """Weights (k,) of classes: a power of their frequency, then each class by itself a step up or down."""
    count = probabilities.shape[1]
    sizes = np.bincount(truth, weights=shares, minlength=count)
    frequency = np.where(sizes > 0, sizes / sizes.sum(), 1.0)

    def value(weights: np.ndarray) -> float:
        said = (probabilities * weights).argmax(axis=1)
        return float(goal(np.bincount(truth * count + said, shares, minlength=count**2).reshape(count, count)))

    tried = [frequency**-power for power in POWERS]
    values = [value(weights) for weights in tried]
    best, highest = tried[int(np.argmax(values))], max(values)
    for label in range(count) if count <= MOST_SINGLE else ():
        for step in STEPS:
            weights = best.copy()
            weights[label] *= step
            found = value(weights)
            if found > highest:
                best, highest = weights, found
    return np.asarray(best / np.exp(np.log(best).mean()))


def _gain(
    truth: np.ndarray,
    labels: np.ndarray,
    argmax: np.ndarray,
    weights: np.ndarray | None,
    goal: Goal,
    problem: Problem,
) -> tuple[float, float]:
    """What the labels gain over the most probable classes, and what they gain at least, but for noise.

    The rows are drawn again and again; since a goal depends on counts only, it is the counts that are drawn.
    """
    count = problem.class_count
    shares = np.ones(len(truth)) if weights is None else weights
    cells, place = np.unique((truth * count + labels) * count + argmax, return_inverse=True)
    sizes = np.bincount(place, weights=shares)
    effective = round(float(shares.sum() ** 2 / np.maximum((shares**2).sum(), 1e-12)))
    draws = np.random.default_rng(problem.seed).multinomial(effective, sizes / sizes.sum(), size=RESAMPLES)
    drawn = np.vstack([sizes[None, :], draws])
    was, said, first = cells // count**2, cells // count % count, cells % count

    def goals(answered: np.ndarray) -> np.ndarray:
        places = np.zeros((len(cells), count**2))
        places[np.arange(len(cells)), was * count + answered] = 1.0
        return goal((drawn @ places).reshape(-1, count, count))

    gains = goals(said) - goals(first)
    return float(gains[0]), float(np.quantile(gains[1:], NOISE))
