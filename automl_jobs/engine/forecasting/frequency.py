"""Time steps: what frequency series have, and what follows from it."""

from __future__ import annotations

import warnings

import pandas as pd

# What Azure's examples and old versions of pandas call them.
_ALIASES = {
    "H": "h", "T": "min", "S": "s", "L": "ms", "M": "ME", "Q": "QE", "A": "YE", "Y": "YE", "BM": "BME", "BH": "bh",
    "hour": "h", "hours": "h", "minute": "min", "minutes": "min", "day": "D", "days": "D", "week": "W", "month": "ME",
    "quarter": "QE", "year": "YE", "hourly": "h", "daily": "D", "weekly": "W", "monthly": "ME", "quarterly": "QE",
    "yearly": "YE",
}  # fmt: skip
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAY = pd.Timedelta(days=1)


def read(text: str) -> str | None:
    """The pandas name of a frequency as a job file gives it, or None when it is none."""
    head = text.strip()
    digits = head[: len(head) - len(head.lstrip("0123456789"))]
    unit, dash, anchor = head[len(digits) :].partition("-")
    known = digits + _ALIASES.get(unit, _ALIASES.get(unit.lower(), unit) if len(unit) > 1 else unit) + dash + anchor
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            offset = pd.tseries.frequencies.to_offset(known)
    except ValueError:
        return None
    return offset.freqstr if offset is not None and offset.n > 0 else None


def fits(times: pd.DatetimeIndex, frequency: str) -> bool:
    """Whether all these sorted times lie on one grid of the frequency."""
    try:
        return bool(times.isin(pd.date_range(times[0], times[-1], freq=frequency)).all())
    except (ValueError, OverflowError):
        return False


def detect(times: pd.DatetimeIndex, given: str | None = None) -> str | None:
    """The frequency of sorted times without repeats; None when they have none.

    A given frequency is kept when the times fit it, or one like it: weeks that begin another day, months by their first
    day instead of their last.
    """
    if given is not None:
        return next((name for name in (given, *_like(times, given)) if fits(times, name)), None)
    if len(times) < 2:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it will give offsets instead of texts one day
        found: object = pd.infer_freq(times) if len(times) > 2 else None
    if found is not None:
        return read(str(getattr(found, "freqstr", found)))
    usual = (times[1:] - times[:-1]).to_series().mode().iloc[0]
    candidates = [name for name, days in (("ME", 30), ("QE", 91), ("YE", 365)) if abs(usual / DAY - days) <= 3]
    names = [other for name in candidates for other in (name, *_like(times, name))]
    if usual == 7 * DAY:
        names += _like(times, "W")
    if usual == DAY and not (times.day_of_week >= 5).any() and len(times) > 10:
        names.append("B")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        step = pd.tseries.frequencies.to_offset(usual)
    if step is not None:
        names.append(step.freqstr)
    return next((name for name in names if fits(times, name)), None)


def _like(times: pd.DatetimeIndex, given: str) -> list[str]:
    """Frequencies of the same length as `given` with the anchors that the times have."""
    offset = pd.tseries.frequencies.to_offset(given)
    if offset is None:
        return []
    count = "" if offset.n == 1 else str(offset.n)
    unit = offset.freqstr.lstrip("0123456789").partition("-")[0]
    month = _MONTHS[times[0].month - 1]
    if unit == "W":
        return [f"{count}W-{_WEEKDAYS[times[0].day_of_week]}"]
    if unit in ("ME", "MS", "BME", "BMS"):
        return [f"{count}MS", f"{count}ME", f"{count}BME", f"{count}BMS"]
    if unit in ("QE", "QS"):
        return [f"{count}QS-{month}", f"{count}QE-{month}"]
    if unit in ("YE", "YS"):
        return [f"{count}YS-{month}", f"{count}YE-{month}"]
    return []


def length(frequency: str) -> pd.Timedelta:
    """How long one period is, about."""
    offset = pd.tseries.frequencies.to_offset(frequency)
    start = pd.Timestamp("2001-01-01")
    return ((start + 20 * offset) - (start + 8 * offset)) / 12


def season(frequency: str) -> int:
    """The most usual season in periods: a day of hours, a week of days, a year of weeks, months or quarters."""
    unit = frequency.lstrip("0123456789").partition("-")[0]
    if unit in ("B", "C"):
        return 5
    days = length(frequency) / DAY
    if days < 0.9:
        return round(1 / days) if days >= 1 / 1440 else 1
    if days < 1.5:
        return 7
    return max(1, round(365.25 / days)) if days < 200 else 1


def horizon(frequency: str) -> int:
    """A usual horizon, for `forecast_horizon: auto`: a day of hours, two weeks of days, a year of months."""
    days = length(frequency) / DAY
    for limit, periods in ((0.9, 24), (1.6, 14), (8, 8), (32, 12), (100, 4)):
        if days < limit:
            return periods
    return 2


def period(frequency: str) -> str:
    """What a time stands for: "day" (or shorter), else the "start" or the "end" of its period."""
    if length(frequency) <= 1.5 * DAY:
        return "day"
    unit = frequency.lstrip("0123456789").partition("-")[0]
    return "end" if unit.startswith("W") or unit.endswith("E") else "start"
