"""The guardrails that Azure has for a table, and what a target must be."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_jobs import labels
from automl_jobs.data import ColumnType
from automl_jobs.engine.features import COUNTED_LEVELS, hashed_columns
from automl_jobs.engine.guardrails.guardrail import ALERTED, DONE, PASSED, Guardrail
from automl_jobs.prepare.findings import listed
from automl_jobs.prepare.labels import balances, find_label, imbalanced
from automl_jobs.spec.decisions import AUTOMATIC
from forestay.documents.names import shown

if TYPE_CHECKING:
    import pandas as pd

    from automl_jobs.engine.problem import Problem
    from automl_jobs.prepare import Prepared


FREQUENT = "the most frequent categories are kept apart, the rest count as one"
LISTED = 50
# The bound on memory that a training keeps to: six times the table and what the libraries need.
TABLE_TIMES, FIXED_BYTES = 6, 500 * 2**20


def validation_split(prepared: Prepared) -> Guardrail:
    name = "Validation split handling"
    spec, plan = prepared.loaded.spec, prepared.plan
    details = ({"kind": plan.kind, "folds": plan.folds, "fraction": plan.fraction},)
    said = spec.cv_split_column_names or spec.n_cross_validations or spec.validation_data_size
    if spec.validation_data is not None or isinstance(said, int | float | tuple):
        return Guardrail(name, PASSED, f"models are validated as the job says: {plan}", details)
    return Guardrail(name, DONE, f"the job leaves the validation open; by the number of rows it is {plan}", details)


def missing_values(prepared: Prepared) -> Guardrail:
    name = "Missing feature values imputation"
    assert prepared.train is not None
    rows = max(1, len(prepared.train.frame))
    used = {use.name: use for use in prepared.columns if use.used}
    counts = prepared.train.frame[list(used)].isna().sum()
    details = tuple(
        {"column": column, "missing": int(count), "share": round(int(count) / rows, 6)}
        for column, count in counts.sort_values(ascending=False, kind="stable").items()
        if count
    )
    if not details:
        return Guardrail(name, PASSED, "no value of a feature is missing in the training data")
    description = (
        f"{len(details)} column{'s have' if len(details) > 1 else ' has'} missing values: trees take missing as a "
        "value of its own, other algorithms get the median or a category, unless featurization names an imputer"
    )
    return Guardrail(name, DONE, description, details[:LISTED])


def high_cardinality(prepared: Prepared) -> Guardrail:
    name = "High cardinality feature detection"
    assert prepared.train is not None
    distinct = {column.name: column.distinct for column in prepared.train.columns}
    details: list[dict[str, Any]] = []
    named = [use.name for use in prepared.columns if use.used and use.type is ColumnType.CATEGORICAL]
    hashed = hashed_columns(named, prepared.loaded.spec.featurization, distinct)
    for use in prepared.columns:
        if use.type is ColumnType.IDENTIFIER and not use.used and use.reason == "an identifier":
            details.append({"column": use.name, "distinct": distinct[use.name], "handling": "left out: an identifier"})
        elif use.used and use.type is ColumnType.CATEGORICAL and distinct[use.name] > COUNTED_LEVELS:
            what = "hashed for models that count categories" if use.name in hashed else FREQUENT
            details.append({"column": use.name, "distinct": distinct[use.name], "handling": what})
    if not details:
        return Guardrail(name, PASSED, "no column has so many categories that it needs handling")
    return Guardrail(name, DONE, f"handled: {listed(row['column'] for row in details)}", tuple(details[:LISTED]))


def class_balance(prepared: Prepared) -> Guardrail:
    name = "Class balancing detection"
    assert prepared.train is not None
    target = prepared.loaded.spec.target_column_name
    if prepared.loaded.spec.task == "text_classification_multilabel":
        return _label_balance(name, prepared.train.frame[target])
    counts = prepared.train.frame[target].value_counts()
    spec = prepared.loaded.spec
    positive = None if spec.positive_label is None else find_label(spec.positive_label, counts.index)
    details: tuple[dict[str, Any], ...] = tuple(
        {"class": str(label), "rows": int(count), **({"positive": True} if label == positive else {})}
        for label, count in counts.items()
    )
    smallest, largest = details[-1], details[0]
    if not imbalanced(counts):
        return Guardrail(name, PASSED, "every class is well represented in the training data", details[:LISTED])
    description = (
        f"the classes are imbalanced: {shown(largest['class'])!r} has {largest['rows']:,} rows, "
        f"{shown(smallest['class'])!r} {smallest['rows']:,}"
    )
    setting = spec.forestay.decision or AUTOMATIC
    if balances(spec.metric, setting):
        what = "balanced class weights are tried, and labels are decided for the recall of all classes alike"
        return Guardrail(name, DONE, f"{description}; {what}", (*details[: LISTED - 1], smallest))
    if setting.binary:
        what = f"labels are decided by {setting}, as asked for"
        return Guardrail(name, DONE, f"{description}; {what}", (*details[: LISTED - 1], smallest))
    fix = (
        "judge models by AUC_weighted, norm_macro_recall or the recall of the rare class rather than by accuracy; "
        "--decision balanced decides for all classes alike"
    )
    return Guardrail(name, ALERTED, description, (*details[: LISTED - 1], smallest), fix)


def _label_balance(name: str, cells: pd.Series[Any]) -> Guardrail:
    """Of several labels a row each is learned on its own, so that a rare one spoils no other."""
    counts = Counter(label for row in labels.parse(cells).rows for label in row)
    details: tuple[dict[str, Any], ...] = tuple({"class": label, "rows": rows} for label, rows in counts.most_common())
    rarest = details[-1]
    description = (
        f"each label is learned on its own; the rarest, {shown(rarest['class'])!r}, has {rarest['rows']:,} rows"
    )
    return Guardrail(name, PASSED, description, (*details[: LISTED - 1], rarest))


def constant_target(prepared: Prepared, problem: Problem | None) -> Guardrail:
    name = "Constant target detection"
    target = shown(prepared.loaded.spec.target_column_name)
    splits = problem.splits if problem is not None else ()
    for number, (train, valid) in enumerate(splits, start=1):
        for side, rows in (("training", train), ("validation", valid)):
            values = problem.target[rows] if problem is not None else np.array([])
            if len(values) and bool((values == values[0]).all()):
                which = f"split {number} of {len(splits)}" if len(splits) > 1 else "the split"
                return Guardrail(
                    name,
                    ALERTED,
                    f"{target!r} is always the same in the {side} rows of {which}, where AUC has no value",
                    ({"split": number, "side": side, "rows": len(values)},),
                    "validate on rows with every value of the target: other folds, or other validation_data",
                )
    return Guardrail(name, PASSED, f"{target!r} varies in the rows that models are trained and validated on")


def memory(prepared: Prepared) -> Guardrail:
    import psutil

    name = "Memory issues detection"
    tables = [table for table in (prepared.train, prepared.validation, prepared.test) if table is not None]
    size = sum(int(table.frame.memory_usage().sum()) for table in tables)
    needed, free = TABLE_TIMES * size + FIXED_BYTES, int(psutil.virtual_memory().available)
    details = ({"table_bytes": size, "needed_bytes": needed, "available_bytes": free},)
    if needed <= free:
        return Guardrail(name, PASSED, f"the data takes {_megabytes(size)}, which fits well in memory", details)
    return Guardrail(
        name,
        ALERTED,
        f"training may need {_megabytes(needed)} and {_megabytes(free)} are free: trials may run out of memory",
        details,
        "close other programs, set limits.max_concurrent_trials: 1, or train on a sample of the rows",
    )


def _megabytes(size: int) -> str:
    return f"{size / 2**20:,.0f} MB"
