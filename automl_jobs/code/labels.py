"""The training script of a trial that gives a row several labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.code.source import Source

if TYPE_CHECKING:
    from automl_jobs.code.gather import Pipeline, Retold

THRESHOLDS = "forestay_thresholds.py"
"""What the module is called beside a script that chooses sigmoids and thresholds."""


def text(retold: Retold, source: Source) -> str:
    """train.py; `source` gets what it needs of names and values."""
    import templates

    problem = retold.problem
    trials = [_trial(retold, one, source) for one in retold.pipelines]
    source.use("forestay_thresholds", "judge")
    source.use("forestay_transformers", "InputFrame", "LinearLabels")
    if len(trials) > 1:
        source.use("forestay_transformers", "BlendedLabels")
    source.use("sklearn.pipeline", "Pipeline")
    source.use("sklearn.metrics", "accuracy_score")  # the one primary metric of the task
    return templates.render(
        "code/labels.py.j2",
        job=retold.job.job,
        trial=retold.found.row.id,
        algorithm=retold.found.row.algorithm,
        metric=problem.metric,
        trials=trials,
        imports=source.import_lines(),
        values=source.values,
        folds=len(problem.splits),
        refit=problem.refit,
        final_on_all=problem.refit or problem.hold_out,
        threads=retold.threads,
        seed=problem.seed,
    )


def modules() -> dict[str, Path]:
    """The module that the script imports beside those that its model does: its name there, and where it lies."""
    from automl_jobs.engine.multilabel import thresholds

    return {THRESHOLDS: Path(str(thresholds.__file__))}


def _trial(retold: Retold, one: Pipeline, source: Source) -> dict[str, Any]:
    """One pipeline as code."""
    from automl_jobs.engine import features, matrices
    from automl_jobs.engine.multilabel import models
    from automl_jobs.engine.trial import BASELINE

    problem = retold.problem
    suffix = "" if len(retold.pipelines) == 1 else f"_{one.trial}"
    built = estimator = None
    if one.layout != matrices.NO_FEATURES:
        rows = problem.rows if problem.refit else problem.training_rows
        built = features.build(problem.settings, one.layout, min(rows, matrices.FITTED_ROWS))
    if one.algorithm != BASELINE:
        estimator = models.make(one.algorithm, dict(one.parameters), problem.seed)
    return {
        "trial": one.trial,
        "algorithm": one.algorithm,
        "preprocessor": one.preprocessor,
        "suffix": suffix,
        "features": None if built is None else source.of(built, prefix=f"{one.trial}_" if suffix else ""),
        "estimator": None if estimator is None else source.of(estimator),
    }
