"""Every page: commands that are right, snippets that are what they show, and a reference in step with the code."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.docs.blocks import CHECKED, OTHERS, SHELL, TITLES, WALKED, Block, blocks, check, pages, shell_blocks
from tools import reference

PAGES = [path for path in pages() if path.parent != reference.FOLDER or path.name not in reference.PAGES]
CONTRIBUTING = ROOT / "CONTRIBUTING.md"


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # options that name an environment look for its stack


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_is_one(page: Path) -> None:
    """What walks run is checked as well: a command that ends in an error would have been accepted by nobody."""
    for block in shell_blocks(page):
        for command in block.commands:
            check(command)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_block_says_what_it_is(page: Path) -> None:
    """A block without a language would be passed over, and in a walked page so would one without a known title."""
    for block in blocks(page):
        assert block.language in (*SHELL, *OTHERS), block
        if page in WALKED and block.language in SHELL:
            assert block.title in TITLES, block


def test_a_wrong_command_is_found() -> None:
    for wrong in (
        "forestay job sumbit job.yml",
        "forestay job submit job.yml --nowhere",
        "forestay job submit",
        "make nothing-like-it",
        "rm -rf scoring",
        "cat job.json | forestay job lsit",
        'forestay job show "$(forestay job latest)"',
    ):
        with pytest.raises(AssertionError):
            check(wrong)
    check("forestay job submit job.yml --output json > job.json || exit")


def test_the_title_of_a_block_without_a_run_is_for_what_can_t_be_run_here() -> None:
    """A command of forestay is tried, not only checked: what is left installs, logs in or needs docker."""
    for page in WALKED:
        for block in shell_blocks(page, CHECKED):
            for command in block.commands:
                assert re.match(r"make |export PATH=|\.venv/bin/uv pip install |az login$|docker run ", command), block


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_yaml_and_json_are_read(page: Path) -> None:
    for block in blocks(page):
        if block.language in ("yaml", "json"):
            assert yaml.safe_load(block.text) is not None, block


def _excerpts() -> list[Block]:
    return [block for block in blocks(CONTRIBUTING) if block.language == "python"]


def test_contributing_shows_what_is_there() -> None:
    assert len(_excerpts()) >= 4
    for block in _excerpts():
        source = (ROOT / block.title).read_text(encoding="utf-8")
        assert any(textwrap.indent(block.text, " " * depth) in source for depth in (0, 4)), block


def test_contributing_names_what_is_there() -> None:
    """Every path is one, and every name in code stands in a file that its list item, or its table row, names."""
    text = CONTRIBUTING.read_text(encoding="utf-8")
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for part in re.split(r"\n\n|\n(?=\d\.|\|)", prose):
        words = re.findall(r"`([^`]+)`", part)
        paths = [word for word in words if "/" in word and " " not in word]
        for path in paths:
            assert (ROOT / path).exists(), path
    for name in ("CLASSIFIERS", "REGRESSORS", "rank", "portfolio", "space", "packages", "max_rows"):
        assert name in (ROOT / "automl_jobs/engine/algorithms.py").read_text(encoding="utf-8")
    for name in ("class Target", "class DeploymentRecord", "TARGETS", "def choose", "def only"):
        assert name in (ROOT / "scoring/targets/__init__.py").read_text(encoding="utf-8")


def test_the_reference_is_what_the_code_says(tmp_path: Path) -> None:
    """In a process of its own: click keeps with a command how its help was first asked for."""
    subprocess.run([sys.executable, "-m", "tools.reference", tmp_path], cwd=ROOT, check=True)
    for name in reference.PAGES:
        written = (reference.FOLDER / name).read_text(encoding="utf-8")
        made = (tmp_path / name).read_text(encoding="utf-8")
        assert written == made, f"{name}: run `make reference`, look at the difference and commit it"
