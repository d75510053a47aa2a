"""A name on Python's path that hides one of Forestay's packages is told; the current folder is not on it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from automl_jobs.engine import nursery
from forestay import rooms
from forestay.errors import InputError

ROOT = Path(__file__).parents[2]


def test_nothing_hides_anything_here() -> None:
    rooms.refuse_hidden()


def test_the_rooms_are_what_is_installed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    packages = {pattern.removesuffix("*") for pattern in settings["packages"]["find"]["include"]}
    assert {"forestay", *rooms.PACKAGES} == packages
    modules = {path.stem for path in ROOT.glob("forestay_*.py")}
    assert set(settings["py-modules"]) == modules
    assert all((ROOT / name / "__init__.py").is_file() for name in packages)


def test_every_name_that_hides_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scoring.py").touch()
    (tmp_path / "forestay_labels.py").touch()
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("scoring", "infra", "forestay_labels"):
        monkeypatch.delitem(sys.modules, name, raising=False)  # as in a process that has imported none
    with pytest.raises(InputError) as refused:
        rooms.refuse_hidden()
    assert {problem.where for problem in refused.value.problems} == {
        str(tmp_path / name) for name in ("scoring.py", "infra", "forestay_labels.py")
    }
    assert all(str(tmp_path) in problem.fix for problem in refused.value.problems)


def test_a_module_copied_beside_a_model_hides_nothing_until_it_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = tmp_path / "forestay_labels.py"
    copied.write_bytes((ROOT / "forestay_labels.py").read_bytes())
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "forestay_labels", raising=False)
    rooms.refuse_hidden()
    copied.write_text("older = True\n", encoding="utf-8")
    with pytest.raises(InputError):
        rooms.refuse_hidden()


def forestay(folder: Path, *python: str, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *python, "-m", "forestay", "job", "list"],
        cwd=folder,
        env={**environment, "PYTHONPATH": path, "FORESTAY_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("python", [(), ("-P",)])
def test_the_current_folder_hides_nothing(tmp_path: Path, python: tuple[str, ...]) -> None:
    (tmp_path / "automl_jobs.py").write_text("raise SystemExit('imported')\n")
    done = forestay(tmp_path, *python)
    assert done.returncode == 0, done.stderr
    assert "no job has run here yet" in done.stdout + done.stderr


def test_processes_that_train_import_nothing_of_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "automl_jobs.py").write_text("raise SystemExit('imported')\n")
    with nursery.threads_of_child(1):
        done = subprocess.run(
            [sys.executable, "-c", "import automl_jobs"], cwd=tmp_path, capture_output=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert "PYTHONSAFEPATH" not in os.environ


def test_a_folder_of_pythonpath_that_hides_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "automl_jobs.py").write_text("raise SystemExit('imported')\n")
    done = forestay(tmp_path, path=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: {tmp_path / 'automl_jobs.py'}: hides Forestay's own `automl_jobs`",
        f"  take {tmp_path} out of PYTHONPATH (sys.path), or rename automl_jobs.py",
    ]
