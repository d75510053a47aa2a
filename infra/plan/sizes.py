"""What a virtual machine's size says in its name: cores, and the family whose quota it takes.

Names are [family][cores][features]_[accelerator]_[version] (Azure: "VM sizes naming conventions"); the families of
the first two generations count steps instead of cores.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SIZE = re.compile(
    r"Standard_(?P<family>[A-Z]{1,3}?)(?P<premium>S?)(?P<number>\d{1,4})(-\d{1,3})?(?P<features>[a-z]*)"
    r"(?P<accelerator>(_[A-Z][A-Za-z0-9]+)*)(_(?P<version>v\d+))?"
)
# Steps of the first generations: D1..D5, D11..D15 and their like.
_STEPS = {1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 11: 2, 12: 4, 13: 8, 14: 16, 15: 20}


@dataclass(frozen=True)
class Size:
    """Attributes: cores, None where the name is none of these; family: the quota's name, `standardDSv5Family`."""

    cores: int | None
    family: str


def size_of(name: str) -> Size:
    """The size's cores and family."""
    match = _SIZE.fullmatch(name)
    if not match:
        return Size(None, name)
    number, version = int(match["number"]), match["version"] or ""
    stepped = match["family"] in ("D", "DS") and version in ("", "v2") and number in _STEPS
    letters = match["family"] + match["premium"] + match["features"].upper()
    if letters.startswith("B"):
        letters = "BS" if not version else letters.replace("M", "").replace("L", "")
    accelerator = match["accelerator"].replace("_", "")
    return Size(_STEPS[number] if stepped else number, f"standard{letters}{accelerator}{version}Family")
