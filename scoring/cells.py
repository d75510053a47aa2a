"""One CSV cell as its column's JSON value. Needs no package, so that workers in other environments can use it."""

from __future__ import annotations

import json
from typing import Any

MISSING = ("", "na", "n/a", "nan", "null", "none")
READ = ("numeric", "boolean", "datetime")  # types whose cells are not text
BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


def value(cell: str, kind: str) -> Any:
    """A cell of a column of type `kind`. Text stays as it is; words for "missing" count in other columns only.

    Raises ValueError saying what is wrong with it.
    """
    if kind not in READ:
        return cell if cell else None
    word = cell.strip()
    if word.lower() in MISSING:
        return None
    if kind == "numeric":
        return number(word)
    if kind == "boolean":
        if word.lower() not in BOOLEANS:
            raise ValueError(f"{json.dumps(cell)} is neither true nor false")
        return BOOLEANS[word.lower()]
    return word


def number(word: str) -> int | float:
    try:
        return int(word)
    except ValueError:
        pass
    try:
        found = float(word)
    except ValueError:
        raise ValueError(f"{json.dumps(word)} is not a number") from None
    if found in (float("inf"), float("-inf")):
        raise ValueError(f"{json.dumps(word)} is not a finite number")
    return found
