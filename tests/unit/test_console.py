"""What is printed: names from data are only ever text, on every way out; odd streams are no fault."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from forestay import watching
from forestay.console import Console, print_error, table, visible
from forestay.errors import InputError

HOSTILE = "[bold]x[/bold] :smile: \x1b[31m\x1b]0;title\x07\r\x9b2J\u202eevil\x7f"
SHOWN = "[bold]x[/bold] :smile: \\x1b[31m\\x1b]0;title\\x07\\r\\x9b2J\\u202eevil\\x7f"
OBEYED = set("\x1b\x07\r\x9b\x7f\u202e")


@given(st.text())
def test_visible_text_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    shown = visible(text)
    assert all(sign in "\n\t" or ord(sign) >= 32 for sign in shown)
    assert not {"\x7f", "\x9b", "\u202e", "\u2066"} & set(shown)
    shown.encode("utf-8")
    assert visible(shown) == shown


def test_visible_text_keeps_the_scripts_of_the_world() -> None:
    text = "Zürich · 東京 · میخواهم\u200c · 👩\u200d🚀 · a\tb\nc"
    assert visible(text) == text


@pytest.mark.parametrize("way", ["note", "warn", "detail", "print_error"])
def test_messages_show_a_hostile_name_as_it_is(way: str, capsys: pytest.CaptureFixture[str]) -> None:
    screen = Console()
    screen.verbose = True
    if way == "print_error":
        print_error(InputError(HOSTILE, where=HOSTILE, fix=HOSTILE))
    else:
        getattr(screen, way)(HOSTILE)
    shown = capsys.readouterr()
    assert SHOWN in shown.err
    assert "\x1b" not in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    "part",
    [HOSTILE, table(["name"], [[HOSTILE]]), table([HOSTILE], [["x"]]), table(["a"], [["x" * 99]], title=HOSTILE)],
    ids=["words", "cell", "heading", "title"],
)
def test_views_show_a_hostile_name_as_it_is(
    part: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    Console().emit({}, part)
    shown = capsys.readouterr().out
    assert SHOWN in shown
    assert not set(shown) & OBEYED


def test_a_view_of_ones_own_steers_nothing_either(capsys: pytest.CaptureFixture[str]) -> None:
    view = Table.grid()
    view.add_row(Text(HOSTILE))
    Console().emit({}, Text(HOSTILE), view)
    shown = capsys.readouterr().out
    assert shown.count("\\x1b[31m") == 2
    assert not set(shown) & OBEYED


def test_json_is_the_document_and_steers_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Console()
    screen.output = "json"
    document = {HOSTILE: [HOSTILE, "é", None, 1.5]}
    screen.emit(document, "for a person")
    shown = capsys.readouterr().out
    assert json.loads(shown) == document
    assert "é" in shown
    assert not set(shown) & OBEYED
    with pytest.raises(ValueError, match="JSON"):
        screen.emit({"score": float("nan")})


def test_json_is_whole_where_the_encoding_is_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    screen = Console()
    screen.output = "json"
    screen.emit({"name": "東京"})
    assert json.loads(raw.getvalue()) == {"name": "東京"}


def test_quiet_keeps_warnings_only(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Console()
    screen.quiet = True
    screen.note("a note")
    screen.detail("a detail")
    screen.warn("a warning")
    assert capsys.readouterr().err == "warning: a warning\n"


def test_a_table_says_none_as_a_dash_and_cuts_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    long = "abcdefghij" * 9
    Console().emit({}, table(["name", "score"], [[long, None]]))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 40
    assert "".join(line.split()[0] for line in lines if "abc" in line or "ghij" in line) == long
    assert any(line.split()[1:] == ["-"] for line in lines)


ROWS = [["calm_bay_aaaaaa", "Completed", None, "LightGBM with many words"], ["bold_hill", "Failed", 0.5, HOSTILE]]


def shown(columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    view = table(["job", "status", "score", "algorithm"], ROWS, title="jobs", right=["score"])
    Console().emit({}, view)
    return capsys.readouterr().out


def test_a_row_is_a_block_in_a_narrow_window(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow = shown(40, monkeypatch, capsys)
    assert narrow.startswith("jobs\njob: calm_bay_aaaaaa\n  status: Completed\n  score: -\n  algorithm: LightGBM")
    assert "\n\njob: bold_hill\n" in narrow
    assert max(map(len, narrow.splitlines())) <= 40
    assert SHOWN.replace(" ", "") in "".join(narrow.split())
    wide = shown(200, monkeypatch, capsys)
    assert "job: " not in wide
    assert "─" in wide


def test_a_cell_that_must_stay_whole_is_never_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long = [["x" * 90, "Completed"]]
    for columns in (40, 80, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        view = table(["job", "status"], long)
        view.columns[0].no_wrap = True
        Console().emit({}, view)
        assert capsys.readouterr().out.count("x") == 90


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("TERM", "unknown"), ("FORESTAY_PLAIN", "yes")])
def test_plain_lines_where_they_are_asked_for(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("FORESTAY_PLAIN", raising=False)
    assert Console().live
    monkeypatch.setenv(name, value)
    assert not Console().live
    assert "─" not in shown(200, monkeypatch, capsys)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORESTAY_PLAIN", "0")
    assert Console().live


def test_progress_without_a_bar_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watching, "PLAIN_NEWS_SECONDS", 0.0)
    with watching.progress_for(Console(), "uploading") as told:
        told(1, 4)
        told(2, 0)  # how much there is to do is not known yet
    assert capsys.readouterr().err == "uploading: 25%\n"
    monkeypatch.setattr(watching, "PLAIN_NEWS_SECONDS", 60.0)
    with watching.progress_for(Console(), "uploading") as told:
        told(1, 4)
    assert capsys.readouterr().err == ""


def test_colour_only_where_it_is_wanted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    Console().warn("careful")
    assert "\x1b[33m" in capsys.readouterr().err
    monkeypatch.setenv("NO_COLOR", "1")
    Console().warn("careful")
    assert "\x1b[33m" not in capsys.readouterr().err


def test_a_question_without_a_terminal_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert Console().confirm("delete it?") is False


def child(code: str, **streams: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], text=True, check=False, timeout=60, **streams)


def closed_pipe() -> int:
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def test_a_reader_of_stderr_that_goes_away_stops_no_work(tmp_path: Path) -> None:
    gone = closed_pipe()
    code = "from forestay.console import Console; s = Console(); [s.note('x') for _ in range(3)]; s.emit({}, 'done')"
    done = child(code, stdout=subprocess.PIPE, stderr=gone)
    os.close(gone)
    assert done.stdout == "done\n"
