"""Plots: ticks, places, what lies beyond an axis."""

from __future__ import annotations

import math

import pytest

from automl_jobs.runs.report.plot import HEIGHT, WIDTH, Axis, Band, Bar, Dot, Line, nice_step, plot, tick_label


@pytest.mark.parametrize(
    ("span", "step"), [(1.0, 0.2), (0.05, 0.01), (7.0, 2.0), (100.0, 20.0), (3e-7, 1e-7), (2.4e6, 5e5)]
)
def test_steps_are_round(span: float, step: float) -> None:
    assert nice_step(span) == pytest.approx(step)


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [
        (0.2, 0.2, "0.2"),
        (0.93, 0.01, "0.93"),
        (-0.0, 0.5, "0.0"),
        (1500.0, 500.0, "1,500"),
        (20_000.0, 10_000.0, "20k"),
        (2_500_000.0, 500_000.0, "2,500k"),
        (4e6, 2e6, "4M"),
        (0.0, 2e6, "0"),
        (3e-8, 1e-8, "3e-08"),
    ],
)
def test_labels(value: float, step: float, text: str) -> None:
    assert tick_label(value, step) == text


def test_marks_lie_where_their_values_say() -> None:
    drawn = plot([Line([(0.0, 0.0), (1.0, 1.0)]), Dot(0.5, 0.5, "half")], Axis("x", 0.0, 1.0), Axis("y", 0.0, 1.0))
    line, dot = drawn.shapes
    assert line.d == f"M{drawn.left:g} {drawn.bottom:g}L{drawn.right:g} {drawn.top:g}"
    assert dot.x == pytest.approx((drawn.left + drawn.right) / 2, abs=0.1)
    assert dot.y == pytest.approx((drawn.top + drawn.bottom) / 2, abs=0.1)
    assert [label for _, label in drawn.x_ticks] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]


def test_what_lies_beyond_is_drawn_at_the_edge_and_marked() -> None:
    drawn = plot([Dot(1.0, -5.0), Dot(2.0, 0.9)], Axis("x"), Axis("y", 0.0, 1.0))
    first = drawn.shapes[0]
    assert (first.css, first.y) == ("dot tone0 beyond", drawn.bottom)
    assert drawn.shapes[1].css == "dot tone0"


@pytest.mark.parametrize("value", [0.0, 5.0, -3e9, 1e-12])
def test_one_value_alone_has_an_axis(value: float) -> None:
    drawn = plot([Dot(value, value)], Axis("x"), Axis("y"))
    assert all(math.isfinite(place) for place, _ in (*drawn.x_ticks, *drawn.y_ticks))
    assert drawn.left <= drawn.shapes[0].x <= drawn.right


def test_a_step_goes_across_first_and_leaves_out_what_is_on_its_way() -> None:
    drawn = plot([Line([(0.0, 0.0), (1.0, 0.0), (2.0, 1.0)], step=True)], Axis("x", 0.0, 2.0), Axis("y", 0.0, 1.0))
    middle = (drawn.left + drawn.right) / 2
    assert drawn.shapes[0].d == f"M{drawn.left:g} {drawn.bottom:g}H{middle:g}H{drawn.right:g}V{drawn.top:g}"


def test_everything_is_inside() -> None:
    bars = [Bar(low, low + 1.0, low**2, "t") for low in (0.0, 1.0, 2.0)]
    drawn = plot([Band([(0.0, -1.0, 1.0), (3.0, 2.0, 4.0)]), *bars], Axis("x"), Axis("rows"))
    for shape in drawn.shapes[1:]:
        assert drawn.left <= shape.x <= shape.x + shape.width <= drawn.right
        assert drawn.top <= shape.y <= shape.y + shape.height <= drawn.bottom + 0.1
    assert (drawn.width, drawn.height) == (WIDTH, HEIGHT)
