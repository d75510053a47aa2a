"""What pydantic found, said to a person: the place of the key, the key, what is wrong, what to write."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from automl_jobs.spec import settings
from automl_jobs.spec.document import Document, KeyPath
from automl_jobs.spec.names import closest, shown, snake, suggest
from automl_jobs.spec.values import FOREIGN
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


def translate(error: ValidationError, model: type[BaseModel], document: Document) -> list[Problem]:
    """All problems, in the order of the file's lines."""
    return [_problem(detail, model, document) for detail in error.errors(include_url=False)]


def _problem(detail: ErrorDetails, model: type[BaseModel], document: Document) -> Problem:
    path, is_key = _path(detail["loc"], document)
    where = document.place(path)
    dotted = name_of(path)
    kind = detail["type"]
    if kind == "missing":
        parent = section_at(model, path[:-1])
        return Problem(
            document.place(path[:-1]), f"the key `{dotted}` is missing", _how_to_add(path, parent, document.data)
        )
    task = document.data.get("task")
    if kind == "foreign":
        return Problem(where, f"`{dotted}` is not a key of {task} jobs", _where_it_belongs(path, model, task))
    if kind == "extra_forbidden" or is_key:
        return Problem(where, f"unknown key `{dotted}`", _where_it_belongs(path, model, task))
    context = detail.get("ctx", {})
    if kind == "forestay":
        return Problem(where, f"`{dotted}` {context['message']}", context["fix"])
    return Problem(where, f"`{dotted}`: {detail['msg']}", "see the key in Azure ML's AutoML job reference")


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


def _how_to_add(path: KeyPath, parent: type[BaseModel] | None, data: dict[str, Any]) -> str:
    key = str(path[-1])
    given = _at(data, path[:-1])
    if parent is not None and isinstance(given, dict):
        unknown = [name for name in given if name not in keys(parent)]
        near = closest(key, unknown, count=1, cutoff=0.75)
        if near:
            return f"is `{shown(near[0])}` meant to be it? rename it to {key}"
    return EXAMPLES.get(key, f"add `{key}: ...`")


EXAMPLES = {
    "type": "add `type: automl`",
    "task": "add `task: classification`, or regression, forecasting, text_classification",
    "target_column_name": "add `target_column_name: COLUMN`, the column to predict",
    "training_data": "add `training_data:` and under it `path: ./folder` and `type: mltable`",
    "path": "add `path: ./folder`, or `path: azureml:name:version`",
    "forecasting": "add `forecasting:` and under it `time_column_name: COLUMN`",
    "time_column_name": "add `time_column_name: COLUMN`, the column with the dates",
}


def _at(data: Any, path: KeyPath) -> Any:
    for step in path:
        data = data[step] if isinstance(data, dict) and step in data else None
    return data


def _where_it_belongs(path: KeyPath, model: type[BaseModel], task: Any) -> str:
    key = str(path[-1])
    if len(path) == 1:
        home = home_of(model, key)
        if home:
            return f"it belongs under `{home}:`"
        if key.split(".")[0] == settings.PREFIX[:-1]:
            return "settings of forestay belong under `properties:`"
    section = section_at(model, path[:-1])
    names = list(keys(section)) if section else []
    if len(path) > 1 and key in keys(model):
        return "it belongs at the top of the file: remove its indentation"
    return suggest(key, names, f"valid {'keys of ' + str(task) if len(path) == 1 else 'here'}")


def property_problems(document: Document) -> list[Problem]:
    """What is wrong with the properties named `forestay.*`."""
    given = document.data.get("properties")
    found = []
    for name, value in given.items() if isinstance(given, dict) else ():
        text = value if isinstance(value, str) or value is None else str(value)
        wrong = settings.check(name, text) if not isinstance(value, bool | dict | list) else None
        if wrong:
            message = f"`properties.{shown(name)}` {wrong}"
            found.append(Problem(document.place(("properties", name)), message, wrong.fix))
    return found
