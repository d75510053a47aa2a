"""`forestay model register|list|show|download`: versions of models and where they came from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forestay.cli import Command, console
from forestay.commands.job import rank_option
from forestay.commands.job_views import decision_facts, facts, number, when
from forestay.console import table
from forestay.errors import InputError

if TYPE_CHECKING:
    from automl_jobs.runs import ModelVersion


def _only_local(_: click.Context, __: click.Parameter, value: str) -> str:
    if value != "local":
        raise InputError(
            f"there is no model registry for {value!r} here yet: it comes with Azure",
            where="--env",
            fix="leave --env out, or say --env local",
        )
    return value


env_option = click.option(
    "--env", default="local", show_default=True, callback=_only_local, expose_value=False, help="Whose registry."
)


@click.command(cls=Command)
@click.argument("job")
@rank_option
@click.option("--name", required=True, help="The model's name: letters, digits, '-', '_' and '.'.")
@env_option
@click.pass_context
def register(context: click.Context, job: str, rank: int | None, name: str) -> None:
    """Register a job's trial as a model version: the chosen one, or that of --rank.

    Versions are counted up. A trial that is registered under this name already keeps its version, and no new one is
    made: running the same command twice does no harm.

    Example: forestay model register latest --name CategorizeTransactions
    """
    from automl_jobs.runs import RunStore

    found = RunStore.open(create=False).register(job, rank, name)
    shown = console(context)
    if found.existing:
        shown.note(f"trial {found.trial} is {found.name}:{found.version} already")
    shown.emit({**found.as_dict(), "existing": found.existing}, lambda: model_view(found))


@click.command("list", cls=Command)
@env_option
@click.pass_context
def list_models(context: click.Context) -> None:
    """The registered models, each version.

    Example: forestay model list
    """
    from automl_jobs.runs import RunStore

    found = RunStore.open(create=False).models()
    shown = console(context)
    if not found:
        shown.note("no model is registered here yet; forestay model register JOB --name M registers one")
    shown.emit([version.as_dict() for version in found], lambda: [_list_view(found)] if found else [])


@click.command(cls=Command)
@click.argument("model")
@env_option
@click.pass_context
def show(context: click.Context, model: str) -> None:
    """One model version and where it came from.

    MODEL is a name for its newest version, or name:version.

    Example: forestay model show CategorizeTransactions:1
    """
    from automl_jobs.runs import RunStore

    found = RunStore.open(create=False).model(model)
    console(context).emit(found.as_dict(), lambda: model_view(found))


@click.command(cls=Command)
@click.argument("model")
@click.option("--to", "to", type=click.Path(path_type=Path), required=True, help="A new folder, or an empty one.")
@env_option
@click.pass_context
def download(context: click.Context, model: str, to: Path) -> None:
    """Copy a model version's files.

    Example: forestay model download CategorizeTransactions --to model/
    """
    from automl_jobs.runs import RunStore, copy_files

    found = RunStore.open(create=False).model(model)
    names = copy_files(found.path, to)
    document = {
        "path": str(to.absolute()),
        "name": found.name,
        "version": found.version,
        "files": list(names),
    }
    console(context).emit(document, lambda: [f"{len(names)} files of {found.name}:{found.version} are in {to}"])


def model_view(found: ModelVersion) -> Iterable[Any]:
    """A model version for a person."""
    yield facts(
        [
            ("model", f"{found.name}:{found.version}"),
            ("from", f"job {found.job}, trial {found.trial}, rank {found.rank} when registered"),
            ("algorithm", found.algorithm),
            (found.metric, number(found.score)),
            *decision_facts(found.decision),
            ("registered", when(found.as_dict()["created"]) + " UTC"),
            ("files in", found.path),
        ]
    )


def _list_view(found: list[ModelVersion]) -> Any:
    view = table(
        ("model", "version", "job", "algorithm", "score", "registered (UTC)"),
        (
            (
                version.name,
                version.version,
                version.job,
                version.algorithm,
                f"{version.metric} {number(version.score)}",
                when(version.as_dict()["created"])[:-3],
            )
            for version in found
        ),
        right=("version",),
    )
    view.columns[0].no_wrap = view.columns[2].no_wrap = True
    return view
