"""Text to dates: which strptime formats a column is written in, and the day or the month first.

Formats use the codes that MLTable's `convert_column_types: datetime: formats` knows (mltable.DataType.to_datetime).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# A column is dates when at least this share of its values parses; fewer, and the odd ones are values of their own.
SHARE = 0.99
_SAMPLE = 500
_LOOK = 20
_MAX_FORMATS = 6

_DATE = (
    (re.compile(r"\d{4}-\d{1,2}-\d{1,2}"), "%Y-%m-%d"),
    (re.compile(r"\d{4}/\d{1,2}/\d{1,2}"), "%Y/%m/%d"),
    (re.compile(r"\d{4}\.\d{1,2}\.\d{1,2}"), "%Y.%m.%d"),
    (re.compile(r"\d{1,2}/\d{1,2}/\d{4}"), "%d/%m/%Y"),
    (re.compile(r"\d{1,2}-\d{1,2}-\d{4}"), "%d-%m-%Y"),
    (re.compile(r"\d{1,2}\.\d{1,2}\.\d{4}"), "%d.%m.%Y"),
    (re.compile(r"\d{1,2}/\d{1,2}/\d{2}"), "%d/%m/%y"),
    (re.compile(r"\d{1,2}-\d{1,2}-\d{2}"), "%d-%m-%y"),
    (re.compile(r"\d{1,2}\.\d{1,2}\.\d{2}"), "%d.%m.%y"),
    (re.compile(r"\d{1,2} [A-Za-z]{3} \d{4}"), "%d %b %Y"),
    (re.compile(r"\d{1,2}-[A-Za-z]{3}-\d{4}"), "%d-%b-%Y"),
    (re.compile(r"\d{1,2}-[A-Za-z]{3}-\d{2}"), "%d-%b-%y"),
    (re.compile(r"\d{1,2} [A-Za-z]{4,9} \d{4}"), "%d %B %Y"),
    (re.compile(r"[A-Za-z]{3} \d{1,2}, \d{4}"), "%b %d, %Y"),
    # In a CSV file these are whole numbers, unless the user says that they are dates.
    (re.compile(r"(19|20)\d{6}"), "%Y%m%d"),
    (re.compile(r"[A-Za-z]{4,9} \d{1,2}, \d{4}"), "%B %d, %Y"),
)
_TIME = (
    (re.compile(r"\d{1,2}:\d{2}:\d{2}\.\d{1,6}"), "%H:%M:%S.%f"),
    (re.compile(r"\d{1,2}:\d{2}:\d{2}"), "%H:%M:%S"),
    (re.compile(r"\d{1,2}:\d{2}"), "%H:%M"),
    (re.compile(r"\d{1,2}:\d{2}:\d{2} [APap][Mm]"), "%I:%M:%S %p"),
    (re.compile(r"\d{1,2}:\d{2} [APap][Mm]"), "%I:%M %p"),
)
_ZONE = re.compile(r"(Z|[+-]\d{2}:?\d{2})$")
IN_UTC = "its times are written with an offset: they are taken in UTC"
"""The warning of a column of ReadOptions.days whose times are no days."""


@dataclass(frozen=True)
class Dates:
    """How the dates of a column are written.

    Parameters
    ----------
    formats: strptime formats, tried in this order.
    day_first: True or False where only one order of day and month fits, or where it is not in question (None).
    ambiguous: both orders of day and month fit all values.
    """

    formats: tuple[str, ...]
    day_first: bool | None
    ambiguous: bool = False


def shape(value: str) -> str | None:
    """The format of one value, day first where the order is in question; None when it is no date."""
    for separator in ("T", " "):
        head, found, tail = value.partition(separator) if separator == "T" else _split_time(value)
        date = next((form for look, form in _DATE if look.fullmatch(head)), None)
        if date is None:
            continue
        if not found:
            return date
        zone = _ZONE.search(tail)
        clock = tail[: zone.start()] if zone else tail
        time = next((form for look, form in _TIME if look.fullmatch(clock)), None)
        if time is not None:
            return f"{date}{separator}{time}{'%z' if zone else ''}"
    return None


def _split_time(value: str) -> tuple[str, str, str]:
    """Date and time at the space before the first hour; a date may hold spaces itself."""
    look = re.search(r" (?=\d{1,2}:\d{2})", value)
    return (value[: look.start()], " ", value[look.end() :]) if look else (value, "", "")


def swap(form: str) -> str:
    """The format with day and month in the other order, where the order is in question."""
    return re.sub(r"^%d([/.-])%m", r"%m\1%d", form)


def look_at(distinct: pa.Array, counts: pa.Array, first: bool | None) -> Dates | None:
    """How these distinct values are written as dates; None when fewer than SHARE of the rows are dates.

    `first`: the user's word on day first; None lets the values decide.
    """
    import pyarrow.compute as pc

    texts: list[str] = distinct.slice(0, _SAMPLE).to_pylist()
    shapes = [shape(text) for text in texts]
    if not texts or sum(1 for found in shapes[:_LOOK] if found is None) > len(shapes[:_LOOK]) * 0.05:
        return None
    formats = tuple(dict.fromkeys(found for found in shapes if found))
    if not formats or len(formats) > _MAX_FORMATS:
        return None
    total = pc.sum(counts).as_py()

    def share(candidate: Sequence[str]) -> float:
        parsed = parse(distinct, candidate).notna().to_numpy()
        return float(counts.to_numpy(zero_copy_only=False)[parsed].sum()) / total

    swapped = tuple(swap(form) for form in formats)
    if swapped == formats:
        return Dates(formats, None) if share(formats) >= SHARE else None
    if first is not None:
        chosen = formats if first else swapped
        return Dates(chosen, first) if share(chosen) >= SHARE else None
    day, month = share(formats), share(swapped)
    if max(day, month) < SHARE:
        return None
    if day == month:
        return Dates(formats, True, ambiguous=True)
    return Dates(formats, True) if day > month else Dates(swapped, False)


def parse(values: pa.Array | pa.ChunkedArray | pd.Series, formats: Sequence[str]) -> pd.Series:
    """Dates as datetime64[us] without a zone (zoned ones turned to UTC), NaT where no format fits."""
    import pandas as pd

    texts = values if isinstance(values, pd.Series) else pd.Series(values.to_pandas())
    texts = texts.reset_index(drop=True)
    result = pd.Series(pd.NaT, index=texts.index, dtype="datetime64[us]")
    for form in formats:
        left = result.isna() & texts.notna()
        if not left.any():
            break
        parsed = pd.to_datetime(texts[left], format=form, errors="coerce", utc=True)
        result[left] = parsed.dt.tz_localize(None).astype("datetime64[us]")
    return result


def parse_days(
    values: pa.Array | pa.ChunkedArray | pd.Series, formats: Sequence[str], days: bool = True
) -> tuple[pd.Series, bool]:
    """Dates as of `parse`, but as the clock shows them where that is midnight in all rows: then they are days.

    Without `days` they are never taken for such. Returns whether they might have been, but are none, and an offset has
    moved some of them, too.
    """
    import pandas as pd

    moments = parse(values, formats)
    if not days or not any(form.endswith("%z") for form in formats):
        return moments, False
    texts = values if isinstance(values, pd.Series) else pd.Series(values.to_pandas())
    bare = [form.removesuffix("%z").rstrip() for form in formats]
    return as_days(parse(texts.str.replace(_ZONE, "", regex=True).str.rstrip(), bare), moments)


def as_days(clock: pd.Series, moments: pd.Series) -> tuple[pd.Series, bool]:
    """What `parse_days` returns of times as the clock shows them, and in UTC."""
    known = clock[moments.notna()]
    if bool((known == known.dt.normalize()).all()):
        return clock, False
    return moments, not clock.equals(moments)
