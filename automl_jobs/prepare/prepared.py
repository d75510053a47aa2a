"""`prepare`: read a job's data and look at it with the job's eyes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from automl_jobs.data import ColumnType, ReadOptions, Table, load_table
from automl_jobs.prepare import checks, ensembles, label_lists, transformers
from automl_jobs.prepare.findings import Findings
from automl_jobs.prepare.plan import ValidationPlan, plan_validation
from automl_jobs.prepare.uses import ColumnUse, as_typed, column_uses
from automl_jobs.spec import LoadedJob
from automl_jobs.spec.common import DataInput
from forestay.documents.names import closest, shown
from forestay.errors import InputError, OutsideError, Problem

if TYPE_CHECKING:
    from automl_jobs.engine.forecasting.outline import Outline

# Reading so much takes seconds.
LARGE_BYTES = 20e6
# The tasks whose data is a table of rows with a target, so that it can be looked at here.
TABLES = ("classification", "regression", "forecasting", "text_classification", "text_classification_multilabel")


@dataclass(frozen=True)
class Prepared:
    """A job and its data, checked.

    Attributes
    ----------
    train, validation, test: the tables, columns in their final types, rows without a target left out. None when the
        job has none, when it can't be reached from here, or when the task's data is no table.
    columns: what becomes of each column of the training data.
    plan: how models are validated.
    warnings: what doesn't stop the job but may not be meant.
    rows: rows of the training data as read; None when it can't be reached.
    unreachable: the keys of the inputs that lie elsewhere, such as training_data, with their paths.
    outline: the series of a forecasting job whose data is at hand; None for the other tasks.
    seconds: what reading and checking took.
    """

    loaded: LoadedJob
    train: Table | None
    validation: Table | None
    test: Table | None
    columns: tuple[ColumnUse, ...]
    plan: ValidationPlan
    warnings: tuple[Problem, ...] = ()
    rows: int | None = None
    unreachable: dict[str, str] = field(default_factory=dict)
    outline: Outline | None = None
    seconds: float = 0.0

    def release(self) -> None:
        """Give back the memory of all rows; columns, plan and warnings stay."""
        for table in (self.train, self.validation, self.test):
            if table is not None:
                table.release()

    def require_local(self) -> Table:
        """The training table. Raises OutsideError when a table of the job can't be reached from this machine."""
        if self.train is None or self.unreachable:
            problems = [
                Problem(
                    self.loaded.where(f"{key}.path"),
                    f"`{key}` is {shown(path)}, which can't be read from this machine",
                    f"download it and give its folder: --set {key}.path=./folder",
                )
                for key, path in self.unreachable.items()
            ]
            raise OutsideError.of(
                problems or [Problem(self.loaded.where("task"), "the data of this task can't be read on this machine")]
            )
        return self.train


def prepare(
    loaded: LoadedJob,
    tell: Callable[[str], None] | None = None,
    as_read: Callable[[str, Table], None] | None = None,
) -> Prepared:
    """Read the data of a job and check it against the job; nothing is trained.

    Parameters
    ----------
    tell: is told what is being read where that takes a while.
    as_read: is given each table as it was read, with its key in the job file, before it is looked at with the job.

    Data in Azure or on the web is not read: its table is None, and the job is still right.
    Raises InputError with everything that is wrong.
    """
    started = time.monotonic()
    spec = loaded.spec
    findings = Findings(loaded)
    if spec.task not in TABLES:
        return Prepared(loaded, None, None, None, (), plan_validation(spec, None), loaded.warnings)
    ensembles.meta_learner(spec, findings)
    unreachable: dict[str, str] = {}
    tables = {key: _read(key, data, findings, unreachable, tell) for key, data in spec.inputs().items()}
    for key, table in tables.items():
        if table is not None and as_read is not None:
            as_read(key, table)
    train, validation, test = (tables.get(key) for key in ("training_data", "validation_data", "test_data"))
    uses: tuple[ColumnUse, ...] = ()
    rows = None if train is None else len(train.frame)
    plan = plan_validation(spec, rows)
    if train is not None:
        checks.names_in_data(spec, train, findings)
        if findings.problems:
            raise InputError.of(findings.problems)
        train = checks.labelled(train, spec.target_column_name, findings, "target_column_name")
        uses = column_uses(spec, train.columns)
        train = as_typed(train, {use.name: use.type for use in uses}, findings, "featurization.column_name_and_types")
        plan = plan_validation(spec, len(train.frame))
        if train.frame[spec.target_column_name].notna().any():
            checks.target_values(spec, train, plan, findings)
        checks.weights(spec, train.frame, findings)
        checks.fold_marks(spec, train.frame, findings)
        checks.row_count(len(train.frame), plan, findings)
        checks.features(spec, uses, findings)
        transformers.check(spec, uses, findings)
        checks.series_columns(spec, train, findings)
        checks.without_effect(spec, findings)
        if validation is not None:
            validation = checks.same_columns("validation_data", spec, validation, train, uses, findings)
            checks.weights(spec, validation.frame, findings, "validation_data")
        if test is not None:
            test = checks.same_columns("test_data", spec, test, train, uses, findings)
            checks.weights(spec, test.frame, findings, "test_data")
    outline = None
    if spec.forecasting is not None and train is not None and not findings.problems and not unreachable:
        outline = _outline(findings, train, validation, test, uses)
        if outline is not None and plan.kind == "rolling_origin":
            plan = replace(plan, folds=len(outline.splits))
    if findings.problems:
        raise InputError.of(findings.problems)
    warnings = (*loaded.warnings, *findings.warnings)
    seconds = time.monotonic() - started
    return Prepared(loaded, train, validation, test, uses, plan, warnings, rows, unreachable, outline, seconds)


def _outline(
    findings: Findings, train: Table, validation: Table | None, test: Table | None, uses: tuple[ColumnUse, ...]
) -> Outline | None:
    """The series of a forecasting job; what is wrong with them goes to `findings`."""
    from automl_jobs.engine.forecasting.outline import outline

    spec = findings.loaded.spec
    assert spec.forecasting is not None
    roles = (spec.forecasting.time_column_name, *spec.forecasting.time_series_id_column_names)
    columns = tuple((use.name, str(use.type)) for use in uses if use.used and use.name not in roles)
    further = (None if table is None else table.frame for table in (validation, test))
    try:
        found = outline(spec, findings.loaded.where, columns, train.frame, *further)
    except InputError as error:
        findings.problems.extend(error.problems)
        return None
    findings.warnings.extend(found.warnings)
    return found


def _read(
    key: str, data: DataInput, findings: Findings, unreachable: dict[str, str], tell: Callable[[str], None] | None
) -> Table | None:
    """The table of one input, or None: it lies elsewhere, or it is wrong and `findings` says why."""
    path = data.local(findings.loaded.folder)
    if path is None:
        unreachable[key] = data.path
        findings.warn(
            f"{key}.path", f"`{key}` is {shown(data.path)}, out of this machine's reach: it was not looked at"
        )
        return None
    if not path.exists():
        findings.error(
            f"{key}.path", f"`{key}`: there is no {shown(data.path)} beside the job file", _nearby(path, data.path)
        )
        return None
    if path.is_file() or not (path / "MLTable").is_file():
        findings.warn(
            f"{key}.path",
            f"`{key}` is {shown(data.path)}, not a folder with an MLTable: it is read here, and refused by Azure",
            "`forestay job new` writes an MLTable for a file",
        )
    try:
        if tell is None or _size(path) < LARGE_BYTES:
            return _loaded(path, findings)
        tell(f"reading {shown(data.path)}, {_size(path) / 1e6:,.0f} MB")
        started = time.monotonic()
        table = _loaded(path, findings)
        rows, columns = table.frame.shape
        tell(f"read {rows:,} rows of {columns} columns in {time.monotonic() - started:.1f} s; checking them")
        return table
    except OutsideError as error:
        unreachable[key] = data.path
        findings.warnings.extend(error.problems)
    except InputError as error:
        findings.problems.extend(error.problems)
    return None


def _loaded(path: Path, findings: Findings) -> Table:
    """The table at `path`; lists of labels stay as they are written, and the times of a forecast may be days."""
    spec = findings.loaded.spec
    table = load_table(path, ReadOptions(days=(spec.forecasting.time_column_name,) if spec.forecasting else ()))
    if label_lists.read_as_text(spec, table):
        text = {spec.target_column_name: ColumnType.TEXT}
        table = load_table(path, ReadOptions(types=text))
    return table


def _size(path: Path) -> int:
    """Bytes of a file, or of all that lies in a folder; of no use beyond telling how long reading may take."""
    with contextlib.suppress(OSError):
        files = [path] if path.is_file() else path.rglob("*")
        return sum(file.stat().st_size for file in files if file.is_file())
    return 0


def _nearby(path: Path, written: str) -> str:
    """The nearest names in the first folder above the path that is there."""
    folder, name = path.parent, path.name
    while not folder.is_dir() and folder != folder.parent:
        folder, name = folder.parent, folder.name
    try:
        names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        names = []
    near = closest(name, names, cutoff=0.4)
    there = ", ".join(shown(other) for other in near or names[:5])
    return f"{'nearest' if near else 'there is'}: {there}" if there else f"put the data at {shown(written)}"
