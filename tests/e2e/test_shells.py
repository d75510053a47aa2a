"""Completion in the shells themselves: the script is read by a real one, and TAB is asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from forestay.cli import root
from forestay.completion import SHELLS, script
from tests.conftest import ROOT
from tests.runs_support import finished_job, new_store, outputs_folder

Asked = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a job, two versions of a model, an endpoint and stacks; `bin` holds the command."""
    folder = tmp_path_factory.mktemp("world")
    shutil.copytree(ROOT / "stacks", folder / "stacks")
    (folder / "Pulumi.yaml").touch()
    (folder / "data.csv").touch()
    store = new_store(folder / ".forestay")
    finished_job(store, outputs_folder(folder / "outputs"))
    store.register("calm_bay_aaaaaa", 1, "Churn")
    store.register("calm_bay_aaaaaa", 2, "Churn")
    (folder / ".forestay" / "endpoints" / "churn-api").mkdir(parents=True)
    (folder / ".forestay" / "endpoints" / "churn-api" / "endpoint.json").touch()
    (folder / "bin").mkdir()
    command = folder / "bin" / "forestay"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m forestay "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    for shell in SHELLS:
        (folder / f"completion.{shell}").write_text(script(shell, root), encoding="utf-8")
    return folder


def variables(world: Path) -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if name not in ("FORESTAY_HOME", "MLFLOW_TRACKING_URI")}
    return {**found, "PATH": f"{world / 'bin'}:{found['PATH']}", "HOME": str(world), "TERM": "dumb"}


def answered(world: Path, *words: str) -> list[str]:
    done = subprocess.run(
        words, cwd=world, env=variables(world), capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


@pytest.fixture
def bash(world: Path) -> Asked:
    """What bash has in COMPREPLY for a line up to the cursor, its words broken as bash breaks them."""

    def ask(line: str) -> list[str]:
        code = (
            "source completion.bash; COMP_WORDBREAKS=$' \\t\\n\"\\'><=;|&(:'\n"
            'COMP_LINE="$1" COMP_POINT=${#1}; _forestay_completion forestay; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        return answered(world, "bash", "--norc", "-c", code, "bash", line)

    return ask


CASES = [
    ("forestay mod", {"model"}),
    ("forestay job sh", {"show"}),
    ("forestay job show --outp", {"--output"}),
    ("forestay job show --output ", {"table", "json"}),
    ("forestay job show ", {"latest", "calm_bay_aaaaaa"}),
    ("forestay job show calm", {"calm_bay_aaaaaa"}),
    ("forestay job list --env ", {"local", "dev", "prod", "test"}),
    ("forestay job list --env=d", {"dev"}),
    ("forestay endpoint show ", {"churn-api"}),
    ("forestay endpoint deploy churn-api --model C", {"Churn", "Churn:1", "Churn:2"}),
    ("forestay -q model show Ch", {"Churn", "Churn:1", "Churn:2"}),
    ("forestay model register latest --name ", {"Churn"}),
    ("forestay completion ", {"bash", "zsh", "fish"}),
]


@pytest.mark.parametrize(("line", "offered"), CASES)
def test_bash(bash: Asked, line: str, offered: set[str]) -> None:
    assert set(bash(line)) == offered


def test_bash_takes_a_colon_for_the_end_of_a_word(bash: Asked) -> None:
    assert set(bash("forestay model show Churn:")) == {"1", "2"}
    assert set(bash("forestay endpoint deploy churn-api --model=Churn:2")) == {"2"}


def test_bash_with_a_key(world: Path) -> None:
    """TAB is pressed in a terminal, and the line is whole."""
    with pexpect.spawn(
        "bash", ["--norc", "--noprofile"], cwd=str(world), env=variables(world), encoding="utf-8"
    ) as bash:
        bash.sendline("PS1='> '; bind 'set enable-bracketed-paste off'; source completion.bash; echo re''ady")
        bash.expect_exact("ready\r\n", timeout=30)
        bash.send("forestay job show calm\t")
        bash.expect_exact("calm_bay_aaaaaa ", timeout=30)
        bash.send("\x15forestay model show Churn:\t\t")
        bash.expect(r"2\s+1", timeout=30)
        bash.send("\x15head -1 dat\t")  # other commands are as they were
        bash.expect_exact("data.csv", timeout=30)
        bash.send("\x15forestay data show dat\t")
        bash.expect_exact("data.csv", timeout=30)
        bash.sendline("\x15exit")
        bash.expect(pexpect.EOF)


@pytest.mark.parametrize(("line", "offered"), CASES)
def test_fish(world: Path, line: str, offered: set[str]) -> None:
    if shutil.which("fish") is None:
        pytest.skip("no fish is installed")
    code = f"source completion.fish; complete --do-complete '{line}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", code], cwd=world, env=variables(world), capture_output=True, text=True, check=True
    )
    found = dict((*one.split("\t"), "")[:2] for one in done.stdout.splitlines())
    assert {one.removeprefix("--env=") for one in found} == offered
    assert all(told.endswith(".") for told in found.values() if told)  # none is cut


def test_zsh(world: Path) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("no zsh is installed")
    with pexpect.spawn("zsh", ["-f"], cwd=str(world), env=variables(world), encoding="utf-8") as zsh:
        zsh.sendline("PS1='> '; autoload -U compinit; compinit -u -D; source completion.zsh; echo re''ady")
        zsh.expect_exact("ready", timeout=30)
        for line, whole in (
            ("forestay job show calm\t", "calm_bay_aaaaaa"),
            ("forestay endpoint sho\t", "show"),
            ("forestay job list --env=d\t", "--env=dev"),
            ("forestay model show Churn:2\t", "Churn:2"),
        ):
            zsh.send(line)
            zsh.expect_exact(whole, timeout=30)
            zsh.send("\x15")
        zsh.sendline("exit")
        zsh.expect(pexpect.EOF)


def test_nothing_heavy_is_imported_for_a_key() -> None:
    env = {**os.environ, "COMP_LINE": "forestay job show ", "_FORESTAY_COMPLETE": "bash_complete"}
    words = [sys.executable, "-X", "importtime", "-m", "forestay"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
    imported = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "plain,latest" in done.stdout
    assert not imported & {"azure", "mlflow", "numpy", "pandas", "pulumi", "pydantic", "rich", "rich_click", "yaml"}
