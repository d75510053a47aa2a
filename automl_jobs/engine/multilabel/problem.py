"""The problem of a multi-label job: that of a classifier, whose target is an indicator matrix of labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from automl_jobs import labels
from automl_jobs.engine import problem as tabular
from automl_jobs.engine.problem import Problem

if TYPE_CHECKING:
    from automl_jobs.prepare import Prepared


def build(prepared: Prepared, seed: int) -> Problem:
    """The problem of a prepared job.

    Its `target` is (n, k), 1 where a row has a label; `classes` are the labels of training and validation data, sorted
    texts, as Azure has them. Rows with the same set of labels are spread over the folds where every set has two.
    """
    found = tabular.build(prepared, seed)
    assert found.classes is not None
    cells = [found.classes[number] for number in found.target]
    # Training and validation data may be written in different ways.
    first = len(cells) if prepared.validation is None else len(found.splits[0][0])
    rows = [row for part in (cells[:first], cells[first:]) for row in labels.parse(part).rows]
    classes = sorted({label for row in rows for label in row})
    return replace(
        found,
        target=np.asarray(labels.indicator(rows, classes)),
        classes=classes,
        schema={**found.schema, "classes": classes, "target_type": "string"},
    )
