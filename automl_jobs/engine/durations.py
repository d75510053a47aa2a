"""What trials took, and what one not yet begun will take, from trials of its algorithm or else of its kin."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median


@dataclass
class Durations:
    """Seconds of trials by algorithm and feature layout.

    A later trial of the same algorithm and layout may be quicker than one before it, so what was seen long ago loses
    weight: each new one counts in full, the older ones half.
    """

    _seen: dict[str, dict[str, float]] = field(default_factory=dict)
    _kin: dict[str, str] = field(default_factory=dict)

    def note(self, name: str, layout: str, kin: str, seconds: float) -> None:
        """A trial of algorithm `name` took so long; algorithms of the same `kin` cost about the same."""
        own = self._seen.setdefault(name, {})
        own[layout] = max(seconds, own.get(layout, 0.0) / 2)
        self._kin[name] = kin

    def estimate(self, name: str, layout: str, kin: str) -> float:
        """Seconds that a trial will take; 0 where nothing like it has been seen."""
        own = self._seen.get(name)
        if own is not None:
            return own[layout] if layout in own else max(self._scaled(own, layout))
        relatives = [seen for other, seen in self._seen.items() if self._kin[other] == kin]
        same = [seen[layout] for seen in relatives if layout in seen]
        if same:
            return median(same)
        return median([max(self._scaled(seen, layout)) for seen in relatives]) if relatives else 0.0

    def _scaled(self, own: dict[str, float], layout: str) -> list[float]:
        """What an algorithm took with other layouts, by how the layouts compare where one algorithm had both."""
        return [seconds * self._ratio(layout, other) for other, seconds in own.items()]

    def _ratio(self, layout: str, other: str) -> float:
        both = [seen for seen in self._seen.values() if layout in seen and seen.get(other, 0.0) > 0]
        return median([seen[layout] / seen[other] for seen in both]) if both else 1.0
