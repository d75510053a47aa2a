"""The benchmarks of `infra plan` measure what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks import infra_growth, infra_plan
from infra import stackfile


def test_a_project_serves_as_many_models_as_asked_for(tmp_path: Path) -> None:
    infra_growth.project(tmp_path, 10)
    services = stackfile.load(tmp_path, f"{infra_growth.STACK}-services").settings.services
    assert [one.target for one in services.values()].count("aks") == 5
    assert len(services) == 10


def test_the_table_says_what_a_further_model_costs() -> None:
    text = infra_growth.table([(10, 52, 2.5), (20, 97, 2.75)])
    assert "| 10 | 52 | 2.50 | - |" in text
    assert "| 20 | 97 | 2.75 | 25 |" in text


def test_the_peer_imports_what_it_is_told_to() -> None:
    code = infra_plan.importing(["resources:ResourceGroup"]) + "\nprint(ResourceGroup.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "ResourceGroup\n"
