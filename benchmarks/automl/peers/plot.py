"""`plot.py < points.json > growth.svg`: measures over what grew, such as seconds over rows.

The input is {"measures": {key: title}, "points": [{"axis", "size", a value for each key}]}.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import altair
import vl_convert

WIDTH, HEIGHT = 220, 150
# As many labels as there is room for: 30k, 100k.
FEW = altair.Axis(format="~s", labelOverlap="greedy", labelSeparation=8)


def panel(points: list[dict[str, Any]], axis: str, measure: str, title: str) -> altair.Chart:
    values = [point for point in points if point["axis"] == axis]
    return (
        altair.Chart(altair.Data(values=values), width=WIDTH, height=HEIGHT)
        .mark_line(point=True)
        .encode(
            x=altair.X("size:Q", scale=altair.Scale(type="log", nice=False), axis=FEW, title=axis),
            y=altair.Y(f"{measure}:Q", scale=altair.Scale(type="log"), axis=FEW, title=title),
        )
    )


def main() -> None:
    given = json.load(sys.stdin)
    points = given["points"]
    axes = list(dict.fromkeys(point["axis"] for point in points))
    rows = [
        altair.hconcat(*(panel(points, axis, measure, title) for axis in axes))
        for measure, title in given["measures"].items()
    ]
    print(vl_convert.vegalite_to_svg(altair.vconcat(*rows).to_json()))


if __name__ == "__main__":
    main()
