"""The voting ensemble of a multi-label job: as of any other job, with thresholds of its own."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from automl_jobs.engine import ensemble, outputs
from automl_jobs.engine.judging import held_rows
from automl_jobs.engine.multilabel import thresholds
from automl_jobs.engine.multilabel.trial import score, told
from automl_jobs.engine.problem import Problem
from automl_jobs.engine.trial import HELD_OUT, TrialOutcome, TrialPlan
from forestay_transformers import BlendedLabels

# Of which labels are said the metric tells little after a small change: the log loss, scaled down, breaks its ties.
TIE = 0.01


def run(problem: Problem, plan: ensemble.EnsemblePlan, folder: Path) -> TrialOutcome:
    """Choose, score and write the ensemble. Raises NoBetter."""
    import joblib
    from sklearn.pipeline import Pipeline

    started = time.monotonic()
    predictions = [np.load(member.folder / HELD_OUT) for member in plan.members]
    rows = held_rows(problem)
    truth = problem.target[rows]

    def value(truth: np.ndarray, predicted: np.ndarray) -> float:
        loss = np.log(np.clip(np.where(truth == 1, predicted, 1 - predicted), 1e-12, None)).mean()
        return thresholds.primary(problem.metric, truth, predicted > thresholds.AZURE) + TIE * float(loss)

    ensemble.compare(problem, rows, predictions, value)
    weights = ensemble.select(predictions, truth, ensemble.by_fold(value, ensemble.held_folds(problem)))
    if len(weights) < 2:
        raise ensemble.NoBetter
    blended = np.clip(ensemble.blend(predictions, weights), 1e-12, 1 - 1e-12)
    odds = np.log(blended / (1 - blended))
    judged = thresholds.judge(odds, truth, problem.metric, problem.seed, calibrated=True)
    scored = score(problem, judged)
    members = [(plan.members[position], weight) for position, weight in weights.items()]
    layouts = [member.layout for member, _ in members]

    def served(files: list[Path]) -> Pipeline:
        pipelines = [joblib.load(path) for path in files]
        blocks = ensemble.blocks(layouts, pipelines, list(weights.values()))
        return Pipeline([pipelines[0].steps[0], ("model", BlendedLabels(blocks, judged.rule.thresholds.tolist()))])

    ensemble.keep_last_folds(folder, [member for member, _ in members], served)
    model = served([member.folder / "outputs" / outputs.MODEL for member, _ in members])
    preprocessor = ", ".join(dict.fromkeys(layouts))
    written = outputs.write(folder / "outputs", problem, model, ensemble.VOTING, preprocessor, ())
    return TrialOutcome(
        plan=TrialPlan(plan.id, ensemble.VOTING, {ensemble.MEMBERS: {member.id: weight for member, weight in members}}),
        preprocessor=preprocessor,
        score=scored.metrics[problem.metric],
        folds=scored.folds,
        metrics=scored.metrics | written.as_metrics(),
        artifacts=scored.charts,
        parameters={f"weight of trial {member.id}": f"{weight:.3f}" for member, weight in members} | told(judged),
        duration_seconds=time.monotonic() - started,
        outputs=written.folder,
    )
