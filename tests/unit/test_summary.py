"""The featurization summary, and which raw column each feature comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import FeatureUnion, Pipeline

from automl_jobs.data import ColumnType
from automl_jobs.engine import features, summary
from automl_jobs.prepare import ColumnUse
from forestay_transformers import InputFrame

COLUMNS = (("kind", "categorical"), ("size_x", "numeric"), ("size", "numeric"), ("day", "datetime"), ("words", "text"))


def frame(rows: int = 120) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "kind": draw.choice(["red", "green", "blue"], rows),
            "size_x": draw.normal(size=rows),
            "size": draw.normal(size=rows),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 900, rows), unit="D"),
            "words": draw.choice(["a small box", "one large crate"], rows),
        }
    )
    table.loc[::7, "size"] = np.nan
    table.loc[0, "kind"] = "once"
    return table


def fitted(layout: str, table: pd.DataFrame) -> Any:
    plan = features.FeatureSettings(COLUMNS)
    typed = InputFrame(list(COLUMNS)).fit(table).transform(table)
    plain = features.build(plan, layout, len(table)).fit(typed)
    target = (np.arange(len(table)) % 2).astype(int)
    targeted = features.build_targeted(plan, layout, len(table), True, 0)
    if targeted is None:
        return plain, typed
    targeted.fit_transform(typed, target)
    return FeatureUnion([("plain", plain), ("target", targeted)]), typed


@pytest.mark.parametrize("layout", ["linear", "chars", "counts", "tree", "target"])
def test_every_feature_moves_with_the_column_it_is_said_to_come_from(layout: str) -> None:
    table = frame()
    transformer, typed = fitted(layout, table)
    before = np.asarray(_dense(transformer.transform(typed)))
    columns = summary.origins(transformer)
    assert len(columns) == before.shape[1]
    for name, _ in COLUMNS:
        changed = typed.copy()
        changed[name] = typed[name].to_numpy()[::-1]
        moved = (~np.isclose(_dense(transformer.transform(changed)), before, equal_nan=True)).any(axis=0)
        assert {columns[position] for position in np.flatnonzero(moved)} <= {name}, name
        if name in columns:
            assert moved.any()


def _dense(matrix: Any) -> np.ndarray:
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype="float64")


def test_the_summary_has_azures_keys_and_says_what_was_dropped(tmp_path: Path) -> None:
    transformer, _ = fitted("linear", frame())
    uses = [ColumnUse(name, ColumnType(kind), True) for name, kind in COLUMNS]
    uses += [
        ColumnUse("row id", ColumnType.IDENTIFIER, False, "an identifier"),
        ColumnUse("y", ColumnType.CATEGORICAL, False, "the target"),
    ]
    rows = summary.summarise(uses, Pipeline([("features", transformer), ("model", "passthrough")]))
    by_name = {row["RawFeatureName"]: row for row in rows}
    assert set(by_name) == {*(name for name, _ in COLUMNS), "row id"}
    assert by_name["row id"] == {
        "RawFeatureName": "row id",
        "TypeDetected": "Hashes",
        "Dropped": "Yes",
        "EngineeredFeatureCount": 0,
        "Transformations": [],
        "Reason": "an identifier",
    }
    # Red, green, blue, and one feature for what is rare.
    assert by_name["kind"]["EngineeredFeatureCount"] == 4
    assert by_name["kind"]["Transformations"] == ["OneHotEncoder"]
    # The number and the mark that it was missing.
    assert by_name["size"]["EngineeredFeatureCount"] == 2
    assert by_name["size"]["Transformations"] == ["MedianImputer", "StandardScaler"]
    assert by_name["day"]["TypeDetected"] == "DateTime"
    assert "TfidfVectorizer" in by_name["words"]["Transformations"]


def test_a_model_without_features_has_none() -> None:
    model = Pipeline([("input", "passthrough"), ("features", "passthrough"), ("model", "passthrough")])
    rows = summary.summarise([ColumnUse("a", ColumnType.NUMERIC, True)], model)
    assert rows[0]["EngineeredFeatureCount"] == 0
