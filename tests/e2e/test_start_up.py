"""Starting: nothing heavy is imported for help or a usage error, and no extra is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize("words", [["--help"], ["job", "check", "job.yml"], ["data", "show", "train/data.csv"]])
def test_it_works_without_the_extras(project: Path, words: list[str]) -> None:
    write_job(project)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *words], capture_output=True, text=True, check=False, cwd=project
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


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
