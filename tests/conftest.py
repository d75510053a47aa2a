"""Fixtures that all layers share: a project of one's own, the CLI as a subprocess, the published jobs."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_configure() -> None:
    """A shell's background commands ignore Ctrl-C, and so would every command that the tests interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


# How long an example takes says nothing on a machine that does much else, as it does when tests run side by side.
hypothesis.settings.register_profile("forestay", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("forestay")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the published jobs and schemas, which lies beside the project where there is one."""
    folder = Path(os.environ.get("FORESTAY_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"published jobs and schemas are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def share_environments(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[[Path], None]:
    """Lets a `.forestay` folder have environments, locks and traces in one place with others: each is made once a run.

    The processes that run tests side by side share the place: their folders lie in one, and Forestay's own locks are
    made for commands that need the same environment at once.
    """
    base = tmp_path_factory.getbasetemp()
    place = (base if worker_id == "master" else base.parent) / "environments"

    def share(home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        for name in ("envs", "locks", "traces"):
            (place / name).mkdir(parents=True, exist_ok=True)
            (home / name).symlink_to(place / name)

    return share


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory, share_environments: Callable[[Path], None]) -> tuple[Path, Path]:
    """A `.forestay` folder with an environment, and the proven scoring folder of Bank 1; tests change copies."""
    from tests import served

    place = tmp_path_factory.mktemp("served")
    home = place / "home"
    share_environments(home)
    return home, served.bank(home, place)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by playwright."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--disable-sync"]
        opened = playwright.chromium.launch(executable_path=program, args=flags)
        yield opened
        opened.close()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one and holds its own .forestay."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FORESTAY_HOME", str(tmp_path / ".forestay"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


# What reads files and a store, or writes some, or asks a server: a new interpreter takes seconds to import what these
# need, and would do the same. What a process of its own changes (streams, signals, start-up) is the subject of
# test_start_up.py; submit, ship, serve and deploy have one always.
HERE = {
    "data": {"show"},
    "job": {
        "check", "compare", "download", "explain", "leaderboard", "list", "new", "report", "show", "split", "trial",
    },
    "model": {
        "alias", "compare", "delete", "download", "evaluate", "list", "predict", "register", "show",
    },
    "score": {"generate", "verify"},
    "endpoint": {"delete", "invoke", "list", "logs", "show"},
}  # fmt: skip


def command(
    *words: str | Path,
    cwd: Path,
    home: Path | None = None,
    timeout: float = 240,
    process: bool | None = None,
    text: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """A command line of Forestay to its end.

    Parameters
    ----------
    cwd: the folder that is the current one. home: what FORESTAY_HOME is to be; None leaves it as it is.
    timeout: seconds that a process of its own may take.
    process: whether it has a process of its own; None: commands of `HERE` have none.
    text: its standard input, for a process of its own.
    """
    arguments = [str(word) for word in words]
    here = len(arguments) > 1 and arguments[1] in HERE.get(arguments[0], ()) and text is None
    with mock.patch.dict(os.environ, {} if home is None else {"FORESTAY_HOME": str(home)}):
        if home is not None:
            os.environ.pop("MLFLOW_TRACKING_URI", None)
        if process is False or (here and not process):
            return _here(arguments, cwd)
        return subprocess.run(
            [sys.executable, "-m", "forestay", *arguments],
            cwd=cwd,
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


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

    `process` says of one call whether it has a process of its own: True for one of `HERE`, False as suits a submit
    that is refused before it trains. One that trains finds an empty store, which takes MLflow seconds to make.
    """
    from tests.runs_support import give_store

    def run(*words: str | Path, process: bool | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
        if process is not False and ("submit" in words[:3] or words[0] == "ship"):
            give_store(project / ".forestay")
        return command(*words, **{"cwd": project, "process": process, **more})

    return run


@pytest.fixture
def clean(forestay: Run, project: Path, share_environments: Callable[[Path], None]) -> Iterator[Run]:
    """The CLI, with environments that other tests have made; what it has deployed is stopped at the end."""
    share_environments(project / ".forestay")
    yield forestay
    for found in json.loads(forestay("endpoint", "list", "--output", "json").stdout or "[]"):
        forestay("endpoint", "delete", found["name"], "--yes")
