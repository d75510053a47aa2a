"""Times that are written with an offset: days where the clock shows midnight, else moments in UTC."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from automl_jobs.data import ReadOptions, load_table
from automl_jobs.data.dates import IN_UTC, parse_days
from automl_jobs.data.kinds import from_arrow

DAYS = ["2024-03-30T00:00:00+01:00", "2024-04-01T00:00:00+02:00"]


@pytest.mark.parametrize(
    ("texts", "form", "expected", "moved"),
    [
        (DAYS, "%Y-%m-%dT%H:%M:%S%z", ["2024-03-30", "2024-04-01"], False),
        (["2024-03-30 00:00 +0100", None], "%Y-%m-%d %H:%M %z", ["2024-03-30", None], False),
        (["2024-03-30T00:00:00Z"], "%Y-%m-%dT%H:%M:%S%z", ["2024-03-30"], False),
        (["2024-03-30T07:00:00Z"], "%Y-%m-%dT%H:%M:%S%z", ["2024-03-30T07:00"], False),
        (["2024-03-30"], "%Y-%m-%d", ["2024-03-30"], False),
        ([DAYS[0], "2024-04-01T09:00:00+02:00"], "%Y-%m-%dT%H:%M:%S%z", ["2024-03-29T23:00", "2024-04-01T07:00"], True),
    ],
)
def test_text(texts: list[str | None], form: str, expected: list[str | None], moved: bool) -> None:
    found, was_moved = parse_days(pd.Series(texts, dtype="str"), [form])
    assert was_moved is moved
    assert found.tolist() == pd.to_datetime(pd.Series(expected), format="ISO8601").tolist()


@pytest.mark.parametrize(("hour", "warned"), [(0, ()), (9, (IN_UTC,))])
def test_columns_that_know_their_zone(hour: int, warned: tuple[str, ...]) -> None:
    times = pd.date_range("2024-03-29", periods=4, tz="Europe/Berlin") + pd.Timedelta(hours=hour)
    values = pa.chunked_array([pa.array(times.as_unit("us"))])
    typed = from_arrow("t", values, days=True)
    assert typed.warnings == warned
    assert typed.series.tolist() == (times.tz_localize(None) if not hour else times.tz_convert(None)).tolist()
    assert from_arrow("t", values).series.tolist() == times.tz_convert(None).tolist()


def test_only_columns_that_may_be_days_are_read_so(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("day,other\n" + "".join(f"{day},{day}\n" for day in DAYS * 3), encoding="utf-8")
    frame = load_table(path, ReadOptions(days=("day",))).frame
    assert frame["day"].iloc[0] == pd.Timestamp("2024-03-30")
    assert frame["other"].iloc[0] == pd.Timestamp("2024-03-29T23:00")
