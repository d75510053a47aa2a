"""`forestay infra bootstrap`: the place of the team's state, made once, against a stand-in for Azure."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from forestay import cli
from forestay.errors import RunFailed
from infra import arm, bootstrap, stackfile
from tests.infra.arm_standin import CALLER, TENANT, StandIn, serve
from tests.infra.recording import ROOT


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with serve() as found:
        monkeypatch.setattr(arm, "connect", lambda env: found.connect(env))
        yield found


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "Pulumi.yaml", tmp_path)
    shutil.copytree(ROOT / "stacks", tmp_path / "stacks")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(["infra", "bootstrap", *words])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return int(ended.value.code or 0), out, err


def texts(project: Path) -> dict[str, str]:
    return {str(path): path.read_text(encoding="utf-8") for path in sorted(project.rglob("*.yaml"))}


def test_a_plan_needs_no_login_and_changes_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = texts(project)
    code, out, err = run(capsys, "--env", "prod", "--plan", "-o", "json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [one["what"] for one in found["resources"]] == [
        "resource group",
        "storage account",
        "versions and soft delete of blobs",
        "container",
        "lock",
        "key vault",
        "key",
        "lock",
    ]
    assert {one["role"] for one in found["roles"]} == {"Storage Blob Data Contributor", "Key Vault Crypto User"}
    assert texts(project) == before


def test_everything_is_made_once_and_the_files_say_where(
    project: Path, azure: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    before = texts(project)
    code, out, err = run(capsys, "--env", "dev", "--yes", "-o", "json")
    assert code == 0, err
    found = json.loads(out)
    assert set(found["states"].values()) == {"made"}
    account = next(one for key, one in azure.there.items() if key.rpartition("/")[0].endswith("storageaccounts"))
    assert account["properties"]["allowSharedKeyAccess"] is False
    assert account["properties"]["minimumTlsVersion"] == "TLS1_2"
    vault = next(one for key, one in azure.there.items() if key.rpartition("/")[0].endswith("/vaults"))
    assert (vault["properties"]["tenantId"], vault["properties"]["enablePurgeProtection"]) == (TENANT, True)
    grants = [one["properties"] for key, one in azure.there.items() if "/roleassignments/" in key]
    assert [(one["principalId"], one["principalType"]) for one in grants] == [(CALLER, "ServicePrincipal")] * 2
    # Both stacks of the environment, and the project; comments and order stay.
    after = texts(project)
    assert {Path(path).name for path in after if after[path] != before[path]} == {
        "Pulumi.yaml",
        "Pulumi.dev.yaml",
        "Pulumi.dev-services.yaml",
    }
    for path, text in after.items():
        assert [line for line in text.splitlines() if line in before[path].splitlines()] == before[path].splitlines()
    stack = stackfile.load(project, "dev")
    assert stack.secrets_provider == found["secrets_provider"]
    assert found["secrets_provider"].startswith("azurekeyvault://kv-")
    # Again: nothing is asked for twice, no file is touched.
    azure.calls.clear()
    code, out, err = run(capsys, "--env", "dev", "--yes", "-o", "json")
    assert code == 0, err
    assert set(json.loads(out)["states"].values()) == {"there"}
    assert azure.puts == []
    assert texts(project) == after


def test_a_second_environment_shares_the_place_and_has_a_key_of_its_own(
    project: Path, azure: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "--env", "dev", "--yes")[0] == 0
    backend = (project / "Pulumi.yaml").read_text(encoding="utf-8")
    azure.calls.clear()
    code, _, err = run(capsys, "--env", "prod", "--yes")
    assert code == 0, err
    assert not [path for path in azure.puts if "storageAccounts" in path]
    assert (project / "Pulumi.yaml").read_text(encoding="utf-8") == backend
    keys = {stackfile.load(project, name).secrets_provider for name in ("dev", "prod", "prod-services")}
    assert len(keys) == 2


def test_what_was_changed_by_hand_is_put_right(project: Path, azure: StandIn) -> None:
    found = bootstrap.plan_for(project, stackfile.load(project, "dev"))
    bootstrap.carry_out(found, azure.connect(), lambda _: None)
    key, account = next(one for one in azure.there.items() if one[0].rpartition("/")[0].endswith("storageaccounts"))
    account["properties"]["allowSharedKeyAccess"] = True
    found = bootstrap.plan_for(project, stackfile.load(project, "dev"))
    states = bootstrap.carry_out(found, azure.connect(upn="ada@contoso.com"), lambda _: None)
    assert [one.lower() for one, state in states.items() if state == "changed"] == [key]
    assert azure.there[key]["properties"]["allowSharedKeyAccess"] is False


def test_a_role_that_somebody_gave_already_is_no_failure(project: Path, azure: StandIn) -> None:
    found = bootstrap.plan_for(project, stackfile.load(project, "dev"))
    for right in found.rights:
        words = (409, {"code": "RoleAssignmentExists", "message": "The role assignment already exists."})
        azure.refuse[bootstrap._assignment(right, CALLER).rpartition("/")[2]] = words
    states = bootstrap.carry_out(found, azure.connect(), lambda _: None)
    assert [states[key] for key in states if key.startswith("the caller")] == ["there", "there"]


@pytest.mark.parametrize(
    ("end", "status", "code", "exit_code", "told"),
    [
        ("/keys/pulumi", 403, "AuthorizationFailed", 3, "may not do this"),
        ("/blobServices/default", 400, "InvalidRequest", 1, "InvalidRequest: because"),
        ("-yjioa", 409, "VaultAlreadyExists", 1, "still belongs to a deleted resource"),
    ],
)
def test_a_refusal_is_told_and_no_file_is_written(
    project: Path,
    azure: StandIn,
    capsys: pytest.CaptureFixture[str],
    end: str,
    status: int,
    code: str,
    exit_code: int,
    told: str,
) -> None:
    before = texts(project)
    azure.refuse[end] = (status, {"code": code, "message": "because"})
    ended, out, err = run(capsys, "--env", "dev", "--yes")
    assert (ended, out) == (exit_code, ""), err
    assert told in err
    assert texts(project) == before


def test_a_wrong_body_is_refused_by_the_stand_in(azure: StandIn) -> None:
    if azure._checker is None:
        pytest.skip("shared/tools/arm_check.py is not here")
    group = "/subscriptions/s/resourceGroups/g"
    azure.there[group.lower()] = {}
    with pytest.raises(RunFailed, match="supportsHttpsTrafficOnyl"):
        azure.connect().put(
            f"{group}/providers/Microsoft.Storage/storageAccounts/st",
            "2024-01-01",
            {
                "location": "x",
                "kind": "StorageV2",
                "sku": {"name": "Standard_LRS"},
                "properties": {"supportsHttpsTrafficOnyl": 1},
            },
        )


def test_a_passphrase_is_for_development_alone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = texts(project)
    for env in ("prod", "test"):
        code, _, err = run(capsys, "--env", env, "--local", "--yes")
        assert code == 2
        assert "for development" in err
    assert texts(project) == before
    code, out, err = run(capsys, "--env", "dev", "--local", "--yes")
    assert code == 0, err
    assert (project / ".forestay" / "state").is_dir()
    changed = {path for path, text in texts(project).items() if text != before[path]}
    assert changed == {str(project / "Pulumi.yaml")}
    assert "  url: file://.forestay/state?metadata=skip\n" in (project / "Pulumi.yaml").read_text()
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" in out
    code, _, err = run(capsys, "--env", "prod", "--plan")
    assert code == 2
    assert "on this machine" in err


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("secretsprovider: awskms://alias/x\nencryptedkey: AAAA\n", "encrypted by awskms://alias/x"),
        ("encryptionsalt: v1:salt\n", "encrypted by passphrase"),
    ],
)
def test_secrets_that_others_encrypted_are_not_lost(
    project: Path, azure: StandIn, capsys: pytest.CaptureFixture[str], more: str, told: str
) -> None:
    path = project / "stacks" / "Pulumi.dev-services.yaml"
    path.write_text(more + path.read_text(encoding="utf-8"), encoding="utf-8")
    code, _, err = run(capsys, "--env", "dev", "--yes")
    assert code == 2
    assert told in err
    assert "change-secrets-provider" in err
    assert azure.calls == []


def test_both_stacks_share_one_place(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "--env", "dev-services", "--plan")
    assert code == 2
    assert "--env dev" in err
