"""The stack ensemble's meta-learner: Azure's kinds, how each is made here, and how it is fitted and scored.

It learns from members' predictions on rows that they were not fitted on, and is scored on rows that it was not fitted
on itself: what it says of each part of them comes from the others (Wolpert 1992, "Stacked generalization").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from forestay_transformers import full_probabilities, stack_features

if TYPE_CHECKING:
    from automl_jobs.engine.problem import Problem
    from automl_jobs.spec.sections import StackEnsembleSettings

# More rows than this make the same meta-learner, later.
MOST_ROWS = 20_000
CLASSIFIERS = ("logistic_regression", "logistic_regression_cv", "light_gbm_classifier")
REGRESSORS = ("elastic_net", "elastic_net_cv", "light_gbm_regressor", "linear_regression")


@dataclass(frozen=True)
class MetaLearner:
    """What a stack learns with.

    Attributes
    ----------
    kind: the job file's name of it. parameters: of its constructor, as the job file gives them.
    share: with a single validation split, how many rows train it at most, as a share of the training rows.
    """

    kind: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    share: float = 0.2

    @classmethod
    def of(cls, settings: StackEnsembleSettings | None, classification: bool, folds: bool) -> MetaLearner:
        """The job file's meta-learner.

        Where it doesn't say: as in Azure LogisticRegression or ElasticNet, and their `CV` kinds for cross-validation.
        """
        default = ("logistic_regression" if classification else "elastic_net") + ("_cv" if folds else "")
        if settings is None:
            return cls(default)
        named = settings.stack_meta_learner_type
        return cls(
            default if named == "none" else named,
            dict(settings.stack_meta_learner_kwargs or {}),
            settings.stack_meta_learner_train_percentage,
        )

    @property
    def packages(self) -> tuple[str, ...]:
        """Distributions that it needs beside scikit-learn."""
        return ("lightgbm",) if self.kind.startswith("light_gbm") else ()


@dataclass(frozen=True)
class Learned:
    """A fitted meta-learner; `positions` are the classes that it knows."""

    estimator: Any
    positions: list[int]

    def predict(self, answers: list[np.ndarray], classes: int) -> np.ndarray:
        """Probabilities (n, k), or values (n,) for regression, by the members' answers."""
        rows = stack_features(answers)
        if classes:
            return full_probabilities(self.estimator, rows, classes, self.positions)
        return np.asarray(self.estimator.predict(rows), dtype="float64")


def kind_of(name: str) -> type:
    """The class of a meta-learner, for its parameters' names."""
    from sklearn import linear_model

    if name.startswith("light_gbm"):
        import lightgbm

        return lightgbm.LGBMClassifier if name == "light_gbm_classifier" else lightgbm.LGBMRegressor
    named = {
        "logistic_regression": linear_model.LogisticRegression,
        "logistic_regression_cv": linear_model.LogisticRegressionCV,
        "elastic_net": linear_model.ElasticNet,
        "elastic_net_cv": linear_model.ElasticNetCV,
        "linear_regression": linear_model.LinearRegression,
    }
    return named[name]


def _defaults(kind: str, seed: int) -> dict[str, Any]:
    """Of inputs and target at unit scale. Members agree with each other: small trees, and weights that are no debts."""
    if kind.startswith("light_gbm"):
        small = {"n_estimators": 60, "learning_rate": 0.05, "num_leaves": 6, "min_child_samples": 30}
        return {**small, "random_state": seed, "n_jobs": 1, "verbose": -1, "deterministic": True}
    if kind == "logistic_regression_cv":
        own = {"Cs": 5, "cv": 3, "scoring": "neg_log_loss", "l1_ratios": (0.0,), "use_legacy_attributes": False}
        return {**own, "max_iter": 500, "tol": 1e-3, "random_state": seed}
    if kind == "logistic_regression":
        return {"C": 0.1, "max_iter": 500, "tol": 1e-3, "random_state": seed}
    if kind.startswith("elastic_net"):
        own = {"cv": 3} if kind.endswith("cv") else {"alpha": 1e-3}
        return {**own, "positive": True, "max_iter": 3000, "random_state": seed}
    return {}


def make(learner: MetaLearner, seed: int) -> Any:
    """The unfitted estimator; the job file's parameters win over those of here."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    estimator = kind_of(learner.kind)(**{**_defaults(learner.kind, seed), **learner.parameters})
    scaled = make_pipeline(StandardScaler(), estimator)
    if learner.kind in CLASSIFIERS:
        return scaled
    return TransformedTargetRegressor(scaled, transformer=StandardScaler())


def most_rows(problem: Problem, learner: MetaLearner) -> int:
    """On how many held-out rows the meta-learner is fitted at most."""
    if len(problem.splits) > 1:
        return MOST_ROWS
    return min(MOST_ROWS, max(2, int(learner.share * len(problem.splits[0][0]))))


def fit(
    problem: Problem, learner: MetaLearner, answers: list[np.ndarray], rows: np.ndarray, weights: np.ndarray | None
) -> Learned:
    """Fit the meta-learner.

    Parameters
    ----------
    answers: of each member on `rows`, probabilities (n, k) or values (n,). rows: positions in the problem's rows.
    weights: of the problem's rows, or None.
    """
    most = most_rows(problem, learner)
    if len(rows) > most:
        kept = np.sort(np.random.default_rng(problem.seed).permutation(len(rows))[:most])
        answers, rows = [answer[kept] for answer in answers], rows[kept]
    truth = problem.target[rows]
    positions = np.unique(truth) if problem.classification else np.array([], dtype=int)
    if problem.classification:
        truth = np.searchsorted(positions, truth)
    estimator = make(learner, problem.seed)
    inner = estimator if problem.classification else estimator.regressor
    extra = {} if weights is None else {f"{inner.steps[-1][0]}__sample_weight": weights[rows]}
    return Learned(estimator.fit(stack_features(answers), truth, **extra), positions.tolist())
