"""`forestay job check`: what a job file would run, and everything that is wrong with it or its data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forestay.cli import Command, console
from forestay.console import table
from forestay.errors import InputError, Problem

if TYPE_CHECKING:
    from automl_jobs.engine.guardrails import Guardrail
    from automl_jobs.prepare import Prepared
    from automl_jobs.spec import LoadedJob


@click.command(cls=Command)
@click.argument("job", type=click.Path(), metavar="JOB.yml")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Lay a value over the file; repeatable.")
@click.pass_context
def check(context: click.Context, job: str, overrides: tuple[str, ...]) -> None:
    """Check a job file and its data, and say what would run; nothing is trained.

    Every problem is named with its line. The exit code is 2 when there is one.

    Example: forestay job check job.yml --set limits.max_trials=20
    """
    from automl_jobs.engine import guardrails
    from automl_jobs.prepare import prepare
    from automl_jobs.spec import load_job
    from automl_jobs.submit import parse_overrides

    out = console(context)
    loaded: LoadedJob | None = None
    try:
        loaded = load_job(Path(job), parse_overrides(overrides))
        prepared = prepare(loaded)
    except InputError as error:
        if out.json:
            out.emit(_document(job, loaded, None, error.problems))
        raise
    found = guardrails.check(prepared)
    warnings = [*prepared.warnings, *_not_here(loaded), *_alerts(loaded, found)]
    document = {**_document(job, loaded, prepared, (), warnings), "guardrails": [one.as_dict() for one in found]}
    out.emit(document, lambda: _view(prepared, warnings))


def _not_here(loaded: LoadedJob) -> list[Problem]:
    """A valid job of a task that only Azure trains."""
    spec = loaded.spec
    if spec.runs_here:
        return []
    message = f"{spec.task} jobs do not train on this machine; Azure ML takes this file as it is"
    return [Problem(loaded.where("task"), message, "")]


def _alerts(loaded: LoadedJob, found: tuple[Guardrail, ...]) -> list[Problem]:
    """What the data guardrails found and only the user can mend."""
    from automl_jobs.engine import guardrails

    where = loaded.where("training_data")
    return [Problem(where, f"{one.name}: {one.description}", one.fix) for one in guardrails.alerts(found)]


def _document(
    file: str,
    loaded: LoadedJob | None,
    prepared: Prepared | None,
    problems: tuple[Problem, ...],
    warnings: list[Problem] | None = None,
) -> dict[str, Any]:
    plan = prepared.plan if prepared else None
    return {
        "file": file,
        "valid": not problems,
        "task": loaded.spec.task if loaded else None,
        "target": (loaded.spec.target_column_name or None) if loaded else None,
        "primary_metric": loaded.spec.metric if loaded else None,
        "algorithms": list(loaded.spec.algorithms) if loaded else [],
        "rows": prepared.rows if prepared else None,
        "columns": [
            {"name": use.name, "type": str(use.type), "used": use.used, "reason": use.reason or None}
            for use in (prepared.columns if prepared else ())
        ],
        "validation": {
            "kind": plan.kind if plan and plan.kind != "auto" else None,
            "folds": plan.folds if plan else None,
            "fraction": plan.fraction if plan else None,
        },
        "problems": [problem.as_dict() for problem in problems],
        "warnings": [problem.as_dict() for problem in warnings or ()],
        "guardrails": [],
    }


def _view(prepared: Prepared, warnings: list[Problem]) -> Iterator[Any]:
    from automl_jobs.engine import tasks
    from automl_jobs.submit import meaning_here
    from forestay.documents.names import shown

    spec = prepared.loaded.spec
    rows = "not looked at" if prepared.rows is None else f"{prepared.rows:,} rows"
    trials = tasks.of(spec.task).most_trials(spec) if spec.runs_here else spec.limits.max_trials
    facts = [
        ("task", spec.task),
        ("target", shown(spec.target_column_name)),
        ("metric", spec.metric),
        *((key.replace("_", " "), shown(data.path, 1000)) for key, data in spec.inputs().items()),
        ("rows", rows),
        ("validation", str(prepared.plan)),
        ("algorithms", ", ".join(spec.algorithms)),
        (
            "limits",
            f"{trials} trial{'s' * (trials != 1)}, {spec.time_budget_seconds / 60:g} minutes",
        ),
    ]
    yield f"{shown(str(prepared.loaded.path), 1000)}: a valid job"
    yield "\n".join(f"  {name:<16} {value}" for name, value in facts if value)
    if prepared.train is not None:
        notes = {column.name: "; ".join(column.warnings) for column in prepared.train.columns}
        yield table(
            ["column", "type", "used", "note"],
            [
                (shown(use.name), use.type, "yes" if use.used else "no", shown(use.reason or notes[use.name]) or None)
                for use in prepared.columns
            ],
        )
    tables = [found for found in (prepared.train, prepared.validation, prepared.test) if found is not None]
    told = [*(note for found in tables for note in found.notes), *meaning_here(prepared, spec.time_budget_seconds)]
    for line in dict.fromkeys(told):
        yield f"note: {line}"
    for warning in warnings:
        yield f"warning: {warning.where}: {warning.message}"
        if warning.fix:
            yield f"  {warning.fix}"
