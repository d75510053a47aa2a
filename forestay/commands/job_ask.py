"""The questions of `job new` on a terminal: what its flags would say, each with what it would choose by itself."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from automl_jobs.data.kinds import plain, unknown_column
from automl_jobs.target import TASKS
from forestay import LOCAL, project
from forestay.asking import until, yes_or_no
from forestay.console import Console
from forestay.errors import InputError

if TYPE_CHECKING:
    from automl_jobs.advanced import Setting
    from automl_jobs.data import ReadOptions, Table
    from automl_jobs.new import Wishes

DEFAULT_BUDGET = "60m"


@dataclass(frozen=True)
class Given:
    """What is known of a new job, by flags at first and then by answers; None for what is not."""

    data: str | None
    target: str | None
    exclude: tuple[str, ...]
    task: str | None
    metric: str | None
    env: str | None
    time_budget: str | None
    settings: dict[str, str]

    @property
    def command(self) -> list[str]:
        """The command that says the same, but for flags of reading, and where the job is written."""
        words = ["forestay", "job", "new", str(self.data), "--target", str(self.target)]
        for name in self.exclude:
            words += ["--exclude", name]
        env = None if self.env == LOCAL else self.env
        flags = {"--task": self.task, "--metric": self.metric, "--env": env, "--time-budget": self.time_budget}
        for flag, value in flags.items():
            words += [flag, value] if value else []
        for key, value in self.settings.items():
            words += ["--set", f"{key}={value}"]
        return words

    def wishes(self, **more: Any) -> Wishes:
        """The same as `automl_jobs.new` takes it, with `more` of its attributes. Raises InputError for no duration."""
        from automl_jobs.new import Wishes
        from automl_jobs.submit import duration

        return Wishes(
            target=str(self.target),
            exclude=self.exclude,
            task=self.task,
            metric=self.metric,
            env=self.env or LOCAL,
            time_budget=None if self.time_budget is None else duration(self.time_budget),
            settings=self.settings,
            **more,
        )


def ask(screen: Console, given: Given, read: ReadOptions) -> Given:
    """Ask for what is not given, in the order of Azure's portal: data, columns to leave out, target, task, metric,
    where to train, for how long, and advanced settings.

    An answer that can't be is told why, and the question is put again. Raises click.Abort when the terminal is closed.
    """
    from automl_jobs.data import load_table
    from automl_jobs.target import about_target
    from forestay.commands.data import view

    path, table = given.data, None
    if path is None:
        path, table = until(screen, "data file", "", lambda text: (text, load_table(text, read)))
    table = table or load_table(path, read)
    for part in view(table, None):
        screen.err.print(part)
    names = [column.name for column in table.columns]
    exclude = _left_out(given.exclude, names, "--exclude")
    if not exclude:
        question = "columns to leave out, with commas between them; none: Enter"
        exclude = until(screen, question, "", lambda text: _columns(text, names))
    target = given.target
    if target is None:
        last = next(name for name in reversed(names) if name not in exclude)
        target = until(screen, "column to predict", last, lambda text: _target(table, text, exclude, given.task))
    guess = about_target(table, target, "--target", given.task)
    task, metric = given.task, given.metric
    if task is None:
        screen.note(f"{plain(target)}: {guess.summary}; {guess.task_reason}")
        aim = until(
            screen, f"task ({', '.join(TASKS)})", guess.task, lambda text: about_target(table, target, task=_task(text))
        )
        # What was guessed is left to be chosen again, with its reason.
        if aim.task != guess.task:
            guess, task = aim, aim.task
    if metric is None:
        screen.note(f"{guess.metric}: {guess.metric_reason}")
        answer = until(screen, "primary metric", guess.metric, lambda text: _metric(table, target, task, text))
        metric = None if answer == guess.metric else answer
    env = given.env or _env(screen)
    found = replace(given, data=path, target=target, exclude=exclude, task=task, metric=metric, env=env)
    if found.time_budget is None:
        budget = until(screen, "time budget of the search (90s, 30m, 2h)", DEFAULT_BUDGET, _budget)
        found = replace(found, time_budget=None if budget == DEFAULT_BUDGET else budget)
    if found.settings:
        return found
    return replace(found, settings=_settings(screen, path, table, found, read, guess.task))


def _env(screen: Console) -> str:
    """Where to train: asked only where the project has environments."""
    there = project.environments()
    if not there:
        return LOCAL
    places = [LOCAL, *there]

    def take(text: str) -> str:
        if text not in places:
            raise InputError(f"{text!r} is no environment", where="compute", fix=f"one of: {', '.join(places)}")
        return text

    return until(screen, f"compute: here (local), or an environment ({', '.join(there)})", LOCAL, take)


def _budget(text: str) -> str:
    from automl_jobs.submit import duration

    duration(text)
    return text


def _settings(screen: Console, data: str, table: Table, given: Given, read: ReadOptions, task: str) -> dict[str, str]:
    """The advanced settings that a user wants otherwise; each is tried as soon as it is given."""
    from automl_jobs.advanced import settings
    from automl_jobs.new import draft

    found: dict[str, str] = {}
    if until(screen, "advanced settings? (yes, no)", "no", yes_or_no):
        for one in settings(task):
            choices = f" ({', '.join(one.choices)})" if one.choices else ""

            def take(text: str, one: Setting = one) -> str:
                if not text:
                    return ""
                value = one.value([text])
                alone = replace(given, metric=None, env=None, time_budget=None, settings={**found, one.key: value})
                draft(data, alone.wishes(read=read), table)
                return value

            value = until(screen, f"{one.title}{choices}; {one.hint}", "", take)
            if value:
                found[one.key] = value
    return found


def _columns(text: str, names: list[str]) -> tuple[str, ...]:
    """The columns of an answer; names that hold a comma stand in quotes."""
    found = [name.strip() for row in csv.reader([text], skipinitialspace=True) for name in row if name.strip()]
    return _left_out(found, names, "columns to leave out")


def _left_out(found: Sequence[str], names: list[str], where: str) -> tuple[str, ...]:
    """The same columns. Raises InputError for one that there is not, and where none would be left to learn from."""
    for name in found:
        if name not in names:
            raise unknown_column(name, names, where)
    if found and len(set(found)) + 1 >= len(names):
        raise InputError("no column would be left to learn from", where=where, fix="leave out fewer columns")
    return tuple(found)


def _target(table: Table, text: str, exclude: tuple[str, ...], task: str | None) -> str:
    from automl_jobs.target import about_target

    if text in exclude:
        raise InputError(f"{text!r} is to be left out", where="column to predict", fix="choose another column")
    return about_target(table, text, "column to predict", task).column.name


def _task(text: str) -> str:
    if text not in TASKS:
        raise InputError(f"{text!r} is no task", where="task", fix=f"one of: {', '.join(TASKS)}")
    return text


def _metric(table: Table, target: str, task: str | None, text: str) -> str:
    from automl_jobs.target import about_target

    return about_target(table, target, "--target", task, text).metric
