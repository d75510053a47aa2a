"""A job file to a finished local run: what `job submit` and `ship` share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forestay import LOCAL
from forestay.errors import InputError, Problem

if TYPE_CHECKING:
    from automl_jobs.engine.loop import Listener
    from automl_jobs.prepare import Prepared
    from automl_jobs.runs import JobDetail
    from automl_jobs.spec import LoadedJob
    from automl_jobs.spec.decisions import DecisionSetting
    from automl_jobs.spec.jobs import JobSpec

DEFAULT_SEED = 0
DEFAULT_PREFER = "balanced"


@dataclass(frozen=True)
class SubmitOptions:
    """What a submit may add to its job file.

    Attributes
    ----------
    overrides: dotted keys of the job file to values, as `--set` takes them.
    time_budget: seconds for the whole run, over the file's `limits.timeout_minutes`.
    seed: of everything random.
    prefer: "speed", "balanced" or "score", over the property `forestay.prefer`: which trial is the job's model.
    decision: how probabilities become labels, over the file's `forestay.decision`.
    bagged_folds: whether a trial's model is the mean of its folds' models; False leaves it to `forestay.bagged_folds`.
    env: "local", or a stack's name for Azure.
    """

    overrides: Mapping[str, str] = field(default_factory=dict)
    time_budget: float | None = None
    seed: int | None = None
    prefer: str | None = None
    decision: DecisionSetting | None = None
    bagged_folds: bool = False
    env: str = LOCAL

    def as_dict(self) -> dict[str, Any]:
        """The options as JSON values."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        said = None if self.decision is None else str(self.decision)
        return {**found, "overrides": dict(self.overrides), "decision": said}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> SubmitOptions:
        """The options of a document of `as_dict`."""
        said = document.get("decision")
        known = {one.name: document[one.name] for one in fields(cls) if one.name in document}
        return cls(**{**known, "decision": None if said is None else decision(said)})


def duration(text: str) -> float:
    """Seconds of a duration given with --time-budget. Raises InputError."""
    from automl_jobs.spec import settings
    from forestay.documents.names import BadSetting

    try:
        return settings.seconds(text)
    except BadSetting as error:
        raise InputError(str(error), where="--time-budget", fix=error.fix) from error


def decision(text: str) -> DecisionSetting:
    """The setting given with --decision. Raises InputError."""
    from automl_jobs.spec import decisions
    from forestay.documents.names import BadSetting

    try:
        return decisions.parse(text)
    except BadSetting as error:
        raise InputError(str(error), where="--decision", fix=error.fix) from error


def budget(loaded: LoadedJob, options: SubmitOptions) -> float:
    """Seconds that the run may take: the flag, the property `forestay.time_budget`, or the file's time limit."""
    return options.time_budget or loaded.spec.time_budget_seconds


def seed(loaded: LoadedJob, options: SubmitOptions) -> int:
    if options.seed is not None:
        return options.seed
    return loaded.spec.forestay.seed or DEFAULT_SEED


def prefer(loaded: LoadedJob, options: SubmitOptions) -> str:
    """What the choice among the trials goes by: the flag, the property, or the balance of score and cost."""
    return options.prefer or loaded.spec.forestay.prefer or DEFAULT_PREFER


def submitted_options(detail: JobDetail) -> SubmitOptions | None:
    """The options that a job was submitted with, or last resumed; None where they were not kept."""
    kept = detail.documents.get("submit")
    return None if kept is None else SubmitOptions.of(kept["options"])


def prepare_job(
    path: Path,
    options: SubmitOptions,
    tell: Callable[[str], None] | None = None,
    before_data: Callable[[], None] | None = None,
) -> Prepared:
    """Load and check a job file and its data. Raises InputError for all that is wrong.

    Parameters
    ----------
    tell: is told what is being read where that takes a while.
    before_data: is called once the file is found right, before anything of its data is read.
    """
    if options.env != LOCAL:
        raise InputError(
            "this trains on this machine only",
            where=f"--env {options.env}",
            fix=f"send the job to Azure: forestay job submit {path} --env {options.env}; or leave --env away",
        )
    from automl_jobs.spec import load_job

    loaded = load_job(path, options.overrides)
    if before_data is not None:
        before_data()
    from automl_jobs.prepare import prepare
    from automl_jobs.prepare.labels import decision_problem

    prepared = prepare(loaded, tell)
    if options.bagged_folds:
        prepared = replace(prepared, loaded=prepared.loaded.with_property("forestay.bagged_folds", "true"))
    if options.decision is None:
        return prepared
    wrong = decision_problem(options.decision, prepared.loaded.spec, prepared.train)
    if wrong is not None:
        raise InputError(str(wrong), where="--decision", fix=wrong.fix)
    # From here on the flag is as if the file said so.
    return replace(prepared, loaded=prepared.loaded.with_property("forestay.decision", str(options.decision)))


def meaning_here(prepared: Prepared, budget_seconds: float) -> list[str]:
    """What the keys that are meant for Azure do on this machine, a line each."""
    from automl_jobs.prepare.uses import TEXT_TASKS

    spec = prepared.loaded.spec
    lines = []
    if spec.compute or spec.resources:
        lines.append("compute and resources are for Azure; here the job trains on this machine")
    if budget_seconds >= 600:
        lines.append(
            f"the time limit is {budget_seconds / 60:g} minutes; Ctrl-C can finish earlier with what there is, "
            "--time-budget 60s sets less"
        )
    if spec.runs_here and spec.task in TEXT_TASKS:
        lines.append(
            "Azure fine-tunes a pretrained language model for this task; here linear models and trees learn from the "
            "words (TF-IDF)"
            if spec.task == "text_classification"
            else "Azure fine-tunes a pretrained language model for this task; here linear models learn from the words "
            "(TF-IDF), one a label"
        )
        keys = [key for key in ("training_parameters", "search_space", "sweep") if getattr(spec, key) is not None]
        if keys:
            lines.append(f"{', '.join(keys)} {'is' if len(keys) == 1 else 'are'} for Azure's language model")
    unbagged = spec.task in ("forecasting", "text_classification_multilabel")
    if spec.forestay.bagged_folds and (unbagged or prepared.plan.kind != "cross_validation"):
        lines.append("bagged folds change nothing here: they are for tables with n_cross_validations or given folds")
    if spec.runs_here:
        lines += _only_in_azure(spec)
    training = spec.training
    if spec.task == "forecasting" and training.enable_stack_ensemble and training.stack_ensemble_settings:
        lines.append("stack ensembles of forecasts are made in Azure only; here a voting ensemble competes")
    return lines


def _only_in_azure(spec: JobSpec) -> list[str]:
    from automl_jobs.engine import tasks

    here = tasks.of(spec.task).algorithms(spec.task)
    named = [name for name in spec.training.allowed_training_algorithms or () if name not in here]
    if spec.task == "forecasting" and spec.training.enable_dnn_training:
        named += [name for name in spec.algorithms if name not in here and name not in named]
    return [f"{', '.join(named)} trains in Azure only"] if named else []


def submit(prepared: Prepared, options: SubmitOptions, listener: Listener, resumed: str = "") -> str:
    """Train a prepared job on this machine, or go on with the job `resumed`; returns the job's name.

    Errors are those of `engine.run.run`.
    """
    from automl_jobs.engine.run import RunSettings, run
    from forestay.project import home

    loaded = prepared.loaded
    settings = RunSettings(
        seconds=budget(loaded, options),
        seed=seed(loaded, options),
        prefer=prefer(loaded, options),
        options=options.as_dict(),
    )
    return run(prepared, home(), settings, listener, resumed)


def parse_overrides(pairs: tuple[str, ...]) -> dict[str, str]:
    """`--set KEY=VALUE` options as a mapping. Raises InputError for all that have no `=`."""
    wrong = [
        Problem("--set", f"{pair!r} has no '='", "write --set limits.max_trials=5") for pair in pairs if "=" not in pair
    ]
    if wrong:
        raise InputError.of(wrong)
    return dict(pair.split("=", 1) for pair in pairs)
