"""What both systems have in common: a repository, a machine that runs shell steps, what jobs leave for each other."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.conftest import ROOT

LEFT_OUT = ("Install Forestay", "Install Pulumi", "Install kubelogin")
SECONDS = 240
MARKS = ("RUNNER_TRACKING_ID", "VSTS_PROCESS_LOOKUP_ID")
"""By which a GitHub runner and an Azure DevOps agent know the processes of a job."""


@dataclass(frozen=True)
class Step:
    """A step that was run: of which job, its name, its exit code and what it printed."""

    job: str
    name: str
    code: int
    out: str


@dataclass
class Run:
    """What a pipeline came to.

    Attributes
    ----------
    jobs: result by job: success, failure, skipped. steps: those that were run. outputs: by job, or by stage and job.
    """

    jobs: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)

    def told(self, job: str) -> str:
        return "".join(step.out for step in self.steps if step.job == job)

    def copied(self) -> Run:
        """The same jobs and outputs, without steps."""
        return Run(dict(self.jobs), [], dict(self.outputs))

    @property
    def whole(self) -> str:
        """Everything, for the message of a test that fails."""
        return "\n".join(f"== {step.job}: {step.name}: {step.code}\n{step.out[-3000:]}" for step in self.steps)


@dataclass
class Machine:
    """Where the jobs run.

    Attributes
    ----------
    folder: everything lies in it: origin.git, a checkout a job, artifacts, caches. environment: of every step.
    """

    folder: Path
    environment: dict[str, str]

    @property
    def origin(self) -> Path:
        return self.folder / "origin.git"

    @property
    def temp(self) -> Path:
        path = self.folder / "temp"
        path.mkdir(exist_ok=True)
        return path

    def place(self, kind: str, name: str) -> Path:
        """A folder of artifacts or of a cache; not made here."""
        return self.folder / kind / name.replace("/", "-")

    def workspace(self) -> Path:
        """An empty folder for a job, as a hosted runner has it."""
        path = self.folder / "work"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    def checkout(self, to: Path, ref: str = "") -> None:
        git("clone", "--quiet", str(self.origin), str(to), cwd=self.folder)
        if ref:
            git("checkout", "--quiet", ref, cwd=to)

    def bash(self, text: str, cwd: Path, environment: Mapping[str, str], *flags: str) -> tuple[int, str]:
        """Run a script; its exit code and what it printed. What it leaves in the background runs until close()."""
        script = self.temp / "step.sh"
        script.write_text(text, encoding="utf-8")
        output = self.temp / "step.log"
        with output.open("wb") as stream:
            running = subprocess.Popen(
                ["bash", *flags, str(script)],
                cwd=cwd,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            code = running.wait(SECONDS)
        return code, output.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """End what steps left in the background, as runners do at the end of a job: by a mark in its environment."""
        marks = {name: self.environment[name] for name in MARKS}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                found = process.environ()
                if any(found.get(name) == mark for name, mark in marks.items()):
                    process.kill()


def git(*words: str, cwd: Path) -> str:
    who = {
        f"GIT_{role}_{what}": f"{what.lower()}@example.org"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    done = subprocess.run(
        ["git", *words], cwd=cwd, env={**os.environ, **who}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextlib.contextmanager
def machine(
    folder: Path, project: Path, environment: Mapping[str, str] | None = None, module: str = "forestay"
) -> Iterator[Machine]:
    """A machine whose repository holds what `project` holds, committed on main; `project` becomes a checkout of it.

    `module` is what `forestay` starts there.
    """
    git("init", "--quiet", "--bare", "--initial-branch=main", str(folder / "origin.git"), cwd=folder)
    git("init", "--quiet", "--initial-branch=main", cwd=project)
    git("remote", "add", "origin", str(folder / "origin.git"), cwd=project)
    commit(project, "A project")
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    starter = tools / "forestay"
    starter.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m {module} "$@"\n', encoding="utf-8")
    starter.chmod(0o755)
    marks = dict.fromkeys(MARKS, f"run_{uuid.uuid4()}")
    here = {key: value for key, value in os.environ.items() if not key.startswith(("FORESTAY_", "MLFLOW_", "GITHUB_"))}
    given = {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", **marks, **(environment or {})}
    found = Machine(folder, {**here, **given})
    try:
        yield found
    finally:
        found.close()


def commit(project: Path, message: str) -> str:
    """Commit everything in a checkout, and push it; the commit."""
    git("add", "--all", cwd=project)
    git("commit", "--quiet", "--allow-empty", "--message", message, cwd=project)
    git("push", "--quiet", "origin", "HEAD:main", cwd=project)
    return git("rev-parse", "HEAD", cwd=project)
