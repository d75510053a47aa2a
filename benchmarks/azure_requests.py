"""How many requests a submit and a look of `job watch` are, and how soon `job list --env dev` answers.

Against Azure's stand-in of the tests; what is counted goes over the wire, blobs and logins apart.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Measured, compare, forestay, python

BOUND = 1.5
JOB = "regression-task-hardware-perf"


@contextlib.contextmanager
def _project() -> Iterator[Path]:
    """A project with the stand-in's environment around it; the published job lies in it."""
    from tests.azure.standin.run import serving
    from tests.conftest import ROOT

    shared = Path(os.environ.get("FORESTAY_SHARED", ROOT.parent / "shared"))
    with tempfile.TemporaryDirectory() as scratch, serving(Path(scratch), shared) as (azure, variables):
        project = Path(scratch) / "project"
        shutil.copytree(shared / "data" / JOB, project / "job")
        azure.write_project(project)
        before, folder = dict(os.environ), Path.cwd()
        os.environ.update(variables)
        os.chdir(project)
        try:
            yield project
        finally:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(before)


def counted(project: Path) -> tuple[int, int]:
    """Requests of a first submit, and of a look at a job."""
    from automl_jobs.azure import jobs, place
    from automl_jobs.azure import submit as azure
    from automl_jobs.azure.arm import Arm

    arm = Arm(place.of("dev"))
    file = next((project / "job").glob("*.yml"))
    with azure.checked(file, {}, lambda _: None, lambda _: None) as (loaded, tables):
        ready = azure.look(arm, loaded, tables, False, lambda _: None)
        name = azure.send(arm, ready, lambda _, __: None, lambda _: None)
    sent = arm.sent
    jobs.find(arm, name)
    return sent, arm.sent - sent


def measure() -> list[Measured]:
    with _project() as project:
        submit, look = counted(project)
        print(f"requests of a submit: {submit}; of a look: {look}", file=sys.stderr)
        subprocess.run(forestay("job", "list", "--env", "dev"), check=True, capture_output=True)
        return [
            compare(
                f"forestay job list --env dev ({submit} requests a submit, {look} a look of watch)",
                forestay("job", "list", "--env", "dev", "--output", "json"),
                "python -c 'import azure.ai.ml'",
                python("import azure.ai.ml"),
                BOUND,
            )
        ]
