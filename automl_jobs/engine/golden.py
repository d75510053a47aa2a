"""Synthetic rows made from a model's schema: ordinary ones and the edges.

They are predicted in the training process and replayed by the proof. No row of the data is among them: numbers and
dates are drawn between the extremes, categories from those seen, texts from words that many rows share.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

ORDINARY_ROWS = 40
SHARED_BY_ROWS = 5
SAMPLED_TEXTS = 5_000
UNSEEN = "never seen in training"
LONGEST_TEXT = 20_000  # characters: well within what a request may hold
BEYOND = 3  # how many widths of a column's range the extreme numbers lie outside it
# Beyond these a number is no longer exact as a whole one, or too large for models that calculate in single precision.
LARGEST_WHOLE, LARGEST = 2**53, 1e30


def _words(texts: pd.Series) -> list[str]:
    """Words that at least a few rows share, the most frequent first; a word of one row only could be a secret."""
    counts: Counter[str] = Counter()
    for text in texts.dropna().head(SAMPLED_TEXTS):
        counts.update(set(re.findall(r"\w+", str(text))))
    frequent = [word for word, count in counts.most_common(400) if count >= SHARED_BY_ROWS]
    return frequent or ["some", "words"]


def _number(column: dict[str, Any], share: float) -> float | int:
    low, high = column["minimum"], column["maximum"]
    if low is None:
        return 0
    if column["integer"]:
        return int(low + round(share * (high - low)))
    # Weighted so that a range of nearly all numbers does not overflow.
    return float(f"{(1 - share) * low + share * high:.6g}")


def _date(column: dict[str, Any], share: float) -> str | None:
    if column["minimum"] is None:
        return None
    low, high = pd.Timestamp(column["minimum"]), pd.Timestamp(column["maximum"])
    moment = low + (high - low) * share
    # Data of whole days stays so.
    return (
        moment.normalize() if low == low.normalize() and high == high.normalize() else moment.floor("s")
    ).isoformat()


def _value(column: dict[str, Any], words: list[str], share: float, draw: np.random.Generator) -> Any:
    kind = column["type"]
    if kind == "numeric":
        return _number(column, share)
    if kind == "boolean":
        return bool(share >= 0.5)
    if kind == "datetime":
        return _date(column, share)
    if kind == "categorical":
        values = column["values"]
        return values[min(int(share * len(values)), len(values) - 1)] if values else None
    return " ".join(draw.choice(words, size=int(draw.integers(1, 7))))


def rows(columns: list[dict[str, Any]], frame: pd.DataFrame, seed: int) -> list[dict[str, Any]]:
    """Golden rows as JSON values.

    Parameters
    ----------
    columns: the schema's columns; only the used ones get values.
    frame: the training rows, from which only shared words are taken.
    seed: the same seed gives the same rows.
    """
    draw = np.random.default_rng(seed)
    used = [column for column in columns if column["used"]]
    words = {column["name"]: _words(frame[column["name"]]) for column in used if column["type"] == "text"}

    def row(shares: np.ndarray) -> dict[str, Any]:
        return {
            column["name"]: _value(column, words.get(column["name"], []), share, draw)
            for column, share in zip(used, shares, strict=True)
        }

    made = [row(draw.random(len(used))) for _ in range(ORDINARY_ROWS)]
    made += [row(np.zeros(len(used))), row(np.ones(len(used)))]
    made.append({column["name"]: None for column in used})
    unseen = row(draw.random(len(used)))
    for column in used:
        if column["type"] == "categorical":
            unseen[column["name"]] = UNSEEN
        elif column["type"] == "text":
            unseen[column["name"]] = ""
    made.append(unseen)
    for share in (-BEYOND, 1 + BEYOND):
        extreme = {column["name"]: _extreme(column, share) for column in used if column["type"] == "numeric"}
        made.append({**row(draw.random(len(used))), **extreme})
    longest = {column["name"]: _longest(column, words.get(column["name"], [])) for column in used}
    made.append({**row(draw.random(len(used))), **{name: text for name, text in longest.items() if text is not None}})
    for first in (0, 1):  # every other column is missing
        made.append({**row(draw.random(len(used))), **{column["name"]: None for column in used[first::2]}})
    return made


def _extreme(column: dict[str, Any], share: float) -> float | int:
    """A number outside the column's range; its end where what lies outside could not be calculated with."""
    low, high = column["minimum"], column["maximum"]
    if low is None:
        return 0
    most = LARGEST_WHOLE if column["integer"] else LARGEST
    outside = low + share * (high - low)
    return _number(column, share if abs(outside) <= most else float(share > 0))


def _longest(column: dict[str, Any], words: list[str]) -> str | None:
    """A text of the words, as long as the longest in training; the longest category; None for other columns."""
    if column["type"] == "categorical" and column["values"]:
        return max(column["values"], key=len)
    if column["type"] != "text" or not column["max_length"]:
        return None
    once = " ".join(words) + " "
    length = min(column["max_length"], LONGEST_TEXT)
    return (once * (length // len(once) + 1))[:length]


def to_frame(columns: list[dict[str, Any]], rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows as a raw frame with the dtypes of a loaded table."""
    dtypes = {"numeric": "float64", "boolean": "boolean", "datetime": "datetime64[us]"}
    return pd.DataFrame(
        {
            column["name"]: pd.Series([row[column["name"]] for row in rows], dtype=dtypes.get(column["type"], "str"))
            for column in columns
            if column["used"]
        }
    )
