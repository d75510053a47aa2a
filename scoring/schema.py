"""What the training engine wrote beside a model: `model_schema.json` and `golden.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from forestay.errors import InputError

MODEL_FILES = ("model.pkl", "forestay_transformers.py", "model_schema.json")
CLASSIFIES = ("classification", "text_classification")
Document = TypeVar("Document", bound=BaseModel)


class ModelSource(Protocol):
    """A model version of a registry: what generate() needs of it. `path` is the trial's outputs folder."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def job(self) -> str: ...
    @property
    def trial(self) -> str: ...
    @property
    def path(self) -> Path: ...


class ColumnSchema(BaseModel):
    """One column of a request. `minimum` and `maximum` are numbers, or ISO text for dates."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    type: str
    used: bool
    integer: bool = False
    nullable: bool = True
    minimum: int | float | str | None = None
    maximum: int | float | str | None = None
    values: tuple[str, ...] | None = None
    max_length: int | None = None


class ModelSchema(BaseModel):
    """What a model takes and gives, and what it needs to be loaded."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    task: str
    target: str
    target_type: str
    classes: tuple[bool | int | float | str, ...] | None
    columns: tuple[ColumnSchema, ...]
    algorithm: str
    python: str
    packages: dict[str, str]
    files: dict[str, str]

    @property
    def used(self) -> tuple[ColumnSchema, ...]:
        return tuple(column for column in self.columns if column.used)

    @property
    def classifies(self) -> bool:
        return self.task in CLASSIFIES


class Golden(BaseModel):
    """Made-up rows and what the training process predicted for them; `probabilities` in the order of `classes`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    rows: tuple[dict[str, Any], ...]
    predictions: tuple[bool | int | float | str, ...]
    probabilities: tuple[tuple[float, ...], ...] | None = None
    classes: tuple[bool | int | float | str, ...] | None = None


def read_schema(folder: Path) -> ModelSchema:
    """The schema of the model in `folder`. Raises InputError when it is missing or not one."""
    return _read(ModelSchema, folder / "model_schema.json")


def read_golden(folder: Path) -> Golden:
    """The golden rows in `folder`. Raises InputError when they are missing, or not one prediction a row."""
    path = folder / "golden.json"
    golden = _read(Golden, path)
    counts = {len(golden.rows), len(golden.predictions)}
    if golden.probabilities is not None:
        counts.add(len(golden.probabilities))
    if len(counts) != 1 or not golden.rows:
        raise InputError(
            "rows, predictions and probabilities must be equally many, and at least one",
            where=str(path),
            fix="generate the folder again: forestay score generate",
        )
    return golden


def _read(kind: type[Document], path: Path) -> Document:
    try:
        return kind.model_validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise InputError(
            f"cannot read: {error.strerror}", where=str(path), fix="generate the folder again: forestay score generate"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise InputError(
            f"{place}: {first['msg']}", where=str(path), fix="generate the folder again: forestay score generate"
        ) from error
