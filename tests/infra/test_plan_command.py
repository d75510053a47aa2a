"""`forestay infra plan`: the real program on the stacks that ship, and on stack files that are wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from forestay import cli

ROOT = Path(__file__).parents[2]
PERSON = "22222222-2222-4222-8222-222222222222"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(["infra", "plan", *words])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project's stacks; the command looks for Pulumi.yaml from the current folder upwards."""
    shutil.copy(ROOT / "Pulumi.yaml", tmp_path)
    shutil.copytree(ROOT / "stacks", tmp_path / "stacks")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    return tmp_path


@pytest.mark.parametrize("env", ["dev", "test", "prod"])
def test_the_plan_is_whole_and_known(project: Path, capsys: pytest.CaptureFixture[str], env: str) -> None:
    code, out, err = run(capsys, "--env", env, "--output", "json")
    assert (code, err) == (0, "")
    plan = json.loads(out)
    assert plan["env"] == env
    assert not [one for one in plan["policy"] if one["level"] == "mandatory"]
    urns = {one["urn"] for one in plan["resources"]}
    for one in plan["resources"]:
        assert set(one) >= {"urn", "type", "name", "parent", "depends_on", "inputs"}
        assert one["parent"] is None or one["parent"] in urns
        assert set(one["depends_on"]) <= urns
    assert "04da6b54-80e4-46f7-96ec-b56ff0331ba9" not in out  # Pulumi's mark of what is not known
    assert "4dabf18193072939515e22adb298388d" not in out  # and of a secret on the wire
    assert all(set(one) >= {"principal", "role", "scope", "reason"} and one["reason"] for one in plan["roles"])
    assert all(one["principal"].count("-") != 4 for one in plan["roles"])  # names, not ids
    assert any("registry bills" in one["reason"] for one in plan["idle_cost"])
    assert plan["prices"]["date"]
    assert [one["family"] for one in plan["quota"]]


def test_what_a_person_sees(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--env", "dev")
    assert code == 0
    for words in ("StorageAccount storage", "after group", "bills while idle", "because", "quota of", "policies hold"):
        assert words in out


def test_a_mandatory_rule_that_is_violated_ends_in_1(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack = project / "stacks" / "Pulumi.prod.yaml"
    stack.write_text(stack.read_text(encoding="utf-8").replace("forestay:lock: true", "forestay:lock: false"), "utf-8")
    code, out, _ = run(capsys, "--env", "prod", "-o", "json")
    assert code == 1
    found = {one["rule"] for one in json.loads(out)["policy"] if one["level"] == "mandatory"}
    assert found == {"locked-data"}
    code, _, err = run(capsys, "--env", "prod", "--graph", "dot")
    assert code == 1
    assert "locked-data: storage holds data" in err


def test_people_get_only_listed_roles(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (project / "stacks" / "Pulumi.prod.yaml").open("a", encoding="utf-8") as stack:
        stack.write(f"  forestay:principals: {{submitters: [{PERSON}], deployers: [{PERSON}]}}\n")
    code, out, _ = run(capsys, "--env", "prod", "-o", "json")
    plan = json.loads(out)
    assert (code, plan["policy"]) == (0, [])
    theirs = {(one["role"], one["scope"]) for one in plan["roles"] if one["principal"] == PERSON}
    assert {("AzureML Data Scientist", "workspace"), ("AcrPush", "registry")} <= theirs


def test_a_saved_plan_shows_what_a_change_changes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = project / "plan.json"
    assert run(capsys, "--env", "dev", "--save", str(saved))[0] == 0
    code, out, _ = run(capsys, "--env", "dev", "--against", str(saved), "-o", "json")
    assert (code, json.loads(out)["changes"]) == (0, [])
    stack = project / "stacks" / "Pulumi.dev.yaml"
    stack.write_text(stack.read_text(encoding="utf-8").replace("maxNodes: 2", "maxNodes: 3"), encoding="utf-8")
    _, out, _ = run(capsys, "--env", "dev", "--against", str(saved))
    assert "scaleSettings.maxNodeCount: 2 -> 3" in out
    assert "0 added, 0 removed, 1 changed" in out


def test_two_environments_differ_in_settings_and_not_in_names(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run(capsys, "--env", "dev", "--diff", "prod", "-o", "json")
    changes = json.loads(out)["changes"]
    paths = {one["path"] for one in changes if one["resource"].endswith("StorageAccount::storage")}
    assert "sku.name" in paths
    assert not paths & {"accountName", "resourceGroupName", "(aliases)[0]"}


@pytest.mark.parametrize(("form", "start"), [("mermaid", "flowchart LR"), ("dot", 'digraph "dev"')])
def test_graphs(project: Path, capsys: pytest.CaptureFixture[str], form: str, start: str) -> None:
    _, out, _ = run(capsys, "--env", "dev", "--graph", form)
    assert out.startswith(start)
    assert "StorageAccount storage" in out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "no stack 'broken'"),
        ("config: [", ": not YAML"),
        ("- a", "is a mapping"),
        (
            "config:\n  azure-native:location: westeurope\n"
            "  azure-native:subscriptionId: 11111111-1111-4111-8111-111111111111\n  forestay:stem: churn\n"
            "  forestay:layer: services\n  forestay:services:\n    api: {target: aci, model: M, version: '1', image: "
            f"a.io/b@sha256:{'a' * 64}, keys: {{primary: hunter2, secondary: hunter2}}}}\n",
            "is a secret in clear",
        ),
    ],
)
def test_a_wrong_stack_file_is_told(
    project: Path, capsys: pytest.CaptureFixture[str], text: str | None, told: str
) -> None:
    if text is not None:
        (project / "stacks" / "Pulumi.broken.yaml").write_text(text, encoding="utf-8")
    code, out, err = run(capsys, "--env", "broken")
    assert (code, out) == (2, "")
    assert told in err
    assert "hunter2" not in err
    assert "Traceback" not in err


def test_wrong_options_are_told(project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def told(*words: str) -> str:
        code, _, err = run(capsys, *words)
        assert code == 2
        return err

    assert "only one of" in told("--env", "dev", "--diff", "prod", "--graph", "dot")
    assert "no stack 'prd'" in told("--env", "dev", "--diff", "prd")
    assert "cannot read the plan" in told("--env", "dev", "--against", str(tmp_path / "none.json"))
    assert "no such file" in told("--env", "dev", "--prices", str(tmp_path / "none.yaml")).lower()


def test_a_plan_needs_no_network_no_login_and_no_pulumi(project: Path, tmp_path: Path) -> None:
    """In a process of its own where sockets lead nowhere, with nothing on PATH and no home."""
    code = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise OSError('no network here')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from forestay import cli\n"
        "cli.main(['infra', 'plan', '--env', 'dev', '-o', 'json'])\n"
    )
    environment: dict[str, Any] = {"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["resources"]
