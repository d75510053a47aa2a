"""One trial: fit on each split, score, fit the final model, write its outputs. Runs in a worker process."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from automl_jobs.engine import algorithms, calibrate, decide, estimators, features, outputs, pruning, spread
from automl_jobs.engine.fits import Fitted, fit
from automl_jobs.engine.judging import held_rows, judge
from automl_jobs.engine.matrices import NO_FEATURES, Matrices, block
from automl_jobs.engine.problem import Problem
from forestay_transformers import (
    BlendedClassifier,
    BlendedRegressor,
    LabelledClassifier,
    ServedPipeline,
    calibrated,
)

BASELINE = "Baseline"
HELD_OUT, LAST_FOLD = "held_out.npy", "held_out.pkl"
"""Beside a trial's outputs: its predictions on the validation rows, and the model that made those of the last fold.

The latter is there where the trial's model is fitted on all rows in the end and the job has no test data: importances
are then measured on validation rows, by a model that never saw them.
"""


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
    seconds: so many for all fits together, after whose share a booster adds no more rounds; None for no limit.
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


class Trainer:
    """Trains trials of one problem; features are fitted once per layout and shared by all trials.

    Parameters
    ----------
    problem: the training problem.
    threads: how many threads an algorithm may use.
    """

    def __init__(self, problem: Problem, threads: int) -> None:
        self.problem = problem
        self.threads = threads
        self.matrices = Matrices(problem)

    @property
    def _classes(self) -> int:
        return len(self.problem.classes) if self.problem.classes is not None else 0

    def run(self, plan: TrialPlan, folder: Path) -> TrialOutcome:
        """Train and score `plan`, and write its files to `folder`/outputs.

        Raises GivenUp when it misses the plan's bar clearly, ValueError when the primary metric is not defined on the
        validation rows; whatever an algorithm raises passes through.
        """
        started = time.monotonic()
        problem = self.problem
        algorithm = self.algorithm(plan)
        layout = plan.layout or algorithm.layouts[0]
        parts: list[np.ndarray] = []
        rounds: list[int] = []
        compared: list[float] = []
        fitted: Fitted | None = None
        bagged = problem.bagged and problem.refit and layout != NO_FEATURES
        bags: list[tuple[Any, Fitted]] = []
        fitting = 0.0
        share = None if plan.seconds is None else plan.seconds / self._fits(bagged)
        for number, (train, valid) in enumerate(problem.splits):
            used = self.matrices.of(layout, number)
            until = None if share is None else started + share * (number + 1)
            fitted = fit(
                problem, self.threads, algorithm, layout, plan.parameters, used.matrix, train, valid, until=until
            )
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
            if wants_last_fold(problem):
                last = self.labelled(fitted, calibration.rule, judged.rule)
                keep_last_fold(folder, self._served(used.transformer, last))
        if problem.refit and not bagged:
            typical = round(float(np.mean(rounds))) if rounds else None
            used = self.matrices.of(layout, None)
            rows = np.arange(len(problem.target))
            fitted = fit(problem, self.threads, algorithm, layout, plan.parameters, used.matrix, rows, None, typical)
        assert fitted is not None
        preprocessor = _describe(problem, layout)
        if bagged:
            bag = self._bagged(bags, calibration.rule, judged.rule)
            model = ServedPipeline([("input", self.matrices.reader), ("model", bag)])
        else:
            model = self._served(used.transformer, self.labelled(fitted, calibration.rule, judged.rule))
        written = outputs.write(
            folder / "outputs",
            problem,
            model,
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
            growing_seconds=fitting + self.matrices.seconds.get(layout, 0.0) * fitted_share,
            compared=tuple(compared),
        )

    def _fits(self, bagged: bool) -> float:
        """How many fits of a split's rows a trial comes to: its splits and, by the number of rows, the final model."""
        splits = self.problem.splits
        final = self.problem.refit and not bagged
        return len(splits) + (len(self.problem.target) / len(splits[0][0]) if final else 0.0)

    def algorithm(self, plan: TrialPlan) -> algorithms.Algorithm:
        """What a plan tries."""
        return baseline() if plan.algorithm == BASELINE else algorithms.by_name(plan.algorithm, self._classes > 0)

    def labelled(self, fitted: Fitted, calibration: calibrate.Rule | None, rule: decide.Rule | None) -> Any:
        """A fitted estimator as it is served."""
        model = _for_one_row(fitted.estimator)
        if self.problem.classes is None:
            return model
        correction = calibrate.joined(fitted.correction, calibration)
        return LabelledClassifier(model, self.problem.classes, fitted.positions, correction, rule)

    def _served(self, transformer: Any, model: Any) -> ServedPipeline:
        return ServedPipeline([("input", self.matrices.reader), ("features", transformer), ("model", model)])

    def _bagged(
        self, bags: list[tuple[Any, Fitted]], calibration: calibrate.Rule | None, rule: decide.Rule | None
    ) -> Any:
        """The mean of the folds' models; folds whose features were fitted on the same rows share them."""
        blocks: dict[int, tuple[Any, list[tuple[Any, float]]]] = {}
        for transformer, fitted in bags:
            models = blocks.setdefault(id(transformer), (transformer, []))[1]
            models.append((self.labelled(fitted, calibration, None), 1 / len(bags)))
        shares = list(blocks.values())
        return BlendedRegressor(shares) if self.problem.classes is None else BlendedClassifier(shares, decision=rule)


def wants_last_fold(problem: Problem) -> bool:
    """Whether the model of a trial's last fold is kept: see LAST_FOLD."""
    return problem.refit and problem.test is None


def keep_last_fold(folder: Path, model: Any) -> None:
    """Write the model of a trial's last fold to its folder. What little time it takes is not spent on its size."""
    import joblib

    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / LAST_FOLD, compress=1)


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


def baseline() -> algorithms.Algorithm:
    """Majority class or mean: what a model must beat."""

    def make(_: dict[str, Any], build: estimators.Build) -> Any:
        from sklearn.dummy import DummyClassifier, DummyRegressor

        return DummyClassifier(strategy="prior") if build.classes else DummyRegressor(strategy="mean")

    return algorithms.Algorithm(BASELINE, (NO_FEATURES,), make, (), rank=0)


def _describe(problem: Problem, layout: str) -> str:
    if layout == NO_FEATURES:
        return "MajorityClass" if problem.classification else "Mean"
    return features.describe(problem.settings, layout)
