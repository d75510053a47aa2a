"""Whether data has changed, and what of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest

from automl_jobs import fingerprint


@dataclass
class Tables:
    """What is looked at of a prepared job."""

    train: Any
    validation: Any = None
    test: Any = None


@dataclass
class Held:
    frame: pd.DataFrame


def marks(frame: pd.DataFrame, test: pd.DataFrame | None = None) -> dict[str, dict[str, Any]]:
    tables = Tables(Held(frame), test=None if test is None else Held(test))
    return fingerprint.of_tables(tables)  # type: ignore[arg-type]


def frame(**changes: Any) -> pd.DataFrame:
    return pd.DataFrame({"a": [1.0, None, 3.0], "b": ["x", None, "z"], **changes})


def test_the_same_values_have_the_same_marks() -> None:
    assert marks(frame(), frame()) == marks(frame(), frame())
    assert fingerprint.differences(marks(frame()), marks(frame())) == []


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (frame(a=[1.0, None, 3.5]), "other values in its 3 rows"),
        (frame(a=[1.0, 2.0, 3.0]), "other values"),
        (frame(b=["x", "nan", "z"]), "other values"),
        (frame().iloc[::-1], "other values"),
        (frame().iloc[:2], "has 2 rows, had 3"),
        (frame(c=[1, 2, 3]), "columns 'c' changed"),
        (frame().drop(columns="b"), "columns 'b' changed"),
        (frame()[["b", "a"]], "the order of columns"),
    ],
)
def test_what_changed_is_told(now: pd.DataFrame, words: str) -> None:
    (line,) = fingerprint.differences(marks(frame()), marks(now))
    assert line.startswith("training_data")
    assert words in line


def test_a_table_that_comes_or_goes_is_told() -> None:
    assert fingerprint.differences(marks(frame()), marks(frame(), frame())) == ["test_data is now there"]
    assert fingerprint.differences(marks(frame(), frame()), marks(frame())) == ["test_data is no longer there"]


def test_values_that_can_not_be_hashed_count_too() -> None:
    lists, others = frame(c=[["x"], ["y", "z"], []]), frame(c=[["x"], ["y"], []])
    assert marks(lists) == marks(lists.copy())
    assert fingerprint.differences(marks(lists), marks(others)) == ["training_data has other values in its 3 rows"]
