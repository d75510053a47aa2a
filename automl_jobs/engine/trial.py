"""One trial: fit on each split, score, fit the final model, write its outputs. Runs in a worker process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, issparse

from automl_jobs.engine import algorithms, calibrate, decide, features, metrics, outputs, pruning, spread
from automl_jobs.engine.problem import Problem
from automl_jobs.engine.quality import quality
from forestay_transformers import (
    BlendedClassifier,
    BlendedRegressor,
    InputFrame,
    LabelledClassifier,
    LogTarget,
    ServedPipeline,
    Side,
    calibrated,
    decided,
    full_probabilities,
)

BASELINE = "Baseline"
NO_FEATURES, PLAIN = "none", "plain"
HELD_OUT = "held_out.npy"
# Features of this many cells are kept in single precision, and transformed so many rows at a time.
MANY_CELLS, ROWS_AT_A_TIME = 2_000_000, 100_000
# After each round a booster looks at half as many held-out rows as it has training rows at most, but at these at least.
STOPPING_ROWS = 20_000
# What needs no target is fitted on so many rows at most.
FITTED_ROWS = 200_000
# Single precision must tell so many steps apart between the smallest and the largest value of each column.
SINGLE_STEPS = 2**14
# Bytes of features that are kept for later trials, beside half of what the table takes.
KEPT_BYTES = 200e6


@dataclass(frozen=True)
class TrialPlan:
    """What to try.

    Attributes
    ----------
    id: the trial's number in its job, as text.
    algorithm: Azure's name, or "Baseline".
    parameters: settings of the algorithm.
    layout: what its features look like; "" for the algorithm's first one.
    rows: how many training rows it sees, the first ones; None for all of them.
    seconds: after so many a booster adds no more rounds; None for no limit.
    bar: the best trial's scores on all folds; missing them clearly on the first ones, it is given up (see `pruning`).
    """

    id: str
    algorithm: str
    parameters: dict[str, Any] = field(default_factory=dict)
    layout: str = ""
    rows: int | None = None
    seconds: float | None = None
    bar: tuple[float, ...] = ()


@dataclass(frozen=True)
class TrialOutcome:
    """What came of a plan that ran to its end.

    `folds` holds the primary metric of each split, `compared` the same of the bare predictions, by which trials are
    compared fold by fold; `outputs` is the folder with the trial's files. More rows would take more `growing_seconds`:
    those of its features, whichever trial made them, and of its fits.
    """

    plan: TrialPlan
    preprocessor: str
    score: float
    folds: list[float]
    metrics: dict[str, float]
    artifacts: dict[str, Any]
    parameters: dict[str, str]
    duration_seconds: float
    outputs: Path
    growing_seconds: float = 0.0
    compared: tuple[float, ...] = ()


@dataclass
class _Fitted:
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


@dataclass(frozen=True)
class _Features:
    """The features of one layout for one fit: the fitted transformer and the matrix of all rows of the problem.

    Rows of the training side may have been answered out of fold (see features.build_targeted).
    """

    transformer: Any
    matrix: Any


class Trainer:
    """Trains trials of one problem; features are fitted once per layout and shared by all trials.

    Parameters
    ----------
    problem: the training problem.
    threads: how many threads an algorithm may use.
    """

    def __init__(self, problem: Problem, threads: int) -> None:
        # What features take is measured; what their first import takes says nothing of a larger table.
        import sklearn.compose
        import sklearn.impute
        import sklearn.preprocessing  # noqa: F401

        self.problem = problem
        self.threads = threads
        self._kept: dict[tuple[str, int | str | None], _Features] = {}
        self._reader = InputFrame(list(problem.settings.columns)).fit(problem.frame)
        self._typed: pd.DataFrame | None = None
        self._single: bool | None = None
        self._feature_seconds: dict[str, float] = {}

    @property
    def _classes(self) -> int:
        return len(self.problem.classes) if self.problem.classes is not None else 0

    def _frame(self) -> pd.DataFrame:
        """The problem's rows, each column in its type."""
        if self._typed is None:
            self._typed = self._reader.transform(self.problem.frame)
        return self._typed

    def _features(self, layout: str, split: int | None) -> _Features:
        """The features of a layout for the fit on the training rows of one split, or on all rows (None).

        The plain part is fitted without the target, on the training rows of a single split or else on all rows; the
        part that learns from the target sees the training rows of its own split only.
        """
        plain = self._remember((layout, PLAIN), lambda: self._plain_features(layout))
        if layout == NO_FEATURES:
            return plain
        return self._remember((layout, split), lambda: self._targeted_features(layout, split, plain))

    def _remember(self, key: tuple[str, int | str | None], make: Callable[[], _Features]) -> _Features:
        """The features under a key, made when they are not there; the longest unused give way to new ones."""
        found = self._kept.pop(key, None)
        if found is None:
            frame = self.problem.frame
            cells = len(frame) * frame.shape[1]
            room = KEPT_BYTES + 4 * cells
            while self._kept and sum(self._kept_bytes().values()) + 8 * cells > room:
                del self._kept[next(iter(self._kept))]
            started = time.monotonic()
            found = make()
            layout = key[0]
            self._feature_seconds[layout] = self._feature_seconds.get(layout, 0.0) + time.monotonic() - started
        self._kept[key] = found
        return found

    def _kept_bytes(self) -> dict[int, int]:
        """Bytes of each matrix that is kept; some keys share one."""
        matrices = (features.matrix for features in self._kept.values())
        return {id(one): one.data.nbytes * (2 if issparse(one) else 1) for one in matrices}

    def _plain_features(self, layout: str) -> _Features:
        if layout == NO_FEATURES:
            return _Features("passthrough", np.zeros((len(self.problem.frame), 1)))
        frame = self._frame()
        rows = self.problem.fit_rows()
        if len(rows) > FITTED_ROWS:
            # Medians, scales and categories of so many rows are those of all; with one split the first are a sample.
            draw = np.random.default_rng(self.problem.seed)
            refit = self.problem.refit
            rows = np.sort(draw.choice(rows, FITTED_ROWS, replace=False)) if refit else rows[:FITTED_ROWS]
        transformer = features.build(self.problem.settings, layout, len(rows)).fit(frame.iloc[block(rows)])
        return _Features(transformer, self._transformed(transformer))

    def _transformed(self, transformer: Any) -> Any:
        """The matrix of all rows. A large one is made part by part, in single precision where that is enough."""
        frame = self._frame()
        if frame.size < MANY_CELLS:
            matrix = transformer.transform(frame)
            return matrix.tocsr() if issparse(matrix) else matrix
        if self._single is None:
            self._single = single_precision(frame)
        kind = np.float32 if self._single else np.float64
        parts = []
        whole: np.ndarray | None = None
        for start in range(0, len(frame), ROWS_AT_A_TIME):
            part = transformer.transform(frame.iloc[start : start + ROWS_AT_A_TIME])
            if issparse(part):
                parts.append(part.tocsr().astype(kind))
                continue
            if whole is None:
                whole = np.empty((len(frame), part.shape[1]), dtype=kind)
            whole[start : start + len(part)] = part
        return _stacked(parts) if whole is None else whole

    def _targeted_features(self, layout: str, split: int | None, plain: _Features) -> _Features:
        problem = self.problem
        frame = self._frame()
        rows = np.arange(len(frame)) if split is None else problem.splits[split][0]
        transformer = features.build_targeted(problem.settings, layout, len(rows), problem.classification, problem.seed)
        if transformer is None:
            return plain
        learned = transformer.fit_transform(frame.iloc[block(rows)], problem.target[rows])
        known = plain.matrix.shape[1]
        matrix = np.empty((len(frame), known + learned.shape[1]), dtype=plain.matrix.dtype)
        matrix[:, :known] = plain.matrix
        matrix[rows, known:] = learned
        others = np.setdiff1d(np.arange(len(frame)), rows, assume_unique=True)
        if others.size:
            matrix[others, known:] = transformer.transform(frame.iloc[block(others)])
        union = Side([("plain", plain.transformer), ("target", transformer)])
        return _Features(union, matrix)

    def _fit(
        self,
        algorithm: algorithms.Algorithm,
        layout: str,
        parameters: dict[str, Any],
        matrix: Any,
        train: np.ndarray,
        valid: np.ndarray | None,
        rounds: int | None = None,
        until: float | None = None,
    ) -> _Fitted:
        """Fit on rows `train`; a booster stops early on rows `valid`, or runs `rounds` rounds, none after `until`."""
        problem = self.problem
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
        build = algorithms.Build(
            classes=len(positions),
            threads=self.threads,
            seed=problem.seed,
            categorical=tuple(features.categorical_positions(problem.settings, layout)),
            rounds=rounds or algorithms.MAX_ROUNDS,
            early_stopping=stops,
            samples=len(train),
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
                held = (matrix[block(seen)], truth, weights[seen] if balanced and weights is not None else None)
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
        return _Fitted(model, positions.tolist(), rounds_used, correction, seconds)

    def run(self, plan: TrialPlan, folder: Path) -> TrialOutcome:
        """Train and score `plan`, and write its files to `folder`/outputs.

        Raises GivenUp when it misses the plan's bar clearly, ValueError when the primary metric is not defined on the
        validation rows; whatever an algorithm raises passes through.
        """
        started = time.monotonic()
        problem = self.problem
        algorithm = _baseline() if plan.algorithm == BASELINE else algorithms.by_name(plan.algorithm, self._classes > 0)
        layout = plan.layout or algorithm.layouts[0]
        parts: list[np.ndarray] = []
        rounds: list[int] = []
        compared: list[float] = []
        fitted: _Fitted | None = None
        bagged = problem.bagged and problem.refit and layout != NO_FEATURES
        bags: list[tuple[Any, _Fitted]] = []
        fitting = 0.0
        until = None if plan.seconds is None else started + plan.seconds
        for number, (train, valid) in enumerate(problem.splits):
            used = self._features(layout, number)
            fitted = self._fit(algorithm, layout, plan.parameters, used.matrix, train, valid, until=until)
            fitting += fitted.seconds
            parts.append(fitted.predict(used.matrix[block(valid)], self._classes))
            if bagged:
                bags.append((used.transformer, fitted))
            if fitted.rounds:
                rounds.append(fitted.rounds)
            if len(problem.splits) >= pruning.FEWEST_FOLDS:
                weights = None if problem.weights is None else problem.weights[valid]
                compared.append(spread.primary(problem, problem.target[valid], parts[-1], weights))
                if pruning.clearly_worse(compared, plan.bar, problem.higher):
                    raise pruning.GivenUp(compared, plan.bar)
        predictions = np.concatenate(parts)
        calibration = _calibration(problem, algorithm, predictions)
        predictions = calibrated(predictions, calibration.rule)
        judged = judge(problem, predictions)
        values = judged.metrics
        if problem.metric not in values:
            raise ValueError(f"{problem.metric} is not defined on the validation rows")
        if fitted is not None:
            seen = spread.train_rows(problem)
            fresh = calibrated(fitted.predict(used.matrix[seen], self._classes), calibration.rule)
            values = values | spread.on_training(problem, seen, fresh, judged.labels(fresh))
        if problem.refit and not bagged:
            typical = round(float(np.mean(rounds))) if rounds else None
            used = self._features(layout, None)
            rows = np.arange(len(problem.target))
            fitted = self._fit(algorithm, layout, plan.parameters, used.matrix, rows, None, typical)
        assert fitted is not None
        preprocessor = _describe(problem, layout)
        if bagged:
            steps = [("input", self._reader), ("model", self._bagged(bags, calibration.rule, judged.rule))]
        else:
            model = self._labelled(fitted, calibration.rule, judged.rule)
            steps = [("input", self._reader), ("features", used.transformer), ("model", model)]
        written = outputs.write(
            folder / "outputs",
            problem,
            ServedPipeline(steps),
            algorithm.name,
            preprocessor,
            algorithm.packages,
            extra={**judged.documents, **calibration.documents},
        )
        np.save(folder / HELD_OUT, predictions)
        parameters = {name: str(value) for name, value in plan.parameters.items()}
        count = len(problem.target) if problem.refit else len(problem.splits[0][0])
        # Features were made of the held-out rows too, of which there are no more in a trial on more rows.
        fitted_share = count / len(problem.target)
        parameters["rows"] = str(count)
        if bagged:
            parameters["bagged_folds"] = str(len(bags))
        if fitted.rounds or rounds:
            parameters["rounds"] = str(round(float(np.mean(rounds))))
        return TrialOutcome(
            plan=plan,
            preprocessor=preprocessor,
            score=values[problem.metric],
            folds=judged.folds,
            metrics=values | written.as_metrics() | {"train_rows": float(count)},
            artifacts={**judged.artifacts, **calibration.documents},
            parameters=parameters,
            duration_seconds=time.monotonic() - started,
            outputs=written.folder,
            growing_seconds=fitting + self._feature_seconds.get(layout, 0.0) * fitted_share,
            compared=tuple(compared),
        )

    def _labelled(self, fitted: _Fitted, calibration: calibrate.Rule | None, rule: decide.Rule | None) -> Any:
        """A fitted estimator as it is served."""
        model = _for_one_row(fitted.estimator)
        if self.problem.classes is None:
            return model
        correction = calibrate.joined(fitted.correction, calibration)
        return LabelledClassifier(model, self.problem.classes, fitted.positions, correction, rule)

    def _bagged(
        self, bags: list[tuple[Any, _Fitted]], calibration: calibrate.Rule | None, rule: decide.Rule | None
    ) -> Any:
        """The mean of the folds' models; folds whose features were fitted on the same rows share them."""
        blocks: dict[int, tuple[Any, list[tuple[Any, float]]]] = {}
        for transformer, fitted in bags:
            models = blocks.setdefault(id(transformer), (transformer, []))[1]
            models.append((self._labelled(fitted, calibration, None), 1 / len(bags)))
        shares = list(blocks.values())
        return BlendedRegressor(shares) if self.problem.classes is None else BlendedClassifier(shares, decision=rule)


def _stacked(parts: list[csr_matrix]) -> csr_matrix:
    """Sparse parts one below the other; `parts` is emptied on the way, so that not all of it is there twice."""
    shape = (sum(part.shape[0] for part in parts), parts[0].shape[1])
    ends = np.concatenate([[0], np.cumsum(np.concatenate([np.diff(part.indptr) for part in parts]))])
    data = np.concatenate([part.data for part in parts])
    indices = [part.indices for part in parts]
    parts.clear()
    return csr_matrix((data, np.concatenate(indices), ends), shape=shape)


def block(rows: np.ndarray) -> Any:
    """Row positions as a slice where they follow one another: what it picks is a view, not a copy."""
    follows = len(rows) > 0 and rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all())
    return slice(int(rows[0]), int(rows[-1]) + 1) if follows else rows


def single_precision(frame: pd.DataFrame) -> bool:
    """Whether single precision tells apart what the numbers of a frame say: not so for moments in seconds, say."""
    for name in frame.columns:
        if not pd.api.types.is_float_dtype(frame[name].dtype):
            continue
        values = frame[name].to_numpy()
        low, high = float(np.fmin.reduce(values)), float(np.fmax.reduce(values))
        largest = max(abs(low), abs(high))
        if largest > float(np.finfo(np.float32).max):
            return False
        if low < high and (high - low) / float(np.spacing(np.float32(largest))) < SINGLE_STEPS:
            return False
    return True


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
    model = joblib.load(folder / "model.pkl")
    if problem.classes is None:
        return metrics.regression(truth, np.asarray(model.predict(frame), dtype="float64"), *problem.span)
    probabilities = model.predict_proba(frame)
    labels = decide.labels(model, probabilities)
    unseen = truth < 0
    if unseen.any():
        # A label that training never saw is one more class, always given probability zero.
        probabilities = np.hstack([probabilities, np.zeros((len(probabilities), 1))])
        truth = np.where(unseen, probabilities.shape[1] - 1, truth)
    found = metrics.classification(truth, probabilities, None, problem.positive, labels)
    return found | quality(problem, truth, probabilities, labels)


def _class_weights(problem: Problem, rows: np.ndarray) -> np.ndarray:
    """Weights (k,) by which each class that occurs in these rows counts alike; one for the others."""
    shares = None if problem.weights is None else problem.weights[rows]
    sizes = np.bincount(problem.target[rows], weights=shares, minlength=problem.class_count)
    present = sizes > 0
    return np.where(present, sizes.sum() / (present.sum() * np.where(present, sizes, 1.0)), 1.0)


def _calibration(problem: Problem, algorithm: algorithms.Algorithm, predictions: np.ndarray) -> calibrate.Calibration:
    """What sets the held-out probabilities right, where they are off. A baseline is what it is."""
    if not problem.classification or algorithm.name == BASELINE:
        return calibrate.Calibration()
    rows = held_rows(problem)
    weights = None if problem.weights is None else problem.weights[rows]
    return calibrate.calibrate(problem, problem.target[rows], predictions, weights)


def _for_one_row(estimator: Any) -> Any:
    """The estimator with one thread: a served model answers few rows, and threads cost more than they bring."""
    settable = {name: 1 for name in estimator.get_params() if name.split("__")[-1] == "n_jobs"}
    return estimator.set_params(**settable) if settable else estimator


def _baseline() -> algorithms.Algorithm:
    """Majority class or mean: what a model must beat."""

    def make(_: dict[str, Any], build: algorithms.Build) -> Any:
        from sklearn.dummy import DummyClassifier, DummyRegressor

        return DummyClassifier(strategy="prior") if build.classes else DummyRegressor(strategy="mean")

    return algorithms.Algorithm(BASELINE, (NO_FEATURES,), make, (), rank=0)


def _describe(problem: Problem, layout: str) -> str:
    if layout == NO_FEATURES:
        return "MajorityClass" if problem.classification else "Mean"
    return features.describe(problem.settings, layout)


def _routed(estimator: Any, weights: np.ndarray) -> dict[str, Any]:
    """`sample_weight` for an estimator, or for the last step of a pipeline."""
    steps = getattr(estimator, "steps", None)
    return {f"{steps[-1][0]}__sample_weight" if steps else "sample_weight": weights}


def _boosting_arguments(
    name: str, build: algorithms.Build, held: tuple[Any, np.ndarray, np.ndarray | None] | None
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
                "callbacks": [lightgbm.early_stopping(algorithms.PATIENCE, verbose=False)],
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
        return int(estimator.best_iteration) + 1
    return int(estimator.n_iter_)
