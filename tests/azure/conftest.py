"""One stand-in for Azure and one Azurite for all tests here; each test finds the workspace as new."""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.azure.standin.run import LOGIN, Azure, serving
from tests.runs_support import give_store

__all__ = ["Azure"]


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[tuple[Azure, dict[str, str]]]:
    """The stand-in, and the variables that lead a process to it."""
    pytest.importorskip("trustme")
    pytest.importorskip("azure.identity")
    with serving(tmp_path_factory.mktemp("azure"), shared) as served:
        yield served


@pytest.fixture
def azure(standin: tuple[Azure, dict[str, str]], project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    """The stand-in with a fresh workspace, a project with the stack `dev`, and a login by client secret.

    This process and its children are led to it until the test ends; those of other tests are not.
    """
    azure, given = standin
    for name in [name for name in os.environ if name.lower() in ("https_proxy", "http_proxy", "no_proxy")]:
        monkeypatch.delenv(name)
    for name, value in {**given, **LOGIN}.items():
        monkeypatch.setenv(name, value)
    # urllib keeps the proxies of its first request for all later ones of the process.
    monkeypatch.setattr(urllib.request, "_opener", None)
    Azure.write_project(project)
    give_store(project / ".forestay")
    azure.service.reset()
    azure.proxy.log.clear()
    azure.proxy.faults.clear()
    azure.proxy.stray.clear()
    yield azure
    assert azure.proxy.stray == []


_LED = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy")
_BEFORE = {name: os.environ.get(name) for name in (*_LED, "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")}


def as_before(patch: pytest.MonkeyPatch) -> None:
    """The variables that led to the stand-in as they were: what comes now asks the real registry of packages."""
    for name, value in _BEFORE.items():
        if value is None:
            patch.delenv(name, raising=False)
        else:
            patch.setenv(name, value)


@pytest.fixture
def registry(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    """uv asks the real registry of packages while all else is led to the stand-in."""
    from scoring import environment

    run = environment._uv

    def uv(*words: Any, **more: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            as_before(patch)
            run(*words, **more)

    monkeypatch.setattr(environment, "_uv", uv)


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
