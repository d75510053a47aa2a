"""Starting: nothing heavy is imported for help or a usage error, and no extra is needed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pexpect
import pytest

from tests.conftest import ROOT
from tests.tables import write_job

HEAVY = ("azure", "mlflow", "numpy", "pandas", "pulumi", "sklearn", "lightgbm", "xgboost", "optuna", "pydantic")
WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("azure", "azureml", "pulumi", "pulumi_azure_native", "pulumi_kubernetes"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from forestay.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("words", [["--help"], ["job", "--help"], ["job", "submit", "--help"], ["nothing"], ["job"]])
def test_help_and_usage_errors_import_nothing_heavy(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "forestay", *words], capture_output=True, text=True, check=False
    )
    imported = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "click" in imported
    assert not imported & set(HEAVY)


@pytest.mark.parametrize(
    "words", [["--help"], ["job", "check", "job.yml"], ["data", "show", "train/data.csv"], ["doctor"]]
)
def test_it_works_without_the_extras(project: Path, words: list[str]) -> None:
    write_job(project)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *words], capture_output=True, text=True, check=False, cwd=project
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


# Stands where click would be imported from: the import waits until Ctrl-C comes.
WAITING = "import sys, time\nprint('importing', flush=True)\ntime.sleep(60)\n"


@pytest.mark.parametrize("words", [("-m", "forestay"), (str(ROOT / "cli.py"),), ("-c", "{script}")], ids=str)
def test_ctrl_c_while_modules_are_imported_is_one_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "click.py").write_text(WAITING, encoding="utf-8")
    with (ROOT / "pyproject.toml").open("rb") as file:
        module, _, function = tomllib.load(file)["project"]["scripts"]["forestay"].partition(":")
    script = f"import sys; from {module} import {function}; sys.exit({function}())"
    with subprocess.Popen(
        [sys.executable, *(word.format(script=script) for word in words), "job", "list"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        said, error = process.communicate(timeout=30)
    assert (process.returncode, said, error) == (130, "", "interrupted\n")


def test_a_reader_that_goes_away_is_no_failure() -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m forestay --help | head -1"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.parametrize(
    "words", [["--help"], ["data", "show", "train/data.csv"], ["job", "check", "job.yml", "-o", "json"]]
)
def test_a_pipe_that_nobody_reads_is_no_failure(project: Path, words: list[str]) -> None:
    write_job(project)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "forestay", *words], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert done.returncode == 0
    assert "rror" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    "words", [["--help"], ["data", "show", "train/data.csv"], ["job", "check", "job.yml", "-o", "json"]]
)
def test_a_full_disk_is_told(project: Path, words: list[str]) -> None:
    write_job(project)
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "forestay", *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 3
    assert done.stderr.splitlines()[-2:] == ["error: the disk is full", "  free some space, then run this again"]


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_closed_stream_is_no_failure(project: Path, closed: str) -> None:
    command = f"{sys.executable} -m forestay job list {closed}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, cwd=project)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [["--help"], ["job", "--help"], ["job", "trial", "--help"]])
def test_help_on_a_terminal_says_what_help_in_a_pipe_says(words: list[str]) -> None:
    command = [sys.executable, "-m", "forestay", *words]
    env = {**os.environ, "COLUMNS": "200", "TERM": "xterm", "NO_COLOR": "1"}
    piped = subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout
    with pexpect.spawn(command[0], command[1:], env=env, dimensions=(60, 200), encoding="utf-8", timeout=60) as screen:
        screen.expect(pexpect.EOF)
        drawn = re.sub(r"\x1b\[[0-9;]*m", "", screen.before or "")
    assert "╭" in drawn
    assert "╭" not in piped
    left, shown = (set(re.findall(r"[\w-]+", text)) for text in (piped, drawn))
    assert left - shown <= {"-o", "-q", "-v", "-h", "RANGE"}
    assert {"--output", "--quiet", "--verbose", "--help"} <= left & shown
    examples = [line.strip() for line in piped.splitlines() if "Example: " in line]
    assert len(examples) == 1
    assert examples[0] in drawn


def test_the_command_line_completes_words() -> None:
    env = {
        **os.environ,
        "_FORESTAY_COMPLETE": "bash_complete",
        "COMP_WORDS": "forestay job show --o",
        "COMP_CWORD": "3",
    }
    done = subprocess.run([sys.executable, "-m", "forestay"], capture_output=True, text=True, check=False, env=env)
    assert done.stdout == "plain,--output\n"


def test_narrow_terminals_and_no_color(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_job(project)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    done = subprocess.run(
        [sys.executable, "-m", "forestay", "data", "show", "train/data.csv"],
        capture_output=True,
        text=True,
        check=True,
        cwd=project,
    )
    assert "\x1b" not in done.stdout
    assert "kind" in done.stdout
