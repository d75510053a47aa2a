"""One stand-in for Azure and one Azurite for all tests here; each test finds the workspace as new."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.azure.standin.run import LOGIN, Azure, serving

__all__ = ["Azure"]


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Azure]:
    """The stand-in, and this process and its children led to it."""
    pytest.importorskip("trustme")
    pytest.importorskip("azure.identity")
    with serving(tmp_path_factory.mktemp("azure"), shared) as (azure, given), pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.lower() in ("https_proxy", "http_proxy", "no_proxy")]:
            patch.delenv(name)
        for name, value in given.items():
            if name not in LOGIN:
                patch.setenv(name, value)
        yield azure


@pytest.fixture
def azure(standin: Azure, project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    """The stand-in with a fresh workspace, a project with the stack `dev`, and a login by client secret."""
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)
    Azure.write_project(project)
    standin.service.reset()
    standin.proxy.log.clear()
    standin.proxy.faults.clear()
    standin.proxy.stray.clear()
    yield standin
    assert standin.proxy.stray == []


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Done]


@pytest.fixture
def cli(azure: Azure, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line in this process, so that Azure's packages are imported once for all tests.

    What is asked for is JSON; an exit code other than `code` fails the test with what was said.
    """
    from forestay.cli import main

    def run(*words: str | Path, code: int = 0, env: str = "dev") -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words), *(["--env", env] if env else []), "--output", "json"])
        out, err = capsys.readouterr()
        found = Done(int(ended.value.code or 0), out, err)
        assert found.code == code, f"{found}\n{azure.service.refusals}"
        assert "Traceback" not in err
        return found

    return run


@pytest.fixture
def job_file(project: Path, shared: Path) -> Path:
    """The published regression job beside its data."""
    folder = project / "hardware"
    shutil.copytree(shared / "data" / "regression-task-hardware-perf", folder)
    return folder / "cli-automl-regression-task-hardware-perf.yml"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks and retries without long pauses."""
    from automl_jobs import watch
    from automl_jobs.azure import arm

    monkeypatch.setattr(watch, "FIRST_SECONDS", 0.05)
    monkeypatch.setattr(watch, "LONGEST_SECONDS", 0.05)
    monkeypatch.setattr(watch.watch, "__defaults__", (0.05, 5.0))
    monkeypatch.setattr(arm, "BACKOFF_SECONDS", 0.02)
