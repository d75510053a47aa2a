"""A retold trial as a folder: the script, its data, and the modules of ours that its pipeline is made of."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from automl_jobs.code.source import Source
from forestay import project

if TYPE_CHECKING:
    from automl_jobs.code.gather import Pipeline, Retold
    from automl_jobs.runs import RunStore

SCRIPT, SETTINGS, ROWS, FOLDS, REQUIREMENTS = (
    "train.py",
    "settings.json",
    "rows.parquet",
    "folds.npz",
    "requirements.txt",
)
METRICS = {
    "AUC_weighted": ("sklearn.metrics", "roc_auc_score"),
    "average_precision_score_weighted": ("sklearn.metrics", "average_precision_score"),
    "precision_score_weighted": ("sklearn.metrics", "precision_score"),
    "accuracy": ("sklearn.metrics", "accuracy_score"),
    "r2_score": ("sklearn.metrics", "r2_score"),
    "spearman_correlation": ("scipy.stats", "spearmanr"),
    "normalized_root_mean_squared_error": ("sklearn.metrics", "root_mean_squared_error"),
    "normalized_mean_absolute_error": ("sklearn.metrics", "mean_absolute_error"),
}
"""Primary metric to what computes it, where that is a function of a library."""


@dataclass(frozen=True)
class Written:
    """A folder with a training script.

    Attributes
    ----------
    score: of the primary metric, as the script will print it.
    """

    folder: Path
    files: tuple[str, ...]
    job: str
    rank: int
    trial: str
    algorithm: str
    metric: str
    score: float

    def as_dict(self) -> dict[str, Any]:
        return {
            "path": str(self.folder),
            "script": str(self.folder / SCRIPT),
            "job": self.job,
            "rank": self.rank,
            "trial": self.trial,
            "algorithm": self.algorithm,
            "primary_metric": self.metric,
            "score": self.score,
            "files": list(self.files),
        }


def code(store: RunStore, job: str, rank: int | None, to: Path | None, warn: Callable[[str], None]) -> Written:
    """Write a trial's training script and what it needs.

    Parameters
    ----------
    rank: None for the job's choice. to: a new folder, or an empty one; None for `JOB-rank-N` here.
    warn: told when the data has changed since.

    Raises InputError for a trial that no script can tell, whose data is not what it was, and where `to` is taken.
    """
    from automl_jobs.code import forecasts
    from automl_jobs.code.gather import check, gather
    from automl_jobs.runs.files import listed

    if to is not None:
        project.require_free(to)
    detail = store.job(job)
    found = store.trial(detail.job, rank)
    check(detail, found)
    row = found.row
    folder = to or Path(f"{detail.job}-rank-{row.rank}")
    project.require_free(folder)
    retold: Retold | forecasts.Retold
    with project.new_folder(folder.absolute()) as scratch:
        if detail.task == "forecasting":
            retold = forecasts.gather(store, detail, found, warn)
            forecasts.fill(retold, scratch)
        else:
            retold = gather(store, detail, found, warn)
            fill(retold, scratch)
    files = tuple(path for path, _ in listed(folder))
    return Written(folder, files, detail.job, row.rank, row.id, row.algorithm, detail.primary_metric, retold.score)


def fill(retold: Retold, folder: Path) -> None:
    """Write the files of a script into an empty folder."""
    import templates
    from automl_jobs.code import labels
    from automl_jobs.engine import outputs

    source = Source()
    if retold.problem.multilabel:
        text, modules = labels.text(retold, source), labels.modules()
    else:
        text, modules = templates.render("code/train.py.j2", **_context(retold, source)), {}
    project.write_atomic(folder / SCRIPT, text)
    project.write_json(folder / SETTINGS, _settings(retold, source))
    _write_rows(retold, folder)
    surround(folder, retold.packages, outputs.MODULES, modules)


def surround(
    folder: Path, packages: Mapping[str, str], served: Sequence[ModuleType], fitting: Mapping[str, Path]
) -> None:
    """Write what a script imports.

    Parameters
    ----------
    packages: distribution to version, of the model. served: the modules of ours that it is made of.
    fitting: what fits it beside them: name there, and where it lies.
    """
    import templates

    # What reads Parquet is none of the packages that a model needs where it is served.
    packages = {**packages, "pyarrow": importlib.metadata.version("pyarrow")}
    project.write_atomic(
        folder / REQUIREMENTS, templates.render("code/requirements.txt.j2", packages=sorted(packages.items()))
    )
    for path in (Path(str(module.__file__)) for module in served):
        shutil.copyfile(path, folder / path.name)
    for name, path in fitting.items():
        shutil.copyfile(path, folder / name)


def _context(retold: Retold, source: Source) -> dict[str, Any]:
    """What the template needs."""
    from automl_jobs.engine import estimators, matrices

    problem, pipelines = retold.problem, retold.pipelines
    folds = len(problem.splits)
    classification = problem.classification
    boosted = any(_booster(one, classification) for one in pipelines)
    row_weights = problem.weights is not None
    balanced = any(_class_weights(one) for one in pipelines)
    logarithm = any(_logarithm(one) for one in pipelines)
    many = (len(problem.frame) if problem.refit else problem.training_rows) > matrices.FITTED_ROWS
    early = boosted and folds > 1
    trials = [_trial(retold, one, source, early) for one in pipelines]
    learner = _learner(retold, source)
    _use(retold, source, logarithm)
    if any(one["booster"] == "LightGBM" for one in trials) and early:
        source.use("lightgbm", "early_stopping")
    drawn = f"np.sort(np.random.default_rng({problem.seed}).choice(rows, {matrices.FITTED_ROWS}, replace=False))"
    return {
        "job": retold.job.job,
        "trial": retold.found.row.id,
        "algorithm": retold.found.row.algorithm,
        "metric": retold.job.primary_metric,
        "trials": trials,
        "imports": source.import_lines(),
        "values": source.values,
        "classification": classification,
        "boosted": boosted,
        "early": early,
        "max_rounds": estimators.MAX_ROUNDS,
        "patience": estimators.PATIENCE,
        "folds": folds,
        "row_weights": row_weights,
        "balanced": balanced,
        "weighted": row_weights or balanced,
        "logarithm": logarithm,
        "sampled": any(one.rows for one in pipelines),
        "fit_rows": "rows" if not many else drawn if problem.refit else f"rows[: {matrices.FITTED_ROWS}]",
        "single": _single(retold),
        "decided": retold.decision is not None and retold.decision.rule is not None,
        "parts": retold.decision is not None and bool(retold.decision.parts),
        "final_on_all": problem.refit or problem.hold_out,
        "bagged": problem.bagged and problem.refit,
        "seed": problem.seed,
        **learner,
    }


def _learner(retold: Retold, source: Source) -> dict[str, Any]:
    """What a stack learns with; `learner` is None where there is none."""
    from automl_jobs.engine import ensemble, judging, stack

    learner, problem = retold.learner, retold.problem
    if learner is None:
        return {"learner": None}
    made = stack.make(learner, problem.seed)
    inner = made if problem.classification else made.regressor
    most = stack.most_rows(problem, learner)
    source.use("forestay_transformers", "stack_features")
    return {
        "learner": source.of(made),
        "learner_rows": most if len(judging.held_rows(problem)) > most else None,
        "learner_weights": f"{inner.steps[-1][0]}__sample_weight",
        "learner_parts": ensemble.PARTS,
    }


def _use(retold: Retold, source: Source, logarithm: bool) -> None:
    """Import what every script uses, and what this one does."""
    several, classification = len(retold.pipelines) > 1, retold.problem.classification
    source.use("scipy.sparse", "issparse")
    source.use("forestay_transformers", "InputFrame", "ServedPipeline", "Side")
    if classification:
        source.use("forestay_transformers", "LabelledClassifier", "calibrated", "full_probabilities")
        if several:
            source.use("forestay_transformers", "StackedClassifier" if retold.learner else "BlendedClassifier")
        if retold.decision is not None and retold.decision.rule is not None:
            source.use("forestay_transformers", "decided")
    elif several:
        source.use("forestay_transformers", "StackedRegressor" if retold.learner else "BlendedRegressor")
    if logarithm:
        source.use("forestay_transformers", "LogTarget")
    if retold.job.primary_metric in METRICS:
        module, name = METRICS[retold.job.primary_metric]
        source.use(module, name)


def _trial(retold: Retold, one: Pipeline, source: Source, early: bool) -> dict[str, Any]:
    """One pipeline as code."""
    from automl_jobs.engine import algorithms, estimators, features, matrices
    from automl_jobs.engine.trial import BASELINE, baseline

    problem = retold.problem
    classes = problem.class_count
    suffix = "" if len(retold.pipelines) == 1 else f"_{one.trial}"
    algorithm = baseline() if one.algorithm == BASELINE else algorithms.by_name(one.algorithm, classes > 0)
    booster = _booster(one, problem.classification)
    samples = min(problem.fold_rows, one.rows or problem.fold_rows)
    categorical = features.categorical_positions(problem.settings, one.layout)
    build = estimators.Build(
        classes=classes,
        threads=retold.threads,
        seed=problem.seed,
        categorical=tuple(categorical),
        samples=samples,
        fewest=min(problem.fewest_rows, samples),
    )
    parameters = {
        name: value
        for name, value in one.parameters.items()
        if name not in (algorithms.LOG_TARGET, algorithms.CLASS_WEIGHTS)
    }
    estimator = algorithm.make(parameters, build)
    rounds = {"GradientBoosting": "max_iter"}.get(booster, "n_estimators")
    prefix = suffix.removeprefix("_") + "_" if suffix else ""
    plain = targeted = None
    if one.layout != matrices.NO_FEATURES:
        fit_rows = problem.rows if problem.refit else samples
        plain = features.build(problem.settings, one.layout, min(fit_rows, matrices.FITTED_ROWS))
        targeted = features.build_targeted(
            problem.settings, one.layout, samples, problem.classification, problem.seed, problem.largest_class
        )
    arguments = [f'"{one.trial}"', f"fit{suffix}"]
    arguments += [f"features{suffix}"] if plain is not None else []
    arguments += [f"target_features=target_features{suffix}"] if targeted is not None else []
    arguments += [f"rounds={one.rounds}"] if booster else []
    arguments += [f"rows={one.rows}"] if one.rows else []
    arguments += ["logarithm=True"] if _logarithm(one) else []
    arguments += ["class_weights=True"] if _class_weights(one) else []
    return {
        "trial": one.trial,
        "algorithm": one.algorithm,
        "preprocessor": one.preprocessor,
        "suffix": suffix,
        "features": None if plain is None else source.of(plain, prefix=prefix),
        "targeted": None if targeted is None else source.of(targeted, prefix=f"{prefix}target_"),
        "estimator": source.of(estimator, replaced={rounds: "rounds"} if booster else {}),
        "booster": booster,
        "categorical": categorical,
        "class_weights": _class_weights(one),
        "weight_argument": _weight_argument(retold, one, algorithm, estimator),
        "stop_step": _stop_step(retold) if early else 1,
        "arguments": ", ".join(arguments),
    }


def _booster(one: Pipeline, classification: bool) -> str:
    """Which kind of booster it is; "" for what is none."""
    from automl_jobs.engine import algorithms
    from automl_jobs.engine.trial import BASELINE

    if one.algorithm == BASELINE or not algorithms.by_name(one.algorithm, classification).boosted:
        return ""
    return "XGBoost" if one.algorithm.startswith("XGBoost") else one.algorithm


def _class_weights(one: Pipeline) -> bool:
    from automl_jobs.engine import algorithms

    return bool(one.parameters.get(algorithms.CLASS_WEIGHTS))


def _logarithm(one: Pipeline) -> bool:
    from automl_jobs.engine import algorithms

    return bool(one.parameters.get(algorithms.LOG_TARGET))


def _weight_argument(retold: Retold, one: Pipeline, algorithm: Any, estimator: Any) -> str:
    """The name under which the estimator's `fit` takes row weights; "" where there are none, or it takes none."""
    if not algorithm.weights or not (retold.problem.weights is not None or _class_weights(one)):
        return ""
    steps = getattr(estimator, "steps", None)
    return f"{steps[-1][0]}__sample_weight" if steps else "sample_weight"


def _stop_step(retold: Retold) -> int:
    """Every so many of a fold's validation rows stop a booster: see engine/fits."""
    from automl_jobs.engine.fits import STOPPING_ROWS

    train, valid = retold.problem.splits[0]
    return -(-len(valid) // max(STOPPING_ROWS, len(train) // 2))


def _single(retold: Retold) -> bool:
    """Whether features of so many rows are kept in single precision: see engine/matrices."""
    from automl_jobs.engine import matrices

    frame = retold.problem.frame
    return frame.size >= matrices.MANY_CELLS and matrices.single_precision(_typed(retold))


def _typed(retold: Retold) -> Any:
    """The rows, each column in its type, as Parquet keeps them."""
    from forestay_transformers import InputFrame

    problem = retold.problem
    return InputFrame(list(problem.settings.columns)).fit(problem.frame).transform(problem.frame)


def _settings(retold: Retold, source: Source) -> dict[str, Any]:
    """What the script reads at its start: everything that the data or the job names."""
    decision = retold.decision
    return {
        "job": retold.job.job,
        "trial": retold.found.row.id,
        "target": retold.job.target,
        "metric": retold.job.primary_metric,
        "score": retold.score,
        "types": [list(pair) for pair in retold.problem.settings.columns],
        "classes": retold.problem.classes,
        "columns": source.columns,
        "values": source.values,
        "trials": {
            one.trial: {
                "weight": one.weight,
                "calibration": None if one.calibration is None else dict(one.calibration),
            }
            for one in retold.pipelines
        },
        "decision": None if decision is None else decision.rule,
        "rules": [] if decision is None else list(decision.parts),
    }


def _write_rows(retold: Retold, folder: Path) -> None:
    import numpy as np

    problem = retold.problem
    arrays = {"target": problem.target}
    if problem.weights is not None:
        arrays["weights"] = problem.weights
    if retold.decision is not None and retold.decision.part is not None:
        arrays["part"] = retold.decision.part
    for fold, (train, valid) in enumerate(problem.splits):
        arrays |= {f"train_{fold}": train, f"valid_{fold}": valid}
    np.savez_compressed(folder / FOLDS, **arrays)  # type: ignore[arg-type]
    _typed(retold).to_parquet(folder / ROWS, index=False)
