"""Create an experiment: choose data, say what to predict from what, see the job file, start it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from forestay import LOCAL, project
from forestay.commands.job_ask import DEFAULT_BUDGET, Given
from forestay.errors import ForestayError, InputError, Problem
from studio import files, web
from studio.calls import command_line
from studio.experiments import job_address
from studio.web import Form, studio, with_env

if TYPE_CHECKING:
    from automl_jobs.advanced import Setting
    from automl_jobs.data import Column, Table
    from automl_jobs.new import Draft

SET = "set:"
"""What the names of the fields of advanced settings begin with."""


@dataclass(frozen=True)
class Asked:
    """What stands in the form; `typed`: what was chosen or typed of the advanced settings."""

    given: Given
    used: tuple[str, ...]
    name: str
    typed: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the job will lie: under its name, with a number where that is taken."""
        from automl_jobs.new import slug

        name = slug(self.name or Path(str(self.given.data)).name.split(".")[0])
        taken = [f"{name}-{number}" for number in range(2, 1000)]
        return next(Path("jobs") / one for one in (name, *taken) if not (Path("jobs") / one).exists())

    @property
    def new_words(self) -> list[str]:
        """The command that writes it, after `forestay`."""
        named = ["--name", self.name] if self.name else []
        return [*self.given.command[1:], *named, "--to", str(self.folder)]

    def submit_words(self, name: str = "") -> list[str]:
        """The command that starts it; under a name that is known before, so that its page is, too."""
        words = with_env(["job", "submit", str(self.folder / "job.yml")], self.given.env or LOCAL)
        return [*words, "--set", f"name={name}"] if name else words

    def draft(self, table: Table) -> Draft:
        """What `job new` would write. Raises InputError."""
        from automl_jobs.new import draft

        return draft(str(self.given.data), self.given.wishes(to=self.folder, name=self.name or None), table)


@functools.lru_cache(maxsize=2)
def _table(path: str, _changed: int, _size: int) -> Table:
    from automl_jobs.data import load_table

    return load_table(path)


def read(path: str) -> Table:
    """The table at a path of the project; read again once it has changed."""
    place = Path(path)
    state = (place / files.MLTABLE if place.is_dir() else place).stat()
    return _table(path, state.st_mtime_ns, state.st_size)


def new(request: Request) -> Response:
    """Choose data; once it is chosen, all the rest."""
    given = request.query_params.get("data", "")
    if not given:
        line, (found, every) = command_line(["job", "new"]), files.data_files()
        return web.page(
            request,
            "new_data",
            command=line,
            files=found,
            every=every,
            bytes=files.UPLOAD_BYTES,
            folder=files.FOLDER,
        )
    path = files.inside(given).as_posix()
    try:
        table = read(path)
    except ForestayError as error:
        lines = [command_line(words) for words in (["data", "show", path], ["job", "new", path])]
        return web.failed(request, error, reading=lines)
    first = _first(path, table)
    return _page(request, first, table)


def drafted(request: Request, form: Form) -> Response:
    """The same page for what stands in the form now."""
    asked, table = _asked(form)
    return _page(request, asked, table)


def start(request: Request, form: Form) -> Response:
    """Write the job with `job new`, start it with `job submit`."""
    from automl_jobs.runs.names import new_job_name

    asked, table = _asked(form)
    asked.draft(table)
    name = new_job_name()
    words = asked.submit_words(name)  # before the folder is taken
    calls = studio(request).calls
    back = web.address("new", data=str(asked.given.data))
    written = calls.run(asked.new_words, back=back)
    if written.code != 0:
        return web.started(written)
    env = asked.given.env or LOCAL
    calls.start(words, job=name, then=job_address(name, env), back=back)
    return RedirectResponse(job_address(name, env), 303)


def _first(path: str, table: Table) -> Asked:
    """What the form begins with: columns that nothing can be learned from left out, the last one the target."""
    from automl_jobs.data import ColumnType

    useless = (ColumnType.IDENTIFIER, ColumnType.CONSTANT)
    names = [column.name for column in table.columns]
    used = [column.name for column in table.columns if column.type not in useless]
    target = next((name for name in reversed(used) if _predictable(table.column(name))), names[-1])
    given = Given(path, target, _left_out(names, used, target), None, None, None, None, {})
    return Asked(given, tuple(used), "")


def _predictable(column: Column) -> bool:
    from automl_jobs.data import ColumnType

    return column.type not in (ColumnType.DATETIME, ColumnType.TEXT)


def _left_out(names: list[str], used: list[str], target: str) -> tuple[str, ...]:
    return tuple(name for name in names if name not in used and name != target)


def _asked(form: Form) -> tuple[Asked, Table]:
    path = files.inside(form.required("data")).as_posix()
    table = read(path)
    names = [column.name for column in table.columns]
    used = _columns(form.every("use"), names, "columns to use")
    [target] = _columns([form.get("target")], names, "column to predict")
    task = form.get("task")
    known = {setting.key: setting for setting in _settings(table, target, task)}
    typed = {key: values for key in known if (values := [one for one in form.every(SET + key) if one.strip()])}
    env = form.get("env") or LOCAL
    if env not in (LOCAL, *project.environments()):
        raise InputError(f"there is no environment {env!r}", where="compute")
    budget = form.get("time_budget").strip()
    given = Given(
        data=path,
        target=target,
        exclude=_left_out(names, used, target),
        task=task or None,
        metric=form.get("metric") or None,
        env=env,
        time_budget=web.argument(budget) if budget and budget != DEFAULT_BUDGET else None,
        settings={key: known[key].value(values) for key, values in typed.items()},
    )
    return Asked(given, tuple(used), web.argument(form.get("name").strip()), typed), table


def _columns(sent: Sequence[str], names: Sequence[str], where: str) -> list[str]:
    """The columns that a form names. A browser sends each break of a line as CR LF, however it stands in a file.

    Raises InputError for one that there is not.
    """
    from automl_jobs.data.kinds import unknown_column

    known = {_broken_alike(name): name for name in names} | {name: name for name in names}
    found = []
    for one in sent:
        name = known.get(one) or known.get(_broken_alike(one))
        if name is None:
            raise unknown_column(one, names, where)
        found.append(name)
    return found


def _broken_alike(name: str) -> str:
    return name.replace("\r\n", "\n").replace("\r", "\n")


def _settings(table: Table, target: str, task: str) -> list[Setting]:
    from automl_jobs.advanced import settings
    from automl_jobs.target import about_target

    try:
        return settings(task or about_target(table, target).task)
    except ForestayError:
        return settings("classification")


def _page(request: Request, asked: Asked, table: Table) -> Response:
    from automl_jobs.spec.metrics import PRIMARY_METRICS
    from automl_jobs.target import TASKS, about_target

    given = asked.given
    guess, aim, draft = None, None, None
    problems: Sequence[Problem] = ()
    with contextlib.suppress(ForestayError):
        guess = about_target(table, str(given.target))
    try:
        aim = about_target(table, str(given.target), task=given.task)
        if given.metric is not None and given.metric not in PRIMARY_METRICS[aim.task]:
            asked = replace(asked, given=replace(given, metric=None))  # of the task that was chosen before
        draft = asked.draft(table)
    except ForestayError as error:
        problems = error.problems
    return web.page(
        request,
        "new",
        command=command_line(["data", "show", str(given.data), "--target", str(given.target)]),
        asked=asked,
        given=asked.given,
        table=table,
        rows=len(table.frame),
        guess=guess,
        aim=aim,
        draft=draft,
        problems=problems,
        tasks=TASKS,
        metrics=PRIMARY_METRICS[aim.task] if aim else (),
        envs=[LOCAL, *project.environments()],
        budget=given.time_budget or DEFAULT_BUDGET,
        settings=_settings(table, str(given.target), given.task or ""),
        chosen=asked.typed,
        lines=[command_line(words) for words in (asked.new_words, asked.submit_words())],
    )
