"""How probabilities become labels, as a user asks for it: `--decision`, or the property `forestay.decision`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from forestay.documents.names import BadSetting, shown

AUTO, ARGMAX, F1, BALANCED, THRESHOLD, COST = "auto", "argmax", "f1", "balanced", "threshold", "cost"
WORDS = (AUTO, ARGMAX, F1, BALANCED)
FORMS = "auto, argmax, f1, balanced, a threshold such as 0.3, or cost:FN=5,FP=1"
_COST = re.compile(r"\s*(fn|fp)\s*=\s*(\S+)\s*", re.IGNORECASE)
LEAST_COST, MOST_COST = 1e-6, 1e6


@dataclass(frozen=True)
class DecisionSetting:
    """What was asked for.

    Attributes
    ----------
    kind: auto (tuned for the primary metric where that depends on labels), argmax (the most probable class), f1 (of the
        positive class), balanced (macro recall), threshold or cost.
    threshold: the positive class is said from this probability on; None where it is tuned or there is none.
    costs: of a missed positive (FN) and of a false alarm (FP), for cost.
    """

    kind: str = AUTO
    threshold: float | None = None
    costs: tuple[float, float] | None = None

    @property
    def binary(self) -> bool:
        """Whether it has a meaning for two classes only."""
        return self.kind in (F1, THRESHOLD, COST)

    def __str__(self) -> str:
        if self.costs is not None:
            return f"cost:FN={_number(self.costs[0])},FP={_number(self.costs[1])}"
        return self.kind if self.threshold is None else _number(self.threshold)

    def as_dict(self) -> dict[str, Any]:
        """The setting as a document: `setting`, and `costs` where there are some."""
        found: dict[str, Any] = {"setting": str(self)}
        if self.costs is not None:
            found["costs"] = {"FN": self.costs[0], "FP": self.costs[1]}
        return found


AUTOMATIC = DecisionSetting()


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")


def parse(text: str) -> DecisionSetting:
    """The setting of a text. Raises BadSetting."""
    words = text.strip()
    if words in WORDS:
        return DecisionSetting(words)
    if words.lower().startswith("cost"):
        return _costs(words)
    try:
        threshold = float(words)
    except ValueError:
        raise BadSetting(f"{shown(text)!r} is no way to decide", f"write {FORMS}") from None
    if not 0 < threshold < 1:
        raise BadSetting(f"the threshold {shown(text)} is not between 0 and 1", "write one such as 0.3")
    return DecisionSetting(THRESHOLD, threshold)


def _costs(text: str) -> DecisionSetting:
    """`cost:FN=5,FP=1`: the cost of a missed positive and that of a false alarm, in one unit, in any order.

    The cheapest answer is the positive class where its probability is at least FP / (FP + FN) (Elkan 2001, "The
    foundations of cost-sensitive learning").
    """
    fix = "write cost:FN=5,FP=1, the cost of a missed positive and that of a false alarm"
    kind, colon, rest = text.partition(":")
    costs: dict[str, float] = {}
    for part in rest.split(","):
        found = _COST.fullmatch(part)
        name = found.group(1).upper() if found else ""
        if kind.strip().lower() != COST or not colon or found is None or name in costs:
            raise BadSetting(f"{shown(text)!r} is no cost", fix)
        try:
            costs[name] = float(found.group(2))
        except ValueError:
            raise BadSetting(f"{shown(found.group(2))!r} is no number", fix) from None
        if not (math.isfinite(costs[name]) and LEAST_COST <= costs[name] <= MOST_COST):
            raise BadSetting(f"the cost {name}={shown(found.group(2))} is out of range", "allowed: 0.000001 to 1000000")
    if len(costs) != 2:
        raise BadSetting(f"{shown(text)!r} names one cost", fix)
    missed, alarm = costs["FN"], costs["FP"]
    return DecisionSetting(COST, alarm / (alarm + missed), (missed, alarm))
