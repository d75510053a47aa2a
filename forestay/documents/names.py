"""Names as Azure reads them: CamelCase or snake_case, and the nearest valid one for a name that is neither."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from pydantic_core import PydanticCustomError

LIST_AT_MOST = 16  # more valid names than this are not all printed, only the nearest


def snake(text: str) -> str:
    """CamelCase to snake_case, letter for letter as azure-ai-ml's `camel_to_snake`, so that both accept the same."""
    text = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", text)
    return re.sub("([a-z0-9])([A-Z])", r"\1_\2", text).lower()


def plain(text: str) -> str:
    """Lower case, letters and digits only: `XGBoost_classifier`, `xg_boost_classifier` -> `xgboostclassifier`."""
    return re.sub(r"[\W_]+", "", text.lower())


def closest(name: str, valid: Iterable[str], count: int = 3, cutoff: float = 0.6) -> list[str]:
    """Up to `count` of the valid names, nearest to `name` first; case and separators don't count."""
    by_plain: dict[str, str] = {}
    for candidate in valid:
        by_plain.setdefault(plain(candidate), candidate)
    return [by_plain[found] for found in difflib.get_close_matches(plain(name), by_plain, n=count, cutoff=cutoff)]


def suggest(name: str, valid: Iterable[str], what: str = "valid") -> str:
    """The fix for a wrong name: the nearest ones, and all of them where they are few."""
    names = list(valid)
    near = closest(name, names)
    parts = [f"did you mean {' or '.join(near)}?"] if near else []
    if names and len(names) <= LIST_AT_MOST:
        parts.append(f"{what}: {', '.join(names)}")
    elif not near:
        parts.append(f"{what}: {', '.join(closest(name, names, count=5, cutoff=0.0))}, ...")
    return "; ".join(parts)


class BadSetting(ValueError):
    """A value that can't be used: what is wrong with it, and as `fix` what to write."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


def refuse(message: str, fix: str, at: tuple[str | int, ...] = ()) -> PydanticCustomError:
    """The error of one value; `forestay.documents.problems` gives it the line. Both texts may hold any characters.

    `at` is the key at fault below the section that is checked, where it is not the section as a whole.
    """
    return PydanticCustomError("forestay", "{message}", {"message": message, "fix": fix, "at": at})


def shown(value: object, longest: int = 60) -> str:
    """A value from a file as it is put into a message: one line of `longest` characters, what doesn't print escaped."""
    text = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else repr(value)
    if not text.isprintable():
        text = repr(text)[1:-1]
    return text if len(text) <= longest else text[: longest - 3] + "..."
