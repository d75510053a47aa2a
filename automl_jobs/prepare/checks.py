"""The data against the job: target, weights, folds, series, featurization, and the other tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from automl_jobs.data import Column, ColumnType, Table
from automl_jobs.data.dates import IN_UTC
from automl_jobs.prepare import label_lists
from automl_jobs.prepare.findings import Findings, listed
from automl_jobs.prepare.labels import decision_problem, find_label, plain_label
from automl_jobs.prepare.plan import HOLDOUT_FRACTION, ValidationPlan
from automl_jobs.prepare.uses import TEXT_TASKS, ColumnUse, as_typed, roles
from automl_jobs.spec import JobSpec
from forestay.documents.names import closest, shown

if TYPE_CHECKING:
    import pandas as pd

AZURE_LEAST_ROWS = 50  # Azure AutoML refuses less: "must be at least 50"
MANY_CLASSES = 100
CONTINUOUS_DISTINCT = 20
WEIGHTS_ARE = "weights are numbers from 0 up, one in each row"


def names_in_data(spec: JobSpec, table: Table, findings: Findings) -> None:
    """Every column that the job names is there, once, and has one role."""
    names = [column.name for column in table.columns]
    source = shown(table.source)
    single = {"target_column_name": spec.target_column_name, "weight_column_name": spec.weight_column_name}
    for key, name in single.items():
        if name and not findings.absent(key, [name], names, source) and names.count(name) > 1:
            findings.error(
                key, f"{source} has {names.count(name)} columns called {shown(name)!r}", "rename one of them"
            )
    findings.absent("cv_split_column_names", spec.cv_split_column_names or (), names, source)
    findings.absent("featurization.column_name_and_types", spec.featurization.column_name_and_types, names, source)
    for entries in spec.featurization.transformer_params.values():
        for entry in entries:
            findings.absent("featurization.transformer_params", entry.fields_, names, source)
    if spec.forecasting:
        findings.absent("forecasting.time_column_name", [spec.forecasting.time_column_name], names, source)
        for key in ("time_series_id_column_names", "features_unknown_at_forecast_time"):
            findings.absent(f"forecasting.{key}", getattr(spec.forecasting, key), names, source)
    named = [
        name for name in (spec.target_column_name, spec.weight_column_name, *(spec.cv_split_column_names or ())) if name
    ]
    if spec.forecasting:
        named.append(spec.forecasting.time_column_name)
    for name in dict.fromkeys(name for name in named if named.count(name) > 1):
        findings.error(
            "target_column_name", f"the column {shown(name)!r} is named for two purposes", "name another one"
        )


def labelled(table: Table, target: str, findings: Findings, key: str) -> Table:
    """The table without the rows whose target is missing; a warning counts them."""
    known = table.frame[target].notna()
    lost = int((~known).sum())
    if not lost:
        return table
    if lost == len(known):
        findings.error(
            "target_column_name",
            f"the target {shown(target)!r} is missing in every row of {shown(table.source)}",
            "name a column with values",
        )
        return table
    findings.warn(key, f"{lost} of {len(known)} rows of {shown(table.source)} have no target: they are left out")
    return Table(table.frame[known].reset_index(drop=True), table.columns, table.source, table.notes, table.reading)


def target_values(spec: JobSpec, table: Table, plan: ValidationPlan, findings: Findings) -> None:
    """The target fits the task, and there are enough rows of each kind."""
    import pandas as pd

    name = spec.target_column_name
    column = table.column(name)
    values = table.frame[name]
    key = "target_column_name"
    if spec.task == label_lists.TASK:
        label_lists.target(spec, table, plan, findings, key)
        return
    decision(spec, table, findings)
    if spec.task in ("regression", "forecasting"):
        if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
            findings.error(
                key,
                f"the target {shown(name)!r} of a {spec.task} must be numbers; it is {_described(column)}",
                "set task: classification, name another column, or correct the data",
            )
        elif values.nunique() == 1:
            findings.error(
                key, f"the target {shown(name)!r} is always {shown(column.examples[0])}", "name a column that varies"
            )
        return
    counts = values.value_counts()
    if len(counts) == 1:
        findings.error(
            key,
            f"the target {shown(name)!r} has one class only: {shown(str(counts.index[0]))!r}",
            "a classifier needs two or more",
        )
        return
    if len(counts) == len(values):
        findings.error(
            key,
            f"every row has another value of {shown(name)!r}: these are no classes",
            "name another column, or set task: regression",
        )
        return
    if pd.api.types.is_float_dtype(values) and len(counts) > CONTINUOUS_DISTINCT and bool((values % 1 != 0).any()):
        findings.warn(
            key,
            f"the target {shown(name)!r} looks continuous: {len(counts)} different fractions",
            "set task: regression to predict a number",
        )
    elif len(counts) > MANY_CLASSES:
        findings.warn(
            key,
            f"the target {shown(name)!r} has {len(counts)} classes",
            "few rows for each make a weak model; join rare ones",
        )
    needed = plan.folds if plan.kind == "cross_validation" and not plan.fraction else 2
    rare = counts[counts < (needed or 2)]
    if len(rare):
        where = f"fewer than the {needed} folds" if plan.kind == "cross_validation" else "fewer than 2"
        findings.warn(
            key,
            f"classes with {where} have rows: {listed(f'{label} ({count})' for label, count in rare.items())}",
            "some folds will not see them; add rows, or join rare classes",
        )
    _positive_label(spec, counts.index.tolist(), findings)


def _described(column: Column) -> str:
    return f"{column.type}, such as {listed(column.examples)}" if column.examples else f"{column.type}"


def decision(spec: JobSpec, table: Table | None, findings: Findings) -> None:
    """The decision that the file asks for can be made between these classes."""
    setting = spec.forestay.decision
    wrong = None if setting is None else decision_problem(setting, spec, table)
    if wrong is not None:
        findings.error("properties.forestay.decision", f"`properties.forestay.decision` {wrong}", wrong.fix)


def _positive_label(spec: JobSpec, labels: list[Any], findings: Findings) -> None:
    label = spec.positive_label
    if label is None:
        return
    classes = [str(plain_label(known)) for known in labels]
    if find_label(label, labels) is None:
        findings.error(
            "positive_label",
            f"`positive_label` {shown(label)!r} is no class of the target",
            f"classes: {listed(closest(label, classes) or classes)}",
        )
    elif len(classes) > 2:
        findings.warn(
            "positive_label", f"`positive_label` only matters with two classes; the target has {len(classes)}"
        )


def weights(spec: JobSpec, frame: pd.DataFrame, findings: Findings, key: str = "training_data") -> None:
    """Row weights are finite numbers, none missing, none negative, not all zero.

    Rows of validation or test data without the column count one each; a warning says so.
    """
    name = spec.weight_column_name
    if not name or (spec.forecasting is not None and key != "training_data"):
        return
    if name not in frame.columns:
        if key != "training_data":
            findings.warn(
                key, f"`{key}` lacks the weight column {shown(name)!r}: each of its rows counts one", "add the column"
            )
        return
    wrong = wrong_weights(frame[name])
    if wrong:
        findings.error(
            "weight_column_name",
            f"the weight column {shown(name)!r}{'' if key == 'training_data' else f' of `{key}`'} {wrong}",
            WEIGHTS_ARE,
        )


def wrong_weights(values: pd.Series[Any]) -> str:
    """What keeps a column from being the rows' weights; "" for nothing."""
    import numpy as np
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return "must hold numbers"
    if values.isna().any():
        return f"has no value in {int(values.isna().sum())} rows"
    if (values < 0).any():
        return f"is negative in {int((values < 0).sum())} rows"
    if np.isinf(values.astype("float64")).any():
        return f"is infinite in {int(np.isinf(values.astype('float64')).sum())} rows"
    return "" if (values > 0).any() else "is zero in every row"


def fold_marks(spec: JobSpec, frame: pd.DataFrame, findings: Findings) -> None:
    """Azure's `cv_split_column_names`: in each column 1 marks training rows and 0 validation rows."""
    import pandas as pd

    for name in spec.cv_split_column_names or ():
        if name not in frame.columns:
            continue
        marks = pd.to_numeric(frame[name].astype("object"), errors="coerce")
        fine = bool(marks.isin([0, 1]).all())
        if not fine or marks.nunique() < 2:
            what = "only one of 0 and 1" if fine else "values other than 0 and 1"
            findings.error(
                "cv_split_column_names",
                f"the fold column {shown(name)!r} holds {what}",
                "1 marks a training row, 0 a validation row",
            )


def row_count(rows: int, plan: ValidationPlan, findings: Findings) -> None:
    """There are enough rows to train and validate on."""
    folds = plan.folds or 1
    if plan.kind == "cross_validation" and not plan.fraction:
        least, why = 2 * folds, f"two for each of {folds} folds"
    elif plan.kind in ("holdout", "cross_validation"):
        share = plan.fraction or HOLDOUT_FRACTION
        least, why = max(4, round(1 / min(share, 1 - share)) + 1), f"so that {share:.0%} of them is something"
    else:
        least, why = 2, "two at least"
    if rows < least:
        findings.error("training_data", f"{rows} rows are too few to train on", f"{least} are needed: {why}")
    elif rows < AZURE_LEAST_ROWS:
        findings.warn(
            "training_data",
            f"{rows} rows: Azure AutoML refuses fewer than {AZURE_LEAST_ROWS}",
            "scores of so few rows mean little",
        )


def features(spec: JobSpec, uses: tuple[ColumnUse, ...], findings: Findings) -> None:
    """Something is left to learn from."""
    text_task = spec.task in TEXT_TASKS
    if any(use.used and (use.type is ColumnType.TEXT or not text_task) for use in uses):
        if spec.featurization.mode == "off":
            left_out = [use.name for use in uses if use.reason == "featurization is off"]
            if left_out:
                findings.warn(
                    "featurization.mode",
                    f"featurization is off, so columns that are no numbers are not used: {listed(left_out)}",
                    "Azure AutoML refuses such columns when featurization is off: drop them, or set mode: auto",
                )
        return
    taken = roles(spec)
    reasons = [f"{shown(use.name)} ({use.reason})" for use in uses if use.name not in taken]
    what = "a text task needs a column with text" if text_task else "no column is left to learn from"
    findings.error(
        "training_data",
        what,
        f"not used: {', '.join(reasons[:8])}" if reasons else "the data has no other column than the target",
    )


def series_columns(spec: JobSpec, table: Table, findings: Findings) -> None:
    """A forecast's time column holds dates; an offset that moves them is told."""
    if spec.forecasting is None:
        return
    name = spec.forecasting.time_column_name
    if name in table.frame.columns and table.column(name).type is not ColumnType.DATETIME:
        column = table.column(name)
        findings.error(
            "forecasting.time_column_name",
            f"the time column {shown(name)!r} holds no dates; it is {_described(column)}",
            "write dates as 2026-01-31 or 2026-01-31 12:00:00",
        )
    elif name in table.frame.columns and IN_UTC in table.column(name).warnings:
        findings.warn(
            "forecasting.time_column_name",
            f"times in {shown(name)!r} are written with an offset: they are taken in UTC, and so are days and hours",
            "write them without an offset to keep the hours of the clock",
        )


def without_effect(spec: JobSpec, findings: Findings) -> None:
    """What a forecasting job may say and no forecast here goes by."""
    if spec.forecasting is None:
        return
    given = {
        "weight_column_name": (spec.weight_column_name, "every period counts the same"),
        "cv_split_column_names": (spec.cv_split_column_names, "forecasts are validated by rolling origin"),
        "validation_data_size": (spec.validation_data_size, "forecasts are validated by rolling origin"),
        "featurization.transformer_params": (
            spec.featurization.transformer_params,
            "missing values of features stay as they were last known",
        ),
        "featurization.blocked_transformers": (
            spec.featurization.blocked_transformers,
            "features are numbers as they are, and categories",
        ),
    }
    for key, (value, why) in given.items():
        if value:
            findings.warn(key, f"`{key}` has no effect on a forecast here: {why}", "leave it out, or train in Azure")


def same_columns(
    key: str, spec: JobSpec, table: Table, train: Table, uses: tuple[ColumnUse, ...], findings: Findings
) -> Table:
    """Validation or test data with the columns and types of the training data. The target may have unseen classes."""
    there = [column.name for column in table.columns]
    needed = [spec.target_column_name, *(use.name for use in uses if use.used)]
    missing = [name for name in needed if name not in there]
    if missing:
        findings.error(
            key,
            f"{shown(table.source)} lacks columns of the training data: {listed(missing)}",
            f"its columns: {listed(there)}",
        )
        return table
    types = {use.name: use.type for use in uses if use.used}
    target = train.column(spec.target_column_name)
    types[target.name] = target.type if target.type is not ColumnType.CONSTANT else table.column(target.name).type
    table = as_typed(table, types, findings, key)
    table = labelled(table, spec.target_column_name, findings, key)
    if spec.task == label_lists.TASK:
        label_lists.further(spec, table, train, findings, key)
    elif spec.task in ("classification", "text_classification"):
        seen = set(train.frame[spec.target_column_name].unique().tolist())
        unseen = [value for value in table.frame[spec.target_column_name].unique().tolist() if value not in seen]
        if unseen:
            findings.warn(
                key, f"{shown(table.source)} has classes that the training data lacks: {listed(map(str, unseen))}"
            )
    return table
