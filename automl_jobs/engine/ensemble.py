"""The voting ensemble: which trials it is made of, and the model that they become.

Greedy selection with replacement on held-out predictions (Caruana et al. 2004, "Ensemble selection from libraries of
models"). What the selection itself gains by looking at those rows is not counted: the ensemble must beat the best
single trial on rows that did not choose its members, or it is not made.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automl_jobs.engine import decide, outputs
from automl_jobs.engine.problem import Problem
from automl_jobs.engine.trial import HELD_OUT, TrialOutcome, TrialPlan, held_rows, judge
from forestay_transformers import BlendedClassifier, BlendedRegressor, ServedPipeline, decided

VOTING = "VotingEnsemble"
ROUNDS = 20
MOST_MEMBERS = 6
PARTS = 5
Score = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class EnsemblePlan:
    """An ensemble to be made of finished trials.

    Attributes
    ----------
    id: the ensemble's number as a trial. members: ids and folders of the trials it may choose from, the best first.
    """

    id: str
    members: tuple[tuple[str, Path], ...]


class NoBetter(Exception):
    """No blend of the trials beats the best of them on rows that did not choose it."""


def run(problem: Problem, plan: EnsemblePlan, folder: Path) -> TrialOutcome:
    """Choose, score and write the ensemble. Raises NoBetter."""
    import joblib

    started = time.monotonic()
    predictions = [np.load(place / HELD_OUT) for _, place in plan.members]
    rows = held_rows(problem)
    score = _score(problem)
    compare(problem, rows, predictions, score)
    weights = select(predictions, problem.target[rows], score)
    if len(weights) < 2:
        raise NoBetter
    blended = blend(predictions, weights)
    judged = judge(problem, blended)
    members = [(plan.members[position], weight) for position, weight in weights.items()]
    schemas = [outputs.read_schema(place / "outputs") for (_, place), _ in members]
    pipelines = [joblib.load(place / "outputs" / outputs.MODEL) for (_, place), _ in members]
    layouts = [schema["preprocessor"] for schema in schemas]
    shared = blocks(layouts, pipelines, list(weights.values()))
    model = BlendedRegressor(shared) if problem.classes is None else BlendedClassifier(shared, decision=judged.rule)
    steps = [pipelines[0].steps[0], ("model", model)]
    packages = sorted(set.union(*(outputs.own_packages(schema) for schema in schemas)))
    preprocessor = ", ".join(dict.fromkeys(layouts))
    written = outputs.write(
        folder / "outputs",
        problem,
        ServedPipeline(steps),
        VOTING,
        preprocessor,
        tuple(packages),
        extra=judged.documents,
    )
    return TrialOutcome(
        plan=TrialPlan(plan.id, VOTING),
        preprocessor=preprocessor,
        score=judged.metrics[problem.metric],
        folds=judged.folds,
        metrics=judged.metrics | written.as_metrics(),
        artifacts=judged.artifacts,
        parameters={f"weight of trial {name}": f"{weight:.3f}" for (name, _), weight in members},
        duration_seconds=time.monotonic() - started,
        outputs=written.folder,
    )


def select(predictions: list[np.ndarray], truth: np.ndarray, score: Score) -> dict[int, float]:
    """Positions in `predictions` and their weights (summing to one): what a greedy search adds, again and again.

    Parameters
    ----------
    predictions: of each member, (n, k) probabilities or (n,) values, on the same rows.
    score: (truth, prediction) -> a number, more is better.
    """
    chosen: Counter[int] = Counter()
    total = np.zeros_like(predictions[0], dtype="float64")
    best, best_chosen = -np.inf, Counter[int]()
    for round_ in range(1, ROUNDS + 1):
        allowed = range(len(predictions)) if len(chosen) < MOST_MEMBERS else list(chosen)
        tried = {position: score(truth, (total + predictions[position]) / round_) for position in allowed}
        position = max(tried, key=lambda candidate: tried[candidate])
        chosen[position] += 1
        total += predictions[position]
        if tried[position] > best:
            best, best_chosen = tried[position], Counter(chosen)
    count = sum(best_chosen.values())
    return {position: times / count for position, times in sorted(best_chosen.items())}


def blend(predictions: list[np.ndarray], weights: dict[int, float]) -> np.ndarray:
    return np.asarray(sum(weight * predictions[position] for position, weight in weights.items()))


def compare(problem: Problem, rows: np.ndarray, predictions: list[np.ndarray], score: Score) -> None:
    """Let each part of the held-out rows be scored by the blend and by the single trial that the other parts chose.

    The best trial of all rows would have an advantage: those rows chose it. Raises NoBetter.
    """
    part = np.random.default_rng(problem.seed).permutation(len(rows)) % PARTS
    truth = problem.target[rows]
    gained = []
    for number in range(PARTS):
        inside, outside = part == number, part != number
        seen = [one[outside] for one in predictions]
        chosen = select(seen, truth[outside], score)
        single = max(range(len(seen)), key=lambda position: score(truth[outside], seen[position]))
        blended = blend([one[inside] for one in predictions], chosen)
        gained.append(score(truth[inside], blended) - score(truth[inside], predictions[single][inside]))
    if np.mean(gained) <= 0:
        raise NoBetter


def blocks(layouts: list[str], pipelines: list[Any], weights: list[float]) -> list[tuple[Any, list[tuple[Any, float]]]]:
    """Members that share a layout share its transformer: it was fitted on the same rows, and is computed once."""
    found: dict[str, tuple[Any, list[tuple[Any, float]]]] = {}
    for layout, pipeline, weight in zip(layouts, pipelines, weights, strict=True):
        found.setdefault(layout, (pipeline.steps[1][1], []))[1].append((pipeline.steps[2][1], weight))
    return list(found.values())


def _score(problem: Problem) -> Score:
    """The primary metric as a number of which more is better, quick enough to be asked hundreds of times.

    A metric that only sees which class wins says little of a small change: log loss, scaled down, breaks its ties.
    """
    from scipy.stats import rankdata, spearmanr
    from sklearn import metrics

    rule = None if problem.classes is None else decide.provisional(problem)

    def area(truth: np.ndarray, predicted: np.ndarray) -> float:
        total = weight = 0.0
        for label in range(predicted.shape[1]):
            hit = truth == label
            inside = int(hit.sum())
            outside = len(truth) - inside
            if inside and outside:
                ranks = rankdata(predicted[:, label])[hit].sum()
                total += inside * (ranks - inside * (inside + 1) / 2) / (inside * outside)
                weight += inside
        return total / max(weight, 1.0)

    def loss(truth: np.ndarray, predicted: np.ndarray) -> float:
        return float(-np.log(np.clip(predicted[np.arange(len(truth)), truth], 1e-12, None)).mean())

    def by_class(truth: np.ndarray, predicted: np.ndarray) -> float:
        said = decided(predicted, rule)
        if problem.metric == "norm_macro_recall":
            value = metrics.recall_score(truth, said, average="macro", zero_division=0)
        elif problem.metric == "precision_score_weighted":
            value = metrics.precision_score(truth, said, average="weighted", zero_division=0)
        else:
            value = float((said == truth).mean())
        return float(value) - 0.01 * loss(truth, predicted)

    def precise(truth: np.ndarray, predicted: np.ndarray) -> float:
        onehot = (truth[:, None] == np.arange(predicted.shape[1])).astype(int)
        present = onehot.any(axis=0)
        return float(metrics.average_precision_score(onehot[:, present], predicted[:, present], average="weighted"))

    def error(truth: np.ndarray, predicted: np.ndarray) -> float:
        if problem.metric == "normalized_mean_absolute_error":
            return -float(np.abs(truth - predicted).mean())
        return -float(np.sqrt(((truth - predicted) ** 2).mean()))

    if problem.classes is None:
        if problem.metric == "spearman_correlation":
            return lambda truth, predicted: float(np.nan_to_num(spearmanr(truth, predicted)[0]))
        return error
    return {"AUC_weighted": area, "average_precision_score_weighted": precise}.get(problem.metric, by_class)
