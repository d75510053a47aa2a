"""The ensembles: which trials they are made of, and the models that they become.

Members are chosen by greedy selection with replacement on held-out predictions (Caruana et al. 2004, "Ensemble
selection from libraries of models"): VotingEnsemble is their weighted mean, StackEnsemble what a meta-learner makes of
them. They are chosen by what the leaderboard shows, the mean over the folds. What the selection itself gains by looking
at those rows is not counted: an ensemble that does worse than the best single trial on rows that did not choose its
members, by more than chance, is not made. And it must be quick and small enough to be served.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automl_jobs.engine import decide, outputs, stack
from automl_jobs.engine.judging import held_rows, judge
from automl_jobs.engine.problem import Problem
from automl_jobs.engine.trial import HELD_OUT, LAST_FOLD, TrialOutcome, TrialPlan, keep_last_fold
from automl_jobs.runs.choice import MOST_MB, MOST_MS
from forestay_transformers import (
    BlendedClassifier,
    BlendedRegressor,
    ServedPipeline,
    StackedClassifier,
    StackedRegressor,
    decided,
)

VOTING, STACK = "VotingEnsemble", "StackEnsemble"
ROUNDS = 20
MOST_MEMBERS = 6
PARTS = 5
# The parameter of an ensemble's plan with its members' ids and weights, in their order.
MEMBERS = "members"
Score = Callable[[np.ndarray, np.ndarray], float]
# Of the rows that choose, and of those that are answered, as masks: what is said of the latter.
Answer = Callable[[np.ndarray, np.ndarray], np.ndarray]
Block = tuple[Any, list[tuple[Any, float]]]


@dataclass(frozen=True)
class Member:
    """A finished trial that an ensemble may choose.

    Attributes
    ----------
    id, folder: of the trial. layout: how its features are made; models of one layout share them.
    ms, features_ms, mb: what its model costs to serve: see outputs.Written.
    """

    id: str
    folder: Path
    layout: str
    ms: float = 0.0
    features_ms: float = 0.0
    mb: float = 0.0


@dataclass(frozen=True)
class EnsemblePlan:
    """An ensemble to be made of finished trials.

    Attributes
    ----------
    id: the ensemble's number as a trial. members: the trials it may choose from, the best first.
    learner: the meta-learner of a StackEnsemble; None for a VotingEnsemble.
    bounded: whether it must be within what a model may cost to be chosen (see runs.choice).
    """

    id: str
    members: tuple[Member, ...]
    learner: stack.MetaLearner | None = None
    bounded: bool = True

    @property
    def name(self) -> str:
        """Azure's."""
        return VOTING if self.learner is None else STACK


class NoBetter(Exception):
    """Every blend of the trials does worse than the best of them on rows that did not choose it."""


def run(problem: Problem, plan: EnsemblePlan, folder: Path) -> TrialOutcome:
    """Choose, score and write the ensemble. Raises NoBetter."""
    started = time.monotonic()
    pool = [member for member in plan.members if not plan.bounded or _fits([member])]
    held = {member.id: np.load(member.folder / HELD_OUT) for member in pool}
    rows, folds, score = held_rows(problem), held_folds(problem), _score(problem)
    while True:
        predictions = [held[member.id] for member in pool]
        fits = _fitting(pool) if plan.bounded else None
        if len(pool) < 2:
            raise NoBetter
        compare(problem, rows, predictions, score, _answering(problem, plan, rows, predictions, score, fits))
        weights = select(predictions, problem.target[rows], by_fold(score, folds), fits)
        if len(weights) < 2:
            raise NoBetter
        chosen = [pool[position] for position in weights]
        answers = [predictions[position] for position in weights]
        outcome = _made(problem, plan, folder, chosen, answers, list(weights.values()), started)
        measured = outcome.metrics["predict_ms"] <= MOST_MS and outcome.metrics["model_mb"] <= MOST_MB
        if measured or not plan.bounded:
            return outcome
        # Costs are known to be about so much: what is too much when measured is made again without its dearest member.
        shutil.rmtree(outcome.outputs)
        pool.remove(max(chosen, key=lambda member: member.ms / MOST_MS + member.mb / MOST_MB))


def _made(
    problem: Problem,
    plan: EnsemblePlan,
    folder: Path,
    members: list[Member],
    answers: list[np.ndarray],
    weights: list[float],
    started: float,
) -> TrialOutcome:
    """The ensemble of these members, scored and written."""
    import joblib

    layouts = [member.layout for member in members]
    if plan.learner is None:
        judged = judge(problem, blend(answers, dict(enumerate(weights))))

        def joined(pipelines: list[Any]) -> Any:
            shares = blocks(layouts, pipelines, weights)
            if problem.classes is None:
                return BlendedRegressor(shares)
            return BlendedClassifier(shares, decision=judged.rule)

        parameters = {
            f"weight of trial {member.id}": f"{weight:.3f}" for member, weight in zip(members, weights, strict=True)
        }
    else:
        rows = held_rows(problem)
        judged = judge(problem, cross_fitted(problem, plan.learner, rows, answers))
        learned = stack.fit(problem, plan.learner, answers, rows, problem.weights)

        def joined(pipelines: list[Any]) -> Any:
            numbered = stacked_blocks(layouts, pipelines)
            if problem.classes is None:
                return StackedRegressor(numbered, learned.estimator)
            return StackedClassifier(numbered, learned.estimator, learned.positions, decision=judged.rule)

        parameters = {"meta_learner": stack.kind_of(plan.learner.kind).__name__}
        parameters |= {f"member {number}": f"trial {member.id}" for number, member in enumerate(members, start=1)}
    schemas = [outputs.read_schema(member.folder / "outputs") for member in members]
    packages = set.union(*(outputs.own_packages(schema) for schema in schemas))
    if plan.learner is not None:
        packages |= set(plan.learner.packages)
    preprocessor = ", ".join(dict.fromkeys(layouts))

    def served(files: list[Path]) -> ServedPipeline:
        pipelines = [joblib.load(path) for path in files]
        return ServedPipeline([pipelines[0].steps[0], ("model", joined(pipelines))])

    keep_last_folds(folder, members, served)
    written = outputs.write(
        folder / "outputs",
        problem,
        served([member.folder / "outputs" / outputs.MODEL for member in members]),
        plan.name,
        preprocessor,
        tuple(sorted(packages)),
        extra=judged.documents,
    )
    return TrialOutcome(
        # Which trials it is made of, and in what shares, lets it be made again of the same.
        plan=TrialPlan(plan.id, plan.name, {MEMBERS: {m.id: w for m, w in zip(members, weights, strict=True)}}),
        preprocessor=preprocessor,
        score=judged.metrics[problem.metric],
        folds=judged.folds,
        metrics=judged.metrics | written.as_metrics(),
        artifacts=judged.artifacts,
        parameters=parameters,
        duration_seconds=time.monotonic() - started,
        outputs=written.folder,
    )


def keep_last_folds(folder: Path, members: Sequence[Member], joined: Callable[[list[Path]], Any]) -> None:
    """Write the ensemble of its members' models of the last fold, where those were kept; `joined` makes it of files."""
    files = [member.folder / LAST_FOLD for member in members]
    if all(path.is_file() for path in files):
        keep_last_fold(folder, joined(files))


def cost(members: Sequence[Member]) -> tuple[float, float]:
    """What an ensemble of these costs to serve: milliseconds a row, megabytes. The features of a layout count once."""
    layouts: dict[str, float] = {}
    for member in members:
        layouts[member.layout] = max(layouts.get(member.layout, 0.0), member.features_ms)
    models = sum(member.ms - member.features_ms for member in members)
    return sum(layouts.values()) + models, sum(member.mb for member in members)


def _fits(members: Sequence[Member]) -> bool:
    milliseconds, megabytes = cost(members)
    return milliseconds <= MOST_MS and megabytes <= MOST_MB


def _fitting(pool: Sequence[Member]) -> Callable[[Collection[int]], bool]:
    return lambda positions: _fits([pool[position] for position in positions])


def select(
    predictions: list[np.ndarray],
    truth: np.ndarray,
    score: Score,
    fits: Callable[[Collection[int]], bool] | None = None,
) -> dict[int, float]:
    """Positions in `predictions` and their weights (summing to one): what a greedy search adds, again and again.

    Parameters
    ----------
    predictions: of each member, (n, k) probabilities or (n,) values, on the same rows.
    score: (truth, prediction) -> a number, more is better.
    fits: whether members at these positions may be together; None: any may. Each by itself must.
    """
    chosen: Counter[int] = Counter()
    total = np.zeros_like(predictions[0], dtype="float64")
    best, best_chosen = -np.inf, Counter[int]()
    for round_ in range(1, ROUNDS + 1):
        allowed = [
            position
            for position in range(len(predictions))
            if position in chosen or (len(chosen) < MOST_MEMBERS and (fits is None or fits({*chosen, position})))
        ]
        tried = {position: score(truth, (total + predictions[position]) / round_) for position in allowed}
        position = max(tried, key=lambda candidate: tried[candidate])
        chosen[position] += 1
        total += predictions[position]
        if tried[position] > best:
            best, best_chosen = tried[position], Counter(chosen)
    count = sum(best_chosen.values())
    return {position: times / count for position, times in sorted(best_chosen.items())}


def held_folds(problem: Problem) -> np.ndarray:
    """The number of the fold that each of `held_rows(problem)` is of."""
    return np.repeat(np.arange(len(problem.splits)), [len(valid) for _, valid in problem.splits])


def by_fold(score: Score, folds: np.ndarray) -> Score:
    """A score as the mean of those of the folds, as the leaderboard has it, for rows of which `folds` says theirs."""
    parts = [np.flatnonzero(folds == number) for number in np.unique(folds)]
    if len(parts) == 1:
        return score
    return lambda truth, predicted: float(np.mean([score(truth[part], predicted[part]) for part in parts]))


def blend(predictions: list[np.ndarray], weights: dict[int, float]) -> np.ndarray:
    """The weighted mean of predictions."""
    return np.asarray(sum(weight * predictions[position] for position, weight in weights.items()))


def _parts(problem: Problem, count: int) -> np.ndarray:
    """The part (of PARTS) that each of `count` held-out rows is in."""
    return np.random.default_rng(problem.seed).permutation(count) % PARTS


def _answering(
    problem: Problem,
    plan: EnsemblePlan,
    rows: np.ndarray,
    predictions: list[np.ndarray],
    score: Score,
    fits: Callable[[Collection[int]], bool] | None,
) -> Answer:
    """How an ensemble that some rows choose answers for others."""

    folds = held_folds(problem)

    def answer(outside: np.ndarray, inside: np.ndarray) -> np.ndarray:
        seen = [one[outside] for one in predictions]
        chosen = select(seen, problem.target[rows[outside]], by_fold(score, folds[outside]), fits)
        if plan.learner is None:
            return blend([one[inside] for one in predictions], chosen)
        learned = stack.fit(problem, plan.learner, [seen[place] for place in chosen], rows[outside], problem.weights)
        return learned.predict([predictions[place][inside] for place in chosen], len(problem.classes or ()))

    return answer


def cross_fitted(
    problem: Problem, learner: stack.MetaLearner, rows: np.ndarray, answers: list[np.ndarray]
) -> np.ndarray:
    """What meta-learners say of held-out rows, each of a part of them that it was not fitted on."""
    part = _parts(problem, len(rows))
    said = np.empty(answers[0].shape)
    for number in range(PARTS):
        inside, outside = part == number, part != number
        learned = stack.fit(problem, learner, [answer[outside] for answer in answers], rows[outside], problem.weights)
        said[inside] = learned.predict([answer[inside] for answer in answers], len(problem.classes or ()))
    return said


def compare(
    problem: Problem, rows: np.ndarray, predictions: list[np.ndarray], score: Score, answer: Answer | None = None
) -> None:
    """Let each part of the held-out rows be scored by the ensemble and by the single trial that the other parts chose.

    The best trial of all rows would have an advantage: those rows chose it. Raises NoBetter where the ensemble is
    behind by a standard error over the parts or more: a mean of good models seldom does worse than the one that seems
    to be the best, and a part of few rows says little of which it is.

    Parameters
    ----------
    answer: what the ensemble says; without it, the mean of the members that the other parts choose.
    """
    folds = held_folds(problem)
    # Whole folds, where there are several.
    part = folds % PARTS if len(problem.splits) > 1 else _parts(problem, len(rows))
    truth = problem.target[rows]
    gained = []
    for number in np.unique(part):
        inside, outside = part == number, part != number
        seen = [one[outside] for one in predictions]
        chosen_by, asked = by_fold(score, folds[outside]), by_fold(score, folds[inside])
        single = max(range(len(seen)), key=lambda position: chosen_by(truth[outside], seen[position]))
        if answer is None:
            said = blend([one[inside] for one in predictions], select(seen, truth[outside], chosen_by))
        else:
            said = answer(outside, inside)
        gained.append(asked(truth[inside], said) - asked(truth[inside], predictions[single][inside]))
    if np.mean(gained) <= -np.std(gained, ddof=1) / len(gained) ** 0.5:
        raise NoBetter


def _pieces(layout: str, pipeline: Any) -> list[tuple[str, Any, Any, float]]:
    """A member as fitted models: the name of its features, their transformer, the model, its weight in the member.

    The name is the same for what was fitted on the same rows.
    """
    named = dict(pipeline.steps)
    if "features" in named:
        return [(layout, named["features"], named["model"], 1.0)]
    fold_blocks = named["model"].blocks
    names = [layout] if len(fold_blocks) == 1 else [f"{layout}, fold {fold}" for fold in range(len(fold_blocks))]
    return [
        (name, transformer, model, weight)
        for name, (transformer, models) in zip(names, fold_blocks, strict=True)
        for model, weight in models
    ]


def blocks(layouts: list[str], pipelines: list[Any], weights: list[float]) -> list[Block]:
    """Members that share a layout share its transformer: it was fitted on the same rows, and is computed once."""
    found: dict[str, Block] = {}
    for layout, pipeline, weight in zip(layouts, pipelines, weights, strict=True):
        for name, transformer, model, share in _pieces(layout, pipeline):
            found.setdefault(name, (transformer, []))[1].append((model, weight * share))
    return list(found.values())


def stacked_blocks(layouts: list[str], pipelines: list[Any]) -> list[tuple[Any, list[tuple[Any, int, float]]]]:
    """The same, each model with the number of its member and its weight in that."""
    found: dict[str, tuple[Any, list[tuple[Any, int, float]]]] = {}
    for number, (layout, pipeline) in enumerate(zip(layouts, pipelines, strict=True)):
        for name, transformer, model, share in _pieces(layout, pipeline):
            found.setdefault(name, (transformer, []))[1].append((model, number, share))
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
