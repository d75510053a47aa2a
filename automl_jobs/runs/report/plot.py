"""Plots of lines, bands, points and bars over two axes, laid out for SVG.

A page of charts is to be small, to open without scripts, and to follow the reader's colours and font size, so the marks
are computed here and drawn by a template: shapes carry classes, not colours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

Point = tuple[float, float]
Tick = tuple[float, str]


WIDTH, HEIGHT = 480.0, 300.0
TOP, RIGHT, BOTTOM, LEFT = 34.0, 14.0, 46.0, 22.0
CHARACTER = 8.0  # room for a character of a label, also where a narrow screen has it larger
TICKS = 5
TONES = 8
"""How many series have a colour or a dash of their own."""


@dataclass(frozen=True)
class Line:
    """Points joined by a line. `tone` is the number of its colour, -1 for one that only guides the eye."""

    points: Sequence[Point]
    tone: int = 0
    step: bool = False


@dataclass(frozen=True)
class Band:
    """The area between two lines over the same places: (x, low, high)."""

    points: Sequence[tuple[float, float, float]]
    tone: int = 0


@dataclass(frozen=True)
class Dot:
    """One point, with what is told when it is pointed at; one beyond the axis is drawn hollow at its edge."""

    x: float
    y: float
    title: str = ""
    tone: int = 0


@dataclass(frozen=True)
class Bar:
    """A bar from zero over a stretch of the x axis."""

    low: float
    high: float
    height: float
    title: str = ""


@dataclass(frozen=True)
class Axis:
    """An axis: its title, its ends where they are given, its ticks where they are, and how they are written."""

    title: str
    low: float | None = None
    high: float | None = None
    ticks: Sequence[Tick] | None = None


@dataclass(frozen=True)
class Shape:
    """What is drawn: `kind` is path, dot or bar; numbers are in the units of the view box."""

    kind: str
    css: str
    d: str = ""
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0
    title: str = ""


@dataclass(frozen=True)
class Plot:
    """A plot laid out.

    Attributes
    ----------
    x_ticks, y_ticks: places and labels. left, right, top, bottom: the edges of the area within.
    """

    x_title: str
    y_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    shapes: tuple[Shape, ...]
    left: float
    right: float
    top: float
    bottom: float
    width: float = WIDTH
    height: float = HEIGHT


@dataclass
class _Extent:
    xs: list[float] = field(default_factory=list)
    ys: list[float] = field(default_factory=list)

    def take(self, mark: Line | Band | Dot | Bar) -> None:
        if isinstance(mark, Line):
            self.xs += [x for x, _ in mark.points]
            self.ys += [y for _, y in mark.points]
        elif isinstance(mark, Band):
            self.xs += [x for x, _, _ in mark.points]
            self.ys += [y for _, low, high in mark.points for y in (low, high)]
        elif isinstance(mark, Dot):
            self.xs.append(mark.x)
            self.ys.append(mark.y)
        else:
            self.xs += [mark.low, mark.high]
            self.ys += [0.0, mark.height]


def plot(marks: Sequence[Line | Band | Dot | Bar], x: Axis, y: Axis) -> Plot:
    """Lay out marks, the first ones lowest. There must be one that is not empty."""
    extent = _Extent()
    for mark in marks:
        extent.take(mark)
    x_low, x_high, x_ticks = _scale(x, extent.xs, bool(x.ticks) or any(isinstance(mark, Bar) for mark in marks))
    y_low, y_high, y_ticks = _scale(y, extent.ys, False)
    left = LEFT + CHARACTER * max((len(label) for _, label in y_ticks), default=0)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def across(value: float) -> float:
        return left + (min(max(value, x_low), x_high) - x_low) / (x_high - x_low) * (right - left)

    def up(value: float) -> float:
        return bottom - (min(max(value, y_low), y_high) - y_low) / (y_high - y_low) * (bottom - TOP)

    shapes = []
    for mark in marks:
        if isinstance(mark, Line):
            points = [(across(one), up(other)) for one, other in mark.points]
            shapes.append(Shape("path", _css("line", mark.tone), d=_path(points, mark.step)))
        elif isinstance(mark, Band):
            there = [(across(place), up(high)) for place, _, high in mark.points]
            back = [(across(place), up(low)) for place, low, _ in reversed(mark.points)]
            shapes.append(Shape("path", _css("band", mark.tone), d=_path([*there, *back], False) + "Z"))
        elif isinstance(mark, Dot):
            beyond = "" if y_low <= mark.y <= y_high else " beyond"
            css = _css("dot", mark.tone) + beyond
            shapes.append(Shape("dot", css, x=_short(across(mark.x)), y=_short(up(mark.y)), title=mark.title))
        else:
            begin, end, height = across(mark.low), across(mark.high), up(mark.height)
            shapes.append(
                Shape(
                    "bar",
                    _css("bar", 0),
                    x=_short(begin + 0.5),
                    y=_short(height),
                    width=_short(max(end - begin - 1.0, 0.5)),
                    height=_short(up(0.0) - height),
                    title=mark.title,
                )
            )
    return Plot(
        x.title,
        y.title,
        tuple((_short(across(value)), label) for value, label in x_ticks),
        tuple((_short(up(value)), label) for value, label in y_ticks),
        tuple(shapes),
        left,
        right,
        TOP,
        bottom,
    )


def _css(kind: str, tone: int) -> str:
    return f"{kind} guide" if tone < 0 else f"{kind} tone{tone % TONES}"


def _short(value: float) -> float:
    return round(value, 1)


def _path(points: Sequence[Point], step: bool) -> str:
    """The path through points; those that are drawn at the same place, or on the way, are left out."""
    parts: list[str] = []
    before: Point | None = None
    for x, y in points:
        here = (_short(x), _short(y))
        if here == before:
            continue
        if before is not None and step and here[0] != before[0]:
            parts.append(f"H{here[0]:g}")
            if here[1] != before[1]:
                parts.append(f"V{here[1]:g}")
        else:
            parts.append(f"{'L' if parts else 'M'}{here[0]:g} {here[1]:g}")
        before = here
    return "".join(parts)


def _scale(axis: Axis, values: Sequence[float], tight: bool) -> tuple[float, float, list[tuple[float, str]]]:
    """The ends of an axis and its ticks; ends that are not given are rounded outwards to a tick, unless `tight`."""
    low = min(values) if axis.low is None else axis.low
    high = max(values) if axis.high is None else axis.high
    if not high > low:
        room = abs(high) * 0.05 or 1.0
        low, high = low - room, high + room
    step = nice_step(high - low)
    if not tight:
        low = math.floor(low / step + 1e-9) * step if axis.low is None else low
        high = math.ceil(high / step - 1e-9) * step if axis.high is None else high
    if axis.ticks is not None:
        return low, high, [(value, label) for value, label in axis.ticks if low <= value <= high]
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    ticks = [number * step for number in range(first, last + 1)]
    return low, high, [(value, tick_label(value, step)) for value in ticks]


def nice_step(span: float) -> float:
    """The step of ticks, 1, 2 or 5 times a power of ten, that gives about five of them over `span`."""
    raw = span / TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    return next((size * power for size in (1.0, 2.0, 5.0) if size * power >= raw * (1 - 1e-9)), 10 * power)


def tick_label(value: float, step: float) -> str:
    """A number of an axis with the decimals that its step needs; thousands and millions are shortened."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if step >= size:
            return "0" if value == 0 else _decimals(value / size, step / size) + letter
    return _decimals(value, step)


def _decimals(value: float, step: float) -> str:
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if digits > 6:
        return f"{value:.3g}"
    return f"{value + 0.0:,.{digits}f}"
