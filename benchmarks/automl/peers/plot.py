"""`plot.py < points.json > growth.svg`: seconds and megabytes over rows, columns and trials.

The input is a list of {"axis", "size", "seconds", "megabytes"}.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import altair
import vl_convert

WIDTH, HEIGHT = 220, 150
AXES = ("rows", "columns", "trials")
MEASURES = {"seconds": "seconds", "megabytes": "peak memory, MB"}


def panel(points: list[dict[str, Any]], axis: str, measure: str, title: str) -> altair.Chart:
    values = [point for point in points if point["axis"] == axis]
    return (
        altair.Chart(altair.Data(values=values), width=WIDTH, height=HEIGHT)
        .mark_line(point=True)
        .encode(
            x=altair.X("size:Q", scale=altair.Scale(type="log"), title=axis),
            y=altair.Y(f"{measure}:Q", scale=altair.Scale(type="log"), title=title),
        )
    )


def main() -> None:
    points = json.load(sys.stdin)
    rows = [
        altair.hconcat(*(panel(points, axis, measure, title) for axis in AXES)) for measure, title in MEASURES.items()
    ]
    print(vl_convert.vegalite_to_svg(altair.vconcat(*rows).to_json()))


if __name__ == "__main__":
    main()
