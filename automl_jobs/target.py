"""The column to predict: what it holds, and the task and the metric that fit it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from automl_jobs.data import Column, ColumnType, Table
from automl_jobs.data.kinds import plain, unknown_column
from forestay.errors import InputError
from forestay.words import some

if TYPE_CHECKING:
    import pandas as pd

TASKS = ("classification", "regression", "forecasting")
# Whole numbers with at most this many values, each in ten rows on average, are classes.
_MAX_NUMBER_CLASSES = 10
_ROWS_A_CLASS = 10
# Classes are unbalanced when the largest has this many times the rows of the smallest.
_UNBALANCED = 3.0
# With more classes than this share of the rows there is nothing to learn from.
_MAX_CLASS_SHARE = 0.5
_SHOWN_CLASSES = 10


@dataclass(frozen=True)
class Target:
    """What the target holds, the task and metric that fit it, and why.

    Parameters
    ----------
    classes: label and rows of each class, largest first; None when the target is a number.
    summary: the target in one line.
    """

    column: Column
    task: str
    task_reason: str
    metric: str
    metric_reason: str
    summary: str
    classes: tuple[tuple[str, int], ...] | None
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.column.name,
            "task": self.task,
            "task_reason": self.task_reason,
            "primary_metric": self.metric,
            "metric_reason": self.metric_reason,
            "classes": None if self.classes is None else [{"class": name, "rows": rows} for name, rows in self.classes],
            "warnings": list(self.warnings),
        }


def about_target(
    table: Table, name: str, where: str = "--target", task: str | None = None, metric: str | None = None
) -> Target:
    """Look at the column to predict, and choose what is not given.

    Raises InputError for a column that is not there, has nothing to learn, or does not fit `task` or `metric`.
    """
    try:
        column = table.column(name)
    except KeyError:
        raise unknown_column(name, [each.name for each in table.columns], where) from None
    series = table.frame[name]
    there = series.dropna()
    if column.type is ColumnType.CONSTANT or column.distinct < 2:
        state = "always the same value" if len(there) else "never there"
        raise InputError(f"column {name!r} is {state}: nothing to learn", where=where, fix="choose another column")
    if column.type is ColumnType.DATETIME:
        raise InputError(
            f"column {name!r} holds dates, which cannot be predicted", where=where, fix="choose a number or a class"
        )
    task, task_reason = _task(column, there, task, where)
    warnings = []
    if column.missing:
        warnings.append(f"{column.missing:,} rows without a target are left out of training")
    classes = None
    if task == "classification":
        counts = there.value_counts()
        classes = tuple((_label(label), int(rows)) for label, rows in counts.items())
        summary = _class_summary(classes)
        lonely = sum(1 for _, rows in classes if rows < 2)
        if lonely:
            warnings.append(f"{lonely} classes have a single row each, too few to be learned and checked")
    else:
        summary = f"{column.distinct:,} numbers from {there.min():g} to {there.max():g}, median {there.median():g}"
    metric, metric_reason = _metric(task, classes, metric)
    return Target(column, task, task_reason, metric, metric_reason, summary, classes, tuple(warnings))


def _task(column: Column, there: pd.Series, given: str | None, where: str) -> tuple[str, str]:
    """The task and why."""
    numeric = column.type is ColumnType.NUMERIC or (column.type is ColumnType.IDENTIFIER and there.dtype.kind in "if")
    if given is not None:
        if given != "classification" and not numeric:
            raise InputError(
                f"{given} predicts a number, but {column.name!r} is {column.type}",
                where="--task",
                fix=f"say --task classification, or --type {column.name}=numeric",
            )
        if given == "classification":
            _check_classes(column, there, where)
        return given, "as asked"
    if not numeric:
        _check_classes(column, there, where)
        return "classification", f"the target is {column.type}, with {column.distinct:,} different values"
    whole = bool((there % 1 == 0).all())
    if column.distinct == 2:
        return "classification", "the target has two values; --task regression takes them as numbers"
    if whole and column.distinct <= _MAX_NUMBER_CLASSES and len(there) >= _ROWS_A_CLASS * column.distinct:
        return (
            "classification",
            f"the target has only {column.distinct} different whole numbers; --task regression takes them as numbers",
        )
    return "regression", f"the target is a number with {column.distinct:,} different values"


def _check_classes(column: Column, there: pd.Series, where: str) -> None:
    if column.distinct > len(there) * _MAX_CLASS_SHARE and len(there) > 2 * _ROWS_A_CLASS:
        raise InputError(
            f"column {column.name!r} has {column.distinct:,} values in {len(there):,} rows: no classes to learn",
            where=where,
            fix="choose a column whose values repeat, or a number (--task regression)",
        )


def _class_summary(classes: Sequence[tuple[str, int]]) -> str:
    total = sum(rows for _, rows in classes)
    shares = [f"{plain(name)} {rows / total:.1%}" for name, rows in classes]
    return f"{len(classes)} classes: {some(shares, _SHOWN_CLASSES)}"


def _label(value: object) -> str:
    """A class as text: 3.0 of a column with missing values was written 3."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _metric(task: str, classes: Sequence[tuple[str, int]] | None, given: str | None) -> tuple[str, str]:
    """The primary metric, as a job file writes it, and why."""
    from automl_jobs.spec.metrics import PRIMARY_METRICS
    from forestay.documents.names import snake

    known = PRIMARY_METRICS[task]
    if given is not None:
        if snake(given) not in known:
            near = difflib.get_close_matches(snake(given), known, n=2) or known
            raise InputError(f"{given!r} is no metric of {task}", where="--metric", fix=f"one of: {', '.join(near)}")
        return snake(given), "as asked"
    if classes is None:
        return "normalized_root_mean_squared_error", "the usual error of a number, relative to its range"
    largest, smallest = classes[0][1], classes[-1][1]
    if largest < _UNBALANCED * smallest:
        return "accuracy", "the classes are about equally frequent"
    share = largest / sum(rows for _, rows in classes)
    reason = f"the classes are unbalanced: always saying {plain(classes[0][0])} would have accuracy {share:.2f}"
    return ("auc_weighted" if len(classes) == 2 else "norm_macro_recall"), reason
