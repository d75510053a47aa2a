"""Draws docs/images/loop.svg: what the loop's commands print on a terminal, as they print it.

`python -m tools.picture` trains the example for a minute in a folder of its own, and takes nothing from anywhere else.
"""

from __future__ import annotations

import io
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
TO = ROOT / "docs" / "images" / "loop.svg"
WIDTH, MOST_LINES = 104, 9
# What is run, and whether it is shown.
LOOP = (
    ("forestay job new transactions.csv --target category --exclude transaction_id --to categorize", False),
    ("forestay job submit categorize/job.yml --time-budget 60s", False),
    ("forestay job leaderboard latest", True),
    ("forestay model register latest --name CategorizeTransactions", False),
    ("forestay score generate CategorizeTransactions --to served", False),
    ("forestay score verify served", True),
    ("forestay endpoint deploy categorize-transactions --model CategorizeTransactions --from served", True),
    ("forestay endpoint invoke categorize-transactions", True),
)


def main() -> None:
    screen = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copy(ROOT / "examples/categorize_transactions/training-mltable-folder/transactions.csv", folder)
        try:
            for line, shown in LOOP:
                text = _printed(line, folder)
                if shown:
                    screen.print(Text.assemble(("$ ", "green"), (line, "bold")), soft_wrap=True)
                    screen.print(_cut(Text.from_ansi(text)))
        finally:
            _printed("forestay endpoint delete categorize-transactions --yes", folder)
    picture = screen.export_svg(title="forestay", unique_id="loop")
    # rich names fonts of a server elsewhere; a reader's own will do.
    TO.write_text(re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL), encoding="utf-8")


def _printed(line: str, folder: Path) -> str:
    """What a command prints on a terminal; its progress and notes are left out."""
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "forestay", *shlex.split(line)[1:]]
    environment = {**os.environ, "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    with subprocess.Popen(
        words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.DEVNULL
    ):
        os.close(theirs)
        read = bytearray()
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            read += part
    os.close(ours)
    return read.decode("utf-8").replace("\r\n", "\n").strip("\n")


def _cut(text: Text) -> Text:
    """The first lines; dots stand for the others."""
    lines = text.split("\n")
    shown = [*lines[:MOST_LINES], Text(" ...")] if len(lines) > MOST_LINES else lines
    return Text("\n").join([*shown, Text()])


if __name__ == "__main__":
    main()
