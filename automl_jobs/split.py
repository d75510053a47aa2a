"""A job whose folds keep together what belongs together: groups of rows, or the past.

Azure has no setting for either, but takes columns that mark the folds (`cv_split_column_names`: 1 for a training row, 0
for a validation row). So the training data is copied with such columns, and the job file with their names.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import templates
from automl_jobs.prepare.findings import listed
from forestay import project
from forestay.documents.names import closest, shown
from forestay.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from automl_jobs.data import Table
    from automl_jobs.spec import LoadedJob

GROUP, TIME = "group", "time"
FOLDS = 5
LATEST = 0.2
DATA_FOLDER, DATA_FILE, JOB_FILE = "training-mltable-folder", "data.parquet", "job.yml"
TASKS = ("classification", "regression")
MLTABLE: dict[str, Any] = {"file": f"./{DATA_FILE}", "kind": "read_parquet", "conversions": (), "excluded": ()}
REPLACED = ("n_cross_validations", "validation_data_size", "validation_data")


@dataclass(frozen=True)
class Fold:
    """A fold column with the number of rows on each side."""

    column: str
    training_rows: int
    validation_rows: int


@dataclass(frozen=True)
class SplitJob:
    """What was written: the job file, the data folder, and the folds by a column.

    `replaced` names keys of the job that the folds take the place of.
    """

    job: Path
    data: Path
    kind: str
    column: str
    folds: tuple[Fold, ...]
    replaced: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "job": str(self.job),
            "data": str(self.data),
            "kind": self.kind,
            "column": self.column,
            "folds": [vars(fold) for fold in self.folds],
            "replaced": list(self.replaced),
        }


def split_job(loaded: LoadedJob, column: str, kind: str, to: Path, folds: int | None = None, seed: int = 0) -> SplitJob:
    """Write the copy of a job and of its training data to the new folder `to`.

    Parameters
    ----------
    column: of the training data; rows that share its value stay together (`group`), or the latest fifth of the rows by
        it is the validation side (`time`: a row is on one side or the other, so there is one fold).
    folds: of a group split; the job's n_cross_validations, else 5.

    The data is written as Parquet, types and all. Raises InputError before anything is written.
    """
    from automl_jobs.data import load_table

    spec = loaded.spec
    if spec.task not in TASKS:
        raise InputError(
            f"{spec.task} jobs take no fold columns", where=loaded.where("task"), fix=f"these do: {', '.join(TASKS)}"
        )
    source = spec.training_data.local(loaded.folder)
    if source is None:
        raise InputError("the training data can't be read from this machine", where=loaded.where("training_data.path"))
    table = load_table(source)
    names = [one.name for one in table.columns]
    for name, flag in ((column, f"--{kind}"), (spec.target_column_name, "target_column_name")):
        if name not in names:
            raise InputError(
                f"{shown(name)!r} is no column of {shown(table.source)}",
                where=flag,
                fix=f"columns: {listed(closest(name, names) or names)}",
            )
    project.require_free(to)
    frame = table.frame[table.frame[spec.target_column_name].notna()].reset_index(drop=True)
    if kind == GROUP:
        wanted = folds or (spec.n_cross_validations if isinstance(spec.n_cross_validations, int) else FOLDS)
        sides = _by_group(frame, column, frame[spec.target_column_name], spec.task == "classification", wanted, seed)
    else:
        sides = [_by_time(frame, table, column)]
    marks = {_free_name(f"fold_{number}", names): side for number, side in enumerate(sides, start=1)}
    # Folds of an earlier split are replaced.
    frame = frame.drop(columns=list(spec.cv_split_column_names or ())).assign(**marks)
    with project.new_folder(to.absolute()) as scratch:
        inside = project.ensure_folder(scratch / DATA_FOLDER)
        frame.to_parquet(inside / DATA_FILE, index=False)
        project.write_atomic(inside / "MLTable", templates.render("project/MLTable.j2", **MLTABLE))
        project.write_atomic(scratch / JOB_FILE, _job_text(loaded, list(marks), to.absolute()))
    told = tuple(Fold(name, int(side.sum()), int((side == 0).sum())) for name, side in marks.items())
    replaced = tuple(key for key in REPLACED if getattr(spec, key) is not None)
    return SplitJob(to / JOB_FILE, to / DATA_FOLDER, kind, column, told, replaced)


def _by_group(
    frame: pd.DataFrame, column: str, target: pd.Series[Any], classification: bool, folds: int, seed: int
) -> list[np.ndarray]:
    import warnings

    import numpy as np
    import pandas as pd
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    groups, values = pd.factorize(frame[column])
    missing = groups < 0
    # A row without a name belongs to nobody else.
    groups = np.where(missing, len(values) + np.cumsum(missing), groups)
    count = len(np.unique(groups))
    if count < 2 or count < folds:
        raise InputError(
            f"{shown(column)!r} has {count} different values: too few for {folds} folds",
            where="--group",
            fix="name another column" if count < 2 else f"--folds {count} or fewer",
        )
    kind = StratifiedGroupKFold if classification else GroupKFold
    splitter = kind(n_splits=folds, shuffle=True, random_state=seed)
    sides = []
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of classes smaller than the folds
        labels = pd.factorize(target)[0] if classification else target
        for _, valid in splitter.split(frame, labels, groups):
            side = np.ones(len(frame), dtype="int64")
            side[valid] = 0
            sides.append(side)
    if any(side.all() or not side.any() for side in sides):
        raise InputError(
            f"by {shown(column)!r} a fold would be empty: one group holds most of the rows",
            where="--group",
            fix="fewer --folds, or another column",
        )
    return sides


def _by_time(frame: pd.DataFrame, table: Table, column: str) -> np.ndarray:
    import numpy as np

    from automl_jobs.data import ColumnType

    kind = table.column(column).type
    if kind not in (ColumnType.DATETIME, ColumnType.NUMERIC):
        raise InputError(
            f"{shown(column)!r} holds no dates; it is {kind}",
            where="--time",
            fix="write dates as 2026-01-31, or name a number that grows with time",
        )
    moments = np.sort(frame[column].dropna().to_numpy())
    cut = moments[int(len(moments) * (1 - LATEST))] if len(moments) else None
    late = (frame[column] >= cut).fillna(False).to_numpy(dtype=bool) if cut is not None else np.zeros(len(frame), bool)
    if not late.any() or late.all():
        raise InputError(
            f"{shown(column)!r} does not part the rows into earlier and later ones", where="--time", fix="name another"
        )
    return np.where(late, 0, 1)


def _free_name(name: str, taken: list[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _job_text(loaded: LoadedJob, marks: list[str], to: Path) -> str:
    """The job file with its folds, comments and all; paths of other data lead to where they led."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000
    document = yaml.load(loaded.text)
    for key in REPLACED:
        document.pop(key, None)
    for key, data in loaded.spec.inputs().items():
        path = data.local(loaded.folder)
        if key in document and path is not None:
            document[key]["path"] = os.path.relpath(path.absolute(), to)
    document["training_data"]["path"] = f"./{DATA_FOLDER}"
    document["training_data"]["type"] = "mltable"
    document["cv_split_column_names"] = marks
    out = StringIO()
    yaml.dump(document, out)
    return out.getvalue()
