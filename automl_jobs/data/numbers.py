"""Text to numbers: plain ones, and those with a decimal comma or thousands marks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

# (decimal mark, thousands mark), in the order in which they are tried.
STYLES = ((".", ","), (",", "."), (",", " "), (".", " "), (".", "'"), (",", "'"))
PLAIN = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_WHOLE = r"^[+-]?[0-9]+$"
_LEADING_ZERO = r"^[+-]?0[0-9]+$"
NUMBER = rf"(?i)({PLAIN})|(^[+-]?inf(inity)?$)"


def matches(values: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    """Which values match `pattern` (RE2); null where the value is."""
    import pyarrow.compute as pc

    return pc.match_substring_regex(values, pattern)


def every(values: pa.ChunkedArray, pattern: str) -> bool:
    """Whether all values that are there match."""
    import pyarrow.compute as pc

    return pc.all(matches(values, pattern)).as_py() is not False


def some(values: pa.ChunkedArray, pattern: str) -> bool:
    """Whether any value matches."""
    import pyarrow.compute as pc

    return pc.any(matches(values, pattern)).as_py() is True


def leading_zeros(values: pa.ChunkedArray) -> bool:
    """Whether some value is a code such as 00123: digits that a number would lose."""
    return some(values, _LEADING_ZERO)


def to_numbers(values: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Plain numbers as int64 when all are written whole, else as double; None when some value is no plain number.

    Whole numbers past 64 bits are no numbers here: as doubles they would lose digits. `inf` is a number.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        floats = pc.cast(values, pa.float64())
    except pa.ArrowInvalid:
        return _dotted(values)
    if not every(values, _WHOLE):
        return floats
    try:
        return pc.cast(pc.utf8_ltrim(values, characters="+"), pa.int64())
    except pa.ArrowInvalid:
        return None


def _dotted(values: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Numbers in spellings that Arrow lacks: .5 and -.5."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not every(values, NUMBER):
        return None
    try:
        return pc.cast(pc.replace_substring_regex(values, r"^([+-]?)\.", r"\10."), pa.float64())
    except pa.ArrowInvalid:
        return None


def pattern(decimal: str, thousands: str) -> str:
    """The regular expression (RE2) of a number in this style; thousands marks may be missing, but not misplaced."""
    whole = "[0-9]+"
    if thousands:
        whole = rf"(?:[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}})+|[0-9]+)"
    return rf"^[+-]?{whole}(?:{re.escape(decimal)}[0-9]+)?(?:[eE][+-]?[0-9]+)?$"


def even_spaces(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values with no-break and narrow spaces made plain, so that one thousands mark stands for all of them."""
    import pyarrow.compute as pc

    return pc.replace_substring_regex(values, "[\u00a0\u202f\u2009]", " ")


def styles_of(distinct: pa.Array) -> tuple[tuple[str, str], ...]:
    """The styles in which all these values are numbers."""
    if not some(distinct, "[0-9]"):
        return ()
    return tuple(style for style in STYLES if every(distinct, pattern(*style)))


def from_style(values: Any, decimal: str, thousands: str) -> Any:
    """Numbers in a style as double, or int64 when none has a decimal mark; the caller has checked the pattern."""
    import pyarrow.compute as pc

    if thousands:
        values = pc.replace_substring(values, thousands, "")
    return to_numbers(pc.replace_substring(values, decimal, ".") if decimal != "." else values)
