"""A job again: the file and the settings that it had, on its own data or on new.

New data, or a job file that has changed since, needs a file of its own: a job folder is written as `job new` does, with
the text that was submitted, so that it can be run again by itself. The new data is read as the old was, and compared
with what the earlier job knew of its columns before anything is trained.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.data import ReadOptions
from automl_jobs.new import (
    JOB_FILE,
    MLTABLE_FOLDER,
    copy_file,
    free_folder,
    free_folder_of,
    mltable_text,
    scalar,
    slug,
    write_csv,
)
from automl_jobs.runs.rows import PROFILE
from automl_jobs.submit import SubmitOptions, submitted_options
from forestay import LOCAL, project
from forestay.errors import ForestayError, InputError, Problem
from forestay.words import some

if TYPE_CHECKING:
    from automl_jobs.data import Table
    from automl_jobs.prepare import Prepared
    from automl_jobs.runs import JobDetail, RunStore

RERUN_OF = "rerun_of"
"""The tag of a job that is another one again."""
DATA = "training_data"
SHOWN = 8
_UTF8 = {"ascii", "utf8", "utf8bom"}
_PATHS = tuple(f"{key}.path" for key in (DATA, "validation_data", "test_data"))


@dataclass(frozen=True)
class Rerun:
    """A job that is to run again.

    Attributes
    ----------
    of: the earlier job. job_file: what to submit, with `options`.
    written: the job folder that was made for it; None where the file of the earlier job is taken.
    columns: what the earlier job knew of its columns, name to type; None where that was not kept, and for
        its own data.
    used: those that its models read, the target among them.
    """

    of: str
    job_file: Path
    options: SubmitOptions
    written: Path | None = None
    columns: Mapping[str, str] | None = None
    used: frozenset[str] = frozenset()

    def check(self, prepared: Prepared) -> list[str]:
        """See `compared`; for a job whose data was just read."""
        if self.columns is None:
            return []
        now = {use.name: str(use.type) for use in prepared.columns}
        return compared(self.columns, self.used, now, str(self.job_file))


def find(store: RunStore, name: str, given: SubmitOptions, data: Path | None, to: Path | None) -> Rerun:
    """A job of the run store, made ready to run again.

    Parameters
    ----------
    given: options over those of its submit; None, False and empty leave them as they were.
    data: a data file, or a folder with an MLTable, in place of its training data.
    to: the job folder, where one is written; jobs/NAME by default.

    Raises InputError for data that lacks columns, and for a job of elsewhere.
    """
    detail = store.job(name)
    if detail.env != LOCAL:
        raise InputError(
            f"{detail.job} ran in {detail.env}",
            where="JOB",
            fix=f"run it there again: forestay job rerun {detail.job} --env {detail.env}",
        )
    options = _options(detail, given)
    path, text = Path(detail.path), store.job_file(detail.job)
    if data is None and to is None and _unchanged(path, text):
        return Rerun(detail.job, path, options)
    if not detail.path:
        raise InputError(f"where the job file of {detail.job} lay is not known", where=detail.job)
    table = None if data is None else read_new(data)
    columns, used = _known(detail) if table is not None else (None, frozenset())
    if table is not None and columns is not None:
        # Here, before anything is written; types are compared once they are read as the job file says.
        compared(columns, used, {one.name: columns.get(one.name, "") for one in table.columns}, str(data))
    folder = _write(path, text, options, table, to, used)
    # Where its data lies is in the new file.
    overrides = {key: value for key, value in options.overrides.items() if key not in _PATHS}
    return Rerun(detail.job, folder / JOB_FILE, replace(options, overrides=overrides), folder, columns, used)


def taken_back(found: Rerun, error: InputError, data: Path | None) -> ForestayError:
    """Remove the job folder of a job that was refused; the error, which no longer points into it."""
    assert found.written is not None
    shutil.rmtree(found.written)
    inside = (str(found.written), str(found.written.absolute()))
    fix = "give data as the earlier job had it, or start anew: forestay job new"
    return InputError.of(
        [
            Problem(str(data), one.message, fix) if data is not None and one.where.startswith(inside) else one
            for one in error.problems
        ]
    )


def _options(detail: JobDetail, given: SubmitOptions) -> SubmitOptions:
    """The options of the earlier submit, those that are given over them."""
    from automl_jobs.runs.names import new_job_name

    kept = submitted_options(detail) or SubmitOptions()
    overrides = {**kept.overrides, **given.overrides, f"tags.{RERUN_OF}": scalar(detail.job)}
    if "name" not in given.overrides:
        # A name in the file, or one of the earlier submit, is taken.
        overrides["name"] = new_job_name()
    return replace(
        kept,
        overrides=overrides,
        time_budget=given.time_budget or kept.time_budget,
        seed=kept.seed if given.seed is None else given.seed,
        prefer=given.prefer or kept.prefer,
        decision=given.decision or kept.decision,
        bagged_folds=given.bagged_folds or kept.bagged_folds,
    )


def _unchanged(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False


def read_new(data: Path) -> Table:
    """The data that a job is to learn from instead. Raises InputError for what is not there, or can't be read."""
    from automl_jobs.data import load_table

    if not data.exists():
        raise InputError("there is no such file or folder", where=f"--data {data}", fix="correct the path")
    return load_table(data)


def _known(detail: JobDetail) -> tuple[dict[str, str] | None, frozenset[str]]:
    """The columns of the earlier job, and those that its models need."""
    profile = detail.documents.get(PROFILE)
    if profile is None:
        return None, frozenset()
    columns = {column["name"]: column["type"] for column in profile["columns"]}
    used = frozenset(column["name"] for column in profile["columns"] if column["used"])
    return columns, used | {detail.target}


def compared(columns: Mapping[str, str], used: frozenset[str], now: Mapping[str, str], where: str) -> list[str]:
    """What is other in new data than in that of an earlier job, a line each.

    Parameters
    ----------
    columns: name to type in the earlier data. used: those that its models read. now: name to type in the new data.

    Raises InputError when a used column is missing.
    """
    missing = [name for name in columns if name not in now]
    needed = [name for name in missing if name in used]
    if needed:
        raise InputError.of(
            [
                Problem(
                    where,
                    f"{_some(needed)} missing, which the earlier job learned from",
                    f"there are: {_some(list(now))}; rename columns to what they were, or start anew: forestay job new",
                )
            ]
        )
    changed = [f"{name!r} was {kind}, is {now[name]}" for name, kind in columns.items() if now.get(name, kind) != kind]
    lines = [f"{where}: column {line}" for line in changed]
    if missing:
        lines.append(f"{where}: {_some(missing)} missing; no model used it")
    new = [name for name in now if name not in columns]
    if new:
        lines.append(f"{where}: {_some(new)} new, and learned from where it fits")
    return lines


def _some(names: Sequence[str]) -> str:
    return some([repr(name) for name in names], SHOWN)


def _write(
    path: Path, text: str, options: SubmitOptions, table: Table | None, to: Path | None, used: frozenset[str]
) -> Path:
    """The job folder, whole or not at all: the text that was submitted, its paths from where it lies now."""
    from automl_jobs.spec.edit import written
    from automl_jobs.spec.loader import read_job

    spec = read_job(text, path, options.overrides).spec
    folder = free_folder(to or free_folder_of(slug(spec.experiment_name or path.parent.name), 2), force=False)
    with project.new_folder(folder) as scratch:
        settings = {
            f"{key}.path": scalar(os.path.relpath(there, folder.absolute()))
            for key, given in spec.inputs().items()
            if (there := given.local(path.parent)) is not None
        }
        if table is not None:
            settings[f"{DATA}.path"] = _placed(table, spec.inputs()[DATA].local(path.parent), folder, scratch, used)
        project.write_atomic(scratch / JOB_FILE, written(text, settings, folder / JOB_FILE))
    return folder


def _placed(table: Table, before: Path | None, folder: Path, scratch: Path, used: frozenset[str]) -> str:
    """Put new data into the job folder that is being written; its path from there, as YAML.

    A folder with an MLTable stays where it is. A file is copied beside an MLTable that reads it as the earlier one was
    read; where that can't be, as it looks, the columns that no model used left out.
    """
    source = Path(table.source)
    if source.is_dir():
        return scalar(os.path.relpath(source.absolute(), folder.absolute()))
    inside = project.ensure_folder(scratch / MLTABLE_FOLDER)
    kept = _kept(before, table)
    name = source.name if kept is not None or not _unusual(table) else f"{source.name.split('.')[0] or 'data'}.csv"
    if kept is not None:
        text = _with_path(kept, name)
    else:
        left_out = [column.name for column in table.columns if used and column.name not in used]
        text = mltable_text(table, name, left_out, _unusual(table), ReadOptions())
    if kept is None and _unusual(table):
        write_csv(table, inside / name)
    else:
        copy_file(source, inside / name)
    project.write_atomic(inside / "MLTable", text)
    return scalar(f"./{MLTABLE_FOLDER}")


def _unusual(table: Table) -> bool:
    """Whether an MLTable can't say how the file is read."""
    return table.reading is not None and bool(table.reading.unusual)


def _kept(before: Path | None, table: Table) -> str | None:
    """The text of the earlier MLTable, where it reads files of this kind and form."""
    from automl_jobs.data import mltable

    file = None if before is None else before / "MLTable"
    if file is None or not file.is_file() or table.reading is None:
        return None
    reader, reading = mltable.parse(file, str(file)).reader, table.reading
    same = reader.kind == reading.kind
    if reader.kind == "read_delimited":
        encoded = reader.encoding == reading.encoding or {reader.encoding, reading.encoding} <= _UTF8
        same = same and reader.delimiter == reading.delimiter and encoded
    return file.read_text(encoding="utf-8") if same and not reading.unusual else None


def _with_path(text: str, name: str) -> str:
    """An MLTable's text with one file in place of its paths; comments and order stay."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    from automl_jobs.spec.edit import rewritten

    def point(document: Any) -> None:
        document["paths"] = [{"file": DoubleQuotedScalarString(f"./{name}")}]

    return rewritten(text, point)
