"""The advanced settings of a new job, in the order in which Azure's portal asks for them.

`job new` asks them on a terminal and the studio shows them as a form; each is a key of the job file, as `--set` takes.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
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
    choices: the values it can have; empty where it is typed. many: whether it takes several of them.
    text: whether what is typed is a text, which YAML might read as something else; several stand with commas between.
    """

    key: str
    title: str
    hint: str
    choices: tuple[str, ...] = ()
    many: bool = False
    text: bool = False

    def value(self, given: Sequence[str]) -> str:
        """What was chosen or typed, as YAML."""
        words = (
            given
            if not self.many
            else [word.strip() for row in csv.reader(given, skipinitialspace=True) for word in row]
        )
        if self.text:
            words = [json.dumps(word, ensure_ascii=False) for word in words]
        return f"[{', '.join(words)}]" if self.many else words[0].strip()


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
        found.append(
            Setting("positive_label", "positive label", "of two classes, the one that metrics are about", text=True)
        )
    if task == "forecasting":
        found += [
            Setting("forecasting.forecast_horizon", "horizon", "how many periods ahead; otherwise told from the data"),
            Setting("forecasting.time_series_id_column_names", "series columns", "tell series apart", (), True, True),
            Setting("forecasting.frequency", "frequency", "of the rows: D, W, MS", text=True),
        ]  # fmt: skip
    return found
