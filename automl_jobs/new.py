"""A data file to a job: a folder with `job.yml`, the data, and the MLTable that says how to read it.

Azure uploads the folder that the MLTable lies in, and nothing outside of it, so the data is copied into it: unchanged
where an MLTable can say how to read it, else as a UTF-8 CSV that every reader parses alike (an MLTable has no decimal
comma, no thousands marks, and no markers for missing values).
"""

from __future__ import annotations

import itertools
import math
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from automl_jobs.data import ColumnType, Reading, ReadOptions, Table, load_table
from automl_jobs.data.kinds import plain, unknown_column
from automl_jobs.spec.edit import written
from automl_jobs.target import Target, about_target
from forestay import LOCAL, project
from forestay.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

JOB_FILE = "job.yml"
MLTABLE_FOLDER = "training-mltable-folder"
TIMEOUT_MINUTES, TRIAL_TIMEOUT_MINUTES = 60, 10
_PURPOSES = {
    ColumnType.NUMERIC: "Numeric",
    ColumnType.CATEGORICAL: "Categorical",
    ColumnType.BOOLEAN: "Categorical",
    ColumnType.TEXT: "Text",
    ColumnType.DATETIME: "DateTime",
}


@dataclass(frozen=True)
class Wishes:
    """What a user says of a new job; None and empty for what is left to us.

    Attributes
    ----------
    to: the folder to make; jobs/NAME by default. name: of the experiment; the file's name by default.
    env: where it will train: `local`, or the stack whose cluster the file names.
    time_budget: seconds of the whole search.
    settings: dotted keys of the job file to YAML values, as `--set` takes them.
    """

    target: str
    to: Path | None = None
    name: str | None = None
    exclude: Sequence[str] = ()
    task: str | None = None
    metric: str | None = None
    env: str = LOCAL
    time_budget: float | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    read: ReadOptions = field(default_factory=ReadOptions)


@dataclass(frozen=True)
class Draft:
    """A new job before it is written. `rewritten`: why the data will be no plain copy; empty when it will be one."""

    table: Table
    folder: Path
    target: Target
    excluded: tuple[str, ...]
    file_name: str
    rewritten: tuple[str, ...]
    job_text: str
    mltable_text: str
    hints: tuple[str, ...]


@dataclass(frozen=True)
class NewJob:
    """What `new_job` wrote."""

    folder: Path
    job: Path
    mltable: Path
    data: Path
    draft: Draft


def draft(data: str, wishes: Wishes, table: Table | None = None) -> Draft:
    """What `new_job` would write.

    Parameters
    ----------
    data: a file that load_table reads. table: what is in it, where it has been read already.

    Raises InputError for what the flags or the data say wrong.
    """
    table = table or load_table(data, wishes.read)
    aim = about_target(table, wishes.target, "--target", wishes.task, wishes.metric)
    excluded = _excluded(table, wishes.target, wishes.exclude, wishes.read)
    source = Path(data)
    stem = source.name.split(".")[0]
    experiment = slug(wishes.name or stem)
    folder = wishes.to or Path("jobs") / experiment
    time_column = _time_column(table, excluded) if aim.task == "forecasting" else None
    rewritten = table.reading.unusual if table.reading is not None else ("the steps of an MLTable",)
    file_name = f"{stem or 'data'}.csv" if rewritten else source.name
    text = job_text(
        aim, experiment, plain(source.name), time_column, _purposes(wishes.read, excluded), _compute(wishes)
    )
    return Draft(
        table,
        folder,
        aim,
        excluded,
        file_name,
        rewritten,
        written(text, {**_limits(wishes.time_budget), **wishes.settings}, folder / JOB_FILE),
        mltable_text(table, file_name, excluded, bool(rewritten), wishes.read),
        _hints(table, aim, excluded),
    )


def new_job(data: str, wishes: Wishes, *, force: bool = False) -> NewJob:
    """Write a job folder, whole or not at all.

    Parameters
    ----------
    data: a file that load_table reads.
    force: replace the folder when it holds nothing but such a job.

    Raises InputError for what the flags or the data say wrong, before anything is written.
    """
    found = draft(data, wishes)
    folder = free_folder(found.folder, force)
    with project.new_folder(folder) as scratch:
        inside = scratch / MLTABLE_FOLDER
        project.ensure_folder(inside)
        if found.rewritten:
            write_csv(found.table, inside / found.file_name)
        else:
            copy_file(Path(data), inside / found.file_name)
        project.write_atomic(inside / "MLTable", found.mltable_text)
        project.write_atomic(scratch / JOB_FILE, found.job_text)
    inside = folder / MLTABLE_FOLDER
    return NewJob(folder, folder / JOB_FILE, inside / "MLTable", inside / found.file_name, found)


def _compute(wishes: Wishes) -> str:
    """The cluster that the file names: the environment's own, else a name that says what belongs there."""
    if wishes.env == LOCAL:
        return "cpu-cluster"
    from automl_jobs.azure import place

    return place.of(wishes.env).cluster


def _limits(seconds: float | None) -> dict[str, str]:
    """A time budget as keys of the file: Azure's limit is in whole minutes, ours is a property."""
    if seconds is None:
        return {}
    minutes = math.ceil(seconds / 60)
    found = {"limits.timeout_minutes": str(minutes)}
    if minutes < TRIAL_TIMEOUT_MINUTES:
        found["limits.trial_timeout_minutes"] = str(minutes)
    return found if seconds == minutes * 60 else {**found, "properties.forestay.time_budget": f"{seconds:g}s"}


def _excluded(table: Table, target: str, exclude: Sequence[str], options: ReadOptions) -> tuple[str, ...]:
    """The columns to leave out, each once; a column that the user calls an identifier is one of them."""
    names = [column.name for column in table.columns]
    for name in exclude:
        if name not in names:
            raise unknown_column(name, names, "--exclude")
    called = [name for name, kind in options.types.items() if kind is ColumnType.IDENTIFIER]
    excluded = tuple(dict.fromkeys((*exclude, *called)))
    if target in excluded:
        raise InputError(
            f"{target!r} is the target", where="--exclude", fix="leave the flag out, or choose another target"
        )
    if len(excluded) + 1 >= len(names):
        raise InputError("no column is left to learn from", where="--exclude", fix="exclude fewer columns")
    return excluded


def free_folder(folder: Path, force: bool) -> Path:
    """`folder` when it may be written. Raises InputError when something is there already."""
    where = str(folder)
    try:
        if folder.resolve() == Path.cwd().resolve():
            raise InputError("is the current folder", where=f"--to {where}", fix="name a new folder")
        if not folder.exists():
            return folder
        held = sorted(item.name for item in folder.iterdir())
    except (OSError, ValueError) as error:
        raise InputError("is not a folder", where=f"--to {where!r}", fix="choose another with --to") from error
    foreign = [item for item in held if item not in (JOB_FILE, MLTABLE_FOLDER)]
    if foreign and force:
        raise InputError(
            f"holds {foreign[0]}, which is not of a job", where=where, fix="choose another folder with --to"
        )
    if held and not force:
        raise InputError("is there already", where=where, fix="choose another folder with --to, or say --force")
    return folder


def free_folder_of(name: str, first: int = 1) -> Path:
    """jobs/NAME, or the first of jobs/NAME-2, jobs/NAME-3, ... that is not there."""
    names = (name if number == 1 else f"{name}-{number}" for number in itertools.count(first))
    return next(folder for one in names if not (folder := Path("jobs") / one).exists())


def _time_column(table: Table, excluded: Sequence[str]) -> str:
    found = [c.name for c in table.columns if c.type is ColumnType.DATETIME and c.name not in excluded]
    if len(found) != 1:
        state = "no column holds dates" if not found else f"several columns hold dates: {', '.join(map(repr, found))}"
        raise InputError(
            state, where="--task forecasting", fix="leave one: --type COLUMN=datetime, or --exclude the others"
        )
    return found[0]


def _purposes(options: ReadOptions, excluded: Sequence[str]) -> list[tuple[str, str]]:
    """The user's types, as featurization's column_name_and_types says them."""
    return [
        (name, _PURPOSES[kind]) for name, kind in options.types.items() if kind in _PURPOSES and name not in excluded
    ]


def _hints(table: Table, aim: Target, excluded: Sequence[str]) -> tuple[str, ...]:
    """What the user may want to do otherwise."""
    left = [column for column in table.columns if column.name != aim.column.name and column.name not in excluded]
    hints = []
    for column in left:
        if column.type is ColumnType.IDENTIFIER:
            hints.append(f"{plain(column.name)} looks like an identifier and is not trained on; --exclude drops it")
        elif column.type is ColumnType.CONSTANT:
            hints.append(f"{plain(column.name)} is always the same and is not trained on; --exclude drops it")
    days = [column for column in left if column.type is ColumnType.DATETIME]
    if aim.task == "regression" and len(days) == 1 and days[0].distinct == len(table.frame):
        hints.append(f"{plain(days[0].name)} differs in every row; --task forecasting predicts what comes after")
    return tuple(hints)


def job_text(
    aim: Target,
    experiment: str,
    source: str,
    time_column: str | None,
    purposes: Iterable[tuple[str, str]],
    compute: str,
) -> str:
    """The text of job.yml."""
    import templates

    return templates.render(
        "project/job.yml.j2",
        experiment=experiment,
        description=scalar(f"Predicts {plain(aim.column.name)} from {source}"),
        task=aim.task,
        metric=aim.metric,
        metric_comment=plain(aim.metric_reason),
        target=scalar(aim.column.name),
        mltable_folder=MLTABLE_FOLDER,
        time_column=scalar(time_column or ""),
        purposes=[(scalar(name), purpose) for name, purpose in purposes],
        compute=compute,
        timeout_minutes=TIMEOUT_MINUTES,
        trial_timeout_minutes=TRIAL_TIMEOUT_MINUTES,
        max_trials=40,
        max_concurrent_trials=2,
    )


def mltable_text(table: Table, file_name: str, excluded: Sequence[str], rewritten: bool, options: ReadOptions) -> str:
    """The text of the MLTable that reads `file_name` into this table."""
    import templates

    reading = table.reading if table.reading is not None and not rewritten else Reading(multi_line=_breaks(table))
    return templates.render(
        "project/MLTable.j2",
        file=scalar(f"./{file_name}"),
        kind=reading.kind,
        delimiter=scalar(reading.delimiter),
        encoding=reading.encoding,
        header=reading.header,
        multi_line=reading.multi_line,
        conversions=[
            {"type": kind, "columns": [scalar(name) for name in names], "formats": [scalar(form) for form in formats]}
            for (kind, formats), names in _conversions(table, reading, rewritten, options).items()
        ],
        excluded=[scalar(name) for name in excluded],
    )


def _breaks(table: Table) -> bool:
    """Whether a value, or a name, holds a line break."""
    frame = table.frame
    texts = [name for name in frame.columns if frame[name].dtype == "str"]
    return any("\n" in name or "\r" in name for name in frame.columns) or any(
        bool(frame[name].str.contains(r"[\r\n]", regex=True).any()) for name in texts
    )


def _conversions(
    table: Table, reading: Reading, rewritten: bool, options: ReadOptions
) -> dict[tuple[str, tuple[str, ...]], list[str]]:
    """(MLTable's type, datetime formats) -> columns. Parquet and JSON need only what differs from their own types."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for column in table.columns:
        dtype = table.frame[column.name].dtype
        kind = {"i": "int", "f": "float", "b": "boolean", "M": "datetime"}.get(dtype.kind, "")
        if column.missing == len(table.frame) or (dtype.kind == "O" and not kind):
            kind = ""
        formats: tuple[str, ...] = ()
        if kind == "datetime":
            formats = (
                (_date_format(table.frame[column.name]),) if rewritten else tuple(reading.formats.get(column.name, ()))
            )
        if reading.kind != "read_delimited" and column.name not in options.types and not formats:
            continue
        if reading.kind != "read_delimited" and not kind:
            kind = "string"
        if kind == "datetime" and not formats:
            continue
        if kind:
            found.setdefault((kind, formats), []).append(column.name)
    return found


def _date_format(dates: pd.Series) -> str:
    """The shortest format that keeps these dates whole."""
    there = dates.dropna()
    if (there == there.dt.normalize()).all():
        return "%Y-%m-%d"
    return "%Y-%m-%dT%H:%M:%S" if (there.dt.microsecond == 0).all() else "%Y-%m-%dT%H:%M:%S.%f"


def write_csv(table: Table, path: Path) -> None:
    """The table as UTF-8, commas, points, ISO dates, true and false, and nothing where a value is missing."""
    frame = table.frame.copy(deep=False)
    for name in frame.columns:
        kind = frame[name].dtype.kind
        if kind == "M":
            frame[name] = frame[name].dt.strftime(_date_format(frame[name]))
        elif kind == "b":
            frame[name] = frame[name].map({True: "true", False: "false"})
    try:
        frame.to_csv(path, index=False, encoding="utf-8", lineterminator="\n")
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror}", where=str(path), fix="check the free space") from error


def copy_file(source: Path, to: Path) -> None:
    try:
        shutil.copyfile(source, to)
    except OSError as error:
        raise InputError(
            f"cannot copy to {to}: {error.strerror}", where=str(source), fix="check the free space"
        ) from error


def scalar(text: str) -> str:
    """A name as a YAML scalar on one line, in double quotes, so that no reader takes it for something else."""
    import yaml

    for unicode in (True, False):
        dumped = yaml.safe_dump([text], default_style='"', default_flow_style=True, allow_unicode=unicode, width=10**9)
        inner = dumped.strip()[1:-1]
        if "\n" not in inner and yaml.safe_load(f"[{inner}]") == [text]:
            break
    return inner


def slug(text: str) -> str:
    """A name that Azure takes for an experiment: letters, digits, dash and underscore, a letter or digit first."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:100] or "job"
