"""The target of a multi-label job: a list of labels in each row."""

from __future__ import annotations

from collections import Counter

from automl_jobs.data import ColumnType, Table
from automl_jobs.labels import BadLabels, LabelColumn, parse
from automl_jobs.prepare.findings import Findings, listed
from automl_jobs.prepare.plan import ValidationPlan
from automl_jobs.spec import JobSpec
from forestay.documents.names import shown

TASK = "text_classification_multilabel"
MANY_LABELS = 100
_FIX = "write each row as a list, such as ['sports', 'real estate'], or every row as plain words: sports,politics"


def read_as_text(spec: JobSpec, table: Table) -> bool:
    """Whether the target must be read again as the text that it is: 1,2 are two labels, not a number."""
    words = (ColumnType.CATEGORICAL, ColumnType.TEXT, ColumnType.IDENTIFIER, ColumnType.CONSTANT)
    types = {column.name: column.type for column in table.columns}
    return spec.task == TASK and types.get(spec.target_column_name, ColumnType.TEXT) not in words


def target(spec: JobSpec, table: Table, plan: ValidationPlan, findings: Findings, key: str) -> None:
    """Every row is a list of labels, there are two labels or more, and enough rows of each."""
    found = _parsed(spec, table, findings, key)
    if found is None:
        return
    name = shown(spec.target_column_name)
    counts = Counter(label for row in found.rows for label in row)
    if len(counts) < 2:
        what = f"one label only: {shown(next(iter(counts)))!r}" if counts else "no label in any row"
        findings.error(key, f"the target {name!r} has {what}", "a multi-label job needs two labels or more")
        return
    if all(len(row) == 1 for row in found.rows):
        findings.warn(key, f"every row of {name!r} has exactly one label", "set task: text_classification")
    if found.torn is not None:
        findings.warn(
            key,
            f"plain labels are taken apart at every character but letters, digits and _, as in Azure: "
            f"{shown(found.torn)!r}",
            "write the rows as lists: ['real estate', 'sports']",
        )
    if len(counts) > MANY_LABELS:
        findings.warn(
            key, f"the target {name!r} has {len(counts)} labels", "few rows for each make a weak model; join rare ones"
        )
    needed = plan.folds if plan.kind == "cross_validation" and plan.folds and not plan.fraction else 2
    rare = sorted(((label, count) for label, count in counts.items() if count < needed), key=lambda pair: pair[1])
    if rare:
        findings.warn(
            key,
            f"labels with fewer than {needed} rows: {listed(f'{label} ({count})' for label, count in rare)}",
            "some folds will not see them; add rows, or join rare labels",
        )


def further(spec: JobSpec, table: Table, train: Table, findings: Findings, key: str) -> None:
    """The same of validation data, whose labels should be those of the training data."""
    known = table.frame[spec.target_column_name].notna()
    found = _parsed(spec, table, findings, key) if known.any() else None
    try:
        seen = set(parse(train.frame[spec.target_column_name]).classes)
    except BadLabels:  # told already, of the training data
        return
    unseen = [label for label in found.classes if label not in seen] if found else []
    if unseen:
        findings.warn(key, f"{shown(table.source)} has labels that the training data lacks: {listed(unseen)}")


def _parsed(spec: JobSpec, table: Table, findings: Findings, key: str) -> LabelColumn | None:
    try:
        return parse(table.frame[spec.target_column_name])
    except BadLabels as error:
        findings.error(
            key,
            f"the target {shown(spec.target_column_name)!r}: row {error.row + 1} of {shown(table.source)} "
            f"{shown(str(error), 200)}",
            _FIX,
        )
        return None
