"""`forestay job new`: a job file and an MLTable for a data file."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from automl_jobs.data.kinds import plain
from automl_jobs.target import TASKS
from forestay import LOCAL
from forestay.cli import Command, console
from forestay.commands.data import read_flags
from forestay.commands.job_ask import Given, ask

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
@click.option(
    "--env", metavar="ENV", help="Where it will train: this machine (local), or a stack, whose cluster is written."
)
@click.option("--time-budget", metavar="TIME", help="How long the search may take: 30s, 5m, 1h (60 minutes).")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Write a key of the file; repeatable.")
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
    env: str | None,
    time_budget: str | None,
    settings: tuple[str, ...],
    to: Path | None,
    name: str | None,
    force: bool,
    read: ReadOptions,
) -> None:
    """Write a job file and an MLTable for a data file.

    The folder holds job.yml, and the data with an MLTable that says how to read it, here and in Azure. Task and metric
    are chosen by what the target holds. What was guessed in reading DATA is said, with the flag that sets it right.
    On a terminal, what is not given is asked for: data, columns to leave out, target, task, metric, where to train, for
    how long, and advanced settings.

    Example: forestay job new sales.csv --target amount --exclude id --exclude name
    """
    from automl_jobs.new import new_job
    from automl_jobs.submit import parse_overrides

    screen = console(context)
    given = Given(data, target, exclude, task, metric, env, time_budget, parse_overrides(settings))
    if data is None or target is None:
        if not screen.asks:
            missing = "data" if data is None else "target"
            parameter = next(one for one in context.command.params if one.name == missing)
            raise click.MissingParameter(ctx=context, param=parameter)
        given = ask(screen, given, read)
        screen.note(f"the same without questions: {shlex.join([*given.command, *_other_flags(context)])}")
    assert given.data is not None
    wishes = given.wishes(to=to, name=name, read=read)
    made = new_job(given.data, wishes, force=force)
    source, place = given.data, wishes.env
    screen.emit(document(made, place), lambda: view(made, source, place))


def _other_flags(context: click.Context) -> list[str]:
    """What was said on the command line besides that which is asked for."""
    asked = {each.name for each in fields(Given)}
    words: list[str] = []
    for one in context.command.params:
        said = context.get_parameter_source(str(one.name)) is ParameterSource.COMMANDLINE
        if not isinstance(one, click.Option) or one.name in asked or not said:
            continue
        value = context.params[str(one.name)]
        if one.is_flag:
            words.append((one.opts if value else one.secondary_opts)[0])
        else:
            for each in value if one.multiple else [value]:
                words += [one.opts[0], str(each)]
    return words


def document(made: NewJob, env: str) -> dict[str, Any]:
    """What `job new --output json` prints."""
    draft = made.draft
    return {
        "path": str(made.folder),
        "job": str(made.job),
        "mltable": str(made.mltable),
        "data": str(made.data),
        "task": draft.target.task,
        "primary_metric": draft.target.metric,
        "target": draft.target.as_dict(),
        "excluded": list(draft.excluded),
        "rewritten": list(draft.rewritten),
        "notes": list(draft.table.notes),
        "hints": list(draft.hints),
        "next": following(made, env),
    }


def following(made: NewJob, env: str) -> list[str]:
    """The commands to run next."""
    job = str(made.job)
    there = [] if env == LOCAL else ["--env", env]
    return [shlex.join(["forestay", "job", "check", job]), shlex.join(["forestay", "job", "submit", job, *there])]


def view(made: NewJob, data: str, env: str) -> Iterator[RenderableType]:
    """What a person sees."""
    from rich.text import Text

    draft, aim = made.draft, made.draft.target
    lines = [f"Wrote {plain(str(made.job))} and {plain(str(made.mltable))}"]
    if draft.rewritten:
        lines.append(f"  data: a UTF-8 CSV copy of {plain(data)}, since it has {', '.join(draft.rewritten)},")
        lines.append("  which an MLTable cannot tell Azure; any reader parses the copy alike")
    else:
        lines.append(f"  data: a copy of {plain(data)}, since Azure uploads the MLTable's folder only")
    if draft.excluded:
        lines.append(f"  left out: {', '.join(map(plain, draft.excluded))}")
    lines += [
        f"Target {plain(aim.column.name)}: {aim.summary}",
        f"  task {aim.task}: {aim.task_reason}",
        f"  metric {aim.metric}: {aim.metric_reason}",
        *(f"  warning: {warning}" for warning in aim.warnings),
        *(f"Hint: {hint}" for hint in draft.hints),
    ]
    if draft.table.notes:
        lines += ["Guessed:", *(f"  {note}" for note in draft.table.notes)]
    lines += ["Next:", *(f"  {command}" for command in following(made, env))]
    yield from (Text(line) for line in lines)
