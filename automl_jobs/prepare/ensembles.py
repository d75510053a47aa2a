"""The stack ensemble's settings against the task, before anything is trained."""

from __future__ import annotations

import inspect

from automl_jobs.prepare.findings import Findings, listed
from automl_jobs.spec import JobSpec
from forestay.documents.names import closest, shown

TYPE = "training.stack_ensemble_settings.stack_meta_learner_type"
PARAMETERS = "training.stack_ensemble_settings.stack_meta_learner_kwargs"


def meta_learner(spec: JobSpec, findings: Findings) -> None:
    """The meta-learner is one of the task's kind, and takes the parameters that it is given."""
    settings = spec.training.stack_ensemble_settings
    if settings is None or spec.task not in ("classification", "text_classification", "regression"):
        return
    from automl_jobs.engine.stack import CLASSIFIERS, REGRESSORS, MetaLearner, kind_of

    fit, other = (REGRESSORS, CLASSIFIERS) if spec.task == "regression" else (CLASSIFIERS, REGRESSORS)
    if settings.stack_meta_learner_type in other:
        findings.error(
            TYPE,
            f"{settings.stack_meta_learner_type!r} is no meta-learner of a {spec.task}",
            f"valid: {', '.join(fit)}, none",
        )
        return
    if not settings.stack_meta_learner_kwargs:
        return
    kind = kind_of(MetaLearner.of(settings, spec.task != "regression", folds=False).kind)
    known = list(inspect.signature(kind).parameters)
    for name in settings.stack_meta_learner_kwargs:
        if name not in known:
            near = closest(name, known)
            findings.error(
                PARAMETERS,
                f"{kind.__name__} has no parameter {shown(name)!r}",
                f"did you mean {listed(near)}?" if near else f"it has: {listed(known)}",
            )
