"""Stacks are changed through Pulumi's CLI: a stand-in on PATH that answers as the CLI does, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forestay import cli
from forestay.errors import InputError, OutsideError, RunFailed
from infra import operate, stackfile
from infra.engine_errors import explain
from infra.plan.build import plan
from infra.plan.prices import load
from infra.program import declare
from infra.progress import Progress

ROOT = Path(__file__).parents[2]
# The CLI's commands that the Automation API calls, with what the test laid out for them in `answers.json`.
STAND_IN = """#!{python}
import json, pathlib, sys
words = [word for word in sys.argv[1:] if not word.startswith("--") or word == "--show-secrets"]
here = pathlib.Path(__file__).parent
with (here / "calls.txt").open("a") as log:
    log.write(" ".join(words) + "\\n")
if words[0] == "version":
    print("v3.200.0")
    raise SystemExit
answers = json.loads((here / "answers.json").read_text())
command = max((key for key in answers if " ".join(words).startswith(key)), key=len, default=None)
code, out, err, events = answers.get(command, [0, "", "", []])
if "--event-log" in sys.argv:
    with open(sys.argv[sys.argv.index("--event-log") + 1], "a") as log:
        log.writelines(json.dumps(event) + "\\n" for event in [*events, {{"cancelEvent": {{}}}}])
sys.stdout.write(out)
sys.stderr.write(err)
raise SystemExit(code)
"""
EMPTY = {"version": 3, "deployment": {"resources": []}}
STORE = "azure-native:storage:StorageAccount"
COMPONENT = "forestay:infra:Storage"
URN = f"urn:pulumi:dev::forestay::{COMPONENT}${STORE}::storage"


class Pulumi:
    """The stand-in: answers by the beginning of a command, and what was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers: dict[str, Any] = {}
        self.put("stack export", out=json.dumps(EMPTY))
        self.put("stack output", out="{}")
        self.put("stack history", out="[]")
        program = folder / "pulumi"
        program.write_text(STAND_IN.format(python=sys.executable), encoding="utf-8")
        program.chmod(0o755)

    def put(self, command: str, code: int = 0, out: str = "", err: str = "", events: list[Any] | None = None) -> None:
        self.answers[command] = [code, out, err, events or []]
        (self.folder / "answers.json").write_text(json.dumps(self.answers), encoding="utf-8")

    @property
    def calls(self) -> list[str]:
        log = self.folder / "calls.txt"
        return log.read_text(encoding="utf-8").splitlines() if log.exists() else []

    def holds(self, *resources: dict[str, Any], pending: tuple[dict[str, Any], ...] = ()) -> None:
        deployment = {"resources": list(resources), "pending_operations": list(pending)}
        self.put("stack export", out=json.dumps({"version": 3, "deployment": deployment}))


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pulumi:
    shutil.copy(ROOT / "Pulumi.yaml", tmp_path)
    shutil.copytree(ROOT / "stacks", tmp_path / "stacks")
    (tmp_path / "bin").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin") + os.pathsep + os.environ["PATH"])
    return Pulumi(tmp_path / "bin")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(["infra", *words])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return int(ended.value.code or 0), out, err


def stored(name: str = "storage", **more: Any) -> dict[str, Any]:
    stack = stackfile.load(Path.cwd(), "dev")
    group = f"/subscriptions/{stack.settings.subscription_id}/resourceGroups/{stack.names.of('resourceGroup')}"
    account = f"{group}/providers/Microsoft.Storage/storageAccounts/{stack.names.of('storageAccount')}"
    return {"urn": URN, "type": STORE, "id": account, "custom": True, **more}


def happening(op: str, *, done: bool = False, **more: Any) -> dict[str, Any]:
    metadata = {"op": op, "urn": URN, "type": STORE, "provider": "", **more}
    return {"resOutputsEvent" if done else "resourcePreEvent": {"metadata": metadata}}


HISTORY = json.dumps(
    [
        {
            "kind": "update",
            "startTime": "2026-01-01T00:00:00.000Z",
            "endTime": "2026-01-01T00:00:01.000Z",
            "message": "",
            "environment": {},
            "config": {},
            "result": "succeeded",
            "version": 1,
        }
    ]
)
SUMMARY = {"summaryEvent": {"resourceChanges": {"create": 1}, "durationSeconds": 1}}


def test_preview_tells_what_would_change(pulumi: Pulumi, capsys: pytest.CaptureFixture[str]) -> None:
    events = [happening("update", diffs=["sku", "tags"]), happening("same"), SUMMARY]
    pulumi.put("preview", events=events)
    code, out, err = run(capsys, "preview", "--env", "dev", "-o", "json")
    assert code == 0, err
    found = json.loads(out)
    assert found["changes"] == {"update": 1}
    (one,) = found["resources"]
    assert one.pop("differences")
    assert one == {"urn": URN, "type": STORE, "name": "storage", "op": "update", "diffs": ["sku", "tags"]}
    assert not [call for call in pulumi.calls if call.startswith("up")]


def test_up_tells_its_progress_and_the_outputs(pulumi: Pulumi, capsys: pytest.CaptureFixture[str]) -> None:
    pulumi.put("up", events=[happening("create"), happening("create", done=True), SUMMARY])
    pulumi.put("stack output --show-secrets", out=json.dumps({"workspace": "mlw", "key": "hunter2"}))
    pulumi.put("stack output", out=json.dumps({"workspace": "mlw", "key": "[secret]"}))
    pulumi.put("stack history", out=HISTORY)
    code, out, err = run(capsys, "up", "--env", "dev", "--yes")
    assert code == 0, err
    assert "create storage:StorageAccount storage ..." in err
    assert "made: storage:StorageAccount storage" in err
    assert "workspace = mlw" in out
    assert "hunter2" not in out + err


@pytest.mark.parametrize("command", ["up", "refresh", "destroy"])
def test_off_a_terminal_only_yes_is_an_answer(pulumi: Pulumi, capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, _, err = run(capsys, command, "--env", "dev")
    assert code == 2
    assert "add --yes" in err
    assert not pulumi.calls


def test_destroy_refuses_what_is_protected_and_says_what_is_lost(
    pulumi: Pulumi, capsys: pytest.CaptureFixture[str]
) -> None:
    pulumi.holds(stored(protect=True))
    code, _, err = run(capsys, "destroy", "--env", "dev", "--yes")
    assert code == 1
    assert "1 resources are protected: storage" in err
    assert not [call for call in pulumi.calls if call.startswith("destroy")]
    pulumi.holds(stored())
    pulumi.put("destroy", events=[happening("delete"), SUMMARY])
    pulumi.put("stack history", out=HISTORY)
    code, out, err = run(capsys, "destroy", "--env", "dev", "--yes", "-o", "json")
    assert code == 0, err
    assert "all data, models and logs in it" in err
    assert [one["urn"] for one in json.loads(out)["lost"]] == [URN]


@pytest.mark.parametrize(
    ("severity", "ephemeral", "said"),
    [
        ("info", False, ["front: moved"]),
        ("warning", False, ["warning: front: moved"]),
        ("error", False, ["error: front: moved"]),
        ("debug", False, []),
        ("info", True, []),
    ],
)
def test_what_the_program_tells_while_it_runs_is_said(severity: str, ephemeral: bool, said: list[str]) -> None:
    told: list[str] = []
    diagnostic = SimpleNamespace(message="moved\n", urn="a::b::c::front", severity=severity, ephemeral=ephemeral)
    nothing = dict.fromkeys(("resource_pre_event", "res_outputs_event", "res_op_failed_event"))
    Progress(told.append)(SimpleNamespace(**nothing, diagnostic_event=diagnostic))  # type: ignore[arg-type]
    assert told == said


def test_how_names_that_azure_keeps_are_freed() -> None:
    def deleted(type_: str, kind: str, env: str) -> str:
        own = f"/subscriptions/s/resourceGroups/rg/providers/{kind}/one"
        (told,) = operate.names_kept([operate.Held("urn", type_, own, False, False)], stackfile.load(ROOT, env))
        return told

    vault = ("azure-native:keyvault:Vault", "Microsoft.KeyVault/vaults")
    assert "`az keyvault purge --name one --location westeurope`" in deleted(*vault, "dev")
    assert "purge --" not in deleted(*vault, "prod")  # protected against it
    assert "`az keyvault recover --name one --location westeurope`" in deleted(*vault, "prod")
    space = ("azure-native:machinelearningservices:Workspace", "Microsoft.MachineLearningServices/workspaces")
    assert "`az rest --method delete --url 'https://management.azure.com/subscriptions/s/" in deleted(*space, "dev")
    assert "forceToPurge=true" in deleted(*space, "dev")
    assert not operate.names_kept([operate.Held("urn", STORE, "/x", False, False)], stackfile.load(ROOT, "dev"))


def test_a_changed_stem_on_a_live_stack_is_refused(pulumi: Pulumi, capsys: pytest.CaptureFixture[str]) -> None:
    pulumi.holds(stored())
    stack = Path("stacks/Pulumi.dev.yaml")
    stack.write_text(stack.read_text(encoding="utf-8").replace("stem: categorize", "stem: category"), encoding="utf-8")
    code, _, err = run(capsys, "up", "--env", "dev", "--yes")
    assert code == 2, err
    assert "put back forestay:stem" in err
    assert "all data, models and logs in it would be lost" in err
    assert not [call for call in pulumi.calls if call.startswith("up")]


def test_the_same_names_are_not_refused(pulumi: Pulumi) -> None:
    pulumi.holds(stored())
    stack = stackfile.load(Path.cwd(), "dev")
    held = operate.state(stack)
    assert [one.name for one in held] == ["storage"]
    planned = plan(stack, load(), declare)
    assert held[0].urn in {one.urn for one in planned.resources}
    operate.refuse_renamed(held, planned, "dev")


def test_a_run_that_was_cut_off_is_told(pulumi: Pulumi, capsys: pytest.CaptureFixture[str]) -> None:
    pulumi.holds(pending=({"type": "creating", "resource": {"urn": URN}},))
    code, _, err = run(capsys, "up", "--env", "dev", "--yes")
    assert code == 1
    assert "cut off while: creating storage" in err
    assert "forestay infra refresh --env dev" in err


def test_a_violated_policy_stops_up(pulumi: Pulumi, capsys: pytest.CaptureFixture[str]) -> None:
    stack = Path("stacks/Pulumi.dev.yaml")
    stack.write_text(stack.read_text(encoding="utf-8").replace("minNodes: 0", "minNodes: 1"), encoding="utf-8")
    code, _, err = run(capsys, "up", "--env", "dev", "--yes")
    assert code == 1
    assert "development-scales-to-zero: training keeps nodes on" in err
    assert not [call for call in pulumi.calls if call.startswith("up")]


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("error: PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions", 3, "pulumi login"),
        ("error: the stack is currently locked by 1 lock(s). Either wait", 3, "pulumi cancel --stack dev"),
        ("error: [409] Conflict: Another update is currently in progress.", 3, "pulumi cancel --stack dev"),
        (
            "error: incorrect passphrase; please set PULUMI_CONFIG_PASSPHRASE to the correct passphrase or set"
            " PULUMI_CONFIG_PASSPHRASE_FILE to a file containing the passphrase",
            2,
            "passphrase is not that of this stack",
        ),
    ],
)
def test_what_pulumi_refuses_is_told(
    pulumi: Pulumi, capsys: pytest.CaptureFixture[str], text: str, code: int, told: str
) -> None:
    pulumi.put("stack select", code=255, err=text)
    ended, out, err = run(capsys, "refresh", "--env", "dev", "--yes")
    assert (ended, out) == (code, "")
    assert told in err


def test_a_stack_that_does_not_open_is_not_one_that_was_never_made(
    pulumi: Pulumi, capsys: pytest.CaptureFixture[str]
) -> None:
    pulumi.put("stack select", code=255, err="error: incorrect passphrase")
    code, _, err = run(capsys, "up", "--env", "dev", "--yes")
    assert code == 2
    assert "passphrase is not that of this stack" in err
    assert not [call for call in pulumi.calls if call.startswith("up")]


def test_a_stale_lock_is_told_from_one_that_is_held(pulumi: Pulumi, capsys: pytest.CaptureFixture[str]) -> None:
    text = "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete "
    text += "the lock file with `pulumi cancel`.\n  azblob://c/.pulumi/locks/x.json: created by ada@{} (pid {}) at 2026"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for host, process, told in (
        (socket.gethostname(), gone.pid, "by a run that is gone: ada@"),
        (socket.gethostname(), os.getpid(), "locked by another run: ada@"),
        ("elsewhere", gone.pid, "locked by another run: ada@elsewhere"),
    ):
        pulumi.put("stack select", code=255, err=text.format(host, process))
        code, _, err = run(capsys, "outputs", "--env", "dev")
        assert code == 3
        assert told in err
        assert "pulumi cancel --stack dev" in err


def test_outputs_of_a_stack_that_was_never_made(pulumi: Pulumi, capsys: pytest.CaptureFixture[str]) -> None:
    pulumi.put("stack select", code=255, err="error: no stack named 'dev' found")
    code, _, err = run(capsys, "outputs", "--env", "dev")
    assert code == 2
    assert "forestay infra up --env dev" in err


def test_without_pulumi(pulumi: Pulumi, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    code, _, err = run(capsys, "preview", "--env", "dev")
    assert code == 3
    assert "no `pulumi` on PATH" in err


@pytest.mark.parametrize(
    ("errors", "kind", "told"),
    [
        (["training: Code=QuotaExceeded Message=..."], OutsideError, "quota of the region is used up (QuotaExceeded)"),
        (["storage: is protected; unprotect"], RunFailed, "protected resource"),
        (["storage: ScopeLocked: cannot perform delete"], RunFailed, "lock in Azure"),
        (["vault: FlagMustBeSetForRestore"], RunFailed, "still belongs to a deleted resource"),
        (["grant: RoleAssignmentExists"], RunFailed, "already given by somebody else"),
        (["x: AADSTS700024 assertion"], OutsideError, "not logged in to Azure"),
        (["x: <{%fg 1%}>AuthorizationFailed<{%reset%}>"], OutsideError, "may not do this"),
        (["store: something " + "new " * 300], RunFailed, "Pulumi failed: store: something new"),
    ],
)
def test_what_azure_refuses_is_told_with_the_resource(errors: list[str], kind: type[Exception], told: str) -> None:
    found = explain("code: 255", "dev", errors)
    assert isinstance(found, kind)
    assert told in found.problems[0].message
    assert len(found.problems[0].message) < 500
    assert found.problems[0].fix
    assert not isinstance(found, InputError)
