"""What a guardrail says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PASSED, DONE, ALERTED = "Passed", "Done", "Alerted"


@dataclass(frozen=True)
class Guardrail:
    """One guardrail.

    Attributes
    ----------
    name: Azure's, where it has one.
    status: Passed, Done or Alerted.
    description: what was found, in a sentence.
    details: the columns, classes or numbers that it is about; rows of a table.
    fix: what to do about it; empty where there is nothing to do.
    """

    name: str
    status: str
    description: str
    details: tuple[dict[str, Any], ...] = ()
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "status": self.status,
            "description": self.description,
            "details": [dict(row) for row in self.details],
            "fix": self.fix or None,
        }
