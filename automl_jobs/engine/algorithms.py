"""The algorithms: Azure's name, its kin here, a short portfolio of settings that win often, and a space to search.

The portfolio's order and values come from measurement (see benchmarks/): a low learning rate with early stopping first,
then settings unlike each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from automl_jobs.engine import estimators
from automl_jobs.engine.estimators import Build, Parameters
from automl_jobs.engine.features import CHARS, COUNTS, LINEAR, TARGET, TREE

if TYPE_CHECKING:
    import optuna

# A parameter of any regressor: learn the logarithm of a target that is skewed to the right and never negative.
LOG_TARGET = "log_target"
# A parameter of any classifier that takes row weights: each class counts alike, however few rows it has.
CLASS_WEIGHTS = "class_weights"


@dataclass(frozen=True)
class Setting:
    """One point of a portfolio.

    Attributes
    ----------
    parameters: of the algorithm; LOG_TARGET and CLASS_WEIGHTS among them are the trainer's.
    layout: the feature layout, where it is not the algorithm's first.
    """

    parameters: Parameters
    layout: str = ""


@dataclass(frozen=True)
class Algorithm:
    """One of Azure's algorithms and how it is made here.

    Attributes
    ----------
    name: Azure's run name.
    layouts: the feature layouts that it can learn from, the usual one first.
    make: (parameters, build) -> unfitted estimator.
    portfolio: settings to try first, cheapest first.
    space: draws further settings from an Optuna trial; None where there is nothing worth searching.
    rank: place in the order of first tries; cheap and strong algorithms come early.
    boosted: takes evaluation rows and stops early.
    weights: takes `sample_weight`.
    max_rows: not tried on more rows than this: its cost grows faster than its worth.
    packages: distributions that its models need beside scikit-learn.
    """

    name: str
    layouts: tuple[str, ...]
    make: Callable[[Parameters, Build], Any]
    portfolio: tuple[Setting, ...]
    rank: int
    space: Callable[[optuna.Trial], Parameters] | None = None
    boosted: bool = False
    weights: bool = True
    max_rows: int | None = None
    packages: tuple[str, ...] = ()


def _lightgbm_space(trial: optuna.Trial) -> Parameters:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.15, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 4, 128, log=True),
        "min_child_samples": trial.suggest_int("min_child_samples", 3, 80, log=True),
        "subsample": trial.suggest_float("subsample", 0.5, 1.0),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
        "reg_lambda": trial.suggest_float("reg_lambda", 1e-2, 20.0, log=True),
        "extra_trees": trial.suggest_categorical("extra_trees", [False, True]),
    }


def _xgboost_space(trial: optuna.Trial) -> Parameters:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.15, log=True),
        "max_depth": trial.suggest_int("max_depth", 2, 9),
        "min_child_weight": trial.suggest_float("min_child_weight", 0.5, 20.0, log=True),
        "subsample": trial.suggest_float("subsample", 0.5, 1.0),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
        "reg_lambda": trial.suggest_float("reg_lambda", 1e-2, 20.0, log=True),
    }


def _histogram_space(trial: optuna.Trial) -> Parameters:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.15, log=True),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 4, 96, log=True),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 3, 80, log=True),
        "max_features": trial.suggest_float("max_features", 0.3, 1.0),
        "l2_regularization": trial.suggest_float("l2_regularization", 1e-3, 20.0, log=True),
    }


def _forest_space(trial: optuna.Trial) -> Parameters:
    return {
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, 20, log=True),
        "max_features": trial.suggest_float("max_features", 0.1, 1.0),
    }


def _log(name: str, low: float, high: float) -> Callable[[optuna.Trial], Parameters]:
    """A space of one number on a logarithmic scale."""

    def space(trial: optuna.Trial) -> Parameters:
        return {name: trial.suggest_float(name, low, high, log=True)}

    return space


def _elastic_net_space(trial: optuna.Trial) -> Parameters:
    return {
        "alpha": trial.suggest_float("alpha", 1e-4, 1.0, log=True),
        "l1_ratio": trial.suggest_float("l1_ratio", 0.05, 1.0),
    }


TREES, LINES = (TREE, TARGET), (LINEAR, CHARS)
_LGB_BASE = {
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_child_samples": 20,
    "subsample": 0.9,
    "colsample_bytree": 0.9,
}
_LGB_EXTRA = {
    "extra_trees": True,
    "learning_rate": 0.06,
    "num_leaves": 31,
    "min_child_samples": 10,
    "colsample_bytree": 0.8,
}
_LGB_SMALL = {
    "learning_rate": 0.04,
    "num_leaves": 8,
    "min_child_samples": 15,
    "subsample": 0.7,
    "colsample_bytree": 0.4,
    "reg_lambda": 3.0,
}
_LGB_BINS = {
    "learning_rate": 0.03,
    "num_leaves": 128,
    "min_child_samples": 10,
    "colsample_bytree": 0.4,
    "max_bin": 1023,
}
_XGB_D4 = {
    "learning_rate": 0.05,
    "max_depth": 4,
    "min_child_weight": 5,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
    "reg_lambda": 4.0,
}
_XGB_D6 = {
    "learning_rate": 0.05,
    "max_depth": 6,
    "min_child_weight": 2,
    "subsample": 0.8,
    "colsample_bytree": 0.7,
}
_HGB = {"learning_rate": 0.06, "max_leaf_nodes": 31, "min_samples_leaf": 15, "max_features": 0.6}

_LIGHTGBM = Algorithm(
    "LightGBM",
    TREES,
    estimators.lightgbm,
    (Setting(_LGB_BASE), Setting(_LGB_SMALL, TARGET), Setting(_LGB_EXTRA), Setting(_LGB_BINS)),
    rank=2,
    space=_lightgbm_space,
    boosted=True,
    packages=("lightgbm",),
)


def _xgboost_named(name: str) -> Algorithm:
    """XGBoost, which Azure names by its task."""
    return Algorithm(
        name,
        TREES,
        estimators.xgboost,
        (Setting(_XGB_D4), Setting(_XGB_D6, TARGET)),
        rank=5,
        space=_xgboost_space,
        boosted=True,
        packages=("xgboost-cpu",),
    )


_BOOSTING = Algorithm(
    "GradientBoosting",
    TREES,
    estimators.histogram_boosting,
    (Setting(_HGB),),
    rank=6,
    space=_histogram_space,
    boosted=True,
)
_RANDOM_FOREST = Algorithm(
    "RandomForest",
    TREES,
    estimators.forest(extra=False),
    (Setting({"min_samples_leaf": 4}),),
    rank=7,
    space=_forest_space,
)
_EXTRA_TREES = Algorithm(
    "ExtremeRandomTrees",
    TREES,
    estimators.forest(extra=True),
    (Setting({"min_samples_leaf": 4}),),
    rank=8,
    space=_forest_space,
)
_DECISION_TREE = Algorithm(
    "DecisionTree", TREES, estimators.tree, (Setting({"min_samples_leaf": 10, "max_depth": 12}),), rank=9
)
_NEIGHBOURS = Algorithm(
    "KNN",
    LINES,
    estimators.neighbours,
    (Setting({"n_neighbors": 15, "weights": "distance"}),),
    rank=11,
    weights=False,
    max_rows=50_000,
)

CLASSIFIERS = (
    Algorithm(
        "LogisticRegression",
        LINES,
        estimators.logistic,
        (Setting({"C": 1.0}), Setting({"C": 5.0}, CHARS)),
        rank=1,
        space=_log("C", 1e-2, 50.0),
    ),
    _LIGHTGBM,
    _xgboost_named("XGBoostClassifier"),
    _BOOSTING,
    Algorithm(
        "LinearSVM",
        LINES,
        estimators.linear_svm,
        (Setting({"C": 0.3}),),
        rank=4,
        space=_log("C", 1e-2, 20.0),
        max_rows=200_000,
    ),
    _RANDOM_FOREST,
    _EXTRA_TREES,
    _DECISION_TREE,
    Algorithm("SGD", LINES, estimators.sgd, (Setting({"alpha": 1e-4}),), rank=4, space=_log("alpha", 1e-6, 1e-2)),
    Algorithm(
        "MultinomialNaiveBayes", (COUNTS,), estimators.bayes("MultinomialNB"), (Setting({"alpha": 0.3}),), rank=3
    ),
    Algorithm("BernoulliNaiveBayes", (COUNTS,), estimators.bayes("BernoulliNB"), (Setting({"alpha": 0.3}),), rank=3),
    _NEIGHBOURS,
    Algorithm(
        "SVM", LINES, estimators.svm, (Setting({"C": 1.0}),), rank=12, space=_log("C", 0.1, 20.0), max_rows=5_000
    ),
)

REGRESSORS = (
    Algorithm(
        "ElasticNet",
        LINES,
        estimators.elastic_net,
        (Setting({"alpha": 1e-3, "l1_ratio": 0.5}),),
        rank=1,
        space=_elastic_net_space,
    ),
    _LIGHTGBM,
    _xgboost_named("XGBoostRegressor"),
    _BOOSTING,
    _RANDOM_FOREST,
    _EXTRA_TREES,
    Algorithm(
        "LassoLars", LINES, estimators.lasso_lars, (Setting({"alpha": 1e-3}),), rank=3, weights=False, max_rows=20_000
    ),
    _DECISION_TREE,
    Algorithm("SGD", LINES, estimators.sgd, (Setting({"alpha": 1e-4}),), rank=4),
    _NEIGHBOURS,
)


def for_task(classification: bool) -> tuple[Algorithm, ...]:
    """Every algorithm that this machine has for the task."""
    return CLASSIFIERS if classification else REGRESSORS


def by_name(name: str, classification: bool) -> Algorithm:
    """The algorithm of Azure's name `name`. Raises KeyError when this machine has no kin of it."""
    return {algorithm.name: algorithm for algorithm in for_task(classification)}[name]
