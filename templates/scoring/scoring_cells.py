"""From the values of a request to the cells of the model's columns; scoring_input.py beside this file uses it.

Values are converted here and not by the server: it would turn "false" into true, 3.7 into 3 and a renamed column into
a wrong answer without a word. A column's values are tried all at once first; what that does not take is looked at value
by value, which tells what is wrong.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

MAX_PROBLEMS = 100  # how many are listed in one answer
MAX_TEXT = 100_000  # characters in one value
MAX_NUMBER = 1e30  # squares and single precision must hold what is made of it

PANDAS = int(pd.__version__.split(".")[0])
# What times can be: Python's calendar, or nanoseconds in 64 bits where pandas knows nothing coarser.
FIRST_TIME, LAST_TIME = dt.datetime.min, dt.datetime.max
if PANDAS < 2:
    FIRST_TIME, LAST_TIME = dt.datetime(1677, 9, 22), dt.datetime(2262, 4, 11)


class BadRequest(Exception):
    """A request that can't be answered: all that is wrong with it."""

    def __init__(self, code: str, message: str, details: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.document = {"error": {"code": code, "message": message, "details": details or []}}


def read_column(values: list[Any], column: dict[str, Any], details: list[dict[str, Any]]) -> Any:
    """A column's values, all at once where they are as usual: an array of numbers or times, or a list.

    What does not fit is added to `details`. Raises BadRequest when these are as many as an answer lists.
    """
    quick: Callable[..., Any] = QUICK.get(column["type"], quick_texts)
    cells = quick(values, column)
    return read_cells(values, column, details) if cells is None else cells


def read_cells(values: list[Any], column: dict[str, Any], details: list[dict[str, Any]]) -> list[Any]:
    """A column's values, each looked at by itself; else as read_column()."""
    read: Callable[..., Any] = READERS.get(column["type"], read_text)
    cells = []
    for number, value in enumerate(values):
        try:
            if value is not None:
                value = read(value, column)
            elif not column.get("nulls", True):  # else the model fills gaps as it did in training
                raise ValueError("must not be null: the model takes no missing values")
        except ValueError as error:
            details.append(problem(number, column["name"], str(error)))
            if len(details) == MAX_PROBLEMS:
                raise bad_rows(details) from None
        cells.append(value)
    return cells


def to_array(cells: Any, column: dict[str, Any], elsewhere: bool = False) -> Any:
    """A column of a frame: the type that a column of such values had in training, here or by another trainer."""
    if isinstance(cells, np.ndarray):
        return cells
    if column["type"] == "numeric":
        whole = column.get("integer") and None not in cells
        return np.array(cells, dtype=np.int64 if whole else np.float64)  # null becomes NaN
    if column["type"] == "datetime":
        return np.array(cells, dtype="datetime64[us]")
    if column["type"] == "boolean":
        return np.array(cells, dtype=bool) if elsewhere and None not in cells else pd.array(cells, dtype="boolean")
    if PANDAS < 3:  # its "str" makes the word None of null
        return np.array(cells, dtype=object)
    return pd.array(cells, dtype="str")


def sample_value(column: dict[str, Any]) -> Any:
    """A value that the column could hold: the schema's own sample, or one made from it."""
    if column.get("sample") is not None:
        return column["sample"]
    low, high = column.get("minimum"), column.get("maximum")
    if column["type"] == "numeric":
        middle = 0.0 if low is None or high is None else low / 2 + high / 2
        return round(middle) if column.get("integer") else float(middle)
    if column["type"] == "boolean":
        return True
    if column["type"] == "datetime":
        return low or "2024-01-31T00:00:00"
    return (column.get("values") or ["example"])[0]


def is_known(value: Any, column: dict[str, Any]) -> bool:
    """Whether training showed such a value: a category, a number within the range."""
    if column["type"] == "numeric" and value is not None:
        low, high = column.get("minimum"), column.get("maximum")
        return low is not None and high is not None and bool(low <= value <= high)
    return value in (column.get("values") or ())


def read_number(value: Any, column: dict[str, Any]) -> int | float:
    if type(value) not in (int, float):
        raise ValueError(f"must be a number, not {kind(value)}")
    if isinstance(value, float):
        if not math.isfinite(value):  # NaN, Infinity and 1e400 all arrive as floats
            raise ValueError("must be a finite number")
        if abs(value) > MAX_NUMBER and not is_known(value, column):
            raise ValueError(f"is a number too large to calculate with: at most {MAX_NUMBER:g}")
        if not column.get("integer"):
            return value
        if not value.is_integer():
            raise ValueError(f"must be a whole number, not {shown(value)}")
        value = int(value)
    if not -(2**63) <= value < 2**63:
        raise ValueError("is a whole number too large for 64 bits")
    return value


def read_boolean(value: Any, _: dict[str, Any]) -> bool:
    if type(value) is not bool:
        raise ValueError(f"must be true or false, not {kind(value)}")
    return value


ISO_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2})(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?", re.ASCII
)


def read_time(value: Any, column: dict[str, Any]) -> dt.datetime:
    """ISO 8601 text -> a time without a zone; one with an offset is turned into UTC, as in training.

    Where the column's times are days, midnight with an offset is that day.
    """
    if not isinstance(value, str):
        raise ValueError(f'must be a date as text such as "2024-01-31T08:00:00", not {kind(value)}')
    match = ISO_TIME.fullmatch(value)
    if match is None:
        raise ValueError('must be a date such as "2024-01-31" or "2024-01-31T08:00:00"')
    day, minute, second, fraction, zone = match.groups()
    try:
        time = dt.datetime.fromisoformat(f"{day}T{minute or '00:00'}:{second or '00'}")
        midnight = time.time() == dt.time.min and not (fraction or "").strip(".0")
        if zone not in (None, "Z") and not (column.get("days") and midnight):
            time = time - dt.datetime.strptime(zone, "%z").utcoffset()  # type: ignore[operator]
    except (ValueError, OverflowError):
        raise ValueError("is not a date of the calendar") from None
    if not FIRST_TIME <= time <= LAST_TIME:
        raise ValueError(f"must be between {FIRST_TIME:%Y-%m-%d} and {LAST_TIME:%Y-%m-%d}")
    return time.replace(microsecond=int((fraction or ".0")[1:7].ljust(6, "0")))


def read_text(value: Any, _: dict[str, Any]) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {kind(value)}")
    if len(value) > MAX_TEXT:
        raise ValueError(f"is longer than {MAX_TEXT} characters")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("holds half of a surrogate pair, which is not text") from None
    return value


READERS: Mapping[str, Callable[..., Any]] = {
    "numeric": read_number,
    "boolean": read_boolean,
    "datetime": read_time,
}


# ---- a whole column at once: None where a value needs a look of its own, and perhaps a message ----


def quick_numbers(values: list[Any], column: dict[str, Any]) -> Any:
    kinds = set(map(type, values))
    if column.get("integer"):
        if kinds != {int}:
            return None
        try:
            return np.array(values, dtype=np.int64)
        except OverflowError:
            return None
    if not kinds <= known_kinds({float, int}, column):
        return None
    try:
        numbers = np.array(values, dtype=np.float64)  # null becomes NaN
    except OverflowError:
        return None
    # Whole numbers beyond this are not all of them doubles. NaN is not below anything, and may have been sent as such.
    sent = numbers if type(None) not in kinds else numbers[[value is not None for value in values]]
    most = EXACT if int in kinds else MAX_NUMBER
    return numbers if (np.abs(sent) <= most).all() else None


def quick_booleans(values: list[Any], column: dict[str, Any]) -> Any:
    return values if set(map(type, values)) <= known_kinds({bool}, column) else None


def quick_times(values: list[Any], _: dict[str, Any]) -> Any:
    """Times without a zone; numpy reads the same calendar."""
    if set(map(type, values)) != {str} or not all(map(PLAIN_TIME.fullmatch, values)):
        return None
    try:
        times = np.array(values, dtype="datetime64[us]")
    except ValueError:  # as 30 February
        return None
    return times if times.min() >= np.datetime64(FIRST_TIME) and times.max() <= np.datetime64(LAST_TIME) else None


def quick_texts(values: list[Any], column: dict[str, Any]) -> Any:
    if not set(map(type, values)) <= known_kinds({str}, column):
        return None
    try:
        for value in set(values) - {None}:  # a category stands in many rows and is looked at once
            read_text(value, column)
    except ValueError:
        return None
    return values


def known_kinds(kinds: set[type], column: dict[str, Any]) -> set[type]:
    """The types that a column's values may have; null's is one of them where the model takes it."""
    return {*kinds, type(None)} if column.get("nulls", True) else kinds


EXACT = 2.0**53
PLAIN_TIME = re.compile(r"\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?)?", re.ASCII)
QUICK: Mapping[str, Callable[..., Any]] = {
    "numeric": quick_numbers,
    "boolean": quick_booleans,
    "datetime": quick_times,
}


# ---- words ----


def problem(row: int, column: str | None, text: str) -> dict[str, Any]:
    return {"row": row, "column": column, "problem": text}


def bad_rows(details: list[dict[str, Any]]) -> BadRequest:
    count = f"the first {MAX_PROBLEMS} problems" if len(details) == MAX_PROBLEMS else f"{len(details)} problem(s)"
    return BadRequest("bad_rows", f"{count} in the rows sent; details name row and column", details)


def kind(value: Any) -> str:
    """A JSON value's type in words."""
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), "null")


def shown(value: Any) -> str:
    """A value inside a message: short, and quoted as JSON."""
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
