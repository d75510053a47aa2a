"""Pulumi's real engine for tests: its command line from `.tools/`, a state of its own, and the providers of
tests/infra/providers in the place of Azure and Kubernetes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra import bootstrap
from tests.infra.providers.cloud import Cloud

ROOT = Path(__file__).parents[2]
PASSPHRASE = "a passphrase of tests"
LANGUAGE = """#!/bin/sh
exec env PYTHONPATH={root} {python} -m tests.infra.providers.language "$@"
"""


def version() -> str:
    """The version that tools/pulumi/go.mod names."""
    text = (ROOT / "tools" / "pulumi" / "go.mod").read_text(encoding="utf-8")
    found = re.search(r"github.com/pulumi/pulumi/pkg/v3 (v\S+)", text)
    assert found is not None
    return found[1]


def binary() -> Path | None:
    """The engine, where `make engine` could build it."""
    path = ROOT / ".tools" / f"pulumi-{version()}" / "bin" / "pulumi"
    return path if path.is_file() else None


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@dataclass
class Lab:
    """A project's folder with stacks of its own, and everything that the engine needs to run them.

    Attributes
    ----------
    folder: with Pulumi.yaml, stacks/ and infra. cloud: what was made. environment: of every command.
    """

    folder: Path
    cloud: Cloud
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *words: str, **more: str) -> Ended:
        """One command; `more` is added to its environment."""
        done = subprocess.run(
            words,
            cwd=self.folder,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=600,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ended(done.returncode, done.stdout, done.stderr)

    def infra(self, *words: str, **more: str) -> Ended:
        """`forestay infra WORDS -o json`."""
        return self.run(sys.executable, "-m", "forestay", "infra", *words, "-o", "json", **more)

    def pulumi(self, *words: str, **more: str) -> Ended:
        return self.run("pulumi", *words, "--non-interactive", **more)

    def state(self, stack: str) -> dict[str, Any]:
        """The state as it lies in the file backend."""
        file = self.folder.parent / "state" / ".pulumi" / "stacks" / "forestay" / f"{stack}.json"
        return json.loads(file.read_text(encoding="utf-8"))["checkpoint"]["latest"]

    def stack_file(self, stack: str) -> Path:
        return self.folder / "stacks" / f"Pulumi.{stack}.yaml"

    def edit(self, stack: str, old: str, new: str) -> None:
        """Replace a text of a stack's file."""
        path = self.stack_file(stack)
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")


@contextlib.contextmanager
def lab(folder: Path, engine: Path) -> Iterator[Lab]:
    """A lab in an empty folder.

    Parameters
    ----------
    folder: where everything lies. engine: Pulumi's command line.
    """
    project = folder / "project"
    project.mkdir()
    shutil.copy(ROOT / "Pulumi.yaml", project)
    shutil.copytree(ROOT / "stacks", project / "stacks")
    (project / "infra").symlink_to(ROOT / "infra")
    for name in ("bin", "state", "home"):
        (folder / name).mkdir()
    (folder / "bin" / "pulumi").symlink_to(engine)
    host = folder / "bin" / "pulumi-language-python"
    host.write_text(LANGUAGE.format(root=ROOT, python=sys.executable), encoding="utf-8")
    host.chmod(0o755)
    with serving(folder) as providers:
        yield Lab(project, Cloud(folder / "cloud.json"), environment(folder, providers))


def environment(folder: Path, providers: str) -> dict[str, str]:
    ours = {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}{bootstrap.FILE_OPTIONS}",
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "PULUMI_DEBUG_PROVIDERS": providers,
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PYTHONPATH": str(ROOT),
    }
    return {**_outside(os.environ), **ours}


def _outside(given: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in given.items() if not key.startswith(("PULUMI_", "ARM_", "AZURE_"))}


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The providers in a process of their own; their cloud is FOLDER/cloud.json."""
    command = [sys.executable, "-m", "tests.infra.providers", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
