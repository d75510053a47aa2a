"""What changes for callers, and for who runs it, between two versions: `score diff`, and the gate of deploys.

A change breaks callers when a request that the old version answers is refused by the new one, or an answer no longer
has the form, the labels or the keys that it had. All else is told, and breaks nobody. A forecast trained on newer data
starts later: that is told too, and breaks nobody who asks for periods to come; those that have passed are refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forestay.errors import ForestayError, InputError, Problem, RunFailed
from scoring import environment, styles
from scoring.folder import RECORD, open_folder
from scoring.schema import ColumnSchema, Label, ModelSchema, ModelSource, read_golden, read_schema
from scoring.targets import Target

SHOWN = 5  # how many breaking changes a refused deploy lists
_TEXTS = ("text", "categorical")  # the same to a caller
_LISTED = 10  # how many categories or labels one change names


@dataclass(frozen=True)
class Version:
    """One side of a comparison.

    Attributes
    ----------
    name: as people call it, `Churn 3`.
    quantiles: whether a forecast can be asked for quantiles.
    python, packages: what it is served with; versions by canonical name.
    generated: whether it is a scoring folder, whose packages are all that serve it; else they are those known so far.
    style: the scoring folder's; None where there is none yet.
    """

    name: str
    schema: ModelSchema
    quantiles: bool
    python: str
    packages: dict[str, str]
    generated: bool
    style: str | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """What `method` of a request can be."""
        return styles.of(self.style, self.schema).methods if self.style else self.schema.methods


@dataclass(frozen=True)
class Change:
    """One thing that differs.

    Attributes
    ----------
    what: its kind, as in `column_added`.
    name: of the column, label, package or property.
    old, new: as JSON; None where there is none.
    breaking: whether callers of the old version must change something.
    reason: why, in one line.
    """

    what: str
    name: str
    old: Any
    new: Any
    breaking: bool
    reason: str


@dataclass(frozen=True)
class Difference:
    old: str
    new: str
    changes: tuple[Change, ...]

    @property
    def breaking(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.breaking)

    def as_dict(self) -> dict[str, Any]:
        """The JSON of `score diff`."""
        return {
            "old": self.old,
            "new": self.new,
            "breaking": bool(self.breaking),
            "changes": [asdict(change) for change in self.changes],
        }


def from_folder(path: Path) -> Version:
    """A scoring folder as one side. Raises InputError when it is not one."""
    folder = open_folder(path.absolute())
    schema = read_schema(folder.path / "model")
    file = folder.path / "conda_env.yaml"
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("cannot read", where=str(file), fix="generate it again: forestay score generate") from error
    return _version(f"{folder.model} {folder.version}", schema, folder.path, text, folder.style)


def from_registry(source: ModelSource) -> Version:
    """A registered model version as one side; generating its scoring folder may add packages that load the model."""
    schema = read_schema(source.path)
    text = environment.conda_env(schema)
    return _version(f"{source.name} {source.version}", schema, source.path, text, None)


def _version(name: str, schema: ModelSchema, outputs: Path, conda_env: str, style: str | None) -> Version:
    pins = environment.read_pins(conda_env, "conda_env.yaml")
    quantiles = schema.forecasts and bool(read_golden(outputs).quantiles)
    return Version(name, schema, quantiles, pins.python, pins.versions(), style is not None, style)


def read(given: str) -> Version:
    """What `score diff` was given: a scoring folder, or a registered model as `M`, `M:3` or `local:M`."""
    from scoring.registry import model_version

    path = Path(given)
    if (path / RECORD).exists() or "/" in given:
        return from_folder(path)
    try:
        return from_registry(model_version(given))
    except InputError:
        if path.is_dir():
            return from_folder(path)  # which says why it is none
        raise


def compare(old: Version, new: Version) -> Difference:
    """All that differs, what breaks callers first."""
    found = [
        *_style(old, new),
        *_task(old, new),
        *_columns(old.schema, new.schema),
        *_labels(old.schema, new.schema),
        *_environment(old, new),
    ]
    return Difference(old.name, new.name, tuple(sorted(found, key=lambda change: not change.breaking)))


def guard(target: Target, endpoint: str, folder: Path, allow_breaking: bool) -> None:
    """Refuse to deploy `folder` where it breaks the callers of what `endpoint` serves now.

    Nothing is refused where the endpoint is new, or what it serves can no longer be read.

    Raises RunFailed with each change that breaks them.
    """
    if allow_breaking or endpoint not in target.names():
        return
    try:
        deployed = from_folder(target.assets(endpoint))
    except ForestayError:
        return
    broken = compare(deployed, from_folder(folder)).breaking
    if not broken:
        return
    problems = [Problem(shown(change.name), change.reason) for change in broken[:SHOWN]]
    if len(broken) > SHOWN:
        problems.append(Problem("", f"and {len(broken) - SHOWN} more"))
    raise RunFailed.of(
        [
            Problem(
                endpoint,
                f"this version breaks callers of {deployed.name}, which is deployed ({len(broken)} changes)",
                "deploy it under another name, or say --allow-breaking",
            ),
            *problems,
        ]
    )


# ---- what is asked and what comes back ----


def _style(old: Version, new: Version) -> Iterator[Change]:
    """Another frame round the model takes other forms of a request; where one side has none, nothing is known of it."""
    if old.style is None or new.style is None or old.style == new.style:
        return
    lost = [
        form for form in styles.of(old.style, old.schema).forms if form not in styles.of(new.style, new.schema).forms
    ]
    if lost:
        yield Change("style_changed", "style", old.style, new.style, True, f"requests as {', '.join(lost)} are refused")
    else:
        yield Change("style_changed", "style", old.style, new.style, False, "requests of the old style are still taken")


def _task(old: Version, new: Version) -> Iterator[Change]:
    one, two = old.schema, new.schema
    if one.task != two.task:
        same = one.classifies and two.classifies
        reason = "both answer with one label a row" if same else "the answers have another form"
        yield Change("task_changed", "task", one.task, two.task, not same, reason)
    for method in old.methods:
        if method not in new.methods:
            yield Change("method_removed", method, method, None, True, "requests with this method are refused")
    for method in new.methods:
        if method not in old.methods:
            yield Change("method_added", method, None, method, False, "no caller asks for it yet")
    if one.target != two.target:
        sent = one.forecasts
        reason = "rows of recent history name it" if sent else "it is no part of a request or an answer"
        yield Change("target_renamed", one.target, one.target, two.target, sent, reason)
    if one.target_type != two.target_type:
        reason = "answers hold another JSON type" if one.classifies or two.classifies else "both are JSON numbers"
        breaks = one.classifies or two.classifies or one.multilabel or two.multilabel
        yield Change("target_type_changed", one.target, one.target_type, two.target_type, breaks, reason)
    if old.quantiles and not new.quantiles and two.forecasts:
        yield Change("quantiles_removed", "quantiles", True, False, True, "requests with quantiles are refused")
    if new.quantiles and not old.quantiles and one.forecasts:
        yield Change("quantiles_added", "quantiles", False, True, False, "no caller asks for them yet")
    if one.frequency != two.frequency:
        reason = "rows between two periods are refused, and another step is forecast"
        yield Change("frequency_changed", "frequency", one.frequency, two.frequency, True, reason)
    if one.series_columns != two.series_columns:
        reason = "rows belong to other series"
        pair = list(one.series_columns), list(two.series_columns)
        yield Change("series_columns_changed", "series", *pair, True, reason)
    if one.time_column != two.time_column:
        reason = "rows are ordered by another column"
        yield Change("time_column_changed", "time", one.time_column, two.time_column, True, reason)
    told = "requests and answers keep their form"
    for name in ("horizon", "algorithm", "decision"):
        before, after = getattr(one, name), getattr(two, name)
        if before != after:
            yield Change(f"{name}_changed", name, before, after, False, told)


def _labels(one: ModelSchema, two: ModelSchema) -> Iterator[Change]:
    if one.classes is None or two.classes is None:
        return
    before, after = _keyed(one.classes), _keyed(two.classes)
    for key, label in after.items():
        if key not in before:
            reason = "callers get a label that they have never seen"
            yield Change("label_added", _label(label), None, label, True, reason)
    for key, label in before.items():
        if key not in after:
            reason = "no row gets it any more, and probabilities lack it"
            yield Change("label_removed", _label(label), label, None, True, reason)


def _keyed(labels: tuple[Label, ...]) -> dict[str, Label]:
    """Labels by their JSON, so that 1, true and "1" stay three."""
    return {json.dumps(label): label for label in labels}


def _label(label: Label) -> str:
    return label if isinstance(label, str) else json.dumps(label)


# ---- columns ----


def _columns(one: ModelSchema, two: ModelSchema) -> Iterator[Change]:
    before = {column.name: column for column in one.columns}
    after = {column.name: column for column in two.columns}
    required = {column.name for column in two.required}
    for name, column in after.items():
        if name in before:
            continue
        if not column.used:
            reason = "it may be sent, and is ignored"
        elif name in required:
            reason = "rows without it are refused"
        else:
            reason = "rows may leave it out"
        yield Change("column_added", name, None, _kind(column), name in required, reason)
    for name, column in before.items():
        if name not in after:
            reason = "rows that hold it are refused"
            yield Change("column_removed", name, _kind(column), None, True, reason)
        else:
            yield from _column(column, after[name], one, two)


def _column(old: ColumnSchema, new: ColumnSchema, one: ModelSchema, two: ModelSchema) -> Iterator[Change]:
    name = old.name
    was, now = old in one.required, new in two.required
    if old.used and not new.used:
        yield Change("column_ignored", name, True, False, False, "it may still be sent, and is ignored")
        return
    if not new.used:
        return
    if not old.used:
        reason = "rows without it are refused, and its values are checked" if now else "its values are checked"
        yield Change("column_used", name, False, True, True, reason)
        return
    if now and not was:
        yield Change("column_required", name, False, True, True, "rows may no longer leave it out")
    elif was and not now:
        yield Change("column_optional", name, True, False, False, "rows may leave it out")
    if _kind(old) != _kind(new):
        breaks, reason = _retyped(old, new)
        yield Change("column_retyped", name, _kind(old), _kind(new), breaks, reason)
        if breaks:
            return
    if not (one.forecasts or two.forecasts) and old.nullable != new.nullable:
        reason = "null is taken as before, and filled as training filled gaps"
        yield Change("nullable_changed", name, old.nullable, new.nullable, False, reason)
    if old.nulls and not new.nulls:
        yield Change("nulls_refused", name, True, False, True, "null is refused: the model takes no missing values")
    elif new.nulls and not old.nulls:
        yield Change("nulls_taken", name, False, True, False, "null is taken as a missing value")
    if name == one.time_column == two.time_column:
        yield from _start(old, new)
    elif (old.minimum, old.maximum) != (new.minimum, new.maximum):
        pair = [old.minimum, old.maximum], [new.minimum, new.maximum]
        reason = "the range of the training data is told, not enforced"
        yield Change("range_changed", name, *pair, False, reason)
    if old.max_length != new.max_length:
        reason = "the longest text of the training data is told, not enforced"
        yield Change("max_length_changed", name, old.max_length, new.max_length, False, reason)
    yield from _categories(old, new, name in one.series_columns and name in two.series_columns)


def _start(old: ColumnSchema, new: ColumnSchema) -> Iterator[Change]:
    """The first period after training, from which a forecast's `minimum` is told."""
    if old.minimum == new.minimum:
        return
    if str(old.minimum) < str(new.minimum):  # ISO 8601 is ordered as text
        reason = (
            f"training goes further: rows before {new.minimum} are passed over with a target, and refused without one"
        )
    else:
        reason = f"training ends earlier: what is known from {new.minimum} on must be sent, or is forecast over"
    yield Change("forecast_start_moved", old.name, old.minimum, new.minimum, False, reason)


def _categories(old: ColumnSchema, new: ColumnSchema, series: bool) -> Iterator[Change]:
    if old.values is None or new.values is None:
        return
    added = [value for value in new.values if value not in old.values]
    removed = [value for value in old.values if value not in new.values]
    if added:
        yield Change("categories_added", old.name, None, added[:_LISTED], False, "the model knows more values")
    if removed and series:
        yield Change("series_removed", old.name, removed[:_LISTED], None, True, "a series without history is refused")
    elif removed:
        reason = "they are answered as values that training has not seen"
        yield Change("categories_removed", old.name, removed[:_LISTED], None, False, reason)


def _kind(column: ColumnSchema) -> str:
    return "integer" if column.type == "numeric" and column.integer else column.type


def _retyped(old: ColumnSchema, new: ColumnSchema) -> tuple[bool, str]:
    """Whether values of the old type are refused by the new one."""
    if old.type in _TEXTS and new.type in _TEXTS:
        return False, "both are JSON text"
    if old.type == new.type == "numeric":
        return (True, "fractions are refused") if new.integer else (False, "whole numbers are still taken")
    if old.type == "datetime" and new.type in _TEXTS:
        return False, "dates are JSON text, and every text is taken"
    return True, "values of the old type are refused"


# ---- what serves it ----


def _environment(old: Version, new: Version) -> Iterator[Change]:
    reason = "callers don't see what serves them"
    if old.python != new.python:
        yield Change("python_changed", "python", old.python, new.python, False, reason)
    names = old.packages.keys() | new.packages.keys()
    if old.generated != new.generated:  # what only one of them has may be what generating adds
        names = old.packages.keys() & new.packages.keys()
    for name in sorted(names):
        before, after = old.packages.get(name), new.packages.get(name)
        if before != after:
            kind = "added" if before is None else "removed" if after is None else "changed"
            yield Change(f"package_{kind}", name, before, after, False, reason)


def shown(value: Any) -> str:
    """A name or value in a message: as JSON, and short."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
