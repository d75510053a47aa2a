"""Fixtures that all layers share: a project of one's own, the CLI as a subprocess, the published jobs."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

# A machine that is busy with something else makes no property false.
hypothesis.settings.register_profile("forestay", deadline=None)
hypothesis.settings.load_profile("forestay")

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


# What reads files and a store, or writes some: a new interpreter takes seconds to import what these need, and would do
# the same. What a process of its own changes (streams, signals, start-up) is the subject of test_start_up.py.
HERE = {
    "data": {"show"},
    "job": {"check", "download", "explain", "leaderboard", "list", "new", "show", "split", "trial"},
    "model": {"download", "list", "register", "show"},
    "endpoint": {"list", "show"},
}


def _here(arguments: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command line in this process, with streams and exit code of its own."""
    from forestay.cli import main

    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


@pytest.fixture
def forestay(project: Path) -> Run:
    """The CLI as a user starts it: `forestay("job", "list", timeout=30)` returns the completed process.

    Commands of `HERE` run in this process; `process` says it of one call: True for a process of its own, False for this
    one, as suits a submit that is refused before it trains.
    """

    def run(
        *arguments: str | Path, timeout: float = 240, cwd: Path | None = None, process: bool | None = None
    ) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in arguments]
        here = len(words) > 1 and words[1] in HERE.get(words[0], ())
        if process is False or (here and not process):
            return _here(words, cwd or project)
        return subprocess.run(
            [sys.executable, "-m", "forestay", *words],
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
