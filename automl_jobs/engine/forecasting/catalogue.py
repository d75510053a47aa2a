"""The forecasting algorithms by Azure's names: what each is here, settings to try first, and a space to search.

The regressors are those of `engine.algorithms`, on lags of the target. Order and values come from backtests on
quarterly, monthly, weekly and daily series: first what is best alone and unlike the others, for the ensemble.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from automl_jobs.engine import algorithms, estimators
from automl_jobs.engine.forecasting.panel import Series

if TYPE_CHECKING:
    import optuna

    from automl_jobs.engine.forecasting.problem import ForecastProblem

Parameters = dict[str, Any]
# How a regressor on lags looks at the series; the other parameters are the regressor's own.
VIEW = ("steps", "offset", "log")
RECURSIVE, DIRECT = "recursive", "direct"
# Shorter series get no model of their own.
FEWEST_VALUES = 4
SIMPLE = ("SeasonalNaive", "Average", "SeasonalAverage", "Naive")
LINEAR_NAMES = ("ElasticNet", "LassoLars", "SGD", "KNN")
ONLY_IN_AZURE = ("TCNForecaster",)


@dataclass(frozen=True)
class Algorithm:
    """One of Azure's forecasting algorithms.

    Attributes
    ----------
    name: Azure's run name.
    fit: (series, problem, parameters, threads) -> a fitted forecaster of `forestay_forecasting`.
    portfolio: settings to try first.
    rank: place in the order of first tries.
    features: whether it uses columns beside the target.
    space: draws further settings from an Optuna trial.
    max_rows: not tried on more rows: it fits series by series, in Python.
    packages: distributions that its models need beside scikit-learn.
    """

    name: str
    fit: Callable[[Sequence[Series], ForecastProblem, Parameters, int], Any]
    portfolio: tuple[Parameters, ...]
    rank: int
    features: bool = True
    space: Callable[[optuna.Trial], Parameters] | None = None
    max_rows: int | None = None
    packages: tuple[str, ...] = field(default=())


def _logarithm(problem: ForecastProblem, parameters: Parameters) -> Any:
    return problem.logarithm if parameters.get("log") else None


def recursive(parameters: Mapping[str, Any]) -> bool:
    """Whether a regressor on lags forecasts period by period, from its own forecasts."""
    return bool(parameters.get("steps", RECURSIVE) == RECURSIVE)


def base(problem: ForecastProblem, parameters: Mapping[str, Any]) -> int:
    """How many periods back the nearest lag of a regressor lies."""
    return 1 if recursive(parameters) else problem.horizon


def _simple(kind: str) -> Callable[..., Any]:
    def fit(_: Sequence[Series], problem: ForecastProblem, parameters: Parameters, threads: int) -> Any:
        from forestay_forecasters import LocalForecaster, Simple

        return LocalForecaster({(): Simple(kind, problem.season)}, problem.season)

    return fit


def _local(module: str) -> Callable[..., Any]:
    def fit(series: Sequence[Series], problem: ForecastProblem, parameters: Parameters, threads: int) -> Any:
        from importlib import import_module

        from forestay_forecasters import LocalForecaster

        fitting = import_module(f"automl_jobs.engine.forecasting.{module}")
        log = _logarithm(problem, parameters)
        models = {
            one.key: fitting.fit(log.there(one.values) if log else one.values, problem.season)
            for one in series
            if len(one) >= FEWEST_VALUES
        }
        return LocalForecaster(models, problem.season, log)

    return fit


def _linear(prophet: bool) -> Callable[..., Any]:
    def fit(series: Sequence[Series], problem: ForecastProblem, parameters: Parameters, threads: int) -> Any:
        from automl_jobs.engine.forecasting import linear

        settings = {name: value for name, value in parameters.items() if name != "log"}
        return linear.fit(
            [one for one in series if len(one) >= FEWEST_VALUES],
            problem.frequency,
            problem.season,
            problem.known,
            problem.holidays,
            prophet=prophet,
            log=_logarithm(problem, parameters),
            **settings,
        )

    return fit


def _on_lags(name: str) -> Callable[..., Any]:
    def fit(series: Sequence[Series], problem: ForecastProblem, parameters: Parameters, threads: int) -> Any:
        from automl_jobs.engine.forecasting import lagged

        own = {key: value for key, value in parameters.items() if key not in VIEW}
        return lagged.fit(
            series,
            problem.lag_settings,
            regressor(name, own, threads, problem.seed),
            base=base(problem, parameters),
            offset=parameters.get("offset", "season"),
            cycles=name in LINEAR_NAMES,
            log=_logarithm(problem, parameters),
        )

    return fit


def regressor(name: str, parameters: Parameters, threads: int, seed: int) -> Any:
    """The unfitted regressor; linear ones behind an imputer and a scaler."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    parameters = dict(parameters)
    build = estimators.Build(classes=0, threads=threads, seed=seed, rounds=parameters.pop("rounds", 300))
    if name == "ElasticNet" and parameters.get("l1_ratio") == 0:
        made: Any = Ridge(alpha=parameters["alpha"])
    else:
        made = algorithms.by_name(name, False).make(parameters, build)
    if name not in LINEAR_NAMES:
        return made
    return make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler(), made)


def _view(trial: optuna.Trial) -> Parameters:
    return {
        "steps": trial.suggest_categorical("steps", [RECURSIVE, DIRECT]),
        "offset": trial.suggest_categorical("offset", ["none", "level", "season"]),
        "log": trial.suggest_categorical("log", [False, True]),
    }


def _space(name: str) -> Callable[[optuna.Trial], Parameters]:
    def draw(trial: optuna.Trial) -> Parameters:
        if name == "ElasticNet":
            return {**_view(trial), "alpha": trial.suggest_float("alpha", 0.1, 300.0, log=True), "l1_ratio": 0}
        rounds = {"rounds": trial.suggest_int("rounds", 60, 600, log=True)}
        own = algorithms.by_name(name, False).space
        boosted = name in ("LightGBM", "XGBoostRegressor", "GradientBoosting")
        return {**_view(trial), **(own(trial) if own else {}), **(rounds if boosted else {})}

    return draw


def _smooth(trial: optuna.Trial) -> Parameters:
    return {
        "log": trial.suggest_categorical("log", [False, True]),
        "bend": trial.suggest_float("bend", 1e-3, 1.0, log=True),
        "ridge": trial.suggest_float("ridge", 0.01, 30.0, log=True),
    }


_RAW_LEVEL = {"steps": DIRECT, "offset": "level", "log": False}
_LEVEL = {"steps": RECURSIVE, "offset": "level", "log": False}
_LEVEL_LOG = {"steps": RECURSIVE, "offset": "level", "log": True}
_SEASON = {"steps": RECURSIVE, "offset": "season", "log": False}
_SEASON_LOG = {"steps": RECURSIVE, "offset": "season", "log": True}
_LGB = {"learning_rate": 0.05, "num_leaves": 15, "min_child_samples": 10, "colsample_bytree": 0.6, "rounds": 250}
_XGB = {"learning_rate": 0.05, "max_depth": 4, "subsample": 0.8, "colsample_bytree": 0.6, "rounds": 250}
_HGB = {"learning_rate": 0.06, "max_leaf_nodes": 15, "min_samples_leaf": 10, "rounds": 200}
_TREES = {"min_samples_leaf": 3, "max_features": 0.5}

CATALOGUE: tuple[Algorithm, ...] = (
    Algorithm("ExponentialSmoothing", _local("ets"), ({"log": True}, {"log": False}), 1, False, max_rows=60_000),
    Algorithm(
        "ElasticNet",
        _on_lags("ElasticNet"),
        (
            {**_SEASON_LOG, "alpha": 3.0, "l1_ratio": 0},
            {"steps": DIRECT, "offset": "none", "log": False, "alpha": 30.0, "l1_ratio": 0},
            {**_LEVEL_LOG, "alpha": 10.0, "l1_ratio": 0},
        ),
        2,
        space=_space("ElasticNet"),
    ),
    Algorithm(
        "LightGBM",
        _on_lags("LightGBM"),
        ({**_LEVEL_LOG, **_LGB}, {**_RAW_LEVEL, **_LGB}, {**_SEASON, **_LGB}),
        3,
        space=_space("LightGBM"),
        packages=("lightgbm",),
    ),
    Algorithm("AutoArima", _local("arima"), ({"log": True}, {"log": False}), 4, False, max_rows=20_000),
    Algorithm(
        "ExtremeRandomTrees",
        _on_lags("ExtremeRandomTrees"),
        ({**_LEVEL_LOG, **_TREES}, {**_LEVEL, **_TREES}),
        5,
        space=_space("ExtremeRandomTrees"),
        max_rows=100_000,
    ),
    Algorithm(
        "XGBoostRegressor",
        _on_lags("XGBoostRegressor"),
        ({**_LEVEL_LOG, **_XGB}, {**_RAW_LEVEL, **_XGB}),
        6,
        space=_space("XGBoostRegressor"),
        packages=("xgboost-cpu",),
    ),
    Algorithm("Arimax", _linear(prophet=False), ({"log": True}, {"log": False}), 7, max_rows=20_000),
    Algorithm("KNN", _on_lags("KNN"), ({**_LEVEL_LOG, "n_neighbors": 8, "weights": "distance"},), 8, max_rows=20_000),
    Algorithm("Prophet", _linear(prophet=True), ({"log": True}, {"log": False}), 9, space=_smooth, max_rows=400_000),
    Algorithm(
        "GradientBoosting",
        _on_lags("GradientBoosting"),
        ({**_LEVEL_LOG, **_HGB}, {**_RAW_LEVEL, **_HGB}),
        10,
        space=_space("GradientBoosting"),
    ),
    Algorithm("SeasonalNaive", _simple("SeasonalNaive"), ({},), 11, False),
    Algorithm(
        "RandomForest",
        _on_lags("RandomForest"),
        ({**_LEVEL_LOG, **_TREES}, {**_RAW_LEVEL, **_TREES}),
        12,
        space=_space("RandomForest"),
        max_rows=100_000,
    ),
    Algorithm("LassoLars", _on_lags("LassoLars"), ({**_SEASON_LOG, "alpha": 1e-3},), 13, max_rows=50_000),
    Algorithm("SGD", _on_lags("SGD"), ({**_SEASON_LOG, "alpha": 1e-3},), 14),
    Algorithm("DecisionTree", _on_lags("DecisionTree"), ({**_RAW_LEVEL, "min_samples_leaf": 8},), 15),
    Algorithm("Average", _simple("Average"), ({},), 16, False),
    Algorithm("SeasonalAverage", _simple("SeasonalAverage"), ({},), 17, False),
    Algorithm("Naive", _simple("Naive"), ({},), 18, False),
)

BASELINE = Algorithm("Baseline", _simple("Naive"), ({},), 0, False)


def by_name(name: str) -> Algorithm:
    """The algorithm of Azure's name. Raises KeyError when this machine has no kin of it."""
    return {algorithm.name: algorithm for algorithm in (*CATALOGUE, BASELINE)}[name]
