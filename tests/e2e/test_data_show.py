"""`forestay data show`, as a user starts it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import Run

CSV = "".join(
    ["id;zip;price;note;day;y\n"]
    + [f"{i};0{i % 9}234;{i},50;said {i} times;03.0{1 + i % 9}.2026;{'ab'[i % 2]}\n" for i in range(1, 61)]
)


def test_json_is_the_contract(forestay: Run, project: Path) -> None:
    (project / "data.csv").write_text(CSV)
    done = forestay("data", "show", "data.csv", "--target", "y", "--output", "json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["source"] == "data.csv"
    assert document["rows"] == 60
    assert {column["name"]: column["type"] for column in document["columns"]} == {
        "id": "identifier",
        "zip": "categorical",
        "price": "numeric",
        "note": "text",
        "day": "datetime",
        "y": "categorical",
    }
    assert set(document["columns"][0]) >= {"name", "type", "missing", "distinct", "examples", "warnings"}
    assert document["columns"][2]["examples"] == ["1.5", "2.5", "3.5"]
    for flag in ("--delimiter", "--decimal", "--month-first", "--type"):
        assert any(flag in note for note in document["notes"])
    assert document["target"]["task"] == "classification"
    assert document["target"]["primary_metric"] == "accuracy"


def test_the_table_says_what_a_person_wants_to_know(forestay: Run, project: Path) -> None:
    (project / "data.csv").write_text("a,b\n1,x\n,x\n3,y\n")
    done = forestay("data", "show", "data.csv", "--target", "b")
    assert done.returncode == 0, done.stderr
    assert "3 rows x 2 columns" in done.stdout
    assert "1 (33.3%)" in done.stdout
    assert "b (target)" in done.stdout
    assert "Target b: 2 classes: x 66.7%, y 33.3%" in done.stdout


def test_a_flag_sets_each_guess_right(forestay: Run, project: Path) -> None:
    (project / "data.csv").write_text("a;b;c;d\n1,5;03/04/2026;NA;007\n2,5;04/05/2026;x;008\n")
    flags = ["--decimal", ".", "--day-first", "--na-value", "NA", "--type", "d=numeric", "--delimiter", "semicolon"]
    done = forestay("data", "show", "data.csv", *flags, "-o", "json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [column["type"] for column in document["columns"]] == ["categorical", "datetime", "categorical", "numeric"]
    assert document["columns"][1]["examples"][0] == "2026-04-03"
    assert document["columns"][2]["missing"] == 1
    assert document["notes"] == []


def test_names_from_data_do_not_steer_the_terminal(forestay: Run, project: Path) -> None:
    (project / "data.csv").write_text("[red]a[/red],\x1b[31mb\n[bold]1,\x1b]0;x\x07\n2,y\n")
    done = forestay("data", "show", "data.csv")
    assert done.returncode == 0, done.stderr
    assert "[red]a[/red]" in done.stdout
    assert "\\x1b[31mb" in done.stdout
    assert "\x1b" not in done.stdout


def test_errors_are_messages(forestay: Run, project: Path) -> None:
    (project / "data.csv").write_text("a,b\n1,2\n3\n")
    for arguments, code, text in (
        (("data.csv",), 2, "data.csv:3: 1 field, but line 1 has 2"),
        (("gone.csv",), 2, "gone.csv: there is no such file"),
        (("https://example.org/a.csv",), 3, "cannot be reached"),
        (("data.csv", "--type", "a=integer"), 2, "--type a=integer: 'integer' is no type"),
        (("data.csv", "--type", "numeric"), 2, "is not COLUMN=TYPE"),
        (("data.csv", "--delimiter", "ab"), 2, "--delimiter: 'ab' cannot be a delimiter"),
        (("data.csv", "--thousands", "x"), 2, "--thousands: 'x' is no thousands mark"),
        (("data.csv", "--decimal", ",", "--thousands", ","), 2, "--thousands: is the decimal mark"),
        (("data.csv", "--keep-na", "--na-value", "x"), 2, "--keep-na"),
    ):
        done = forestay("data", "show", *arguments)
        assert done.returncode == code, (arguments, done.stderr)
        assert text in done.stderr
        assert done.stdout == ""
