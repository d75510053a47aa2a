"""`forestay job new`: a job file and an MLTable for a data file."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automl_jobs.data.kinds import plain
from automl_jobs.target import TASKS
from forestay.cli import Command, console
from forestay.commands.data import read_flags

if TYPE_CHECKING:
    from rich.console import RenderableType

    from automl_jobs.data import ReadOptions
    from automl_jobs.new import NewJob


@click.command(cls=Command)
@click.argument("data", type=click.Path(), required=False)
@click.option("--target", metavar="COLUMN", help="The column to predict.")
@click.option("--exclude", multiple=True, metavar="COLUMN", help="A column to leave out. Can be repeated.")
@click.option(
    "--task",
    type=click.Choice(TASKS),
    help="Instead of what the target says.",
)
@click.option("--metric", metavar="NAME", help="The primary metric, such as auc_weighted or r2_score.")
@click.option("--to", type=click.Path(path_type=Path), metavar="DIR", help="The folder to make (jobs/NAME).")
@click.option("--name", help="The experiment's name (the data file's).")
@click.option("--force", is_flag=True, help="Replace a job that is there already.")
@read_flags
@click.pass_context
def new(
    context: click.Context,
    data: str | None,
    target: str | None,
    exclude: tuple[str, ...],
    task: str | None,
    metric: str | None,
    to: Path | None,
    name: str | None,
    force: bool,
    read: ReadOptions,
) -> None:
    """Write a job file and an MLTable for a data file.

    The folder holds job.yml, and the data with an MLTable that says how to read it, here and in Azure. Task and metric
    are chosen by what the target holds. What was guessed in reading DATA is said, with the flag that sets it right.
    On a terminal, what is not given is asked for: data, columns to leave out, target, task and metric.

    Example: forestay job new sales.csv --target amount --exclude id --exclude name
    """
    from automl_jobs.new import new_job

    screen = console(context)
    if data is None or target is None:
        if not screen.asks:
            missing = "data" if data is None else "target"
            parameter = next(one for one in context.command.params if one.name == missing)
            raise click.MissingParameter(ctx=context, param=parameter)
        from forestay.commands.job_ask import Given, ask, without_questions

        said = ask(screen, Given(data, target, exclude, task, metric), read)
        data, target, exclude, task, metric = said.data, said.target, said.exclude, said.task, said.metric
        screen.note(f"the same without questions: {without_questions(said)}")
    assert data is not None
    assert target is not None
    made = new_job(data, target, to=to, name=name, exclude=exclude, task=task, metric=metric, read=read, force=force)
    source = data
    screen.emit(document(made), lambda: view(made, source))


def document(made: NewJob) -> dict[str, Any]:
    """What `job new --output json` prints."""
    return {
        "path": str(made.folder),
        "job": str(made.job),
        "mltable": str(made.mltable),
        "data": str(made.data),
        "task": made.target.task,
        "primary_metric": made.target.metric,
        "target": made.target.as_dict(),
        "excluded": list(made.excluded),
        "rewritten": list(made.rewritten),
        "notes": list(made.notes),
        "hints": list(made.hints),
        "next": following(made),
    }


def following(made: NewJob) -> list[str]:
    """The commands to run next."""
    job = shlex.quote(str(made.job))
    return [f"forestay job check {job}", f"forestay job submit {job}"]


def view(made: NewJob, data: str) -> Iterator[RenderableType]:
    """What a person sees."""
    from rich.text import Text

    aim = made.target
    lines = [f"Wrote {plain(str(made.job))} and {plain(str(made.mltable))}"]
    if made.rewritten:
        lines.append(f"  data: a UTF-8 CSV copy of {plain(data)}, since it has {', '.join(made.rewritten)},")
        lines.append("  which an MLTable cannot tell Azure; any reader parses the copy alike")
    else:
        lines.append(f"  data: a copy of {plain(data)}, since Azure uploads the MLTable's folder only")
    if made.excluded:
        lines.append(f"  left out: {', '.join(map(plain, made.excluded))}")
    lines += [
        f"Target {plain(aim.column.name)}: {aim.summary}",
        f"  task {aim.task}: {aim.task_reason}",
        f"  metric {aim.metric}: {aim.metric_reason}",
        *(f"  warning: {warning}" for warning in aim.warnings),
        *(f"Hint: {hint}" for hint in made.hints),
    ]
    if made.notes:
        lines += ["Guessed:", *(f"  {note}" for note in made.notes)]
    lines += ["Next:", *(f"  {command}" for command in following(made))]
    yield from (Text(line) for line in lines)
