"""`forestay pipeline render`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from forestay.cli import Command, console
from forestay.errors import ForestayError, InputError

if TYPE_CHECKING:
    from pathlib import Path

    from forestay.pipelines.files import Rendered
    from forestay.pipelines.settings import PipelineSettings


@click.command(cls=Command)
@click.option(
    "--ci", type=click.Choice(["github", "azure-devops"]), help="For which system; by default as in the file."
)
@click.option("--job", metavar="JOB.yml", help="At first: the job file that trains the model.")
@click.option("--model", metavar="NAME", help="At first: the model's name in the registry.")
@click.option("--endpoint", metavar="NAME", help="At first: the endpoint that serves it.")
@click.option(
    "--target", type=click.Choice(["managed", "aci", "aks", "local"]), help="At first: what serves it (managed)."
)
@click.option("--train", metavar="ENV", help="At first: the environment that trains (dev).")
@click.option(
    "--deploy", metavar="ENV", multiple=True, help="At first: an environment that serves (test, prod); repeatable."
)
@click.option("--test-data", metavar="FILE", help="At first: rows with answers that no training sees.")
@click.option("--metric", metavar="METRIC", help="At first: what a new model is compared by.")
@click.option("--threshold", type=click.FloatRange(0), help="At first: how much better a new model must be (0).")
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 when a file is not as it would be rendered.")
@click.option("--yes", "-y", is_flag=True, help="Also write over files that were edited by hand.")
@click.pass_context
def render(context: click.Context, /, ci: str | None, check: bool, yes: bool, **first: Any) -> None:
    """Write this project's pipelines: checks and plans of pull requests, training, proof, deploys, drift, rollback.

    They are made from pipelines.yml. Without one the options say what to begin it with; later that file is changed, and
    this command run again. A file that was edited by hand is written over with --yes only; the difference is shown.

    Example: forestay pipeline render --ci github --job jobs/churn/job.yml --model Churn --endpoint churn-api
    """
    from forestay import project
    from forestay.pipelines import files
    from forestay.pipelines import render as rendered

    screen = console(context)
    root = project.root()
    settings, begun = _settings(root, ci, {key: value for key, value in first.items() if value not in (None, ())})
    for model in settings.models:
        if not model.compare:
            screen.warn(f"{model.name} is compared with nothing (compare: false): every new model of it is delivered")
    found = files.look(root, rendered(settings))
    edited = [one for one in found if one.state == files.EDITED]
    if check:
        different = [one for one in found if one.state != files.SAME]
        screen.emit(_document(settings, found), lambda: _checked(different))
        if different:
            context.exit(ForestayError.exit_code)
        return
    if edited and not yes:
        for one in edited:
            for line in one.diff():
                screen.note(line)
        names = ", ".join(one.path for one in edited)
        if not screen.confirm(f"Write over what was edited by hand in {names}?"):
            fix = "change pipelines.yml instead, rename the file, or say --yes to lose the edits"
            raise InputError("was edited by hand, or is not ours; nothing was written", where=names, fix=fix)
    if begun:
        project.write_atomic(root / _file(), begun)
    files.write(root, found)
    screen.emit(_document(settings, found), lambda: _view(settings, found, bool(begun)))


def _file() -> str:
    from forestay.pipelines.settings import FILE

    return FILE


def _settings(root: Path, ci: str | None, first: dict[str, Any]) -> tuple[PipelineSettings, str]:
    """The settings, and the text of their file where it is not there yet. Raises InputError."""
    from forestay.pipelines import settings as room

    if (root / room.FILE).exists():
        given = next(iter(first), None)
        if given is not None:
            flag = f"--{given.replace('_', '-')}"
            raise InputError(
                "is for the first time only", where=flag, fix=f"change {root / room.FILE}, and leave it out"
            )
        found, text = room.load(root), ""
    else:
        missing = [f"--{name}" for name, value in {"ci": ci, **{k: first.get(k) for k in _NEEDED}}.items() if not value]
        if missing:
            fix = "say what to begin it with: --ci github --job jobs/churn/job.yml --model Churn --endpoint churn-api"
            raise InputError(f"there is no {room.FILE} yet", where=", ".join(missing), fix=fix)
        assert ci is not None
        found, text = room.begin(root, ci=ci, **first)
    return (found if ci is None else found.model_copy(update={"ci": ci})), text


_NEEDED = ("job", "model", "endpoint")


def _document(settings: PipelineSettings, found: list[Rendered]) -> dict[str, Any]:
    from forestay.pipelines.setup import steps

    files = [one.as_dict() for one in found]
    return {"ci": settings.ci, "settings": _file(), "files": files, "setup": list(steps(settings))}


def _checked(different: list[Rendered]) -> Iterator[str]:
    for one in different:
        yield f"{one.path}: {one.state}"
        yield from one.diff() if one.before else ()
    yield "run forestay pipeline render" if different else "the pipelines are as pipelines.yml says"


def _view(settings: PipelineSettings, found: list[Rendered], begun: bool) -> Iterator[str]:
    from forestay.pipelines import files
    from forestay.pipelines.setup import steps

    if begun:
        yield f"{_file()}: new"
    yield from (f"{one.path}: {one.state if one.text else 'removed'}" for one in found)
    if any(one.state != files.SAME for one in found):
        yield f"commit them; {_file()} says what they do. Once there must be:"
        yield from (f"  {line}" for line in steps(settings))
