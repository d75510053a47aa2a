"""Environments of their own for what tests compare with: made once, kept in .tools beside the project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from forestay import project
from tests.conftest import ROOT


def environment(name: str, python: str, packages: tuple[str, ...]) -> Path:
    """The `bin` folder of an environment with these packages; the test skips, saying why, where it can't be made.

    Parameters
    ----------
    name: of the folder in .tools, with a version in it: it is made anew only under another name.
    python: a version or an interpreter, as uv takes it.
    """
    folder = ROOT / ".tools" / name
    if not folder.exists():
        uv = Path(sys.executable).with_name("uv")
        with project.new_folder(folder) as scratch:
            for command in (
                [uv, "venv", "--quiet", "--relocatable", "--allow-existing", "--python", python, scratch],
                [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", scratch, *packages],
            ):
                done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
                if done.returncode != 0:
                    pytest.skip(f"{name} can't be installed here: {done.stderr.strip()[-300:]}")
    return folder / "bin"
