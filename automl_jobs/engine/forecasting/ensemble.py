"""The voting ensemble of forecasts: the mean of the best models of several algorithms.

Equal weights: those fitted on a few folds lose to the plain mean in one competition after the other (Makridakis,
Spiliotis and Assimakopoulos 2020, "The M4 Competition", section 4; Smith and Wallis 2009, "A simple explanation of the
forecast combination puzzle"). Members are chosen by their backtest, one of each algorithm, since variety is what the
mean lives on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from automl_jobs.engine import explain, outputs
from automl_jobs.engine.ensemble import VOTING, EnsemblePlan, Member, NoBetter, keep_last_folds
from automl_jobs.engine.forecasting import backtest, trainer
from automl_jobs.engine.forecasting.backtest import Forecasts
from automl_jobs.engine.forecasting.problem import ForecastProblem
from automl_jobs.engine.trial import TrialOutcome, TrialPlan
from forestay_forecasters import Mean

MOST_MEMBERS = 7
# How the name of a parameter begins that tells of a member; its trial follows.
MEMBER = "trial "
# A model whose error is this many times that of the best has nothing to add.
FAR_BEHIND = 1.5


def run(problem: ForecastProblem, plan: EnsemblePlan, folder: Path) -> TrialOutcome:
    """Choose, score and write the ensemble. Raises NoBetter when there are not two models to choose."""
    import joblib

    started = time.monotonic()
    members = choose(problem, plan.members)
    if len(members) < 2:
        raise NoBetter
    held = [trainer.held_out(problem, member.folder) for member in members]
    parts = [mean([folds[number] for folds in held]) for number in range(len(problem.splits))]
    schemas = [outputs.read_schema(member.folder / "outputs") for member in members]
    forecasters = [explain.load(member.folder / "outputs").forecaster for member in members]
    keep_last_folds(folder, members, lambda files: Mean([joblib.load(path) for path in files]))
    packages = sorted(set.union(*(outputs.own_packages(schema) for schema in schemas)))
    names = [f"{schema['algorithm']} {schema['preprocessor']}".strip() for schema in schemas]
    made = TrialPlan(plan.id, VOTING)
    return trainer.outcome(
        problem,
        made,
        parts,
        Mean(forecasters),
        folder,
        described=f"{len(members)} models",
        parameters={f"{MEMBER}{member.id}": text for member, text in zip(members, names, strict=True)},
        packages=tuple(packages),
        started=started,
    )


def choose(problem: ForecastProblem, members: Sequence[Member]) -> list[Member]:
    """The best trial of each algorithm, at most seven, and none that is far behind; `members` come best first."""
    found: list[Member] = []
    seen: set[str | float] = set()
    best: float | None = None
    for member in members:
        folds = trainer.held_out(problem, member.folder)
        each = [backtest.scores(part, problem.series, problem) for part in folds]
        score = float(np.mean([scores[problem.metric] for scores in each if problem.metric in scores]))
        algorithm = outputs.read_schema(member.folder / "outputs")["algorithm"]
        best = score if best is None else best
        # Two models of the very same score give the same forecasts.
        if seen & {algorithm, score} or (not problem.higher and score > FAR_BEHIND * best):
            continue
        seen |= {algorithm, score}
        found.append(member)
    return found[:MOST_MEMBERS]


def mean(parts: Sequence[Forecasts]) -> Forecasts:
    """The mean of forecasts of the same periods."""
    first = parts[0]
    return Forecasts(first.series, first.steps, first.truth, np.mean([part.predicted for part in parts], axis=0))
