"""The advanced settings of a new job, in the order in which Azure's portal asks for them.

`job new` asks them on a terminal and the studio shows them as a form; each is a key of the job file, as `--set` takes.
"""

from __future__ import annotations

from dataclasses import dataclass

from automl_jobs.spec import algorithms
from automl_jobs.spec.settings import PREFERENCES

FLAG = ("true", "false")


@dataclass(frozen=True)
class Setting:
    """A key that may be set.

    Attributes
    ----------
    key: as `--set` takes it. title: what it is. hint: what it does, and what holds without it.
    choices: the values it can have; empty for a number or a text. many: whether it takes several of them.
    """

    key: str
    title: str
    hint: str
    choices: tuple[str, ...] = ()
    many: bool = False

    def value(self, given: list[str]) -> str:
        """What was chosen or typed, as YAML."""
        return f"[{', '.join(given)}]" if self.many else given[0].strip()


def settings(task: str) -> list[Setting]:
    """The settings of a task."""
    found = [
        Setting("training.enable_model_explainability", "explain the best model", "otherwise yes", FLAG),
        Setting(
            "training.blocked_training_algorithms",
            "blocked algorithms",
            "not tried; otherwise all are",
            tuple(algorithms.by_snake(task)),
            many=True,
        ),
        Setting("limits.exit_score", "exit score", "the job ends when a trial reaches it"),
        Setting("limits.trial_timeout_minutes", "minutes of one trial", "at most; otherwise 10"),
        Setting("limits.max_trials", "trials", "at most; otherwise 40"),
        Setting("limits.max_concurrent_trials", "trials at a time", "otherwise 2"),
        Setting("n_cross_validations", "cross-validation folds", "otherwise the number of rows decides"),
        Setting("validation_data_size", "share of rows to validate on", "a hold-out instead of folds: 0.2"),
        Setting("test_data_size", "share of rows to test on", "kept for one last score: 0.1"),
        Setting("training.enable_vote_ensemble", "voting ensemble", "otherwise tried", FLAG),
        Setting("training.enable_stack_ensemble", "stack ensemble", "otherwise tried", FLAG),
        Setting("properties.forestay.prefer", "prefer", "which trial is the model; otherwise balanced", PREFERENCES),
        Setting("properties.forestay.seed", "seed", "of everything random; otherwise 0"),
    ]  # fmt: skip
    if task == "classification":
        found.append(Setting("positive_label", "positive label", "of two classes, the one that metrics are about"))
    if task == "forecasting":
        found += [
            Setting("forecasting.forecast_horizon", "horizon", "how many periods ahead; otherwise told from the data"),
            Setting("forecasting.time_series_id_column_names", "series columns", "that tell series apart, in [ ]"),
            Setting("forecasting.frequency", "frequency", "of the rows, as pandas writes it: D, W, MS"),
        ]  # fmt: skip
    return found
