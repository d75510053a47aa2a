"""Column types: what a column of a CSV file becomes."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from automl_jobs.data import Column, ColumnType, ReadOptions, Table, load_table
from forestay.errors import InputError

Load = Callable[..., Table]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def write_and_load(text: str | bytes, name: str = "data.csv", **options: object) -> Table:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_table(path, ReadOptions(**options))  # type: ignore[arg-type]

    return write_and_load


def rows(*columns: list[object], names: str = "abcdef") -> str:
    lines = [",".join(names[: len(columns)])]
    lines += [",".join("" if value is None else str(value) for value in row) for row in zip(*columns, strict=True)]
    return "\n".join(lines) + "\n"


def one(load: Load, values: list[object], **options: object) -> tuple[Column, pd.Series]:
    """The column `a` of a file with these values, and its frame column; a second column keeps rows from being blank."""
    table = load(rows(values, list(range(len(values)))), **options)
    return table.columns[0], table.frame["a"]


@pytest.mark.parametrize(
    ("values", "kind", "dtype"),
    [
        ([1, 2, 2], "numeric", "int64"),
        ([1, None, 2], "numeric", "float64"),
        ([1.5, 2, -3e5], "numeric", "float64"),
        (["+5", "-7", "0"], "numeric", "int64"),
        ([".5", "-.25", "1."], "numeric", "float64"),
        ([9223372036854775807, 1, 2], "numeric", "int64"),
        (["true", "false", None], "boolean", "boolean"),
        (["True", "FALSE", "false"], "boolean", "boolean"),
        (["yes", "no", "no"], "categorical", "str"),
        (["0x1F", "2", "3"], "categorical", "str"),
        (["01234", "11111", "22222"], "categorical", "str"),
        (["99999999999999999999", "1", "2"], "categorical", "str"),
        ([7, 7, 7], "constant", "int64"),
        (["x", "x", "x"], "constant", "str"),
        ([None, None, None], "constant", "str"),
        (["x", None, "x"], "categorical", "str"),
        (["2026-01-31", "2026-02-01", None], "datetime", "datetime64[us]"),
    ],
)
def test_type_and_dtype(load: Load, values: list[object], kind: str, dtype: str) -> None:
    column, series = one(load, values)
    assert column.type is ColumnType(kind)
    assert str(series.dtype) == dtype
    assert column.missing == sum(value is None for value in values)


def test_values_survive(load: Load) -> None:
    table = load(rows([".5", "-.25", "1."], ["+5", "-7", "0"], ["01234", "00001", "7"], ["True", "false", "TRUE"]))
    assert table.frame["a"].tolist() == [0.5, -0.25, 1.0]
    assert table.frame["b"].tolist() == [5, -7, 0]
    assert table.frame["c"].tolist() == ["01234", "00001", "7"]
    assert table.frame["d"].tolist() == [True, False, True]


def test_leading_zeros_stay_text_are_said_and_can_be_numbers(load: Load) -> None:
    text = rows(["01234", "11111", "01234"], [1, 2, 3])
    table = load(text)
    assert table.columns[0].type is ColumnType.CATEGORICAL
    assert any("leading zeros" in note and "--type" in note for note in table.notes)
    numbers = load(text, types={"a": ColumnType.NUMERIC})
    assert numbers.frame["a"].tolist() == [1234, 11111, 1234]


@pytest.mark.parametrize(
    ("name", "first", "kind"),
    [
        ("a", 1, "identifier"),  # counts up from 1
        ("a", 0, "identifier"),
        ("year", 1950, "numeric"),  # counts up, but from nowhere special, and the name says nothing
        ("customer_id", 5000, "identifier"),
        ("customerId", 5000, "identifier"),
        ("paid", 5000, "numeric"),  # "id" is no word of its own here
    ],
)
def test_whole_numbers_that_are_keys(load: Load, name: str, first: int, kind: str) -> None:
    table = load(f"{name},b\n" + "".join(f"{first + i},{i % 3}\n" for i in range(60)))
    assert table.columns[0].type is ColumnType(kind)


def test_floats_and_small_tables_have_no_identifiers(load: Load) -> None:
    floats = load("id,b\n" + "".join(f"{i}.5,{i % 3}\n" for i in range(60)))
    assert floats.columns[0].type is ColumnType.NUMERIC
    small = load("id,b\n" + "".join(f"{i},{i % 3}\n" for i in range(49)))
    assert small.columns[0].type is ColumnType.NUMERIC


def test_words(load: Load) -> None:
    n = 200
    table = load(
        rows(
            [f"K-{i:05d}" for i in range(n)],
            [f"paid {i} at the shop" for i in range(n)],
            [f"city{i % 7}" for i in range(n)],
            [f"New York {i % 5}" for i in range(n)],
            [f"w{i % 150}" for i in range(n)],
        )
    )
    kinds = [str(column.type) for column in table.columns]
    assert kinds == ["identifier", "text", "categorical", "categorical", "categorical"]
    assert "identifier" in table.columns[0].warnings[0]
    assert "high cardinality" in table.columns[4].warnings[0]
    assert table.columns[2].warnings == ()


def test_na_is_missing_among_numbers_and_a_value_among_words(load: Load) -> None:
    text = rows(["1", "NA", "3"], ["NA", "DE", "FR"])
    table = load(text)
    assert math.isnan(table.frame["a"][1])
    assert table.frame["b"].tolist() == ["NA", "DE", "FR"]
    assert any("taken as missing in a" in note and "--keep-na" in note for note in table.notes)
    assert any("kept as values in b" in note and "--na-value" in note for note in table.notes)
    kept = load(text, keep_na=True)
    assert kept.frame["a"].tolist() == ["1", "NA", "3"]
    missing = load(text, na_values=("NA",))
    assert missing.frame["b"].isna().tolist() == [True, False, False]
    assert missing.frame["a"].isna().tolist() == [False, True, False]


def test_mixed_columns_warn(load: Load) -> None:
    column, series = one(load, [*range(95), *(["many"] * 5)])
    assert column.type is ColumnType.CATEGORICAL
    assert "95.0% numbers" in column.warnings[0]
    assert "'many'" in column.warnings[0]
    assert series[0] == "0"


def test_infinite_values_are_missing_and_said(load: Load) -> None:
    column, series = one(load, ["inf", "-Infinity", "2.5", "1"])
    assert column.type is ColumnType.NUMERIC
    assert series.isna().tolist() == [True, True, False, False]
    assert "2 infinite" in column.warnings[0]


@pytest.mark.parametrize(
    ("values", "expected", "formats"),
    [
        (["2026-01-31", "2026-02-01"], ["2026-01-31", "2026-02-01"], ("%Y-%m-%d",)),
        (["31/12/2025", "01/02/2026"], ["2025-12-31", "2026-02-01"], ("%d/%m/%Y",)),
        (["12/31/2025", "02/01/2026"], ["2025-12-31", "2026-02-01"], ("%m/%d/%Y",)),
        (["3.4.26", "4.5.26"], ["2026-04-03", "2026-05-04"], ("%d.%m.%y",)),
        (["03/04/2026", "04/05/2026"], ["2026-03-04", "2026-04-05"], ("%m/%d/%Y",)),
        (["5 Jan 2026", "6 Feb 2026"], ["2026-01-05", "2026-02-06"], ("%d %b %Y",)),
        (
            ["2026-01-31T10:00:00Z", "2026-01-31T10:00:00.5+02:00"],
            ["2026-01-31 10:00:00", "2026-01-31 08:00:00.500"],
            ("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z"),
        ),
        (["1/2/2026 1:05 PM", "1/3/2026 12:00 AM"], ["2026-01-02 13:05", "2026-01-03"], ("%m/%d/%Y %I:%M %p",)),
    ],
)
def test_dates(load: Load, values: list[object], expected: list[str], formats: tuple[str, ...]) -> None:
    table = load(rows(values, [1, 2]))
    assert table.frame["a"].tolist() == [pd.Timestamp(text) for text in expected]
    assert str(table.frame["a"].dtype) == "datetime64[us]"
    assert table.reading is not None
    assert table.reading.formats["a"] == formats


def test_day_or_month_first_is_said_and_set_by_a_flag(load: Load) -> None:
    text = rows(["03/04/2026", "04/05/2026"], [1, 2])
    guessed = load(text)
    assert any("month first in a" in note and "--day-first" in note for note in guessed.notes)
    told = load(text, day_first=True)
    assert told.frame["a"][0] == pd.Timestamp("2026-04-03")
    assert told.notes == ()


def test_one_column_decides_the_order_of_all(load: Load) -> None:
    table = load(rows(["31/12/2025", "01/02/2026"], ["03/04/2026", "04/05/2026"]))
    assert table.frame["b"][0] == pd.Timestamp("2026-04-03")


def test_dates_need_nearly_all_values(load: Load) -> None:
    most = [f"2026-01-{1 + i % 28:02d}" for i in range(200)]
    column, series = one(load, [*most, "soon"])
    assert column.type is ColumnType.DATETIME
    assert series.isna().sum() == 1
    assert "1 values are no dates" in column.warnings[0]
    column, series = one(load, [*most[:20], "soon"])
    assert column.type is ColumnType.CATEGORICAL
    assert series.iloc[-1] == "soon"


def test_types_by_the_users_word(load: Load) -> None:
    text = rows([1, 2, 1], ["yes", "no", "yes"], ["x", "x", "y"], ["03/04/2026", "04/05/2026", "05/06/2026"])
    table = load(
        text,
        types={
            "a": ColumnType.CATEGORICAL,
            "b": ColumnType.BOOLEAN,
            "c": ColumnType.TEXT,
            "d": ColumnType.DATETIME,
        },
    )
    assert [str(column.type) for column in table.columns] == ["categorical", "boolean", "text", "datetime"]
    assert table.frame["a"].tolist() == ["1", "2", "1"]
    assert table.frame["b"].tolist() == [True, False, True]


def test_dates_written_as_numbers_need_a_word(load: Load) -> None:
    text = rows([20260131, 20260201], ["x", "y"])
    assert load(text).columns[0].type is ColumnType.NUMERIC
    told = load(text, types={"a": ColumnType.DATETIME})
    assert told.frame["a"].tolist() == [pd.Timestamp("2026-01-31"), pd.Timestamp("2026-02-01")]
    assert told.reading is not None
    assert told.reading.formats["a"] == ("%Y%m%d",)


@pytest.mark.parametrize("kind", ["numeric", "datetime", "boolean"])
def test_a_type_that_the_values_refuse(load: Load, kind: str) -> None:
    with pytest.raises(InputError) as caught:
        load(rows(["apple", "pear"], [1, 2]), types={"a": ColumnType(kind)})
    assert "'apple'" in caught.value.problems[0].message
    assert caught.value.problems[0].where == f"--type a={kind}"


def test_a_type_for_a_column_that_is_not_there(load: Load) -> None:
    with pytest.raises(InputError) as caught:
        load("amount,b\n1,2\n", types={"amuont": ColumnType.NUMERIC})
    assert "nearest: amount" in caught.value.problems[0].fix


def test_examples_distinct_and_missing(load: Load) -> None:
    column, _ = one(load, ["b", "a", None, "b", "c", "d"])
    assert (column.examples, column.distinct, column.missing) == (("b", "a", "c"), 4, 1)
    many, _ = one(load, ["x", *[None] * 9, "y"])
    assert many.warnings == ("82% missing",)
