"""Unfitted estimators of scikit-learn, LightGBM and XGBoost: how each of the engine's algorithms is made.

Each is called with the parameters of a trial and what it is made for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Parameters = dict[str, Any]
MAX_ROUNDS = 3000
PATIENCE = 60
# Leaves that a forest's tree may have on a large table, some 40 MB for all trees; without a bound a forest grows with
# the table.
FOREST_LEAVES = 1_000
# What an estimator that takes no sparse matrix gets of it: 24 MB, of which it makes some copies, but so many features
# in any case.
MOST_DENSE_CELLS, FEWEST_DENSE = 3_000_000, 100
# Of a kernel, which for 2,500 rows is all of it.
KERNEL_MB = 25
# LightGBM keeps a histogram of each feature for each leaf, 42 MB for 20 features of 1,023 bins and 128 leaves. Here
# they take no more than the table, or this; what is not there is counted again.
LEAST_HISTOGRAMS_MB = 16.0


@dataclass(frozen=True)
class Build:
    """What an estimator is made for.

    `classes` is 0 for regression; `categorical` are positions of category codes; it is fitted on `rows` rows of
    `features` numbers. Settings that depend on the rows go by `samples`, the rows of the largest fold, or by `fewest`,
    those of the smallest: on all rows it is then fitted as it was judged.
    """

    classes: int
    threads: int
    seed: int
    categorical: tuple[int, ...] = ()
    rounds: int = MAX_ROUNDS
    early_stopping: bool = False
    samples: int = 0
    fewest: int = 0
    rows: int = 0
    features: int = 0


def lightgbm(parameters: Parameters, build: Build) -> Any:
    import lightgbm

    settings = {
        "n_estimators": build.rounds,
        "subsample_freq": 1,
        "n_jobs": build.threads,
        "random_state": build.seed,
        "verbose": -1,
        "deterministic": True,
        "force_col_wise": True,
        "histogram_pool_size": max(LEAST_HISTOGRAMS_MB, 8 * build.rows * build.features / 1e6),
        **parameters,
    }
    return lightgbm.LGBMClassifier(**settings) if build.classes else lightgbm.LGBMRegressor(**settings)


def xgboost(parameters: Parameters, build: Build) -> Any:
    import xgboost

    settings = {
        "n_estimators": build.rounds,
        "n_jobs": build.threads,
        "random_state": build.seed,
        "tree_method": "hist",
        "early_stopping_rounds": PATIENCE if build.early_stopping else None,
        **parameters,
    }
    return xgboost.XGBClassifier(**settings) if build.classes else xgboost.XGBRegressor(**settings)


def histogram_boosting(parameters: Parameters, build: Build) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    settings = {
        "max_iter": build.rounds,
        "early_stopping": build.early_stopping,
        "n_iter_no_change": PATIENCE // 2,
        "categorical_features": list(build.categorical) or None,
        "random_state": build.seed,
        **parameters,
    }
    kind = HistGradientBoostingClassifier if build.classes else HistGradientBoostingRegressor
    return kind(**settings)


def forest(extra: bool) -> Callable[[Parameters, Build], Any]:
    def make(parameters: Parameters, build: Build) -> Any:
        from sklearn import ensemble

        family = "ExtraTrees" if extra else "RandomForest"
        kind = getattr(ensemble, family + ("Classifier" if build.classes else "Regressor"))
        leaf = max(parameters.get("min_samples_leaf", 1), build.samples // FOREST_LEAVES)
        settings = {"n_estimators": 100, "n_jobs": build.threads, "random_state": build.seed, **parameters}
        return _filled(kind(**(settings | {"min_samples_leaf": leaf})))

    return make


def _filled(estimator: Any) -> Any:
    """An estimator that can't take missing values, behind a median imputer."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    return make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), estimator)


def tree(parameters: Parameters, build: Build) -> Any:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kind = DecisionTreeClassifier if build.classes else DecisionTreeRegressor
    return _filled(kind(random_state=build.seed, **parameters))


def logistic(parameters: Parameters, build: Build) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=500, tol=1e-3, random_state=build.seed, **parameters)


def elastic_net(parameters: Parameters, build: Build) -> Any:
    from sklearn.linear_model import ElasticNet

    return _scaled_target(ElasticNet(max_iter=3000, random_state=build.seed, **parameters))


def lasso_lars(parameters: Parameters, build: Build) -> Any:
    from sklearn.linear_model import LassoLars
    from sklearn.pipeline import make_pipeline

    from forestay_transformers import Screened

    # LARS solves on a dense matrix; that of a text's words would not fit into memory.
    most = max(FEWEST_DENSE, MOST_DENSE_CELLS // max(1, build.samples))
    return _scaled_target(make_pipeline(Screened(most), LassoLars(random_state=build.seed, **parameters)))


def _scaled_target(estimator: Any) -> Any:
    """A regressor that sees the target at unit scale, so that a penalty means the same on every table."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.preprocessing import StandardScaler

    return TransformedTargetRegressor(estimator, transformer=StandardScaler())


def linear_svm(parameters: Parameters, build: Build) -> Any:
    from sklearn.svm import LinearSVC

    return _calibrated(LinearSVC(random_state=build.seed, **parameters))


def svm(parameters: Parameters, build: Build) -> Any:
    from sklearn.svm import SVC

    return _calibrated(SVC(random_state=build.seed, cache_size=KERNEL_MB, **parameters))


def _calibrated(machine: Any) -> Any:
    """A margin is no probability: sigmoid calibration inside the training rows gives one."""
    from sklearn.calibration import CalibratedClassifierCV

    from forestay_transformers import CalibrationFolds

    return CalibratedClassifierCV(machine, method="sigmoid", cv=CalibrationFolds())


def sgd(parameters: Parameters, build: Build) -> Any:
    from sklearn.linear_model import SGDClassifier, SGDRegressor

    if build.classes:
        return SGDClassifier(loss="log_loss", random_state=build.seed, n_jobs=build.threads, **parameters)
    return _scaled_target(SGDRegressor(random_state=build.seed, **parameters))


def neighbours(parameters: Parameters, build: Build) -> Any:
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    kind = KNeighborsClassifier if build.classes else KNeighborsRegressor
    made = kind(n_jobs=build.threads, **parameters)
    # There are no more neighbours than rows.
    return made.set_params(n_neighbors=min(made.n_neighbors, build.fewest)) if build.fewest else made


def bayes(kind_name: str) -> Callable[[Parameters, Build], Any]:
    def make(parameters: Parameters, build: Build) -> Any:
        from sklearn import naive_bayes

        return getattr(naive_bayes, kind_name)(**parameters)

    return make
