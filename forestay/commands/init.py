"""`forestay init`: a project of one's own, and `init --update` for one that an older version made."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forestay.asking import until, yes_or_no
from forestay.cli import Command, console
from forestay.errors import ForestayError, InputError, Interrupted

if TYPE_CHECKING:
    from rich.console import RenderableType

    from forestay.console import Console
    from forestay.scaffold.answers import Answers
    from forestay.scaffold.update import Update

STYLES = {"+": "green", "-": "red", "@": "cyan"}


@click.command(cls=Command)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path), required=False)
@click.option(
    "--subscription", multiple=True, metavar="[ENV=]GUID", help="Of all environments, or of one; can be repeated."
)
@click.option("--location", metavar="REGION", help="Azure's short name of the region: westeurope.")
@click.option("--stem", metavar="NAME", help="What all names in Azure begin with (the folder's name).")
@click.option("--mail", metavar="MAIL", help="Who owns the resources, and hears of budgets and failures.")
@click.option("--ci", type=click.Choice(["github", "azure-devops", "none"]), help="What runs the pipelines (github).")
@click.option(
    "--target", type=click.Choice(["managed", "aci", "aks"]), help="What serves the models in Azure (managed)."
)
@click.option("--example", is_flag=True, help="Bring the example's job: bank transactions to categories.")
@click.option("--update", is_flag=True, help="Bring a project that an older version made up to this one.")
@click.option("--yes", "-y", is_flag=True, help="With --update: don't ask; needed off a terminal.")
@click.pass_context
def init(
    context: click.Context,
    folder: Path | None,
    subscription: tuple[str, ...],
    location: str | None,
    stem: str | None,
    mail: str | None,
    ci: str | None,
    target: str | None,
    example: bool,
    update: bool,
    yes: bool,
) -> None:
    """Make a project of your own: stacks for dev, test and prod, a folder of jobs, pipelines.

    DIR may be there already; nothing in it is overwritten. On a terminal, what is not given is asked for.
    --update shows what differs in this version, and merges it with your own changes; other flags change what the
    project was made from.

    Example: forestay init churn --location westeurope --mail ml-team@contoso.com --ci github --example
    """
    from forestay.scaffold.answers import checked, subscriptions

    flags = {"location": location, "stem": stem, "mail": mail, "ci": ci, "target": target}
    given: dict[str, Any] = {key: checked(key, value, f"--{key}") for key, value in flags.items() if value is not None}
    if subscription:
        given["subscriptions"] = subscriptions(subscription)
    if example:
        given["example"] = True
    if update:
        _update(context, folder or Path(), given, yes)
    elif yes:
        raise InputError("there is nothing to agree to without --update", where="--yes", fix="leave it out")
    else:
        _make(context, folder, given)


def _make(context: click.Context, folder: Path | None, given: dict[str, Any]) -> None:
    from forestay.pipelines.settings import FILE as PIPELINES
    from forestay.scaffold import files as templates
    from forestay.scaffold import place, record

    screen = console(context)
    if folder is None:
        if not screen.asks:
            raise _missing(context, ["folder"])
        folder = until(screen, "folder of the project", ".", Path)
    place.take_back(folder)
    fixed = "`forestay init --update` brings a project up to date" if (folder / record.FILE).exists() else ""
    place.refuse_clashes(folder, [record.FILE], fixed)
    answers = _answers(context, screen, folder, given)
    files = templates.files(answers)
    files[record.FILE] = record.Record.of(answers, files).text()
    if PIPELINES in files:
        files |= templates.pipelines(files[PIPELINES], answers)
    files["Pulumi.yaml"] = files.pop("Pulumi.yaml")  # the last that is placed: without it the folder is no project
    place.place(folder, files)
    document = {
        "path": str(folder),
        "files": sorted(files),
        "answers": answers.model_dump(),
        "next": _following(folder, answers),
    }
    screen.emit(document, lambda: _made_view(document))


def _answers(context: click.Context, screen: Console, folder: Path, given: dict[str, Any]) -> Answers:
    """What is given, asked for or taken for granted, in this order.

    Raises click.MissingParameter off a terminal, for all at once that only the user can know.
    """
    from forestay.scaffold import answers as known

    lacking: list[str] = []

    def answer(name: str, kind: str, question: str, proposed: str | None, *, must: bool = False) -> Any:
        """`must`: nobody but the user can know it; what is proposed counts only when somebody could say no."""
        if screen.asks:
            title = question.partition(",")[0]
            return until(screen, question, proposed or "", lambda text: known.checked(kind, text, title))
        if (must or proposed is None) and name not in lacking:
            lacking.append(name)
        return proposed

    def simple(key: str, question: str, proposed: str | None, *, must: bool = False) -> Any:
        return given[key] if key in given else answer(key, key, question, proposed, must=must)

    chosen, found = known.chosen_subscription(), dict[str, str]()
    for env in known.ENVIRONMENTS:
        there = given.get("subscriptions", {}).get(env)
        # That of the last environment is only proposed: nothing gets into another's unasked.
        last = next(reversed(found.values()), None) if screen.asks else None
        found[env] = there or answer("subscription", "subscription", f"subscription of {env}", last or chosen)
    stem = known.stem_of(folder)
    if stem == known.FALLBACK and "stem" not in given and not screen.asks:
        screen.note(f"the folder's name makes no stem: names in Azure begin with {stem}; --stem chooses another")
    told = {
        "location": simple("location", "location, Azure's short name of the region", known.REGION, must=True),
        "stem": simple("stem", "stem, what all names in Azure begin with", stem),
        "mail": simple("mail", "mail, of who owns the resources and hears of failures", None),
        "ci": simple("ci", f"pipelines, run by one of {', '.join(known.SYSTEMS)}", known.SYSTEMS[0]),
        "target": simple(
            "target", f"target, what serves models in Azure: {', '.join(known.TARGETS)}", known.TARGETS[0]
        ),
        "example": given.get("example", False)
        or (screen.asks and until(screen, "bring the example's job? (yes, no)", "no", yes_or_no)),
    }
    if lacking:
        raise _missing(context, lacking)
    return known.Answers(subscriptions=found, since=known.this_month(), **told)


def _missing(context: click.Context, names: list[str]) -> click.MissingParameter:
    lacking = [one for one in context.command.params if one.name in names]
    hint = " ".join(one.get_error_hint(context) for one in lacking)
    return click.MissingParameter(ctx=context, param_hint=hint, param_type=lacking[0].param_type_name)


def _following(folder: Path, answers: Answers) -> list[str]:
    """The commands to run next."""
    there = [] if folder.resolve() == Path.cwd() else [shlex.join(["cd", str(folder)])]
    new = [] if answers.example else [f"forestay job new DATA.csv --target COLUMN --name {answers.experiment}"]
    return [*there, "forestay infra plan --env dev", *new, f"forestay job submit {answers.job}"]


def _made_view(document: dict[str, Any]) -> Iterator[str]:
    yield f"{document['path']}: {len(document['files'])} files"
    yield from (f"  {path}" for path in document["files"])
    yield "Next:"
    yield from (f"  {command}" for command in document["next"])


def _update(context: click.Context, folder: Path, given: dict[str, Any], yes: bool) -> None:
    from forestay.scaffold import answers as known
    from forestay.scaffold import place, record
    from forestay.scaffold import update as updates

    screen = console(context)
    before = record.load(folder).answers
    with place.holding(folder):
        found = updates.plan(folder, known.with_changes(before, given))
        if found.needed:
            for part in _diff_view(found):
                screen.err.print(part)
            if not yes:
                _agree(screen, found)
            updates.carry_out(found)
    screen.emit(found.as_dict(), lambda: _update_view(found))
    if found.conflicts:
        context.exit(ForestayError.exit_code)


def _agree(screen: Console, found: Update) -> None:
    for line in _update_view(found):
        screen.note(line)
    if not screen.asks:
        raise InputError("this changes files, and nobody can be asked", where="--yes", fix="add --yes")
    if not screen.confirm("Change these files?"):
        raise Interrupted("nothing was done")


def _diff_view(found: Update) -> Iterator[RenderableType]:
    from rich.text import Text

    for change in found.changes:
        yield from (Text(line, STYLES.get(line[:1], "")) for line in change.diff())


def _update_view(found: Update) -> Iterator[str]:
    if found.needed:
        yield f"{found.folder}: from Forestay {found.before.version} to {found.after.version}"
    else:
        yield f"{found.folder}: as Forestay {found.after.version} makes it; your own changes are yours"
    for change in found.changes:
        yield f"  {change.kind:<8} {change.path}{': ' if change.why else ''}{change.why}"
    if found.conflicts:
        yield "Choose between both sides where <<<<<<< and >>>>>>> stand, in: " + ", ".join(found.conflicts)
