"""Writes the reference pages: every command's `--help`, and every key of a stack's file and of a job file.

`make reference` writes them anew; a test fails when what is committed is something else than what this module makes.
`python -m tools.reference DIR` writes them to another folder.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
WIDTH = 100
PLAIN = {str: "a text", float: "a number", int: "a whole number", bool: "true or false", dict: "a mapping"}


def main(folder: Path = FOLDER) -> None:
    for name, text in PAGES.items():
        (folder / name).write_text(text(), encoding="utf-8")


# ---- commands ----


def commands() -> str:
    """Every command of the tree with its help page, as it is printed where no terminal is."""
    from forestay.cli import root

    return (
        "# Commands\n\n"
        "Every command takes `--output json` (one document on stdout, all else on stderr), `--quiet` and `--verbose`, "
        "before or after its name; see [For scripts](scripts.md) for exit codes.\n\n"
        + "\n".join(_command(root, None, "forestay"))
    )


def _command(command: click.Command, parent: click.Context | None, name: str) -> Iterator[str]:
    settings = {**command.context_settings, "max_content_width": WIDTH, "terminal_width": WIDTH}
    context = click.Context(command, parent, name, **settings)
    path = context.command_path
    yield f"{'##' if len(path.split()) <= 2 else '###'} {path}\n\n```text\n{_plain_help(command, context)}\n```\n"
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.resolve_command(context, [below])[1]
            assert found is not None
            yield from _command(found, context, below)


def _plain_help(command: click.Command, context: click.Context) -> str:
    """click's own page, which a terminal would show drawn."""
    formatter = context.make_formatter()
    command.format_help(context, formatter)
    return formatter.getvalue().rstrip()


# ---- keys of files ----


@dataclasses.dataclass(frozen=True)
class Key:
    """One line of a table. `below` is the section that the key holds, if it holds one."""

    name: str
    takes: str
    default: str
    meaning: str
    below: type[BaseModel] | None


def stack_settings() -> str:
    from infra.services import Service
    from infra.settings import StackSettings

    text = (
        "# Stack settings\n\n"
        "What `stacks/Pulumi.<env>.yaml` may say under `config:`. Forestay's keys are written `forestay:key`; location "
        "and subscription are the provider's, `azure-native:location` and `azure-native:subscriptionId`. The file "
        "`stacks/Pulumi.<env>-services.yaml` of the served models takes the same keys, and `forestay:services`, a "
        "mapping from an endpoint's name to a [Service](#service). Which environment and which of the two a file is "
        "follows from its name.\n\n"
        "Wrong keys and values are told with `file:line` and what to write.\n\n"
    )
    return text + "\n".join(_sections({"StackSettings": StackSettings, "Service": Service}))


def pipelines() -> str:
    from forestay.pipelines.settings import PipelineSettings

    text = (
        "# Pipelines\n\nWhat `pipelines.yml` says, from which `forestay pipeline render` makes the pipelines; "
        "[how](../how-to/pipelines.md).\n\n"
    )
    return text + "\n".join(_sections({"PipelineSettings": PipelineSettings}))


def job_file() -> str:
    from automl_jobs.spec import settings
    from automl_jobs.spec.jobs import BY_TASK, JobSpec, runnable
    from automl_jobs.spec.metrics import PRIMARY_METRICS

    kinds = list(dict.fromkeys(BY_TASK.values()))
    lines = [
        "# Job file\n",
        "Azure ML's AutoML job YAML (CLI v2), key for key. What is written is `snake_case` or `CamelCase`, as there. "
        "[What a job file does](../how-to/job-file.md) says what each part does on this machine.\n",
        "## Tasks\n",
        "| task | trained here | primary metrics, the default first |\n|---|---|---|",
    ]
    lines += [
        f"| `{task}` | {'yes' if task in runnable() else 'in Azure only'} | {_names(names)} |"
        for task, names in PRIMARY_METRICS.items()
    ]
    lines += ["\n## Keys\n", "| key | takes | default | what it is | tasks |\n|---|---|---|---|---|"]
    below: dict[str, type[BaseModel]] = {}
    meanings = _attributes(JobSpec)
    for name, field in JobSpec.model_fields.items():
        taking = [kind for kind in kinds if not _foreign(kind.model_fields[name])]
        written = field.alias or name
        if not taking or written in IGNORED:
            continue
        tasks = [task for task, kind in BY_TASK.items() if kind in taking]
        key = _key(written, taking[0].model_fields[name], {_snake(written): meanings.get(name, "")})
        sections = {_section(kind.model_fields[name].annotation): kind for kind in taking}
        takes = key.takes
        if key.below:
            found = [one for one in sections if one is not None]
            below |= {one.__name__: one for one in found}
            takes = " or ".join(_link(one) for one in found)
        lines.append(f"| `{written}` | {takes} | {key.default} | {key.meaning} | {_groups(tasks)} |")
    lines += [
        "\nAzure's own `id`, `status`, `creation_context` and `log_files`, which it writes into a file that it gives "
        "back, are taken and ignored.\n",
        "## Properties of Forestay\n",
        "Written under `properties:`, which Azure keeps and ignores; each has a flag of `job submit`, too.\n",
        "| property | flag | what it is |\n|---|---|---|",
    ]
    meanings = _attributes(settings.ForestaySettings)
    for one in dataclasses.fields(settings.ForestaySettings):
        name, meaning = one.name.removesuffix("_seconds"), meanings[one.name]
        lines.append(f"| `{settings.PREFIX}{name}` | `--{name.replace('_', '-')}` | {meaning} |")
    return "\n".join(lines) + "\n\n" + "\n".join(_sections(below))


IGNORED = ("id", "status", "creation_context", "log_files")  # Azure's, see the text
FROM_NAME = ("environment", "layer")  # of a stack's file


def _sections(first: dict[str, type[BaseModel]]) -> Iterator[str]:
    """A table for each section, and for each that one of its keys holds; every section once."""
    waiting, seen = list(first.items()), set(first.values())
    while waiting:
        title, model = waiting.pop(0)
        meanings = _attributes(model)
        keys = [
            _key(field.alias or name, field, meanings)
            for name, field in model.model_fields.items()
            if not _foreign(field) and not (title == "StackSettings" and name in FROM_NAME)
        ]
        told = any(key.meaning for key in keys)
        yield f"## {title}\n\n{_summary(model)}| key | takes | default |{' what it is |' if told else ''}"
        yield f"|---|---|---|{'---|' if told else ''}"
        for key in keys:
            written = _in_stack(key.name) if title == "StackSettings" else key.name
            yield f"| `{written}` | {key.takes} | {key.default} |{f' {key.meaning} |' if told else ''}"
            if key.below is not None and key.below not in seen:
                seen.add(key.below)
                waiting.append((key.below.__name__, key.below))
        yield ""


def _in_stack(name: str) -> str:
    """A top-level key as a stack's file has it, with its namespace."""
    from infra.stackfile import PROJECT, PROVIDER_KEYS

    return next((full for full, short in PROVIDER_KEYS.items() if short == name), f"{PROJECT}:{name}")


def _key(name: str, field: FieldInfo, meanings: dict[str, str]) -> Key:
    below = _section(field.annotation)
    takes = _takes(field.annotation, field.metadata)
    if below is not None:
        takes = _link(below) if takes == "a section" else f"{takes} of {_link(below)}"
    return Key(name, takes, _default(field), meanings.get(_snake(name), ""), below)


def _takes(annotation: Any, metadata: typing.Sequence[Any] = ()) -> str:
    """What a value may be, in words: those of the check that is marked with some, else of its type."""
    for one in metadata:
        words = vars(getattr(one, "func", None) or _nothing).get("takes")
        if words:
            return str(words)
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _takes(annotation.__origin__, annotation.__metadata__)
    if origin in (typing.Union, types.UnionType):
        kinds = [one for one in typing.get_args(annotation) if one is not type(None)]
        return " or ".join(dict.fromkeys(_takes(one) for one in kinds))
    if origin in (list, tuple):
        inner = typing.get_args(annotation)[0]
        return "a list" if _section(inner) else f"a list: {_takes(inner)}"
    if origin is dict:
        inner = typing.get_args(annotation)[1]
        return "a mapping" if _section(inner) or inner is Any else f"a mapping to {_takes(inner)}"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "a section"
    return PLAIN.get(annotation, "anything")


def _nothing() -> None: ...


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section that a value is, or holds."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) is typing.Annotated:
        return _section(annotation.__origin__)
    return next((found for one in typing.get_args(annotation) if (found := _section(one))), None)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = field.default if field.default is not PydanticUndefined else None
    if value is None or value in ((), "") or isinstance(value, BaseModel):
        return "-"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(_written, value))}]`"
    return f"`{_written(value)}`"


def _written(value: Any) -> str:
    """A value as YAML has it."""
    if isinstance(value, BaseModel):
        return f"{{{', '.join(f'{name}: {one}' for name, one in value.model_dump(exclude_unset=True).items())}}}"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _foreign(field: FieldInfo) -> bool:
    from forestay.documents.values import FOREIGN

    return FOREIGN in field.metadata


def _link(model: type[BaseModel]) -> str:
    return f"[{model.__name__}](#{model.__name__.lower()})"


def _groups(tasks: list[str]) -> str:
    """Tasks in few words: those on tables are named, the others by what they begin with where all are meant."""
    from automl_jobs.spec.jobs import BY_TASK

    if len(tasks) == len(BY_TASK):
        return "all"
    words: list[str] = []
    for begin in ("text", "image"):
        kin = [task for task in BY_TASK if task.startswith(f"{begin}_")]
        if set(kin) <= set(tasks):
            tasks = [task for task in tasks if task not in kin]
            words.append(f"`{begin}_*`")
    return ", ".join([*(f"`{task}`" for task in tasks), *words])


def _names(names: typing.Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def _summary(model: type[BaseModel]) -> str:
    """The docstring's first paragraph, where the class has one of its own."""
    text = inspect.cleandoc(model.__doc__ or "").partition("\n\n")[0]
    return f"{_one_line(text)}\n\n" if text else ""


def _attributes(model: type) -> dict[str, str]:
    """What the docstring's section Attributes says, by attribute."""
    _, _, text = inspect.cleandoc(model.__doc__ or "").partition("Attributes\n----------\n")
    found: dict[str, str] = {}
    # A new entry begins where a line, or a sentence in it, begins with names and a colon.
    for entry in re.split(r"(?:^|(?<=\. ))(?=(?:\w+)(?:, \w+)*: )", re.sub(r"\n +", " ", text), flags=re.MULTILINE):
        names, colon, meaning = entry.partition(": ")
        if colon:
            found |= {name: _one_line(meaning) for name in names.split(", ")}
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


# By their names in docs/reference.
PAGES = {
    "commands.md": commands,
    "stack-settings.md": stack_settings,
    "job-file.md": job_file,
    "pipelines.md": pipelines,
}

if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
