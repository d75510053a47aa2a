"""The labels of a target: how they are written, which of them is meant, and what a decision needs of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_jobs.spec.decisions import AUTO, BALANCED
from forestay.documents.names import BadSetting

if TYPE_CHECKING:
    from automl_jobs.data import Table
    from automl_jobs.spec import JobSpec
    from automl_jobs.spec.decisions import DecisionSetting

# Azure, "Identify models with imbalanced data": the smallest class has at most a fifth of the rows of the largest.
IMBALANCE = 0.2
CLASSIFIES = ("classification", "text_classification")


def imbalanced(sizes: Iterable[float]) -> bool:
    """Whether the rows of the classes differ so much that the rare ones need looking after."""
    counts = list(sizes)
    return bool(counts) and min(counts) <= IMBALANCE * max(counts)


def balances(metric: str, setting: DecisionSetting) -> bool:
    """Whether a job seeks all classes alike: by its primary metric, or by how it is asked to decide."""
    return setting.kind == BALANCED or (setting.kind == AUTO and metric == "norm_macro_recall")


def plain_label(value: Any) -> Any:
    """A label as a plain Python value of its own type; a whole number that was read as a fraction is whole."""
    plain = value.item() if isinstance(value, np.generic) else value
    return int(plain) if isinstance(plain, float) and plain.is_integer() else plain


def find_label(text: str, labels: Iterable[Any]) -> Any | None:
    """The label that a job file's text means: "1" is 1 and 1.0, "true" is True; None where there is no such label."""
    for label in labels:
        plain = plain_label(label)
        if text == str(plain) or (isinstance(plain, bool) and text.lower() == str(plain).lower()):
            return plain
    return None


def decision_problem(setting: DecisionSetting, spec: JobSpec, train: Table | None) -> BadSetting | None:
    """What keeps a job from deciding so.

    Parameters
    ----------
    train: the training data, None where it can't be reached.
    """
    if spec.task not in CLASSIFIES:
        return BadSetting(f"{setting} decides between classes, and {spec.task} has none", "leave it out")
    if not setting.binary or train is None:
        return None
    labels = train.frame[spec.target_column_name].dropna().unique()
    if len(labels) > 2:
        fix = "take auto, balanced or argmax"
        return BadSetting(f"{setting} needs two classes; the target has {len(labels)}", fix)
    if setting.costs is not None and spec.positive_label is None:
        fix = f"set positive_label to one of {', '.join(sorted(str(plain_label(label)) for label in labels))}"
        return BadSetting(f"{setting} needs to know which class is the positive one", fix)
    return None
