"""What the training engine wrote beside a model: `model_schema.json` and `golden.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from forestay.errors import InputError
from scoring.folder import RECORD

MODEL, SCHEMA, GOLDEN = "model.pkl", "model_schema.json", "golden.json"
CLASSIFIES = ("classification", "text_classification")
MULTILABEL = "text_classification_multilabel"
FORECASTING = "forecasting"
Label = bool | int | float | str
Document = TypeVar("Document", bound=BaseModel)


class ModelSource(Protocol):
    """A model version of a registry: what generate() needs of it.

    `path` is the trial's outputs folder; `card` the text of its model card, None for a version without.
    """

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
    @property
    def card(self) -> str | None: ...


@dataclass(frozen=True)
class Source:
    """A model version of another registry than the run store's, with its files here: see ModelSource."""

    name: str
    version: str
    path: Path
    job: str = ""
    trial: str = ""
    card: str | None = None


class ColumnSchema(BaseModel):
    """One column of a request. `minimum` and `maximum` are numbers, or ISO text for dates.

    `sample` is a value for sample requests, where the range does not tell one; of a forecasting model's columns those
    that are `nullable` are not known ahead. `nulls` tells whether the model takes rows without a value. `days`: of its
    times each is a day, whatever offset its midnight is written with.
    """

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
    sample: Label | None = None
    nulls: bool = True
    days: bool = False


class ModelSchema(BaseModel):
    """What a model takes and gives, and what it needs to be loaded.

    Attributes
    ----------
    time_column, series_columns, frequency, horizon: of a forecasting model; the frequency is a pandas offset, the
        horizon counts periods.
    decision: how a classifier with a threshold of its own decides, or None.
    trusted_types: what skops is told to trust when it loads the model; None where the model is a pickle.
    pickle_reason: in a scoring folder, why it is one.
    takes_array: whether the model was fitted on plain arrays and not on frames with names.
    probabilities: whether a classifier has them.
    foreign: whether it was registered from a file and not trained here, so that nothing is known of what rows it takes.
    elsewhere: whether it was trained by another trainer, such as Azure's: the environment is its own conda file, and it
        is loaded there only.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    task: str
    target: str
    target_type: str
    classes: tuple[Label, ...] | None
    columns: tuple[ColumnSchema, ...]
    algorithm: str
    python: str
    packages: dict[str, str]
    files: dict[str, str]
    time_column: str | None = None
    series_columns: tuple[str, ...] = ()
    frequency: str | None = None
    horizon: int | None = None
    decision: dict[str, Any] | None = None
    trusted_types: tuple[str, ...] | None = None
    pickle_reason: str | None = None
    takes_array: bool = False
    probabilities: bool = True
    foreign: bool = False
    elsewhere: bool = False

    @property
    def used(self) -> tuple[ColumnSchema, ...]:
        return tuple(column for column in self.columns if column.used)

    @property
    def weighted(self) -> tuple[tuple[Label, float], ...]:
        """Each label and what its probability is multiplied by, for a model that decides by weights."""
        found = self.decision or {}
        return tuple(zip(found.get("classes", ()), found.get("weights", ()), strict=True))

    @property
    def required(self) -> tuple[ColumnSchema, ...]:
        """The columns that every row must have; what is not known ahead may be left out of a forecast's rows."""
        return tuple(column for column in self.used if not (self.forecasts and column.nullable))

    @property
    def history(self) -> ColumnSchema | None:
        """A forecasting model's target as a column that may be sent: a row that has it is recent history."""
        return ColumnSchema(name=self.target, type="numeric", used=True) if self.forecasts else None

    @property
    def classifies(self) -> bool:
        """Whether it gives one label a row."""
        return self.task in CLASSIFIES

    @property
    def multilabel(self) -> bool:
        """Whether it gives any number of labels a row."""
        return self.task == MULTILABEL

    @property
    def forecasts(self) -> bool:
        return self.task == FORECASTING

    @property
    def numbers_only(self) -> bool:
        """Whether a row is no more than a list of numbers to the model."""
        return self.takes_array and all(column.type == "numeric" for column in self.used)

    @property
    def methods(self) -> tuple[str, ...]:
        """What `method` of a request can be; the first is the default."""
        if self.forecasts:
            return ("forecast", "predict")
        return (
            ("predict", "predict_proba")
            if (self.classifies or self.multilabel) and self.probabilities
            else ("predict",)
        )


class Golden(BaseModel):
    """Made-up rows and what the training process predicted for them.

    Attributes
    ----------
    predictions: a label or number a row; a list of labels where a row can have several.
    probabilities: in the order of `classes`.
    quantiles: of a forecast, by level as text: one number a row.
    pending: whether nobody has predicted the rows yet; the proof asks the model (see scoring/reference.py).
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    rows: tuple[dict[str, Any], ...]
    predictions: tuple[Label | list[Label], ...]
    probabilities: tuple[tuple[float, ...], ...] | None = None
    classes: tuple[Label, ...] | None = None
    quantiles: dict[str, tuple[float, ...]] | None = None
    pending: bool = False

    @property
    def answers(self) -> dict[str, Any]:
        """What was predicted, as JSON values."""
        return self.model_dump(mode="json", include={"predictions", "probabilities", "quantiles"})


def read_schema(folder: Path) -> ModelSchema:
    """The schema of the model in `folder`. Raises InputError when it is missing or not one."""
    return _read(ModelSchema, folder / SCHEMA)


def read_golden(folder: Path, proven: bool = True) -> Golden:
    """The golden rows in `folder`. Raises InputError when they are missing, or not one prediction a row.

    Parameters
    ----------
    proven: rows that nobody had predicted have the answers that the folder's proof got of the model itself.
    """
    path = folder / GOLDEN
    golden = _read(Golden, path)
    if golden.pending and proven:
        golden = _answered(golden, folder / RECORD)
    counts = {len(golden.rows)} if golden.pending else {len(golden.rows), len(golden.predictions)}
    if golden.probabilities is not None:
        counts.add(len(golden.probabilities))
    counts.update(len(values) for values in (golden.quantiles or {}).values())
    if len(counts) != 1 or not golden.rows:
        raise InputError(
            "rows, predictions, probabilities and quantiles must be equally many, and at least one",
            where=str(path),
            fix="generate the folder again: forestay score generate",
        )
    return golden


def _answered(golden: Golden, record: Path) -> Golden:
    """The rows with the answers that the folder's own record has; as they are where it has none."""
    try:
        answers = ((json.loads(record.read_bytes()).get("proof") or {}).get("answers")) or {}
        return Golden.model_validate({**golden.model_dump(), **answers, "pending": False}) if answers else golden
    except (OSError, ValueError, AttributeError):  # pydantic's errors are ValueErrors
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
