"""One fit of one algorithm: its rows, weights and target, and when a booster stops."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from automl_jobs.engine import algorithms, calibrate, estimators, features
from automl_jobs.engine.matrices import block
from automl_jobs.engine.problem import Problem
from forestay_transformers import LogTarget, calibrated, full_probabilities

# After each round a booster looks at half as many held-out rows as it has training rows at most, but at these at least.
STOPPING_ROWS = 20_000


@dataclass
class Fitted:
    """An estimator and, for classification, which of the problem's classes it knows; what its fit took."""

    estimator: Any
    positions: list[int]
    rounds: int | None = None
    # What takes class weights out of its probabilities again.
    correction: calibrate.Rule | None = None
    seconds: float = 0.0

    def predict(self, rows: Any, classes: int) -> np.ndarray:
        """Probabilities (n, k), or values (n,) for regression."""
        if classes:
            found = full_probabilities(self.estimator, rows, classes, self.positions)
            return calibrated(found, self.correction)
        return np.asarray(self.estimator.predict(rows), dtype="float64")


def fit(
    problem: Problem,
    threads: int,
    algorithm: algorithms.Algorithm,
    layout: str,
    parameters: dict[str, Any],
    matrix: Any,
    train: np.ndarray,
    valid: np.ndarray | None,
    rounds: int | None = None,
    until: float | None = None,
) -> Fitted:
    """Fit an algorithm on rows of a problem.

    Parameters
    ----------
    threads: that it may use. layout, matrix: the features of all rows. parameters: of the algorithm.
    train: positions of the rows to learn from. valid: those by which a booster stops early.
    rounds: of a booster that does not stop early. until: the moment (time.monotonic) after which it adds no more.
    """
    parameters = dict(parameters)
    logarithm = bool(parameters.pop(algorithms.LOG_TARGET, False))
    balanced = bool(parameters.pop(algorithms.CLASS_WEIGHTS, False))
    learned = np.log1p(problem.target) if logarithm else problem.target
    target = learned[train]
    positions = np.unique(target) if problem.classification else np.array([], dtype=int)
    if problem.classification:
        target = np.searchsorted(positions, target)
    # A booster can't be scored on a class that it was not trained on.
    if valid is not None and problem.classification:
        valid = valid[np.isin(problem.target[valid], positions)]
    stops = algorithm.boosted and valid is not None and len(valid) > 0
    build = estimators.Build(
        classes=len(positions),
        threads=threads,
        seed=problem.seed,
        categorical=tuple(features.categorical_positions(problem.settings, layout)),
        rounds=rounds or estimators.MAX_ROUNDS,
        early_stopping=stops,
        samples=problem.fold_rows,
        fewest=problem.fewest_rows,
        rows=len(train),
        features=matrix.shape[1],
    )
    estimator = algorithm.make(parameters, build)
    extra: dict[str, Any] = {}
    weights, factors = problem.weights, None
    if balanced:
        factors = _class_weights(problem, train)
        weights = factors[problem.target] * (1.0 if weights is None else weights)
    if weights is not None and algorithm.weights:
        extra |= _routed(estimator, weights[train])
    if algorithm.boosted:
        held = None
        if stops and valid is not None:
            # To see when to stop, a part of very many rows is enough; they all would take longer than the fit.
            seen = valid[:: -(-len(valid) // max(STOPPING_ROWS, len(train) // 2))]
            truth = learned[seen]
            truth = np.searchsorted(positions, truth) if problem.classification else truth
            # What counts in training counts in stopping.
            held = (matrix[block(seen)], truth, None if weights is None else weights[seen])
        extra |= _boosting_arguments(algorithm.name, build, held)
        if until is not None:
            _stop_in_time(algorithm.name, estimator, extra, until)
    began = time.monotonic()
    estimator.fit(matrix[block(train)], target, **extra)
    seconds = time.monotonic() - began
    if until is not None and "callbacks" in estimator.get_params():
        estimator.set_params(callbacks=None)  # a clock is no part of the model
    rounds_used = _rounds_used(algorithm.name, estimator) if stops else None
    correction = None if factors is None else calibrate.of_priors(factors)
    model = LogTarget(estimator) if logarithm else estimator
    return Fitted(model, positions.tolist(), rounds_used, correction, seconds)


def _class_weights(problem: Problem, rows: np.ndarray) -> np.ndarray:
    """Weights (k,) by which each class that occurs in these rows counts alike; one for the others."""
    shares = None if problem.weights is None else problem.weights[rows]
    sizes = np.bincount(problem.target[rows], weights=shares, minlength=problem.class_count)
    present = sizes > 0
    return np.where(present, sizes.sum() / (present.sum() * np.where(present, sizes, 1.0)), 1.0)


def _routed(estimator: Any, weights: np.ndarray) -> dict[str, Any]:
    """`sample_weight` for an estimator, or for the last step of a pipeline."""
    steps = getattr(estimator, "steps", None)
    return {f"{steps[-1][0]}__sample_weight" if steps else "sample_weight": weights}


def _boosting_arguments(
    name: str, build: estimators.Build, held: tuple[Any, np.ndarray, np.ndarray | None] | None
) -> dict[str, Any]:
    """What a booster's `fit` is told beside rows: categories, and the rows that stop it."""
    if name == "LightGBM":
        import lightgbm

        arguments: dict[str, Any] = {"categorical_feature": list(build.categorical) or "auto"}
        if held:
            arguments |= {
                "eval_X": held[0],
                "eval_y": held[1],
                "eval_sample_weight": None if held[2] is None else [held[2]],
                "callbacks": [lightgbm.early_stopping(estimators.PATIENCE, verbose=False)],
            }
        return arguments
    if held is None:
        return {"verbose": False} if name.startswith("XGBoost") else {}
    if name.startswith("XGBoost"):
        weights = None if held[2] is None else [held[2]]
        return {"eval_set": [held[:2]], "sample_weight_eval_set": weights, "verbose": False}
    return {"X_val": held[0], "y_val": held[1], "sample_weight_val": held[2]}


def _stop_in_time(name: str, estimator: Any, arguments: dict[str, Any], until: float) -> None:
    """Let a booster end with the rounds that it has at the moment `until` (time.monotonic), where it can be told."""
    if name == "LightGBM":
        from lightgbm.callback import CallbackEnv, EarlyStopException

        def stop(env: CallbackEnv) -> None:
            if time.monotonic() > until:
                raise EarlyStopException(env.iteration, env.evaluation_result_list)

        arguments["callbacks"] = [*arguments.get("callbacks", ()), stop]
    elif name.startswith("XGBoost"):
        from xgboost.callback import TrainingCallback

        class Stop(TrainingCallback):
            def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
                return time.monotonic() > until

        estimator.set_params(callbacks=[Stop()])


def _rounds_used(name: str, estimator: Any) -> int:
    if name == "LightGBM":
        return int(estimator.best_iteration_)
    if name.startswith("XGBoost"):
        try:
            return int(estimator.best_iteration) + 1
        except AttributeError:  # the clock stopped it in its first round, before it noted a best one
            return int(estimator.get_booster().num_boosted_rounds())
    return int(estimator.n_iter_)
