"""The questions of `job new` on a terminal: what its flags would say, each with what it would choose by itself."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import click

from automl_jobs.data.kinds import plain, unknown_column
from automl_jobs.target import TASKS
from forestay.console import Console
from forestay.errors import InputError

if TYPE_CHECKING:
    from automl_jobs.data import ReadOptions, Table

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Given:
    """What is known of a new job, by flags at first and then by answers; None for what is not."""

    data: str | None
    target: str | None
    exclude: tuple[str, ...]
    task: str | None
    metric: str | None


def ask(screen: Console, given: Given, read: ReadOptions) -> Given:
    """Ask for what is not given: data, columns to leave out, target, task, metric, in this order.

    An answer that can't be is told why, and the question is put again. Raises click.Abort when the terminal is closed.
    """
    from automl_jobs.data import load_table
    from automl_jobs.target import about_target
    from forestay.commands.data import view

    path, table = given.data, None
    if path is None:
        path, table = _until(screen, "data file", "", lambda text: (text, load_table(text, read)))
    table = table or load_table(path, read)
    for part in view(table, None):
        screen.err.print(part)
    names = [column.name for column in table.columns]
    exclude = given.exclude or _until(
        screen, "columns to leave out, with commas between them; none: Enter", "", lambda text: _columns(text, names)
    )
    target = given.target
    if target is None:
        last = next(name for name in reversed(names) if name not in exclude)
        target = _until(screen, "column to predict", last, lambda text: _target(table, text, exclude, given.task))
    guess = about_target(table, target, "--target", given.task)
    task, metric = given.task, given.metric
    if task is None:
        screen.note(f"{plain(target)}: {guess.summary}; {guess.task_reason}")
        aim = _until(
            screen, f"task ({', '.join(TASKS)})", guess.task, lambda text: about_target(table, target, task=_task(text))
        )
        # What was guessed is left to be chosen again, with its reason.
        if aim.task != guess.task:
            guess, task = aim, aim.task
    if metric is None:
        screen.note(f"{guess.metric}: {guess.metric_reason}")
        answer = _until(screen, "primary metric", guess.metric, lambda text: _metric(table, target, task, text))
        metric = None if answer == guess.metric else answer
    return Given(path, target, exclude, task, metric)


def _until(screen: Console, question: str, default: str, take: Callable[[str], Answer]) -> Answer:
    """What `take` makes of the first answer that it takes."""
    while True:
        try:
            text = screen.ask(question, default)
        except EOFError:
            raise click.Abort from None
        try:
            return take(text)
        except InputError as error:
            for line in error.lines():
                screen.err.print(line, style="yellow")


def _columns(text: str, names: list[str]) -> tuple[str, ...]:
    """The columns of an answer; names that hold a comma stand in quotes."""
    found = [name.strip() for row in csv.reader([text], skipinitialspace=True) for name in row if name.strip()]
    for name in found:
        if name not in names:
            raise unknown_column(name, names, "columns to leave out")
    if len(set(found)) >= len(names):
        raise InputError("no column would be left", where="columns to leave out")
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


def without_questions(given: Given) -> str:
    """The command that does the same without asking, but for flags of reading that were given."""
    words = ["forestay", "job", "new", str(given.data), "--target", str(given.target)]
    for name in given.exclude:
        words += ["--exclude", name]
    for flag, value in (("--task", given.task), ("--metric", given.metric)):
        words += [flag, value] if value else []
    return shlex.join(words)
