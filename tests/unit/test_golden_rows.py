"""The rows that a proof replays: ordinary ones and edges, made from the schema."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from automl_jobs.engine import golden

COLUMNS: list[dict[str, Any]] = [
    {"name": "age", "type": "numeric", "used": True, "integer": True, "minimum": 18, "maximum": 90},
    {"name": "rate", "type": "numeric", "used": True, "integer": False, "minimum": 0.5, "maximum": 1.5},
    {"name": "job", "type": "categorical", "used": True, "values": ["admin", "a much longer job"]},
    {"name": "note", "type": "text", "used": True, "max_length": 137},
    {"name": "id", "type": "identifier", "used": False},
]


def rows() -> list[dict[str, Any]]:
    notes = pd.Series(["pays late", "good client"] * 10 + ["a secret of one row"], dtype="str")
    return golden.rows(COLUMNS, pd.DataFrame({"note": notes}), seed=1)


def test_every_kind_of_edge_is_among_them() -> None:
    made = rows()
    assert {min(row["age"] for row in made if row["age"] is not None)} == {18 - 3 * 72}
    assert {max(row["rate"] for row in made if row["rate"] is not None)} == {1.5 + 3}
    assert max(len(row["note"] or "") for row in made) == 137
    assert {row["job"] for row in made} == {None, "admin", "a much longer job", golden.UNSEEN}
    assert any(row["note"] == "" for row in made)
    missing = [{name for name, value in row.items() if value is None} for row in made]
    assert {"age", "rate", "job", "note"} in missing
    assert {"age", "job"} in missing
    assert {"rate", "note"} in missing


def test_they_hold_nothing_of_one_row_alone_and_go_through_json() -> None:
    made = rows()
    assert "secret" not in json.dumps(made, allow_nan=False)
    assert all(row.keys() == {"age", "rate", "job", "note"} for row in made)
    assert all(row["age"] is None or isinstance(row["age"], int) for row in made)
    assert made == rows()
    assert len(golden.to_frame(COLUMNS, made)) == len(made)


@pytest.mark.parametrize(
    ("low", "high", "integer"),
    [(-1e308, 1e308, False), (0.0, 1e38, False), (-(2**62), 2**62, True), (None, None, True)],
)
def test_extreme_numbers_stay_such_that_can_be_calculated_with(low: Any, high: Any, integer: bool) -> None:
    column = {"name": "x", "type": "numeric", "used": True, "integer": integer, "minimum": low, "maximum": high}
    for row in golden.rows([column], pd.DataFrame(), seed=1):
        value = row["x"]
        assert value is None or low is None or low <= value <= high
        json.dumps(value, allow_nan=False)
