"""A multi-label job's model fitted again on all rows: as of any other job, with the sigmoids and thresholds it has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from automl_jobs.engine import ensemble, explain, outputs, refit
from automl_jobs.engine.multilabel.trial import SIGMOIDS, LabelsTrainer, layout_of
from automl_jobs.engine.problem import Problem
from automl_jobs.engine.refit import Part, Refit, Refitted
from forestay_transformers import BlendedLabels


def run(problem: Problem, request: Refit, threads: int, folder: Path) -> Refitted:
    """Fit a model again on all rows of the problem and write its files to `folder`/outputs."""
    trainer = LabelsTrainer(replace(problem, refit=True), threads)
    return refit.renewed(
        problem,
        request,
        folder,
        lambda part: _fitted(trainer, part),
        lambda pipelines: _blended(request, pipelines),
        rounds={},
    )


def _blended(request: Refit, pipelines: list[Any]) -> Any:
    """The ensemble of new members, with the weights and the thresholds that it had."""
    from sklearn.pipeline import Pipeline

    layouts = [layout_of(part.plan) for part in request.parts]
    shares = ensemble.blocks(layouts, pipelines, list(request.weights))
    before = explain.load(request.outputs).steps[-1][1]
    return Pipeline([pipelines[0].steps[0], ("model", BlendedLabels(shares, before.thresholds))])


def _fitted(trainer: LabelsTrainer, part: Part) -> Any:
    """A trial's pipeline on all rows, with the sigmoids and the thresholds that held-out rows chose for it."""
    from sklearn.pipeline import Pipeline

    used = trainer.matrices.of(layout_of(part.plan), None)
    model = trainer.learn(part.plan, used.matrix, trainer.problem.target)
    sigmoids = outputs.read_schema(part.outputs)[SIGMOIDS]
    model.calibrate(np.array(sigmoids["slopes"]), np.array(sigmoids["offsets"]))
    model.thresholds = explain.load(part.outputs).steps[-1][1].thresholds
    return Pipeline([("input", trainer.matrices.reader), ("features", used.transformer), ("model", model)])
