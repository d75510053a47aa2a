"""What became of each raw column: Azure's featurization summary, and which column each feature of a model comes from.

Both are read off the fitted transformers of a model, so they tell what is served, whatever layout it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from automl_jobs.prepare import ColumnUse

# Azure's names of column types, as in the API's FeatureType.
TYPES = {
    "numeric": "Numeric",
    "categorical": "Categorical",
    "text": "Text",
    "datetime": "DateTime",
    "boolean": "Categorical",
    "identifier": "Hashes",
    "constant": "Ignore",
}
SILENT = ("passthrough", "Pipeline", "ColumnTransformer", "FeatureUnion")
# Ours that are scikit-learn's, but for few rows.
OURS = {"OneHot": "OneHotEncoder", "HashOneHot": "HashOneHotEncoder", "MeanTarget": "TargetEncoder"}


def summarise(columns: Sequence[ColumnUse], model: Any) -> list[dict[str, Any]]:
    """The featurization summary of a fitted model.

    Parameters
    ----------
    columns: what the job does with each raw column; the target and its like are left out.
    model: a trial's pipeline (input, features, model), or that of an ensemble.

    Returns a list of rows with Azure's keys: RawFeatureName, TypeDetected, Dropped (Yes or No), EngineeredFeatureCount,
    Transformations; and Reason, why a column was dropped. An ensemble's columns count in each of its layouts.
    """
    counts: dict[str, int] = {}
    steps: dict[str, list[str]] = {}
    for transformer in _layouts(model):
        for column in origins(transformer):
            counts[column] = counts.get(column, 0) + 1
        for column, name in _steps(transformer):
            seen = steps.setdefault(column, [])
            if name not in seen:
                seen.append(name)
    not_features = ("the target", "the weight of each row", "marks the folds")
    return [
        {
            "RawFeatureName": use.name,
            "TypeDetected": TYPES[str(use.type)],
            "Dropped": "No" if use.used else "Yes",
            "EngineeredFeatureCount": counts.get(use.name, 0),
            "Transformations": steps.get(use.name, []),
            "Reason": use.reason or None,
        }
        for use in columns
        if use.reason not in not_features
    ]


def _layouts(model: Any) -> list[Any]:
    """The fitted transformers of a model: one, or one for each block of an ensemble."""
    named = dict(getattr(model, "steps", []))
    if "features" in named:
        return [] if named["features"] == "passthrough" else [named["features"]]
    blocks = getattr(named.get("model"), "blocks", [])
    return [transformer for transformer, _ in blocks if transformer != "passthrough"]


def origins(transformer: Any) -> list[str]:
    """The raw column of each feature that a fitted transformer gives, in the order of its output's columns."""
    parts = getattr(transformer, "transformer_list", None)
    if parts is not None:
        return [column for _, part in parts for column in origins(part)]
    found: dict[int, str] = {}
    for name, part, columns in transformer.transformers_:
        place = transformer.output_indices_.get(name)
        if place is None or part == "drop":
            continue
        names = [columns] if isinstance(columns, str) else [str(column) for column in columns]
        width = place.stop - place.start
        outputs = _through(part, names)
        if len(outputs) != width:
            # A transformer that is not known here: what it gives is told apart by column only if that is plain.
            outputs = [name for name in names for _ in range(width // len(names))]
        for position, column in enumerate(outputs):
            found[place.start + position] = column
    return [found[position] for position in sorted(found)]


def _through(part: Any, names: list[str]) -> list[str]:
    """The columns that each output of a fitted transformer comes from, given those of its inputs."""
    if isinstance(part, str):
        return names
    if hasattr(part, "steps"):
        for _, step in part.steps:
            names = _through(step, names)
        return names
    kind = _kind(part)
    if kind == "SimpleImputer":
        indicator = getattr(part, "indicator_", None)
        return names + ([names[position] for position in indicator.features_] if indicator is not None else [])
    if kind == "OneHotEncoder":
        rare = getattr(part, "infrequent_categories_", None) or [None] * len(names)
        return [
            name
            for name, levels, few in zip(names, part.categories_, rare, strict=True)
            for _ in range(len(levels) - (len(few) - 1 if few is not None else 0))
        ]
    if kind == "HashOneHotEncoder":
        return [name for name in names for _ in range(2**part.bits)]
    if kind == "KBinsDiscretizer":
        return [name for name, bins in zip(names, part.n_bins_, strict=True) for _ in range(int(bins))]
    if kind == "DateParts":
        return [str(name) for name, _ in part.kept_]
    if kind == "TargetEncoder":
        each = len(part.encodings_) // len(names)
        return [name for name in names for _ in range(each)]
    if hasattr(part, "vocabulary_"):
        return names * len(part.vocabulary_)
    if len(names) == 1 and hasattr(part, "get_feature_names_out"):
        return names * len(part.get_feature_names_out())
    return names


def _kind(step: Any) -> str:
    name = type(step).__name__
    return OURS.get(name, name)


def _steps(transformer: Any) -> Iterator[tuple[str, str]]:
    """Pairs of a raw column and the name of a step that it goes through, in order."""
    parts = getattr(transformer, "transformer_list", None)
    if parts is not None:
        for _, part in parts:
            yield from _steps(part)
        return
    for name, part, columns in transformer.transformers_:
        if part == "drop" or name not in transformer.output_indices_:
            continue
        names = [columns] if isinstance(columns, str) else [str(column) for column in columns]
        for step in [step for _, step in part.steps] if hasattr(part, "steps") else [part]:
            word = step if isinstance(step, str) else _kind(step)
            if word == "SimpleImputer":
                word = f"{str(step.strategy).title().replace('_', '')}Imputer"
            if word not in SILENT:
                yield from ((column, word) for column in names)


def by_column(values: np.ndarray, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """Contributions of features, (n, features), summed up by raw column: column -> (n,)."""
    found: dict[str, np.ndarray] = {}
    for position, column in enumerate(columns):
        found[column] = (
            found[column] + values[:, position] if column in found else values[:, position].astype("float64")
        )
    return found
