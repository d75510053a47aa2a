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


def classes(stack: str = STACK) -> list[str]:
    """The resources of pulumi_azure_native that the plan of a stack declares, `storage:StorageAccount`."""
    found = subprocess.run(
        forestay("infra", "plan", "--env", stack, "-o", "json"), cwd=ROOT, capture_output=True, text=True, check=True
    )
    types = {one["type"] for one in json.loads(found.stdout)["resources"]}
    return sorted(one.removeprefix("azure-native:") for one in types if one.startswith("azure-native:"))


def importing(names: list[str]) -> str:
    """Code that imports the sub-packages of classes; they are lazy, so each is asked for what it has."""
    return "\n".join(
        f"from pulumi_azure_native.{module} import {name}" for module, name in (one.split(":") for one in names)
    )


def measure() -> list[Measured]:
    names = classes()
    modules = {one.partition(":")[0] for one in names}
    return [
        compare(
            f"forestay infra plan, {STACK}",
            forestay("infra", "plan", "--env", STACK, "-o", "json"),
            f"importing its {len(modules)} modules of azure-native",
            python(importing(names)),
            BOUND,
            cwd=ROOT,
            runs=5,
        )
    ]
