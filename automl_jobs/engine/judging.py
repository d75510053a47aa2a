"""What predictions come to: metrics, charts, and the decision that makes labels of probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automl_jobs.engine import decide, metrics
from automl_jobs.engine.problem import Problem
from automl_jobs.engine.quality import quality
from forestay_transformers import decided


def held_rows(problem: Problem) -> np.ndarray:
    """The validation rows of all splits, in the order of a trial's held-out predictions."""
    return np.concatenate([valid for _, valid in problem.splits])


@dataclass(frozen=True)
class Judgement:
    """What held-out predictions come to.

    Attributes
    ----------
    metrics: averaged over the splits, as Azure does. folds: the primary metric of each split.
    charts: Azure's documents of the predictions of all splits together.
    decision: how the model decides; None for regression.
    """

    metrics: dict[str, float]
    folds: list[float]
    charts: dict[str, Any]
    decision: decide.Decision | None = None

    @property
    def rule(self) -> decide.Rule | None:
        """What the model's `decision` is."""
        return self.decision.rule if self.decision else None

    @property
    def documents(self) -> dict[str, Any]:
        """What the model's schema says beside the columns."""
        return {"decision": self.decision.document} if self.decision else {}

    @property
    def artifacts(self) -> dict[str, Any]:
        """The trial's documents."""
        return {**self.charts, **self.documents}

    def labels(self, probabilities: np.ndarray) -> np.ndarray | None:
        """Class numbers as the model decides them; None where it is the most probable class that counts."""
        return None if self.rule is None else decided(probabilities, self.rule)


def judge(problem: Problem, predictions: np.ndarray) -> Judgement:
    """Score a model, and decide how its probabilities become labels.

    Parameters
    ----------
    predictions: on `held_rows(problem)`: (n, k) probabilities, or (n,) values.
    """
    rows = held_rows(problem)
    truth = problem.target[rows]
    if problem.classes is None:
        return Judgement(
            *_scores(problem, predictions, None),
            # Their bins are those of all rows, so that the charts of all trials have the same.
            {
                "residuals": metrics.residuals(truth, predictions, float(problem.target.std())),
                "predicted_true": metrics.predicted_true(truth, predictions, problem.target),
            },
        )
    weights = None if problem.weights is None else problem.weights[rows]
    decision = decide.decide(problem, truth, predictions, weights)
    labels = predictions.argmax(axis=1) if decision.labels is None else decision.labels
    averages, folds = _scores(problem, predictions, decision.labels)
    return Judgement(
        averages | quality(problem, truth, predictions, labels, weights),
        folds,
        {
            "confusion_matrix": metrics.confusion_matrix(truth, labels, problem.classes),
            "accuracy_table": metrics.accuracy_table(truth, predictions, problem.classes),
        },
        decision,
    )


def _scores(
    problem: Problem, predictions: np.ndarray, labels: np.ndarray | None
) -> tuple[dict[str, float], list[float]]:
    """Metrics averaged over the splits, and the primary metric of each split."""
    found = []
    start = 0
    for _, valid in problem.splits:
        part = slice(start, start + len(valid))
        start += len(valid)
        truth = problem.target[valid]
        weights = None if problem.weights is None else problem.weights[valid]
        if problem.classification:
            said = None if labels is None else labels[part]
            found.append(metrics.classification(truth, predictions[part], weights, problem.positive, said))
        else:
            found.append(metrics.regression(truth, predictions[part], *problem.span, weights))
    return metrics.average(found), [one.get(problem.metric, float("nan")) for one in found]


def test_metrics(problem: Problem, folder: Path) -> dict[str, float]:
    """The metrics of the model in an outputs folder on the job's test data."""
    import joblib

    if problem.test is None:
        raise ValueError("the job has no test data")
    frame, truth = problem.test
    weights = problem.test_weights
    model = joblib.load(folder / "model.pkl")
    if problem.classes is None:
        return metrics.regression(truth, np.asarray(model.predict(frame), dtype="float64"), *problem.span, weights)
    probabilities = model.predict_proba(frame)
    labels = decide.labels(model, probabilities)
    truth, probabilities = unseen_as_missed(truth, probabilities)
    found = metrics.classification(truth, probabilities, weights, problem.positive, labels)
    return found | quality(problem, truth, probabilities, labels, weights)


def unseen_as_missed(truth: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Class numbers and probabilities where a label unknown to training, -1, is one more class, of probability 0."""
    unseen = truth < 0
    if not unseen.any():
        return truth, probabilities
    probabilities = np.hstack([probabilities, np.zeros((len(probabilities), 1))])
    return np.where(unseen, probabilities.shape[1] - 1, truth), probabilities
