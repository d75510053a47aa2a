"""The tutorial and the README as a reader follows them on one machine: every block in order, in one folder a page.

Searches are short: where a page gives a time, two trials are made here, which end on the busiest machine. Everything
else is what the page says.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import image_support
from tests.conftest import ROOT, command
from tests.docs.blocks import HERE, IMAGES, TUTORIAL, UNTIL_STOPPED, WALKED, Block, is_plain, shell_blocks
from tests.runs_support import give_store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SHORT = "--time-budget 5m --set limits.max_trials=2"
EXAMPLE = ROOT / "examples" / "categorize_transactions"
TRIED = (HERE, UNTIL_STOPPED, IMAGES)
BLOCKS = [block for page in WALKED for block in shell_blocks(page, *TRIED)]


@dataclass
class Walk:
    """One page's blocks, run in order the first time that one of them is asked for.

    Attributes
    ----------
    folder: the current one of all commands. said: what each block printed, by its line.
    """

    page: Path
    folder: Path
    said: dict[int, str] = field(default_factory=dict)
    failed: str = ""

    @property
    def home(self) -> Path:
        return self.folder / ".forestay"

    def until(self, block: Block) -> str:
        """What the block printed; those before it are run first. Raises AssertionError where one of them failed.

        Images are built where their block is what was asked for: nothing after it needs one.
        """
        for one in shell_blocks(self.page, HERE, UNTIL_STOPPED):
            if one.line > block.line:
                break
            assert not self.failed, f"stopped at {self.failed}"
            if one.line not in self.said:
                self.failed = f"{one}"
                self.said[one.line] = self.run(one)
                self.failed = ""
        return self.said[block.line] if block.title != IMAGES else self.build(block)

    def build(self, block: Block) -> str:
        """Build an image in the tests' own store. Skips where that can't be done."""
        image_support.require_tools()
        image_support.ensure_base()
        return self.shell("\n".join(block.commands), image_support.variables())

    def run(self, block: Block) -> str:
        commands = [self.shortened(line) for line in block.commands]
        if block.title == UNTIL_STOPPED:
            (only,) = commands
            return self.serve(only)
        if all(map(is_plain, commands)):
            return "".join(self.call(shlex.split(one)[1:]) for one in commands)
        return self.shell("\n".join(commands))

    def shortened(self, line: str) -> str:
        return re.sub(r"--time-budget \S+", SHORT, line)

    def call(self, words: list[str]) -> str:
        done = command(*words, cwd=self.folder, home=self.home, timeout=400)
        assert done.returncode == 0, f"forestay {shlex.join(words)}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout

    def environment(self) -> dict[str, str]:
        # What would open a browser opens nothing.
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**os.environ, "FORESTAY_HOME": str(self.home), "PATH": path, "BROWSER": "/bin/true"}

    def shell(self, script: str, more: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env={**(more or {}), **self.environment()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def serve(self, line: str) -> str:
        """Start what serves until Ctrl-C, wait for the address that it prints, and press Ctrl-C."""
        words = shlex.split(line)[1:]
        lines: list[str] = []
        with subprocess.Popen(
            [sys.executable, "-m", "forestay", *words],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")))  # type: ignore[union-attr]
            reader.start()
            end = time.monotonic() + 120
            while not any("http://127.0.0.1" in one for one in lines) and time.monotonic() < end:
                assert process.poll() is None, lines
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            code = process.wait(60)
            reader.join()
        assert code in (0, 130), lines
        assert any("http://127.0.0.1" in one for one in lines), lines
        return "".join(lines)


@pytest.fixture(scope="module")
def walks(
    tmp_path_factory: pytest.TempPathFactory, share_environments: Callable[[Path], None]
) -> Iterator[dict[Path, Walk]]:
    """A walk a page, in a folder that has what a checkout has and the page speaks of."""
    found: dict[Path, Walk] = {}
    for page in WALKED:
        folder = tmp_path_factory.mktemp(page.stem)
        shutil.copy(ROOT / "Pulumi.yaml", folder)
        shutil.copytree(ROOT / "stacks", folder / "stacks")
        (folder / "infra").symlink_to(ROOT / "infra")
        (folder / "examples").symlink_to(ROOT / "examples")
        shutil.copy(EXAMPLE / "training-mltable-folder" / "transactions.csv", folder)
        share_environments(folder / ".forestay")
        give_store(folder / ".forestay")
        found[page] = Walk(page, folder)
    yield found
    for walk in found.values():
        listed = command("endpoint", "list", "--output", "json", cwd=walk.folder, home=walk.home).stdout
        for one in json.loads(listed or "[]"):
            command("endpoint", "delete", one["name"], "--yes", cwd=walk.folder, home=walk.home)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_the_block_runs(walks: dict[Path, Walk], block: Block) -> None:
    walks[block.page].until(block)


def test_what_the_tutorial_trains_is_good_and_not_perfect_on_rows_never_seen(walks: dict[Path, Walk]) -> None:
    walk = walks[TUTORIAL]
    [board] = [one for one in shell_blocks(TUTORIAL, HERE) if one.text == "forestay job leaderboard latest"]
    walk.until(board)
    job = json.loads(walk.call(["job", "list", "--output", "json"]))[-1]["job"]
    shown = json.loads(walk.call(["job", "show", job, "--output", "json"]))
    assert 0.80 <= shown["test_metrics"]["accuracy"] <= 0.97


def test_the_tutorial_s_endpoint_answers_with_a_category(walks: dict[Path, Walk]) -> None:
    [asked] = [one for one in shell_blocks(TUTORIAL, HERE) if "curl" in one.text]
    answer = json.loads(walks[TUTORIAL].until(asked))
    assert len(answer["Results"]) == 1
