"""`infra plan` of the largest stack that ships against importing the modules of azure-native that it needs.

The peer is what any program of this size must do before it declares its first resource: a bare interpreter that imports
the same sub-packages.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from benchmarks.harness import Measured, compare, forestay, python

ROOT = Path(__file__).parent.parent
STACK = "prod"
BOUND = 2.0


def modules(stack: str = STACK) -> list[str]:
    """The sub-packages of pulumi_azure_native whose resources the plan of a stack declares."""
    found = subprocess.run(
        forestay("infra", "plan", "--env", stack, "-o", "json"), cwd=ROOT, capture_output=True, text=True, check=True
    )
    types = {one["type"] for one in json.loads(found.stdout)["resources"]}
    return sorted({one.split(":")[1] for one in types if one.startswith("azure-native:")})


def importing(names: list[str]) -> str:
    """Code that imports sub-packages; they are lazy, so each is asked for something."""
    return "import importlib\n" + "\n".join(
        f"importlib.import_module('pulumi_azure_native.{name}').__name__" for name in names
    )


def measure() -> list[Measured]:
    names = modules()
    return [
        compare(
            f"forestay infra plan, {STACK}",
            forestay("infra", "plan", "--env", STACK, "-o", "json"),
            f"importing its {len(names)} modules of azure-native",
            python(importing(names)),
            BOUND,
            cwd=ROOT,
            runs=5,
        )
    ]
