"""A column of label lists: what a row of a multi-label table is about, as Azure reads it.

Azure knows two ways to write one ("Set up AutoML to train a natural language processing model", data format): a list
such as `["sports", "real estate"]`, and an older plain text such as `sports,politics`, whose labels are words of
letters, digits and underscores. The first row decides for the whole table, as in Azure's azureml-automl-dnn-nlp.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

LONGEST_CELL = 100_000
_WORD = re.compile(r"\b\w+\b")


class BadLabels(ValueError):
    """A cell that holds no list of labels; `row` counts from 0."""

    def __init__(self, row: int, message: str) -> None:
        super().__init__(message)
        self.row = row


@dataclass(frozen=True)
class LabelColumn:
    """The labels of each row.

    Attributes
    ----------
    rows: for each row its labels, sorted, each once; empty for a row without any.
    plain: whether the column is written in the older way.
    torn: a cell whose labels hold other characters than letters, digits and underscores, so that they were taken
        apart; None where there is none.
    """

    rows: tuple[tuple[str, ...], ...]
    plain: bool
    torn: str | None = None

    @property
    def classes(self) -> list[str]:
        """All labels, sorted."""
        return sorted({label for row in self.rows for label in row})


def parse(cells: Iterable[object]) -> LabelColumn:
    """Read a column of label lists.

    Parameters
    ----------
    cells: texts as they stand in the table, none missing.

    Raises BadLabels for the first cell that is not what the first one promises.
    """
    texts = [str(cell) for cell in cells]
    if not texts or texts[0].lstrip().startswith("["):
        return LabelColumn(tuple(_listed(row, text) for row, text in enumerate(texts)), plain=False)
    found, torn = [], None
    for row, text in enumerate(texts):
        if text.lstrip().startswith("["):
            raise BadLabels(row, f"is a list, and the first row is not: {_short(texts[0])}")
        words = _WORD.findall(text)
        parts = [part.strip() for part in text.split(",")]
        if torn is None and [part for part in parts if part] != words:
            torn = text
        found.append(tuple(sorted(set(words))))
    return LabelColumn(tuple(found), plain=True, torn=torn)


def _listed(row: int, text: str) -> tuple[str, ...]:
    if len(text) > LONGEST_CELL:
        raise BadLabels(row, f"has {len(text):,} characters")
    value = _literal(text.strip())
    if not isinstance(value, list):
        raise BadLabels(row, f"is no list of labels: {_short(text)}")
    labels = set()
    for item in value:
        if not isinstance(item, str | int):
            raise BadLabels(row, f"holds {_short(repr(item))}, which is neither a text nor a whole number")
        label = str(item)
        if any("\ud800" <= character <= "\udfff" for character in label):
            raise BadLabels(row, "holds half a character (a lone surrogate)")
        labels.add(label)
    return tuple(sorted(labels))


def _literal(text: str) -> Any:
    """The value of a JSON or Python literal; None for anything else. Nothing is evaluated but literals."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings():
            # An unknown escape such as '\d' stays as it is written.
            warnings.simplefilter("ignore")
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def indicator(rows: Sequence[Sequence[str]], classes: Sequence[str]) -> Any:
    """Which of the classes each row has: int8 (n, k). A label that is no class is passed over."""
    import numpy as np

    number = {label: position for position, label in enumerate(classes)}
    found = np.zeros((len(rows), len(classes)), dtype=np.int8)
    for row, labels in enumerate(rows):
        for label in labels:
            if label in number:
                found[row, number[label]] = 1
    return found
