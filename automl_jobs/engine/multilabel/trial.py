"""One trial of a multi-label job: fit on each split, calibrate and choose thresholds out of fold, fit on all rows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automl_jobs.engine import outputs, pruning, spread
from automl_jobs.engine.judging import held_rows
from automl_jobs.engine.matrices import NO_FEATURES
from automl_jobs.engine.metrics import average
from automl_jobs.engine.multilabel import metrics, models, thresholds
from automl_jobs.engine.problem import Problem
from automl_jobs.engine.trial import (
    BASELINE,
    HELD_OUT,
    Trainer,
    TrialOutcome,
    TrialPlan,
    keep_last_fold,
    wants_last_fold,
)
from forestay_transformers import LinearLabels

SIGMOIDS = "sigmoids"
"""In a model's schema: `slopes` and `offsets` of its calibration, a label each (see `thresholds.Rule`)."""


@dataclass(frozen=True)
class Scored:
    """What held-out rows say of a model: metrics over the splits, the primary one of each, Azure's charts."""

    metrics: dict[str, float]
    folds: list[float]
    charts: dict[str, Any]


def score(problem: Problem, judged: thresholds.Judged) -> Scored:
    """Metrics averaged over the splits, as Azure does, of rows in the order of `held_rows`."""
    assert problem.classes is not None
    truth = problem.target[held_rows(problem)]
    found = []
    start = 0
    for _, valid in problem.splits:
        rows = slice(start, start + len(valid))
        start += len(valid)
        found.append(metrics.multilabel(truth[rows], judged.probabilities[rows], judged.said[rows]))
    charts = metrics.charts(truth, judged.probabilities, judged.said, problem.classes)
    return Scored(average(found), [one[problem.metric] for one in found], charts)


def told(judged: thresholds.Judged) -> dict[str, str]:
    """The thresholds in the order of the classes, where they are not Azure's."""
    chosen = judged.rule.thresholds
    return {"thresholds": ", ".join(f"{one:.3g}" for one in chosen)} if (chosen != thresholds.AZURE).any() else {}


class LabelsTrainer(Trainer):
    """Trains trials of one multi-label problem; features are shared as in any other job."""

    def run(self, plan: TrialPlan, folder: Path) -> TrialOutcome:
        """Train and score `plan`, and write its files to `folder`/outputs.

        Raises GivenUp when it misses the plan's bar clearly.
        """
        started = time.monotonic()
        problem = self.problem
        layout = layout_of(plan)
        used = self.matrices.of(layout, None)
        plain = plan.algorithm == BASELINE
        held = []
        compared: list[float] = []
        model: LinearLabels | None = None
        for train, valid in problem.splits:
            model = self.learn(plan, used.matrix[train], problem.target[train])
            held.append(model.decision_function(used.matrix[valid]))
            if len(problem.splits) >= pruning.FEWEST_FOLDS:
                compared.append(self._alone(held[-1], problem.target[valid], plain))
                if pruning.clearly_worse(compared, plan.bar, problem.higher):
                    raise pruning.GivenUp(compared, plan.bar)
        assert model is not None
        truth = problem.target[held_rows(problem)]
        judged = thresholds.judge(np.concatenate(held), truth, problem.metric, problem.seed, calibrated=plain)
        scored = score(problem, judged)
        seen = spread.train_rows(problem)
        learned = judged.rule.probabilities(model.decision_function(used.matrix[seen])) > judged.rule.thresholds
        values = scored.metrics | {"train_score": thresholds.primary(problem.metric, problem.target[seen], learned)}
        served = self._deciding(used.transformer, model, judged.rule)
        if problem.refit:
            if wants_last_fold(problem):
                keep_last_fold(folder, served)
            served = self._deciding(used.transformer, self.learn(plan, used.matrix, problem.target), judged.rule)
        preprocessor = self._preprocessor(layout)
        sigmoids = {"slopes": judged.rule.slopes.tolist(), "offsets": judged.rule.offsets.tolist()}
        written = outputs.write(
            folder / "outputs",
            problem,
            served,
            plan.algorithm,
            preprocessor,
            (),
            # They are in the weights; a fit on other rows has to take them along.
            extra={SIGMOIDS: sigmoids},
        )
        count = len(problem.target) if problem.refit else len(problem.splits[0][0])
        np.save(folder / HELD_OUT, judged.probabilities)
        return TrialOutcome(
            plan=plan,
            preprocessor=preprocessor,
            score=values[problem.metric],
            folds=scored.folds,
            metrics=values | written.as_metrics() | {"train_rows": float(count)},
            artifacts=scored.charts,
            parameters={name: str(value) for name, value in plan.parameters.items()} | told(judged),
            duration_seconds=time.monotonic() - started,
            outputs=written.folder,
            compared=tuple(compared),
        )

    def _deciding(self, transformer: Any, model: LinearLabels, rule: thresholds.Rule) -> Any:
        """A model as it is served, with the calibration and the thresholds that held-out rows chose."""
        from sklearn.pipeline import Pipeline

        model.calibrate(rule.slopes, rule.offsets)
        model.thresholds = rule.thresholds.tolist()
        return Pipeline([("input", self.matrices.reader), ("features", transformer), ("model", model)])

    def _alone(self, held: np.ndarray, truth: np.ndarray, plain: bool) -> float:
        """The primary metric of one fold, with thresholds of its own: those of all folds are not there yet.

        Without any a model whose scores are only off by their threshold would be given up.
        """
        problem = self.problem
        judged = thresholds.judge(held, truth, problem.metric, problem.seed, calibrated=plain)
        return thresholds.primary(problem.metric, truth, judged.said)

    def learn(self, plan: TrialPlan, matrix: Any, target: np.ndarray) -> LinearLabels:
        """A plan's model of these rows, with neither calibration nor thresholds."""
        assert self.problem.classes is not None
        estimator = None
        if plan.algorithm != BASELINE:
            estimator = models.make(plan.algorithm, plan.parameters, self.problem.seed)
        model = LinearLabels(estimator, self.problem.classes, threads=self.threads).fit(matrix, target)
        # Serving takes one thread.
        return model.set_params(threads=1)

    def _preprocessor(self, layout: str) -> str:
        from automl_jobs.engine import features

        return "LabelFrequency" if layout == NO_FEATURES else features.describe(self.problem.settings, layout)


def layout_of(plan: TrialPlan) -> str:
    """The feature layout that a plan is tried on."""
    return NO_FEATURES if plan.algorithm == BASELINE else plan.layout or layouts(plan.algorithm)[0]


def layouts(name: str) -> tuple[str, ...]:
    """The feature layouts of one of the algorithms."""
    from automl_jobs.engine import algorithms

    return algorithms.by_name(name, classification=True).layouts
