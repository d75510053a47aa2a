"""The wheel: what is in it, and that it works in an environment that has the core's packages and nothing else.

Nothing is downloaded: the environment is made of links to what `requirements.lock` has installed here.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from uv import find_uv_bin

from forestay import __version__, rooms
from scoring.environment import locked_versions
from tests.conftest import ROOT
from tests.runs_support import give_store

GUID = "11111111-1111-4111-8111-111111111111"
NOT_SOURCE = (".*", "node_modules", "build", "dist", "*.egg-info", "__pycache__")
OURS = ("forestay", *rooms.PACKAGES)


@dataclass(frozen=True)
class Built:
    """What `uv build` makes: the source distribution, and the wheel from that alone."""

    source: Path
    wheel: Path

    def names(self) -> set[str]:
        with zipfile.ZipFile(self.wheel) as archive:
            return set(archive.namelist())

    def metadata(self) -> Message:
        with zipfile.ZipFile(self.wheel) as archive:
            return Parser().parsestr(archive.read(f"forestay-{__version__}.dist-info/METADATA").decode())


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it. `home`: what FORESTAY_HOME is to its commands."""

    folder: Path
    home: Path

    def run(self, *words: str, cwd: Path, path: str = "") -> subprocess.CompletedProcess[str]:
        return self.start(str(self.folder / "bin" / "forestay"), *words, cwd=cwd, path=path)

    def start(self, *command: str, cwd: Path, path: str = "") -> subprocess.CompletedProcess[str]:
        outside = ("PYTHONPATH", "VIRTUAL_ENV", "MLFLOW_TRACKING_URI")
        environment = {key: value for key, value in os.environ.items() if key not in outside}
        environment |= {"FORESTAY_HOME": str(self.home), **({"PYTHONPATH": path} if path else {})}
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    place = tmp_path_factory.mktemp("build")
    shutil.copytree(ROOT, place / "source", symlinks=True, ignore=shutil.ignore_patterns(*NOT_SOURCE))
    words = ("--no-build-isolation", "--offline", "--quiet", "--python", sys.executable, "--out-dir", str(place))
    done = subprocess.run([find_uv_bin(), "build", *words, str(place / "source")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Built(place / f"forestay-{__version__}.tar.gz", place / f"forestay-{__version__}-py3-none-any.whl")


@pytest.fixture(scope="module")
def installed(
    built: Built, tmp_path_factory: pytest.TempPathFactory, share_environments: Callable[[Path], None]
) -> Iterator[Installed]:
    place = tmp_path_factory.mktemp("installed")
    share_environments(place / "home")
    give_store(place / "home")
    found = Installed(place / "env", place / "home")
    python = found.folder / "bin" / "python"
    for words in (
        ("venv", "--offline", "--quiet", "--python", sys.executable, str(found.folder)),
        ("pip", "install", "--offline", "--quiet", "--no-deps", "--python", str(python), str(built.wheel)),
    ):
        subprocess.run([find_uv_bin(), *words], check=True)
    link_core(found.folder)
    yield found
    found.run("endpoint", "delete", "wheel-api", "--yes", cwd=place)


def link_core(environment: Path) -> None:
    """Links to all that the core's lock has installed in this environment, and to nothing else."""
    (packages,) = environment.glob("lib/python*/site-packages")
    for name in locked_versions((ROOT / "requirements.lock").read_text(encoding="utf-8")):
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:  # of another system or Python
            continue
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__", "bin"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(distribution.locate_file(top))).absolute())
    if not (environment / "bin" / "uv").exists():
        (environment / "bin" / "uv").symlink_to(find_uv_bin())


@pytest.fixture(scope="module")
def project(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that the wheel's own `init` made, with its own `infra/`, and files named as every one of ours."""
    place = tmp_path_factory.mktemp("project")
    words = ("--subscription", GUID, "--location", "westeurope", "--mail", "ml@contoso.com", "--example")
    done = installed.run("init", "churn", *words, cwd=place)
    assert done.returncode == 0, done.stderr
    for name in (*rooms.PACKAGES, "forestay_labels", "forestay_models"):
        if name == "templates":
            (place / "churn" / name).mkdir()
            (place / "churn" / name / "__init__.py").write_text("raise SystemExit('imported')\n")
        elif name != "infra":
            (place / "churn" / f"{name}.py").write_text("raise SystemExit('imported')\n")
    return place / "churn"


def test_it_holds_the_rooms_with_all_their_files_and_nothing_else(built: Built) -> None:
    names = built.names()
    tops = {name.partition("/")[0] for name in names}
    modules = {path.name for path in ROOT.glob("forestay_*.py")}
    assert tops == {*OURS, *modules, f"forestay-{__version__}.dist-info"}
    source = (path for room in OURS for path in (ROOT / room).rglob("*") if path.is_file())
    wanted = {path.relative_to(ROOT).as_posix() for path in source if "__pycache__" not in path.parts}
    assert wanted - names == set()
    assert {name for name in names if name.partition("/")[0] in OURS} - wanted == {
        f"templates/project/example/{name}"
        for name in ("job.yml", "training-mltable-folder/MLTable", "training-mltable-folder/transactions.csv")
    }


def test_the_source_distribution_is_enough_and_brings_no_tests(built: Built) -> None:
    with tarfile.open(built.source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names
    assert not [name for name in names if re.match(r"(tests|benchmarks|node_modules|cli\.py)", name)]


def test_what_it_says_of_itself(built: Built) -> None:
    about = built.metadata()
    assert about["Version"] == __version__
    assert about["License-Expression"] == "MIT"
    assert about["License-File"] == "LICENSE"
    assert about.get_payload().startswith("# Forestay")  # type: ignore[union-attr]
    core = [line for line in about.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert core
    assert not [line for line in core if re.match(r"(azure|pulumi|pip-audit)", line)]
    assert set(about.get_all("Provides-Extra", [])) == {"audit", "azure", "infra"}
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(__version__)} ", changes, re.MULTILINE)


def test_the_environment_has_no_extra(installed: Installed, tmp_path: Path) -> None:
    for name in ("pulumi", "azure.identity", "pytest"):
        done = installed.start(str(installed.folder / "bin" / "python"), "-c", f"import {name}", cwd=tmp_path)
        assert f"No module named '{name.partition('.')[0]}" in done.stderr
    where = installed.start(
        str(installed.folder / "bin" / "python"), "-c", "import scoring; print(scoring.__file__)", cwd=tmp_path
    )
    assert where.stdout.startswith(str(installed.folder))


@pytest.mark.slow
def test_it_trains_proves_and_serves_where_every_name_of_ours_is_taken(installed: Installed, project: Path) -> None:
    job = "jobs/categorize_transactions/job.yml"
    words = ("--model", "Wheel", "--endpoint", "wheel-api", "--time-budget", "30s", "--set", "limits.max_trials=2")
    done = installed.run("ship", job, *words, "-o", "json", cwd=project)
    assert done.returncode == 0, done.stderr
    shipped = json.loads(done.stdout)
    assert shipped["verified"] is True
    assert shipped["endpoint"]["status"] == "Healthy"
    assert shipped["answer"]["Results"]
    again = installed.start(
        str(installed.folder / "bin" / "python"), "-m", "forestay", "endpoint", "invoke", "wheel-api", cwd=project
    )
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["Results"]


def test_a_name_that_hides_one_of_ours_is_told(installed: Installed, project: Path) -> None:
    done = installed.run("job", "list", cwd=project, path=".")
    assert done.returncode == 2
    told = [line for line in done.stderr.splitlines() if "hides Forestay's own" in line]
    # `infra` is no package there: Python takes ours.
    assert [re.findall("`(.*)`", line)[0] for line in told] == [
        "automl_jobs", "scoring", "studio", "templates", "forestay_labels", "forestay_models",
    ]  # fmt: skip
    assert "imported" not in done.stderr


def test_what_needs_an_extra_says_which(installed: Installed, project: Path) -> None:
    for words, extra in ((("infra", "plan"), "infra"), (("job", "list"), "azure")):
        done = installed.run(*words, "--env", "dev", cwd=project)
        assert done.returncode == 2, done.stderr
        assert f"forestay[{extra}]" in done.stderr
        assert "internal" not in done.stderr
