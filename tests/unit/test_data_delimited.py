"""CSV files as they come: separators, marks, encodings, and what is wrong with them."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from automl_jobs.data import ColumnType, ReadOptions, Table, load_table
from forestay.errors import ForestayError, InputError


def load(folder: Path, content: str | bytes, name: str = "data.csv", **options: object) -> Table:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_table(path, ReadOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(("mark", "word"), [(";", "semicolon"), ("\t", "tab"), ("|", "bar")])
def test_the_separator_is_guessed_and_said(tmp_path: Path, mark: str, word: str) -> None:
    table = load(tmp_path, f"a{mark}b\n1{mark}x, y\n2{mark}z\n")
    assert table.frame.columns.tolist() == ["a", "b"]
    assert table.frame["b"].tolist() == ["x, y", "z"]
    assert any(word in note and "--delimiter" in note for note in table.notes)


def test_a_comma_needs_no_word(tmp_path: Path) -> None:
    assert load(tmp_path, "a,b\n1,2\n").notes == ()
    assert load(tmp_path, "a\tb\n1\t2\n", "data.tsv").notes == ()


def test_the_separator_can_be_said(tmp_path: Path) -> None:
    table = load(tmp_path, "a;b,c\n1;2,3\n", delimiter=",")
    assert table.frame.columns.tolist() == ["a;b", "c"]


def test_lines_of_text_are_one_column(tmp_path: Path) -> None:
    table = load(tmp_path, "text\nHello, world\nbye\none, two, three\n")
    assert table.frame["text"].tolist() == ["Hello, world", "bye", "one, two, three"]


def test_decimal_comma_and_thousands_marks(tmp_path: Path) -> None:
    table = load(tmp_path, "price;weight\n1.234,5;2.000\n2,25;3.500\n")
    assert table.frame["price"].tolist() == [1234.5, 2.25]
    assert table.frame["weight"].tolist() == [2000, 3500]
    assert any("decimal comma in price" in note and "--decimal ." in note for note in table.notes)
    assert any('thousands mark "." in price, weight' in note for note in table.notes)
    assert table.reading is not None
    assert set(table.reading.unusual) == {"decimal commas", "thousands marks"}


def test_the_marks_can_be_said(tmp_path: Path) -> None:
    text = "a;b\n1.234;1,5\n2.345;2,5\n"
    assert load(tmp_path, text).frame["a"].tolist() == [1234, 2345]
    told = load(tmp_path, text, decimal=".")
    assert told.frame["a"].tolist() == [1.234, 2.345]
    assert told.columns[1].type is ColumnType.CATEGORICAL
    none = load(tmp_path, 'a,b\n"1,234",x\n"2,345",y\n', thousands="")
    assert none.frame["a"].tolist() == [1.234, 2.345]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"1,234"|"2,345,678"', [1234, 2345678]),
        ('"1,234.5"|"2,345"', [1234.5, 2345.0]),
        ("1 234|5", [1234, 5]),
        ("1\u202f234|5", [1234, 5]),
        ("1'234.5|5", [1234.5, 5.0]),
    ],
)
def test_thousands_marks(tmp_path: Path, text: str, expected: list[float]) -> None:
    first, second = text.split("|")
    assert load(tmp_path, f"a,b\n{first},x\n{second},y\n").frame["a"].tolist() == expected


def test_points_are_decimal_marks_where_no_comma_says_otherwise(tmp_path: Path) -> None:
    assert load(tmp_path, "a;b\n1.234;x\n2.345;y\n").frame["a"].tolist() == [1.234, 2.345]
    assert load(tmp_path, "a;b\n1,234;x\n2,345;y\n").frame["a"].tolist() == [1.234, 2.345]
    small = load(tmp_path, "a;b\n0.234;1,5\n2.345;2,5\n")
    assert small.frame.to_dict("list") == {"a": [0.234, 2.345], "b": [1.5, 2.5]}


def test_misplaced_marks_are_no_numbers(tmp_path: Path) -> None:
    assert load(tmp_path, 'a,b\n"1,23,4",x\n"5",y\n').columns[0].type is ColumnType.CATEGORICAL


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("utf-8", ""), ("utf-8-sig", ""), ("cp1252", "windows1252"), ("utf-16", "utf16"), ("utf-32", "utf32")],
)
def test_encodings_are_found(tmp_path: Path, encoding: str, said: str) -> None:
    table = load(tmp_path, "größe,ort\n1,Zürich\n2,Köln\n".encode(encoding))
    assert table.frame.columns.tolist() == ["größe", "ort"]
    assert table.frame["ort"].tolist() == ["Zürich", "Köln"]
    assert (said in table.notes[0] and "--encoding" in table.notes[0]) if said else not table.notes


def test_an_encoding_can_be_said(tmp_path: Path) -> None:
    raw = "a,b\n1,Ł\n".encode("cp1250")
    assert load(tmp_path, raw, encoding="cp1250").frame["b"][0] == "Ł"
    bare = "a,b\n1,2\n".encode("utf-16-le")
    assert load(tmp_path, bare, encoding="utf-16-le").frame["b"][0] == 2


@pytest.mark.parametrize(
    ("content", "where", "message"),
    [
        (b"", "", "empty"),
        (b" \n\n", "", "empty"),
        (b"a,b\n", "", "no rows"),
        (b"a,b\n1,2\n3\n", ":3", "1 field, but line 1 has 2"),
        (b"a,b\n1,2\n\n3,4,5\n", ":4", "3 fields, but line 1 has 2"),
        (b'a,b\n"x\ny",2\n3\n', ":4", "1 field, but line 1 has 2"),
        (b'a,b\n1,2\n"x,3\n', ":3", "field"),
        (b"a,b,a\n1,2,3\n", ":1", "'a': fields 1 and 3"),
        (b"a,b\n1,\x00\n", ":2", "NUL"),
        (b"PK\x03\x04\x14\x00", "", "zip"),
        (b"%PDF-1.4", "", "PDF"),
        (b"\x1f\x8b\x08broken", "", "gzip"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, content: bytes, where: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, content)
    problem = caught.value.problems[0]
    assert problem.where == f"{tmp_path / 'data.csv'}{where}"
    assert message in problem.message
    assert problem.fix


def test_bytes_that_are_not_the_said_encoding(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, "a,b\n1,2\n3,é\n".encode("latin-1"), encoding="utf8")
    assert caught.value.problems[0].where.endswith("data.csv:3")
    with pytest.raises(InputError, match="unknown encoding"):
        load(tmp_path, "a,b\n1,2\n", encoding="klingon")


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_table(tmp_path / "nothing.csv")
    with pytest.raises(InputError, match="no file called MLTable"):
        load_table(tmp_path)


def test_columns_without_a_name_get_one(tmp_path: Path) -> None:
    table = load(tmp_path, ",a\n0,x\n1,y\n")
    assert table.frame.columns.tolist() == ["Column1", "a"]
    assert any("without a name: Column1" in note for note in table.notes)


def test_a_file_without_a_header(tmp_path: Path) -> None:
    assert any("--no-header" in note for note in load(tmp_path, "1,2\n3,4\n").notes)
    table = load(tmp_path, "1,2\n3,4\n", header=False)
    assert table.frame.to_dict("list") == {"Column1": [1, 3], "Column2": [2, 4]}


def test_gzip_is_unpacked(tmp_path: Path) -> None:
    assert load(tmp_path, gzip.compress(b"a,b\n1,2\n"), "data.csv.gz").frame["b"][0] == 2


def test_a_row_longer_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from automl_jobs.data import delimited

    monkeypatch.setattr(delimited, "_BLOCK", 64)
    table = load(tmp_path, "a,b\n" + "1,x\n" * 40 + "2," + "y" * 500 + "\n")
    assert len(table.frame["b"].iloc[-1]) == 500


_BYTES = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from(
            [
                b"a",
                b",",
                b"\n",
                b'"',
                b"\r",
                b";",
                b"1",
                b"0",
                b".",
                b"\xff",
                b"\xc3",
                b"2026-01-02",
                b"NA",
                b" ",
                b"{",
                b"}",
                b"[",
                b":",
                b"\x00",
                b"\xef\xbb\xbf",
                b"PAR1",
            ]
        ),
        max_size=40,
    ).map(b"".join),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_BYTES, st.sampled_from(["x.csv", "x.tsv", "x.txt", "x.parquet", "x.jsonl", "x.json", "MLTable"]))
def test_no_bytes_raise_anything_but_our_errors(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with contextlib.suppress(ForestayError):
        table = load_table(path)
        assert len(table.frame) > 0
        assert len(table.columns) == table.frame.shape[1]
