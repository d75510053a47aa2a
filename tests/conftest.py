"""Fixtures that all layers share: a project of one's own, the CLI as a subprocess, the published jobs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_configure() -> None:
    """A shell's background commands ignore Ctrl-C, and so would every command that the tests interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the published jobs and schemas, which lies beside the project where there is one."""
    folder = Path(os.environ.get("FORESTAY_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"published jobs and schemas are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A `.forestay` folder with an environment, and the proven scoring folder of Bank 1; tests change copies."""
    from tests import served

    place = tmp_path_factory.mktemp("served")
    home = place / "home"
    return home, served.bank(home, place)


@pytest.fixture(scope="session")
def share_environments(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    """Lets a `.forestay` folder have its environments and locks in one place with others: each is made once a run."""
    place = tmp_path_factory.mktemp("environments")

    def share(home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        for name in ("envs", "locks"):
            (place / name).mkdir(exist_ok=True)
            (home / name).symlink_to(place / name)

    return share


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one and holds its own .forestay."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FORESTAY_HOME", str(tmp_path / ".forestay"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.fixture
def forestay(project: Path) -> Run:
    """The CLI as a user starts it: `forestay("job", "list", timeout=30)` returns the completed process."""

    def run(*arguments: str | Path, timeout: float = 240, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "forestay", *map(str, arguments)],
            cwd=cwd or project,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    return run


@pytest.fixture
def clean(forestay: Run) -> Iterator[Run]:
    """The CLI; what it has deployed is stopped at the end."""
    yield forestay
    for found in json.loads(forestay("endpoint", "list", "--output", "json").stdout or "[]"):
        forestay("endpoint", "delete", found["name"], "--yes")
