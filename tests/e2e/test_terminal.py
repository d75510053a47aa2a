"""On terminals of every kind: colours and frames only where they are wanted, and nothing cut in a narrow window."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pexpect
import pytest

from tests.runs_support import finished_job, new_store, outputs_folder
from tests.tables import write_job

COLOUR = re.compile(r"\x1b\[(\d+;)*(3[0-8]|4[0-8]|9[0-7]|10[0-7])(;\d+)*m")
LONG = "a_model_whose_name_is_longer_than_any_narrow_window_is_wide"
# Several commands in one process: what is looked at is what they write.
SEVERAL = """
import json, sys
from forestay.cli import main
for words in json.loads(sys.argv[1]):
    try:
        main(words)
    except SystemExit as ended:
        print(f"== {' '.join(words)}: {ended.code}", flush=True)
"""
COMMANDS = [
    ["job", "list"],
    ["job", "show", "latest"],
    ["job", "leaderboard", "latest"],
    ["job", "trial", "latest", "--rank", "1"],
    ["model", "list"],
    ["data", "show", "train/data.csv"],
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("terminal")
    store = new_store(folder / ".forestay")
    finished_job(store, outputs_folder(folder / "outputs"))
    store.register("calm_bay_aaaaaa", 1, LONG)
    write_job(folder)
    return folder


def variables(world: Path, **more: str) -> dict[str, str]:
    left = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "FORESTAY_PLAIN", "MLFLOW_TRACKING_URI")
    kept = {name: value for name, value in os.environ.items() if name not in left}
    return {**kept, "FORESTAY_HOME": str(world / ".forestay"), "TERM": "xterm-256color", **more}


def drawn(world: Path, columns: int, commands: list[list[str]], **more: str) -> str:
    """What a terminal of so many columns is sent."""
    words = ["-c", SEVERAL, json.dumps(commands)]
    env = variables(world, **more)
    with pexpect.spawn(
        sys.executable, words, cwd=str(world), env=env, dimensions=(50, columns), encoding="utf-8", timeout=60
    ) as screen:
        screen.expect(pexpect.EOF)
        text = screen.before or ""
    assert all(f"== {' '.join(one)}: 0" in text for one in commands), text
    return text


def parts(text: str) -> list[str]:
    """The commands' outputs, without what only steers a terminal."""
    return re.split(r"== .*: 0\r\n", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text))[:-1]


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize("columns", [40, 50, 60, 100])
def test_nothing_is_cut_however_narrow_the_window(world: Path, columns: int) -> None:
    text = drawn(world, columns, COMMANDS, NO_COLOR="1")
    for line in text.split("\r\n"):
        shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line)
        assert len(shown) <= columns or shown.startswith("== "), line
    assert "…" not in text
    jobs, job, leaderboard, trial, models, data = map(squeezed, parts(text))
    assert "calm_bay_aaaaaa" in jobs
    assert "Completed" in jobs
    assert "calm_bay_aaaaaa" in job
    for cell in ("LightGBM", "DummyClassifier", "0.90000", "itranoutofmemory", "AUC_weighted"):
        assert cell in leaderboard
    assert "learning_rate" in trial
    assert LONG in models
    assert "kind" in data


def test_rows_are_blocks_where_columns_would_be_slivers(world: Path) -> None:
    narrow, wide = (parts(drawn(world, columns, [["job", "list"]]))[0] for columns in (40, 120))
    assert "  status: Completed" in narrow
    assert "status: " not in wide
    assert re.search(r"calm_bay_aaaaaa .*Completed", wide)


@pytest.mark.parametrize("words", [["--help"], ["job", "list"], ["doctor"]])
def test_no_color(world: Path, words: list[str]) -> None:
    assert COLOUR.search(drawn(world, 100, [words])) or words == ["job", "list"]
    assert not COLOUR.search(drawn(world, 100, [words], NO_COLOR="1"))


@pytest.mark.parametrize(("variable", "value"), [("TERM", "dumb"), ("FORESTAY_PLAIN", "1")])
def test_plain_lines_hold_nothing_but_words(world: Path, variable: str, value: str) -> None:
    commands = [["--help"], ["job", "submit", "--help"], *COMMANDS, ["doctor"]]
    text = drawn(world, 100, commands, NO_COLOR="1", **{variable: value})
    assert "\x1b" not in text
    drawing = {sign for sign in text if 0x2500 <= ord(sign) <= 0x28FF}  # lines, blocks, Braille of spinners
    assert not drawing, [unicodedata.name(sign) for sign in drawing]
    assert "Usage: forestay job submit" in text


def test_colour_in_a_pipe_where_it_is_asked_for(world: Path) -> None:
    command = [sys.executable, "-m", "forestay", "--help"]

    def piped(**more: str) -> str:
        done = subprocess.run(
            command, cwd=world, env=variables(world, **more), capture_output=True, text=True, check=True
        )
        return done.stdout

    assert "\x1b" not in piped()
    assert COLOUR.search(piped(FORCE_COLOR="1"))
    assert not COLOUR.search(piped(FORCE_COLOR="1", NO_COLOR="1"))
    assert "\x1b" not in piped(FORCE_COLOR="1", FORESTAY_PLAIN="1")


@pytest.mark.parametrize("words", [["--help"], ["endpoint", "--help"], ["job", "submit", "--help"]])
@pytest.mark.parametrize("columns", [40, 59, 60])
def test_help_in_a_narrow_window_says_all(world: Path, words: list[str], columns: int) -> None:
    (narrow,) = parts(drawn(world, columns, [words], NO_COLOR="1"))
    command = [sys.executable, "-m", "forestay", *words]
    wide = subprocess.run(
        command, cwd=world, env=variables(world, COLUMNS="300"), capture_output=True, text=True, check=True
    ).stdout
    assert ("╭" in narrow) == (columns >= 60)
    said = set(re.findall(r"[A-Za-z]{3,}", narrow.replace("│", " ")))
    if columns < 60:
        assert set(re.findall(r"[A-Za-z]{3,}", wide)) <= said
        assert all(len(line) <= columns for line in narrow.split("\r\n") if "Example: " not in line)
