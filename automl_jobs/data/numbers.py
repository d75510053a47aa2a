"""Text to numbers: plain ones, and those with a decimal comma or thousands marks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

Style = tuple[str, str]
# (decimal mark, thousands mark), in the order in which they are tried.
STYLES: tuple[Style, ...] = ((".", ","), (",", "."), (",", " "), (".", " "), (".", "'"), (",", "'"))
PLAIN = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
NUMBER = rf"(?i)({PLAIN})|(^[+-]?inf(inity)?$)"
_WHOLE = r"^[+-]?[0-9]+$"
_HEAD = 1000


def matches(values: pa.Array | pa.ChunkedArray, pattern: str) -> pa.Array | pa.ChunkedArray:
    """Which values match `pattern` (RE2); null where the value is."""
    import pyarrow.compute as pc

    return pc.match_substring_regex(values, pattern)


def every(values: pa.Array | pa.ChunkedArray, pattern: str) -> bool:
    """Whether all values that are there match; the first thousand are asked first."""
    import pyarrow.compute as pc

    if len(values) > _HEAD and pc.all(matches(values.slice(0, _HEAD), pattern)).as_py() is False:
        return False
    return pc.all(matches(values, pattern)).as_py() is not False


def some(values: pa.Array | pa.ChunkedArray, pattern: str) -> bool:
    """Whether any value matches; the first thousand are asked first."""
    import pyarrow.compute as pc

    if len(values) > _HEAD and pc.any(matches(values.slice(0, _HEAD), pattern)).as_py() is True:
        return True
    return pc.any(matches(values, pattern)).as_py() is True


def leading_zeros(values: pa.Array | pa.ChunkedArray) -> bool:
    """Whether some value is a code such as 00123: digits that a number would lose."""
    import pyarrow.compute as pc

    candidates = values.filter(pc.and_(pc.starts_with(values, "0"), pc.greater(pc.binary_length(values), 1)))
    return len(candidates) > 0 and some(candidates, "^0[0-9]+$")


def to_numbers(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray | None:
    """Plain numbers as int64 when all are written whole, else as double; None when some value is no plain number.

    Whole numbers past 64 bits are no numbers here: as doubles they would lose digits. `inf` and `nan` are doubles.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    # A cast that fails is slow on many values, so a few are tried first.
    if len(values) > _HEAD and to_numbers(values.slice(0, _HEAD)) is None:
        return None
    if every(values.slice(0, _HEAD), _WHOLE):
        try:
            return pc.cast(values, pa.int64())
        except pa.ArrowInvalid:
            pass
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


def _dotted(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray | None:
    """Numbers in spellings that Arrow lacks: .5 and -.5."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not every(values, NUMBER):
        return None
    try:
        return pc.cast(pc.replace_substring_regex(values, r"^([+-]?)\.", r"\10."), pa.float64())
    except pa.ArrowInvalid:
        return None


def pattern(style: Style) -> str:
    """The regular expression (RE2) of a number in this style; thousands marks may be missing, but not misplaced."""
    decimal, thousands = style
    # 0.123 is never a hundred and twenty-three.
    marked = rf"[1-9][0-9]{{0,2}}(?:{re.escape(thousands)}[0-9]{{3}})+"
    return rf"^[+-]?(?:{marked}|[0-9]+)(?:{re.escape(decimal)}[0-9]+)?(?:[eE][+-]?[0-9]+)?$"


def even_spaces(values: pa.Array) -> pa.Array:
    """Values with no-break and narrow spaces made plain, so that one thousands mark stands for all of them."""
    import pyarrow.compute as pc

    return pc.replace_substring_regex(values, "[\u00a0\u202f\u2009]", " ")


def styles_of(distinct: pa.Array) -> tuple[Style, ...]:
    """The styles in which all these values are numbers."""
    if not some(distinct, "[0-9]"):
        return ()
    return tuple(style for style in STYLES if every(distinct, pattern(style)))


def uses_thousands(distinct: pa.Array, style: Style) -> bool:
    """Whether some value has this style's thousands mark."""
    import pyarrow.compute as pc

    return bool(pc.any(pc.match_substring(distinct, style[1])).as_py())


def from_style(values: pa.Array, style: Style) -> pa.Array | None:
    """Numbers in a style that fits them, as int64 or double; None for whole numbers past 64 bits."""
    import pyarrow.compute as pc

    decimal, thousands = style
    values = pc.replace_substring(values, thousands, "")
    return to_numbers(pc.replace_substring(values, decimal, ".") if decimal != "." else values)
