"""What the scripts for the peers' own environments share. Nothing but pandas and numpy is imported here."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pandas as pd

Request = dict[str, Any]


class Model(Protocol):
    """A trained system, loaded from disk; frames hold raw columns as read from the CSV file."""

    def predict(self, frame: pd.DataFrame) -> Any: ...

    def probabilities(self, frame: pd.DataFrame) -> tuple[list[str], np.ndarray]:
        """The classes as they stand in the CSV file, and (rows, classes)."""
        ...


def read(path: str) -> pd.DataFrame:
    """A CSV file with pandas' own guesses."""
    return pd.read_csv(path, low_memory=False)


def parts(request: Request) -> tuple[pd.DataFrame, pd.Series]:
    """Columns and target of the training rows."""
    frame = read(request["train"])
    return frame.drop(columns=request["target"]), frame[request["target"]]


class Dtypes:
    """Gives columns the dtypes that a user of a tree library would: dates are dates, other strings categories.

    Attributes
    ----------
    dates: columns of strings that are all ISO dates. categories: the values of the other string columns.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        kinds = pd.api.types
        texts = [
            name for name in frame if not (kinds.is_numeric_dtype(frame[name]) or kinds.is_bool_dtype(frame[name]))
        ]
        self.dates = [name for name in texts if _are_dates(frame[name])]
        self.categories = {
            name: sorted(frame[name].dropna().astype(str).unique()) for name in texts if name not in self.dates
        }

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy()
        for name in self.dates:
            frame[name] = pd.to_datetime(frame[name])
        for name, values in self.categories.items():
            texts = frame[name].where(frame[name].isna(), frame[name].astype(str))
            frame[name] = pd.Categorical(texts, categories=values)
        return frame


def _are_dates(column: pd.Series) -> bool:
    values = column.dropna().astype(str)
    if values.empty or not values.str.match(r"\d{4}-\d\d-\d\d").all():
        return False
    return bool(pd.to_datetime(values, errors="coerce").notna().all())
