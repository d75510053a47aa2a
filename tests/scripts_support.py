"""Training scripts of `job code`, run where nothing of Forestay's rooms can be imported."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# Runs scripts in one process: what they import is imported once.
_ALONE = """
import runpy, sys
class Closed:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("forestay", "automl_jobs", "scoring", "infra", "templates", "studio"):
            raise ImportError(f"{name} is out of reach")
sys.meta_path.insert(0, Closed())
for folder in sys.argv[1:]:
    sys.path.insert(0, folder)
    runpy.run_path(f"{folder}/train.py", run_name="__main__")
"""


def scores_of(folders: Sequence[Path], metric: str) -> list[float]:
    """Run the scripts in these folders, one after the other; what each says that its score is."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, *map(str, folders)],
        cwd=folders[0],
        env=kept,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [float(score) for score in re.findall(rf"^{metric} (\S+), in the job", done.stdout, re.MULTILINE)]
