"""The model card of a registered version: what it is, what it was trained on, how good it is, and where it ends.

After Mitchell et al. 2019, "Model Cards for Model Reporting"; written once, when the version is registered, so that it
says what was known then. What only its owner can say is left to them, and the card says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.runs.rows import moment
from forestay import __version__
from forestay.words import number, short, some

if TYPE_CHECKING:
    from automl_jobs.runs.rows import JobDetail, RegisteredModel, TrialRow

NAME = "MODEL_CARD.md"
MOST_CLASSES, MOST_COLUMNS, MOST_IMPORTANCES, MOST_VALUES = 20, 50, 15, 5
FEW_ROWS = 1_000
Facts = list[tuple[str, str]]
Rows = list[list[str | None]]


@dataclass(frozen=True)
class Card:
    """What the template asks for: facts as pairs, tables as rows of cells, sentences as text."""

    label: str
    model: Facts
    classes: list[str]
    more_classes: int
    data: Rows
    split: Facts
    metrics: Rows
    metrics_note: str
    importances: Rows
    importance_note: str
    limits: list[str]
    columns: Rows
    more_columns: int
    environment: Facts


def place(name: str, version: str) -> str:
    """Where a version's card lies among the artifacts of its run; several versions may come from one trial."""
    return f"model_cards/{name}-{version}/{NAME}"


def text(
    found: RegisteredModel,
    schema: Mapping[str, Any],
    detail: JobDetail | None,
    trial: TrialRow | None,
    lineage: Sequence[tuple[str, str]] = (),
) -> str:
    """The card of a version as Markdown.

    Parameters
    ----------
    schema: its model_schema.json, or what is known of it.
    detail, trial: what made it; None for a model that was registered from a file.
    lineage: what else is known of where it comes from.
    """
    import templates

    return templates.render("scoring/MODEL_CARD.md.j2", found=_card(found, schema, detail, trial, lineage))


def _card(
    found: RegisteredModel,
    schema: Mapping[str, Any],
    detail: JobDetail | None,
    trial: TrialRow | None,
    lineage: Sequence[tuple[str, str]],
) -> Card:
    classes = [str(label) for label in schema.get("classes") or ()]
    used = [column for column in schema.get("columns") or () if column["used"]]
    tested = detail is not None and detail.best is not None and trial is not None and detail.best.id == trial.id
    importances, importance_note = _importances(detail, trial)
    return Card(
        label=f"{found.name}:{found.version}",
        model=[*_model(found, schema, detail, trial), *lineage],
        classes=classes[:MOST_CLASSES],
        more_classes=max(0, len(classes) - MOST_CLASSES),
        data=_data(detail),
        split=_split(detail),
        metrics=_metrics(detail, trial, tested),
        metrics_note=_metrics_note(detail, tested),
        importances=importances,
        importance_note=importance_note,
        limits=list(_limits(schema, used, detail)),
        columns=[[column["name"], column["type"], _range(column)] for column in used[:MOST_COLUMNS]],
        more_columns=max(0, len(used) - MOST_COLUMNS),
        environment=_environment(schema),
    )


def schema_of(folder: Path) -> dict[str, Any]:
    """The schema of the model in an outputs folder; empty for one whose trainer wrote none."""
    try:
        found = json.loads((folder / "model_schema.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _model(
    found: RegisteredModel, schema: Mapping[str, Any], detail: JobDetail | None, trial: TrialRow | None
) -> Facts:
    pairs: list[tuple[str, Any]] = [
        ("algorithm", ", ".join(filter(None, (found.algorithm, trial.preprocessor if trial else "")))),
        ("task", schema.get("task") or (detail.task if detail else "")),
        ("predicts", schema.get("target") or (detail.target if detail else "")),
        ("decides", _decision(found.decision)),
        ("from", f"file {found.file}" if found.file else f"job {found.job}, trial {found.trial}, rank {found.rank}"),
        ("experiment", detail.experiment if detail else ""),
        ("trained", (moment(detail.ended) or "") if detail else ""),
        ("registered", moment(found.created) or ""),
        ("horizon", f"{schema['horizon']} periods of {schema['frequency']}" if schema.get("horizon") else ""),
    ]
    return [(name, str(value)) for name, value in pairs if value not in (None, "")]


def _decision(rule: Mapping[str, Any] | None) -> str:
    if not rule or rule.get("rule") in (None, "argmax"):
        return ""
    if rule["rule"] == "threshold":
        return f"{rule.get('positive_label')} from a probability of {rule.get('threshold'):.4g}"
    return "the class with the largest probability times its weight"


def _data(detail: JobDetail | None) -> Rows:
    tables = (detail.documents.get("submit") or {}).get("data") if detail else None
    if detail is not None and not tables and detail.parameters.get("rows"):
        return [["training_data", _grouped(detail.parameters["rows"]), detail.parameters.get("columns"), None, None]]
    return [
        [name, _grouped(mark["rows"]), str(len(mark["columns"])), _period(mark.get("periods") or {}), mark["sha256"]]
        for name, mark in (tables or {}).items()
    ]


def _grouped(value: Any) -> str:
    return f"{int(value):,}"


def _period(periods: Mapping[str, Sequence[str]]) -> str | None:
    """The range of each column of times."""
    return "; ".join(f"{name} {first} to {last}" for name, (first, last) in periods.items()) or None


def _split(detail: JobDetail | None) -> Facts:
    if detail is None:
        return []
    given = detail.parameters
    pairs = [
        ("validated by", given.get("validation", "").replace("_", " ")),
        ("folds", given.get("folds", "")),
        ("seed", given.get("seed", "")),
        ("test data", "none" if detail.test_metrics is None else "apart from training and validation"),
    ]
    return [(name, value) for name, value in pairs if value]


def _metrics(detail: JobDetail | None, trial: TrialRow | None, tested: bool) -> Rows:
    if trial is None or detail is None:
        return []
    test = (detail.test_metrics or {}) if tested else {}
    intervals = detail.documents.get("test_metrics_interval") or {}
    first = detail.primary_metric
    validated = {**trial.metrics, **trial.quality}
    if trial.score is not None:
        validated[first] = trial.score
    rows: Rows = []
    for name in sorted({*validated, *test}, key=lambda one: (one != first, one)):
        value = number(validated.get(name))
        if name == first and value is not None and trial.score_std is not None:
            value += f" ± {trial.score_std:.2g}"
        own = intervals.get(name) if tested else None
        between = f"{number(own['low'])} to {number(own['high'])}" if own else None
        rows.append([name, value, number(test.get(name)), between])
    return rows


def _metrics_note(detail: JobDetail | None, tested: bool) -> str:
    if detail is None:
        return ""
    note = (
        f"The job sought the best `{detail.primary_metric}`. Validation scores are of rows held out of each fit; the "
    )
    note += "model was chosen by them, so that they are a little too good."
    if not tested:
        return note + " The job has no scores of this trial on test data."
    return note + " Test data was used for nothing but this."


def _importances(detail: JobDetail | None, trial: TrialRow | None) -> tuple[Rows, str]:
    told = detail.documents.get("explanation") if detail else None
    if not told or trial is None or told.get("trial") != trial.id:
        return [], ""
    rows: Rows = [
        [one["column"], short(one["mean"]), short(one["std"])] for one in told["importances"][:MOST_IMPORTANCES]
    ]
    more = len(told["importances"]) - len(rows)
    note = f"What {told['metric']} loses when a column is shuffled, on {told['rows']:,} {told['data']} rows."
    return rows, note + (f" {more} columns with less are left out." if more > 0 else "")


def _limits(schema: Mapping[str, Any], used: Sequence[Mapping[str, Any]], detail: JobDetail | None) -> Iterator[str]:
    rows = int(detail.parameters.get("rows", 0)) if detail else 0
    if 0 < rows < FEW_ROWS:
        yield f"It was trained on {rows:,} rows: other rows could have given another model."
    if schema.get("horizon"):
        yield f"It was chosen by how it forecasts {schema['horizon']} periods ahead; beyond, it goes on from its own."
        yield "A series that training never saw needs recent history."
    if any(column["type"] == "numeric" for column in used):
        yield "Numbers outside the ranges below are answered, and nothing is known of how well."
    if any(column["type"] == "categorical" for column in used):
        yield "A category that training never saw counts as unknown."
    if any(column["type"] == "text" for column in used):
        yield "Of texts it knows the words of training; other languages and new words mean nothing to it."
    if schema.get("classes"):
        yield "It gives one of its classes whatever the row is: a class that training never saw is never said."
    for guard in (detail.documents.get("guardrails") or ()) if detail else ():
        if guard.get("status") == "Alerted":
            yield f"{guard['name']}: {guard['description']}."
    yield "Data changes: compare scores on new rows with those above now and then."


def _range(column: Mapping[str, Any]) -> str | None:
    if column.get("values"):
        return some([str(value) for value in column["values"]], MOST_VALUES)
    if column.get("minimum") is not None and column.get("maximum") is not None:
        return f"{column['minimum']} to {column['maximum']}"
    return None


def _environment(schema: Mapping[str, Any]) -> Facts:
    packages = schema.get("packages") or {}
    pairs = [("Python", str(schema.get("python") or "")), *((str(name), str(one)) for name, one in packages.items())]
    return [*((name, value) for name, value in pairs if value), ("Forestay", __version__)]
