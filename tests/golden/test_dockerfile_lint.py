"""The generated Dockerfiles pass hadolint, and hold what it does not look at."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FILES = Path(__file__).parent / "files" / "scoring"
NAMES = sorted(path.name for path in FILES.glob("Dockerfile*"))


@pytest.mark.parametrize("name", NAMES)
def test_hadolint_finds_nothing(name: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), "--no-color", FILES / name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_nobody_is_root_and_nothing_is_open(name: str) -> None:
    lines = (FILES / name).read_text().splitlines()
    assert [line for line in lines if line.startswith("USER")][-1] == "USER 1001"
    assert "--require-hashes" in "".join(lines)
    assert not any(line.startswith(("ADD", "ARG")) or "FORESTAY_AUTH=none \\" in line for line in lines)
    order = [
        next(n for n, line in enumerate(lines) if line.startswith(word))
        for word in ("COPY --from=packages", "COPY model")
    ]
    assert order == sorted(order)
