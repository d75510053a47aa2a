"""What is written as CSV, in any dialect, comes back as it was."""

from __future__ import annotations

import datetime
from pathlib import Path

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from automl_jobs.data import ColumnType, ReadOptions, load_table

_ROWS = 8
# Words with separators, quotes and line breaks in them, none of which could be taken for something else.
_WORDS = st.text(st.sampled_from("abcé漢 ,;|\t\"'\n#:-_"), max_size=6).map(lambda text: f"w{text}w")


def _column(values: st.SearchStrategy[object]) -> st.SearchStrategy[list[object]]:
    return st.lists(st.one_of(values, st.none()), min_size=_ROWS, max_size=_ROWS)


_COLUMNS = {
    "whole": _column(st.integers(-(2**53), 2**53)),
    "real": _column(st.floats(allow_nan=False, allow_infinity=False)),
    "words": _column(_WORDS),
    "truth": _column(st.booleans()),
    "date": _column(st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1))),
    "time": _column(st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1))),
}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(_COLUMNS),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_frames_come_back(
    tmp_path: Path, columns: dict[str, list[object]], delimiter: str, encoding: str, end: str, told: bool
) -> None:
    expected = pd.DataFrame(
        {
            "whole": pd.array(columns["whole"], dtype="Int64"),
            "real": pd.array(columns["real"], dtype="float64"),
            "words": pd.array(columns["words"], dtype="str"),
            "truth": pd.array(columns["truth"], dtype="boolean"),
            "date": pd.to_datetime(pd.Series(columns["date"])).astype("datetime64[us]"),
            "time": pd.to_datetime(pd.Series(columns["time"])).astype("datetime64[us]"),
        }
    )
    path = tmp_path / "data.csv"
    written = expected.assign(time=[value and value.isoformat(" ") for value in columns["time"]])
    written.to_csv(path, sep=delimiter, encoding=encoding, lineterminator=end, index=False)
    # The delimiter is left to be guessed in half of the cases; the decimal mark is not in question here.
    table = load_table(path, ReadOptions(delimiter=delimiter if told else None, decimal="."))
    assert table.frame.columns.tolist() == list(expected.columns)
    for name in expected:
        column = table.column(name)
        assert column.missing == int(expected[name].isna().sum())
        if column.missing == _ROWS:
            assert column.type is ColumnType.CONSTANT
            continue
        found = table.frame[name]
        if name == "truth" and found.dtype != "boolean":
            # One truth value in all rows is a constant, and keeps its own dtype.
            assert column.type is ColumnType.CONSTANT
            assert found.map({"True": True, "False": False}).tolist() == expected[name].tolist()
            continue
        kind = "float64" if name == "whole" and column.missing else None
        pd.testing.assert_series_equal(
            found,
            expected[name].astype(kind or ("int64" if name == "whole" else expected[name].dtype)),
            check_names=False,
        )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.decimals(-(10**8), 10**8, places=2), min_size=2, max_size=10).filter(
        lambda values: any(value % 1 for value in values)
    ),
    st.sampled_from([(",", "."), (",", " "), (".", ","), (".", "'"), (",", ""), (".", "")]),
)
def test_numbers_in_any_style_come_back(tmp_path: Path, values: list[object], style: tuple[str, str]) -> None:
    decimal, thousands = style
    texts = [f"{value:,.2f}".replace(",", "#").replace(".", decimal).replace("#", thousands) for value in values]
    path = tmp_path / "data.csv"
    path.write_text("n\tm\n" + "".join(f"{text}\tx{index}\n" for index, text in enumerate(texts)))
    table = load_table(path)
    assert table.frame["n"].tolist() == [float(value) for value in values]  # type: ignore[arg-type]
