"""What Forestay adds to a job file: properties named `forestay.*`, which Azure keeps as plain job properties."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from automl_jobs.spec import decisions
from forestay.documents.names import BadSetting, shown, suggest

PREFIX = "forestay."
PREFERENCES = ("speed", "balanced", "score")
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(h|m|s)", re.IGNORECASE)
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
LONGEST_SECONDS = 30 * 24 * 3600.0


@dataclass(frozen=True)
class ForestaySettings:
    """Settings that Azure lacks; None where a job file doesn't say.

    Attributes
    ----------
    time_budget_seconds: how long a local search may take, instead of `limits.timeout_minutes`.
    seed: of every random choice.
    prefer: where to choose between fast and good: "speed", "balanced" or "score".
    decision: how probabilities become labels.
    bagged_folds: whether a trial's model is the mean of its folds' models, instead of one fitted on all rows.
    """

    time_budget_seconds: float | None = None
    seed: int | None = None
    prefer: str | None = None
    decision: decisions.DecisionSetting | None = None
    bagged_folds: bool | None = None


def seconds(text: str) -> float:
    """A duration in seconds: "30s", "5m", "1h", "1h30m", or a number of seconds. Raises BadSetting."""
    words = text.strip()
    try:
        total = float(words)
    except ValueError:
        if not words or _PART.sub("", words).strip():
            raise BadSetting(
                f"{shown(text)!r} is not a duration", "write 30s, 5m, 1h, or a number of seconds"
            ) from None
        total = sum(float(number) * _UNITS[unit.lower()] for number, unit in _PART.findall(words))
    if not 1 <= total <= LONGEST_SECONDS:
        raise BadSetting(f"{shown(text)!r} is out of range", "allowed: 1s to 720h")
    return total


def _seed(text: str) -> int:
    if not re.fullmatch(r"\d{1,10}", text.strip()) or int(text) >= 2**32:
        raise BadSetting(f"{shown(text)!r} is not a seed", "write a whole number from 0 to 4294967295")
    return int(text)


def _prefer(text: str) -> str:
    if text not in PREFERENCES:
        raise BadSetting(f"{shown(text)!r} is not known", suggest(text, PREFERENCES))
    return text


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise BadSetting(f"{shown(text)!r} is neither true nor false", "write true or false")
    return text.lower() == "true"


_READERS: dict[str, Callable[[str], object]] = {
    "time_budget": seconds,
    "seed": _seed,
    "prefer": _prefer,
    "decision": decisions.parse,
    "bagged_folds": _flag,
}


def read(properties: Mapping[str, str | None]) -> ForestaySettings:
    """The settings in a job's properties, the others passed over. Raises BadSetting."""
    budget, seed, prefer, decision, bagged = (properties.get(PREFIX + name) for name in _READERS)
    return ForestaySettings(
        time_budget_seconds=None if budget is None else seconds(budget),
        seed=None if seed is None else _seed(seed),
        prefer=None if prefer is None else _prefer(prefer),
        decision=None if decision is None else decisions.parse(decision),
        bagged_folds=None if bagged is None else _flag(bagged),
    )


def check(name: str, value: str | None) -> BadSetting | None:
    """What is wrong with one property; properties of other names are free."""
    if not name.startswith(PREFIX):
        return None
    reader = _READERS.get(name.removeprefix(PREFIX))
    if reader is None:
        return BadSetting("is not a setting of forestay", suggest(name, [PREFIX + known for known in _READERS]))
    try:
        reader(value or "")
    except BadSetting as error:
        return error
    return None
