"""Manual pages: one for every command, in the language of man, saying what `--help` says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from forestay import cli, manual
from tests.conftest import Run

PAGES = dict(manual.pages(cli.root))


def test_every_command_and_group_has_a_page() -> None:
    leaves = {f"forestay-{path.replace(' ', '-')}.1" for path, _ in cli.leaves()}
    groups = {f"forestay-{name}.1" for name, entry in cli.TREE.items() if isinstance(entry, tuple)}
    assert leaves | groups | {"forestay.1"} <= set(PAGES)


@pytest.mark.parametrize("path", [path for path, _ in cli.leaves()])
def test_a_page_has_every_option_and_the_example(path: str) -> None:
    text = PAGES[f"forestay-{path.replace(' ', '-')}.1"].replace("\\-", "-")
    command = manual.find(cli.root, path.split())
    assert command is not None
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert re.search(rf"^\.B .*{re.escape(parameter.opts[0])}\b", text, re.MULTILINE), parameter.opts
    assert re.search(rf"^\.SH EXAMPLE\n\.nf\nforestay {path}", text, re.MULTILINE)
    assert f".B forestay {path}\n" in text


def test_a_group_names_its_commands() -> None:
    text = PAGES["forestay-endpoint.1"].replace("\\-", "-")
    assert ".TP\n.B deploy\nDeploy a proven model version." in text
    assert ".BR forestay-endpoint-keys (1)" in text
    assert ".SH ENVIRONMENT" in PAGES["forestay.1"]


@pytest.mark.parametrize("text", [".so /etc/passwd", "'in 4", "a\\fBb", "-x", 'say "no"'])
def test_a_text_is_never_a_request(text: str) -> None:
    escaped = manual._escaped(text)
    assert escaped[0] not in ".'"
    assert "\\f" not in escaped.replace("\\ef", "")


@pytest.mark.skipif(shutil.which("groff") is None, reason="no groff is installed")
def test_pages_are_well_formed(tmp_path: Path) -> None:
    files = []
    for name, text in PAGES.items():
        files.append(tmp_path / name)
        files[-1].write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", *files], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_one_page_and_all_of_them(forestay: Run, project: Path) -> None:
    done = forestay("man", "job", "submit", process=False)
    assert done.stdout == PAGES["forestay-job-submit.1"]
    done = forestay("man", "--to", "man1", "--output", "json", process=False)
    assert {Path(one).name for one in json.loads(done.stdout)["files"]} == set(PAGES)
    assert (project / "man1" / "forestay.1").read_text(encoding="utf-8") == PAGES["forestay.1"]
    for words in (("man", "nothing"), ("man", "job", "submit", "more"), ("man", "job", "--to", "x")):
        done = forestay(*words, process=False)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 2
