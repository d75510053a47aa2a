"""The text of what `init` makes, file by file; pipelines have golden files of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from forestay.scaffold import files as templates
from forestay.scaffold.answers import Answers
from infra import stackfile

ROOT = Path(__file__).parents[2]
FILES = Path(__file__).parent / "files" / "project"
EXAMPLE = ROOT / "examples" / "categorize_transactions"
ONE, TWO = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
COMMON: dict[str, Any] = {"location": "westeurope", "mail": "ml-team@contoso.com", "since": "2026-01-01"}
CASES = {
    "example": Answers(
        **COMMON, stem="categorize", subscriptions=dict.fromkeys(("dev", "test", "prod"), ONE), ci="github",
        target="managed", example=True,
    ),
    "aks": Answers(
        **COMMON, stem="churn", subscriptions={"dev": ONE, "test": ONE, "prod": TWO}, ci="azure-devops", target="aks",
        example=False,
    ),
    # Words that YAML reads as something else.
    "plain": Answers(
        **COMMON, stem="yes", subscriptions=dict.fromkeys(("dev", "test", "prod"), ONE), ci="none", target="aci",
        example=False,
    ),
}  # fmt: skip


def own(files: dict[str, str]) -> dict[str, str]:
    """Without what has golden files elsewhere: pipelines, and the example's data."""
    named = ("infra/", "jobs/", "stacks/")
    found = {path: text for path, text in files.items() if path.startswith(named) or "/" not in path}
    return {
        path: text for path, text in found.items() if not path.endswith(("/MLTable", ".csv", "azure-pipelines.yml"))
    }


@pytest.mark.parametrize("case", CASES)
def test_written_as_recorded(case: str) -> None:
    """UPDATE_GOLDEN=1 writes the files anew; look at the difference before committing it."""
    found = own(templates.files(CASES[case]))
    golden = FILES / case
    if os.environ.get("UPDATE_GOLDEN"):
        for path, text in found.items():
            (golden / path).parent.mkdir(parents=True, exist_ok=True)
            (golden / path).write_text(text, encoding="utf-8", newline="")
    there = {path.relative_to(golden).as_posix() for path in golden.rglob("*") if path.is_file()}
    assert there == set(found)
    for path, text in found.items():
        assert text == (golden / path).read_bytes().decode(), path


@pytest.mark.parametrize("case", CASES)
def test_every_stack_is_one(case: str, tmp_path: Path) -> None:
    for path, text in templates.files(CASES[case]).items():
        if path.startswith("stacks/"):
            (tmp_path / "stacks").mkdir(exist_ok=True)
            (tmp_path / path).write_text(text, encoding="utf-8")
    names = stackfile.names_in(tmp_path)
    assert names == ["dev", "dev-services", "prod", "prod-services", "test", "test-services"]
    for name in names:
        assert stackfile.load(tmp_path, name).settings.stem == CASES[case].stem


def test_the_example_is_the_repository_s_but_for_its_compute_and_its_test_data() -> None:
    found = templates.files(CASES["example"])
    folder = "jobs/categorize_transactions"
    sides = [f"{side}-mltable-folder" for side in ("training", "test")]
    table = (EXAMPLE / sides[0] / "MLTable").read_bytes().decode()
    assert [found[f"{folder}/{side}/MLTable"] for side in sides] == [table, table]
    header, *rows = (EXAMPLE / sides[0] / "transactions.csv").read_bytes().decode().splitlines()
    training, test = (found[f"{folder}/{side}/transactions.csv"].splitlines() for side in sides)
    assert (training[0], test[0], training[1:] + test[1:]) == (header, header, rows)
    job, own = yaml.safe_load(found[f"{folder}/job.yml"]), yaml.safe_load((EXAMPLE / "job.yml").read_text())
    assert own.pop("compute")
    assert own.pop("test_data_size") == pytest.approx(len(test) / len(rows), abs=1e-3)
    assert job.pop("test_data") == {"path": f"./{sides[1]}", "type": "mltable"}
    assert job == own


def test_no_line_of_a_template_is_too_long_to_read() -> None:
    for files in map(templates.files, CASES.values()):
        for path, text in own(files).items():
            assert max(map(len, text.splitlines())) <= 120, path
            assert text.endswith("\n")


def test_what_pulumi_starts_is_the_installed_program(tmp_path: Path) -> None:
    """As Pulumi's language host starts it: in the folder `infra`, which holds nothing else and is no package."""
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "__main__.py").write_text(templates.files(CASES["plain"])["infra/__main__.py"])
    code = (
        "import json, runpy, sys, types\n"
        "program = types.ModuleType('infra.__main__'); ran = []\n"
        "class Found:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'infra.__main__':\n"
        "            ran.append(list(path)); raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Found())\n"
        "try:\n"
        "    runpy.run_path('.', run_name='__main__')\n"
        "except KeyboardInterrupt:\n"
        "    print(json.dumps(ran))\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path / "infra", capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [[str(ROOT / "infra")]]
