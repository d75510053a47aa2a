"""Columns of label lists: both of Azure's ways to write them, and whatever else may stand in a cell."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_jobs.labels import BadLabels, LabelColumn, indicator, parse

LABELS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ROWS = st.lists(st.lists(LABELS, max_size=4), min_size=1, max_size=6)


def tried(cells: list[str]) -> LabelColumn | BadLabels:
    try:
        return parse(cells)
    except BadLabels as error:
        return error


@given(ROWS, st.sampled_from([json.dumps, repr, lambda row: json.dumps(row, ensure_ascii=False)]))
def test_a_list_is_read_as_it_was_written(rows: list[list[str]], write: object) -> None:
    found = parse(write(row) for row in rows)  # type: ignore[operator]
    assert found.rows == tuple(tuple(sorted(set(row))) for row in rows)
    assert found.classes == sorted({label for row in rows for label in row})
    assert not found.plain


@given(st.lists(st.lists(st.from_regex(r"\w{1,8}", fullmatch=True), min_size=1, max_size=4), min_size=1, max_size=6))
def test_plain_labels_are_words_between_commas(rows: list[list[str]]) -> None:
    found = parse(",".join(row) for row in rows)
    assert found.rows == tuple(tuple(sorted(set(row))) for row in rows)
    assert found.plain
    assert found.torn is None


@given(st.lists(st.text(max_size=30), max_size=5))
def test_any_text_is_read_or_refused_with_its_row(cells: list[str]) -> None:
    found = tried(cells)
    if isinstance(found, BadLabels):
        assert 0 <= found.row < len(cells)
        return
    assert len(found.rows) == len(cells)
    for row in found.rows:
        assert list(row) == sorted(set(row))
        "".join(row).encode()


def test_numbers_in_a_list_are_labels() -> None:
    assert parse(["[1, 2]", "['1']", "[]"]).rows == (("1", "2"), ("1",), ())


def test_plain_labels_with_spaces_are_taken_apart_as_azure_does() -> None:
    found = parse(["sport", "real estate, sport", ""])
    assert found.rows == (("sport",), ("estate", "real", "sport"), ())
    assert found.torn == "real estate, sport"


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("sport", "no list"),
        ("['a'", "no list"),
        ("{'a': 1}", "no list"),
        ("[1.5]", "neither a text nor a whole number"),
        ("[['a']]", "neither"),
        ("[null]", "neither"),
        ("[__import__('os')]", "no list"),
        ("[" * 5_000, "no list"),
        ("[" * 200_000, "characters"),
        ('["\\ud800"]', "surrogate"),
    ],
)
def test_what_is_no_list_is_refused(cell: str, said: str) -> None:
    with pytest.raises(BadLabels, match=said) as caught:
        parse(["['a']", cell])
    assert caught.value.row == 1


def test_a_list_among_plain_labels_is_refused() -> None:
    with pytest.raises(BadLabels, match="is a list, and the first row is not") as caught:
        parse(["a,b", "['a']"])
    assert caught.value.row == 1


def test_the_indicator_passes_over_labels_that_are_no_class() -> None:
    assert indicator([("a", "x"), ()], ["a", "b"]).tolist() == [[1, 0], [0, 0]]
