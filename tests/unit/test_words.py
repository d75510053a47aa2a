"""Numbers as a person reads them."""

from __future__ import annotations

import pytest

from forestay.words import size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (9940, "9.9 kB"),
        (9960, "10 kB"),
        (812_000, "812 kB"),
        (1_400_000_000, "1.4 GB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_bytes(count: int, text: str) -> None:
    assert size(count) == text
