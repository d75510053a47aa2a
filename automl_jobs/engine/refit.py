"""The job's model fitted again on all rows, where the hold-out that judged it was drawn from the training data here.

Settings, calibration, decision, weights and meta-learner are those that the held-out rows chose; only what learns from
rows is fitted anew, boosters with the rounds at which they stopped, in proportion to the rows. No score is taken of the
result: it has seen the rows that would judge it. The model that was judged is kept beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from automl_jobs.engine import algorithms, calibrate, ensemble, explain, outputs
from automl_jobs.engine.fits import fit
from automl_jobs.engine.problem import Problem
from automl_jobs.engine.trial import BASELINE, Trainer, TrialPlan
from forestay_transformers import (
    BlendedClassifier,
    BlendedRegressor,
    ServedPipeline,
    StackedClassifier,
    StackedRegressor,
)

# A fit on more rows takes longer than in proportion, and the files are written after it.
CAUTION, SPARE_SECONDS = 1.2, 0.5
# No more of the budget is kept for it than this share, for the trials that the model is most likely to be made of.
MOST_SHARE, LIKELY_MEMBERS = 0.15, 3
# What held-out rows chose for a model, as its schema says it.
CHOSEN = ("decision", "calibration", "sigmoids")


@dataclass(frozen=True)
class Part:
    """A trial that is fitted again.

    Attributes
    ----------
    plan: its settings. outputs: the files of its model so far. rounds: at which its booster stopped, None for others.
    """

    plan: TrialPlan
    outputs: Path
    rounds: int | None


@dataclass(frozen=True)
class Refit:
    """A request to fit a model again on all rows.

    Attributes
    ----------
    id, algorithm, outputs: of the trial. parts: itself, or the members of an ensemble with their `weights`.
    """

    id: str
    algorithm: str
    outputs: Path
    parts: tuple[Part, ...]
    weights: tuple[float, ...] = ()


@dataclass(frozen=True)
class Refitted:
    """The files of the new model, and what there is to say of it: the trial's document `refit`."""

    outputs: Path
    document: dict[str, Any]


@dataclass(frozen=True)
class _Known:
    plan: TrialPlan
    rounds: int | None
    seconds: float


@dataclass
class Refits:
    """What a job must know of its trials to fit its model again, and what that will take.

    Parameters
    ----------
    ratio: all rows over those that the trials learn from.
    """

    ratio: float
    _known: dict[str, _Known] = field(default_factory=dict)

    def note(self, plan: TrialPlan, parameters: Any, seconds: float) -> None:
        """A trial has completed: its parameters as they are told, the seconds that its features and fit took."""
        rounds = parameters.get("rounds")
        self._known[plan.id] = _Known(plan, int(rounds) if rounds else None, seconds)

    def seconds(self, trial: str, caution: float = CAUTION) -> float:
        """What fitting a trial again will take, with so much caution: more is kept for it than it needs to begin."""
        known = [self._known[part] for part in self._parts(trial)]
        return SPARE_SECONDS + caution * self.ratio * sum(one.seconds for one in known)

    def reserve(self, ranked: Sequence[str], budget: float, blended: bool) -> float:
        """Seconds to keep for it while trials are still tried.

        Parameters
        ----------
        ranked: trials, the best first. budget: seconds of the run. blended: whether an ensemble may be made of them.
        """
        kept = 0.0
        likely = [one for one in ranked if one in self._known and self._known[one].plan.rows is None]
        for trial in likely[: LIKELY_MEMBERS if blended else 1]:
            more = self.seconds(trial)
            if kept + more <= MOST_SHARE * budget:
                kept += more
        return kept

    def hindrance(self, trial: str, left: float) -> str:
        """Why a trial's model stays as it is, with so many seconds left; "" where it can be fitted again."""
        parts = self._parts(trial)
        if not parts or any(part not in self._known for part in parts):
            return "it is not known which trials it is made of"
        if any(self._known[part].plan.rows is not None for part in parts):
            return "it learned from a sample of the rows; a fit on all of them would be another model"
        # It is stopped when the time is up, and the model stays.
        needed = self.seconds(trial, caution=1.0)
        return "" if needed <= left else f"it would take about {needed:.1f} s, and {max(0.0, left):.1f} s were left"

    def request(self, trial: str, algorithm: str, files: Callable[[str], Path]) -> Refit:
        """The request for a trial that nothing hinders; `files` finds a trial's outputs."""
        parts = tuple(Part(self._known[one].plan, files(one), self._known[one].rounds) for one in self._parts(trial))
        members = self._known[trial].plan.parameters.get(ensemble.MEMBERS, {})
        return Refit(trial, algorithm, files(trial), parts, tuple(members.values()))

    def _parts(self, trial: str) -> list[str]:
        """The trials that a trial is made of."""
        known = self._known.get(trial)
        if known is None:
            return []
        if known.plan.algorithm in (ensemble.VOTING, ensemble.STACK):
            return list(known.plan.parameters.get(ensemble.MEMBERS, {}))
        return [trial]


def kept(reason: str, rows: int) -> dict[str, Any]:
    """The document of a model that stays as it is, fitted on so many rows."""
    return {"refitted": False, "reason": reason, "rows": rows, "judged_rows": rows}


def run(problem: Problem, request: Refit, threads: int, folder: Path) -> Refitted:
    """Fit a model again on all rows of the problem and write its files to `folder`/outputs."""
    train = len(problem.splits[0][0])
    trainer = Trainer(replace(problem, refit=True), threads)
    rounds = {part.plan.id: scaled(part.rounds, train, problem.rows) for part in request.parts}
    return renewed(
        problem,
        request,
        folder,
        lambda part: _fitted(trainer, part, rounds[part.plan.id]),
        lambda pipelines: _blended(problem, request, pipelines),
        rounds,
    )


def renewed(
    problem: Problem,
    request: Refit,
    folder: Path,
    fitted: Callable[[Part], Any],
    blended: Callable[[list[Any]], Any],
    rounds: Mapping[str, int | None],
) -> Refitted:
    """A model made anew of its parts, its files written to `folder`/outputs.

    Parameters
    ----------
    fitted: a part's pipeline on all rows. blended: an ensemble of such pipelines. rounds: of each part's booster.
    """
    started = time.monotonic()
    pipelines = [fitted(part) for part in request.parts]
    schema = outputs.read_schema(request.outputs)
    written = outputs.write(
        folder / "outputs",
        problem,
        blended(pipelines) if request.weights else pipelines[0],
        request.algorithm,
        schema["preprocessor"],
        tuple(sorted(outputs.own_packages(schema))),
        extra={name: schema[name] for name in CHOSEN if name in schema},
    )
    document = {
        "refitted": True,
        "reason": "",
        "rows": problem.rows,
        "judged_rows": len(problem.splits[0][0]),
        "rounds": {trial: count for trial, count in rounds.items() if count},
        "seconds": round(time.monotonic() - started, 3),
        "train_rows": problem.rows,
        **written.as_metrics(),
    }
    return Refitted(written.folder, document)


def scaled(rounds: int | None, train: int, rows: int) -> int | None:
    """Rounds for a booster that learns from `rows` rows and would stop at `rounds` on `train` of them."""
    return None if rounds is None else max(1, round(rounds * rows / train))


def _fitted(trainer: Trainer, part: Part, rounds: int | None) -> ServedPipeline:
    """A trial's pipeline on all rows, with the calibration and the decision that it has."""
    problem, plan = trainer.problem, part.plan
    algorithm = trainer.algorithm(plan)
    layout = plan.layout or algorithm.layouts[0]
    used = trainer.matrices.of(layout, None)
    rows = np.arange(len(problem.target))
    parameters = plan.parameters if plan.algorithm != BASELINE else {}
    fitted = fit(problem, trainer.threads, algorithm, layout, parameters, used.matrix, rows, None, rounds)
    rule = calibrate.Calibration.of(outputs.read_schema(part.outputs).get("calibration")).rule
    decision = getattr(explain.load(part.outputs).steps[-1][1], "decision", None)
    model = trainer.labelled(fitted, rule, decision)
    return ServedPipeline([("input", trainer.matrices.reader), ("features", used.transformer), ("model", model)])


def _blended(problem: Problem, request: Refit, pipelines: list[ServedPipeline]) -> ServedPipeline:
    """The ensemble of new members: its weights, or what its learner makes of members, are those that it had."""
    classification = problem.classification
    layouts = [
        part.plan.layout or algorithms.by_name(part.plan.algorithm, classification).layouts[0] for part in request.parts
    ]
    before = explain.load(request.outputs).steps[-1][1]
    model: Any
    if request.algorithm == ensemble.VOTING:
        shares = ensemble.blocks(layouts, pipelines, list(request.weights))
        model = BlendedClassifier(shares, decision=before.decision) if classification else BlendedRegressor(shares)
    else:
        numbered = ensemble.stacked_blocks(layouts, pipelines)
        model = (
            StackedClassifier(numbered, before.learner, before.positions, decision=before.decision)
            if classification
            else StackedRegressor(numbered, before.learner)
        )
    return ServedPipeline([pipelines[0].steps[0], ("model", model)])
