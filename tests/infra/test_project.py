"""The stacks of a project that `init` makes: no policy forbids what they plan, and Pulumi's engine runs them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from forestay.scaffold import files as templates
from forestay.scaffold.answers import ENVIRONMENTS, TARGETS, Answers
from forestay.scaffold.place import place
from infra import stackfile
from infra.plan import build, prices
from infra.program import declare
from tests.infra import engine

GUID = "11111111-1111-4111-8111-111111111111"


def project(folder: Path, target: str) -> Path:
    answers = Answers(
        stem="churn", location="westeurope", subscriptions=dict.fromkeys(ENVIRONMENTS, GUID), mail="ml@contoso.com",
        ci="none", target=target, example=False, since="2026-01-01",
    )  # fmt: skip
    place(folder, templates.files(answers))
    return folder


@pytest.mark.parametrize("target", TARGETS)
def test_no_policy_forbids_what_is_made(tmp_path: Path, target: str) -> None:
    root = project(tmp_path, target)
    for env in ENVIRONMENTS:
        for stack in (env, f"{env}-services"):
            plan = build.plan(stackfile.load(root, stack), prices.load(), declare)
            assert not [one for one in plan.policy if one.level == "mandatory"], stack
            assert plan.resources or stack != env  # nothing is served yet
            clusters = [one for one in plan.resources if one.type.endswith(":ManagedCluster")]
            assert bool(clusters) is (target == "aks" and stack == env)


@pytest.mark.engine
def test_pulumi_starts_the_installed_program_from_the_project(tmp_path: Path) -> None:
    """`pulumi preview` by hand, in a folder that holds nothing but what `init` made."""
    binary = engine.binary()
    if binary is None:
        pytest.skip("Pulumi's engine is not built: make engine")
    with engine.lab(tmp_path, binary) as lab:
        shutil.rmtree(lab.folder / "stacks")
        (lab.folder / "infra").unlink()
        (lab.folder / "Pulumi.yaml").unlink()
        project(lab.folder, "managed")
        assert lab.pulumi("stack", "init", "dev").code == 0
        done = lab.pulumi("preview", "--stack", "dev")
        assert done.code == 0, done.out + done.err
        assert "to create" in done.out
        # The same from Forestay, which brings its program itself.
        assert lab.run(sys.executable, "-m", "forestay", "infra", "preview", "--env", "dev").code == 0
