"""What pydantic found, said to a person: the place of the key, the key, what is wrong, what to write."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from forestay.documents.document import Document, KeyPath
from forestay.documents.names import closest, shown, snake
from forestay.documents.values import FOREIGN
from forestay.errors import Problem


def keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys that a section takes, as a file writes them."""
    return {info.alias or name: info for name, info in model.model_fields.items() if FOREIGN not in info.metadata}


def bare(annotation: Any) -> Any:
    """A type without Annotated and None around it: `Annotated[Limits, ...] | None` -> Limits."""
    while True:
        origin = typing.get_origin(annotation)
        if origin is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
        elif origin in (typing.Union, types.UnionType):
            rest = [part for part in typing.get_args(annotation) if part is not types.NoneType]
            if len(rest) != 1:
                return annotation
            annotation = rest[0]
        else:
            return annotation


def inside(annotation: Any, step: str | int) -> Any:
    """The type one key or one position further in; None where nothing is known."""
    annotation = bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        info = keys(annotation).get(str(step))
        return info.annotation if info else None
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is dict:
        return arguments[1]
    if typing.get_origin(annotation) in (list, tuple):
        return arguments[0]
    return None


def section_at(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel] | None:
    """The section at a path, if there is one."""
    annotation: Any = model
    for step in path:
        annotation = inside(annotation, step)
    annotation = bare(annotation)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def home_of(model: type[BaseModel], key: str) -> str | None:
    """Where a key belongs that was given at the wrong place: `max_trials` -> `limits`."""
    for name, info in keys(model).items():
        section = bare(info.annotation)
        if isinstance(section, type) and issubclass(section, BaseModel) and key in keys(section):
            return name
    return None


@dataclass(frozen=True)
class Wording:
    """What only the kind of file knows.

    Attributes
    ----------
    examples: of a key that must be given, how to write it.
    belongs: of an unknown key (its path, the root model, the document), where it belongs or what was meant.
    foreign: of a key that only a sibling of the model has, what that sibling is called: "classification jobs".
    reference: where all keys are described.
    """

    examples: Mapping[str, str]
    belongs: Callable[[KeyPath, type[BaseModel], Document], str]
    foreign: Callable[[Document], str]
    reference: str


def translate(error: ValidationError, model: type[BaseModel], document: Document, wording: Wording) -> list[Problem]:
    """All problems, in the order of the file's lines."""
    return [_problem(detail, model, document, wording) for detail in error.errors(include_url=False)]


def _problem(detail: ErrorDetails, model: type[BaseModel], document: Document, wording: Wording) -> Problem:
    path, is_key = _path(detail["loc"], document)
    where = document.place(path)
    dotted = name_of(path)
    kind = detail["type"]
    if kind == "missing":
        parent = section_at(model, path[:-1])
        return Problem(
            document.place(path[:-1]),
            f"the key `{dotted}` is missing",
            _how_to_add(path, parent, document.data, wording.examples),
        )
    if kind == "foreign":
        message = f"`{dotted}` is not a key of {wording.foreign(document)}"
        return Problem(where, message, wording.belongs(path, model, document))
    context = detail.get("ctx", {})
    if kind == "forestay":
        at = (*path, *context.get("at", ()))
        return Problem(document.place(at), f"{_subject(at)} {context['message']}", context["fix"])
    if kind == "extra_forbidden" or is_key:
        return Problem(where, f"unknown key `{dotted}`", wording.belongs(path, model, document))
    return Problem(where, f"`{dotted}`: {detail['msg']}", wording.reference)


def _subject(path: KeyPath) -> str:
    """What a message is about: a key, or the file as a whole."""
    return f"`{name_of(path)}`" if path else "this file"


def _path(location: tuple[int | str, ...], document: Document) -> tuple[KeyPath, bool]:
    """The keys in pydantic's location, as the file writes them; and whether a mapping's key is at fault.

    Left out are the names that pydantic adds for unions; `Imputer` is found in the file as `imputer`.
    """
    is_key = location[-1:] == ("[key]",)
    known: Any = document.data
    path: list[str | int] = []
    last = len(location) - 1
    for position, step in enumerate(location[: last if is_key else last + 1]):
        if isinstance(known, dict):
            written = next((key for key in known if key == step or snake(key) == snake(str(step))), None)
            if written is None and position != last:
                continue
            path.append(step if written is None else written)
            known = known.get(written)
        elif isinstance(known, list) and isinstance(step, int) and step < len(known):
            path.append(step)
            known = known[step]
    return tuple(path), is_key


def name_of(path: Sequence[str | int]) -> str:
    """limits.max_trials, training.allowed_training_algorithms[0]"""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{shown(step)}" if text else shown(step)
    return text


def _how_to_add(
    path: KeyPath, parent: type[BaseModel] | None, data: dict[str, Any], examples: Mapping[str, str]
) -> str:
    key = str(path[-1])
    given = _at(data, path[:-1])
    if parent is not None and isinstance(given, dict):
        unknown = [name for name in given if name not in keys(parent)]
        near = closest(key, unknown, count=1, cutoff=0.75)
        if near:
            return f"is `{shown(near[0])}` meant to be it? rename it to {key}"
    return examples.get(key, f"add `{key}: ...`")


def _at(data: Any, path: KeyPath) -> Any:
    for step in path:
        data = data[step] if isinstance(data, dict) and step in data else None
    return data


def in_order(problems: Sequence[Problem]) -> list[Problem]:
    """Problems in the order of the file's lines; those without a line, such as `--set KEY`, by their place."""
    return sorted(problems, key=_line)


def _line(problem: Problem) -> tuple[str, int]:
    name, _, line = problem.where.rpartition(":")
    return (name, int(line)) if line.isdigit() else (problem.where, 0)
