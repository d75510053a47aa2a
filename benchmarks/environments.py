"""Environments of their own for what Forestay is compared with: made once, kept in .tools beside the project."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from forestay import project
from forestay.errors import OutsideError

TOOLS = Path(__file__).resolve().parent.parent / ".tools"


def environment(name: str, python: str, arguments: Sequence[str | Path], timeout: float) -> Path:
    """The `bin` folder of an environment; made when there is none of this name yet.

    Parameters
    ----------
    name: of the folder in .tools, with a version in it: it is made anew only under another name.
    python: a version or an interpreter, as uv takes it.
    arguments: what `uv pip install` shall install.
    timeout: seconds for each of the two steps.

    Raises OutsideError when it can't be made.
    """
    folder = TOOLS / name
    if not folder.exists():
        uv = Path(sys.executable).with_name("uv")
        with project.new_folder(folder) as scratch:
            steps: tuple[list[str | Path], ...] = (
                [uv, "venv", "--quiet", "--relocatable", "--allow-existing", "--python", python, scratch],
                [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", scratch, *arguments],
            )
            for command in steps:
                try:
                    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
                except subprocess.TimeoutExpired:
                    raise OutsideError(f"the environment {name} took over {timeout:g} s to install") from None
                if done.returncode != 0:
                    raise OutsideError(f"the environment {name} can't be installed here: {done.stderr.strip()[-300:]}")
    return folder / "bin"


def locked(lock: Path, timeout: float = 900) -> Path:
    """The `bin` folder of an environment with exactly what a lock file names, hashes checked; Python 3.11."""
    version = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    return environment(f"{lock.stem}-{version}", "3.11", ("--require-hashes", "--requirements", lock), timeout)
