"""From a path to a checked job: read, lay the overrides over it, check everything, say all problems at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from automl_jobs.spec import settings
from automl_jobs.spec.jobs import BY_TASK, ClassificationJob, JobSpec
from automl_jobs.spec.problems import WORDING, property_problems
from forestay.documents.document import Document, KeyPath, Kind, parse, parse_value, read_text
from forestay.documents.names import shown, suggest
from forestay.documents.problems import bare, in_order, inside, keys, section_at, translate
from forestay.errors import InputError, Problem

JOB_FILE = Kind("job file", "`type: automl` and `task: classification`", "`forestay job new DATA --target COLUMN`")


@dataclass(frozen=True)
class LoadedJob:
    """A job file that is right.

    Attributes
    ----------
    spec: what it says, defaults and overrides included.
    path: the file, as given.
    text: its text, unchanged.
    warnings: what works here and may not be meant, or not work in Azure.
    """

    spec: JobSpec
    path: Path
    text: str
    warnings: tuple[Problem, ...] = ()
    _document: Document = field(default_factory=lambda: Document({}), repr=False)

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the file start from."""
        return self.path.parent

    def line_of(self, key: str) -> int | None:
        """The 1-based line of a key such as "limits.max_trials"; None when the file doesn't give it."""
        place = self._document.where.get(self._path(key), "")
        line = place.removeprefix(f"{self.path}:")
        return int(line) if line.isdigit() else None

    def where(self, key: str) -> str:
        """ "file:line" of a key, or of the nearest one above it that is there; "--set KEY" when an override gave it."""
        return self._document.place(self._path(key))

    def with_property(self, name: str, value: str) -> LoadedJob:
        """The same job with a property of another value, which the text doesn't show."""
        properties = {**self.spec.properties, name: value}
        return replace(self, spec=self.spec.model_copy(update={"properties": properties}))

    def _path(self, key: str) -> KeyPath:
        return tuple(key_steps(type(self.spec), key)) if key else ()


def load_job(path: Path, overrides: Mapping[str, str] | None = None) -> LoadedJob:
    """Read and check a job file.

    Parameters
    ----------
    path: the YAML file.
    overrides: dotted key -> YAML value, laid over the file, which stays as it is: {"limits.max_trials": "5"}.
        `null` removes a key. The last part of a key under `properties`, `tags` or another free mapping may hold dots.

    Raises InputError with every problem, each at "file:line" or "--set KEY".
    """
    path = Path(path)
    return read_job(read_text(path, JOB_FILE), path, overrides)


def read_job(text: str, path: Path, overrides: Mapping[str, str] | None = None) -> LoadedJob:
    """The same of a job file's text, whether or not it lies at `path` already."""
    document = parse(text, str(path), JOB_FILE)
    task = document.data.get("task")
    model = BY_TASK.get(task, ClassificationJob) if isinstance(task, str) else ClassificationJob
    problems = [wrong for key, value in (overrides or {}).items() if (wrong := _override(document, model, key, value))]
    given = document.data.get("task")
    if given != task:
        model = BY_TASK.get(given, ClassificationJob) if isinstance(given, str) else ClassificationJob
    known = given if isinstance(given, str) and given in BY_TASK else "classification"
    problems += property_problems(document)
    try:
        spec = model.model_validate(document.data, context={"task": known})
    except ValidationError as error:
        problems += translate(error, model, document, WORDING)
    if problems:
        raise InputError.of(in_order(problems))
    return LoadedJob(spec, path, text, _warnings(document), document)


def key_steps(model: type[BaseModel], key: str) -> list[str]:
    """The parts of a dotted key. Names in a mapping of plain values may hold dots: properties.forestay.seed."""
    parts = key.split(".")
    steps: list[str] = []
    annotation: Any = model
    while parts:
        if _is_free(annotation):
            return [*steps, ".".join(parts)]
        steps.append(parts.pop(0))
        annotation = inside(annotation, steps[-1])
    return steps


def _is_free(annotation: Any) -> bool:
    """Whether this is a mapping whose names are the user's own and whose values are no sections."""
    annotation = bare(annotation)
    if getattr(annotation, "__origin__", None) is not dict:
        return False
    value = bare(annotation.__args__[1])
    return not (isinstance(value, type) and issubclass(value, BaseModel))


def _override(document: Document, model: type[JobSpec], key: str, text: str) -> Problem | None:
    """Lay one `--set` over the document. Returns what is wrong with it."""
    where = f"--set {key}"
    steps = key_steps(model, key)
    if not all(steps):
        return Problem(f"--set {shown(key)}", "not a key", "write --set limits.max_trials=5")
    try:
        value = parse_value(text, where)
    except InputError as error:
        return error.problems[0]
    section: Any = document.data
    for depth, step in enumerate(steps[:-1]):
        known = section_at(model, steps[:depth])
        if known is not None and step not in keys(known):
            return Problem(where, f"unknown key `{shown('.'.join(steps[: depth + 1]))}`", suggest(step, keys(known)))
        if section.get(step) is None:
            section[step] = {}
            document.where[tuple(steps[: depth + 1])] = where
        section = section[step]
        if not isinstance(section, dict):
            return Problem(
                where,
                f"`{shown('.'.join(steps[: depth + 1]))}` is not a mapping in the file, so it has no keys to set",
                f"set it as a whole: --set {steps[0]}={{...}}",
            )
    parent = section_at(model, steps[:-1])
    if value is None and (parent is None or steps[-1] in keys(parent)):
        section.pop(steps[-1], None)
        return None
    section[steps[-1]] = value
    path = tuple(steps)
    for place in [place for place in document.where if place[: len(path)] == path]:
        del document.where[place]
    document.where[path] = where
    return None


def _warnings(document: Document) -> tuple[Problem, ...]:
    """What is right here and refused by Azure's own client: false for `off`, and numbers in properties."""
    found = []
    featurization = document.data.get("featurization")
    if isinstance(featurization, dict) and featurization.get("mode") is False:
        found.append(
            Problem(
                document.place(("featurization", "mode")),
                "YAML reads the unquoted `off` as false; it is taken as off here, and refused by `az ml job create`",
                'write mode: "off"',
            )
        )
    properties = document.data.get("properties")
    for name, value in properties.items() if isinstance(properties, dict) else ():
        if name.startswith(settings.PREFIX) and not isinstance(value, str | None):
            found.append(
                Problem(
                    document.place(("properties", name)),
                    f"`properties.{shown(name)}` is no text; `az ml job create` takes only texts in properties",
                    f'write {shown(name)}: "{str(value).lower() if isinstance(value, bool) else value}"',
                )
            )
    return tuple(found)
