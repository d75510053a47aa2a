"""A data file to a job: a folder with `job.yml`, the data, and the MLTable that says how to read it.

Azure uploads the folder that the MLTable lies in, and nothing outside of it, so the data is copied into it: unchanged
where an MLTable can say how to read it, else as a UTF-8 CSV that every reader parses alike (an MLTable has no decimal
comma, no thousands marks, and no markers for missing values).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from automl_jobs.data import ColumnType, Reading, ReadOptions, Table, load_table
from automl_jobs.data.kinds import plain, unknown_column
from automl_jobs.target import Target, about_target
from forestay import project
from forestay.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

JOB_FILE = "job.yml"
MLTABLE_FOLDER = "training-mltable-folder"
_PURPOSES = {
    ColumnType.NUMERIC: "Numeric",
    ColumnType.CATEGORICAL: "Categorical",
    ColumnType.BOOLEAN: "Categorical",
    ColumnType.TEXT: "Text",
    ColumnType.DATETIME: "DateTime",
}


@dataclass(frozen=True)
class NewJob:
    """What `new_job` wrote. `rewritten`: why the data is no plain copy; empty when it is one."""

    folder: Path
    job: Path
    mltable: Path
    data: Path
    target: Target
    excluded: tuple[str, ...]
    rewritten: tuple[str, ...]
    notes: tuple[str, ...]
    hints: tuple[str, ...]


def new_job(
    data: str,
    target: str,
    *,
    to: Path | None = None,
    name: str | None = None,
    exclude: Sequence[str] = (),
    task: str | None = None,
    metric: str | None = None,
    read: ReadOptions | None = None,
    force: bool = False,
) -> NewJob:
    """Write a job folder, whole or not at all.

    Parameters
    ----------
    data: a file that load_table reads.
    to: the folder to make; jobs/NAME by default.
    name: of the experiment; the file's name by default.
    force: replace the folder when it holds nothing but such a job.

    Raises InputError for what the flags or the data say wrong, before anything is written.
    """
    options = read or ReadOptions()
    table = load_table(data, options)
    aim = about_target(table, target, "--target", task, metric)
    excluded = _excluded(table, target, exclude, options)
    experiment = slug(name or Path(data).name.split(".")[0])
    folder = _free(to or Path("jobs") / experiment, force)
    time_column = _time_column(table, excluded) if aim.task == "forecasting" else None
    reading = table.reading
    rewritten = reading.unusual if reading is not None else ("the steps of an MLTable",)
    source = Path(data)
    stem = source.name.split(".")[0] or "data"
    file_name = f"{stem}.csv" if rewritten else source.name
    with project.new_folder(folder) as scratch:
        inside = scratch / MLTABLE_FOLDER
        project.ensure_folder(inside)
        if rewritten:
            _write_csv(table, inside / file_name)
        else:
            _copy(source, inside / file_name)
        project.write_atomic(inside / "MLTable", mltable_text(table, file_name, excluded, bool(rewritten), options))
        text = job_text(aim, experiment, plain(source.name), time_column, _purposes(options, excluded))
        project.write_atomic(scratch / JOB_FILE, text)
    return NewJob(
        folder,
        folder / JOB_FILE,
        folder / MLTABLE_FOLDER / "MLTable",
        folder / MLTABLE_FOLDER / file_name,
        aim,
        excluded,
        rewritten,
        table.notes,
        _hints(table, aim, excluded),
    )


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


def _free(folder: Path, force: bool) -> Path:
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
    aim: Target, experiment: str, source: str, time_column: str | None, purposes: Iterable[tuple[str, str]]
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
        timeout_minutes=60,
        trial_timeout_minutes=10,
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


def _write_csv(table: Table, path: Path) -> None:
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


def _copy(source: Path, to: Path) -> None:
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
