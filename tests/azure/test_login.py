"""Logins that are missing, wrong or not enough: told within seconds, exit code 3."""

from __future__ import annotations

from pathlib import Path

import pytest

from forestay import login
from tests.azure.conftest import Azure, Cli
from tests.azure.standin.wire import Fault

pytestmark = pytest.mark.usefixtures("quick")


def test_a_tenant_that_is_not_there(azure: Azure, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", "99999999-9999-4999-8999-999999999999")
    done = cli("job", "list", code=3)
    assert "there is no tenant of that id" in done.err
    assert "AZURE_TENANT_ID" in done.err


def test_a_wrong_secret_is_told_and_never_shown(azure: Azure, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "hunter2-hunter2")
    done = cli("job", "list", code=3)
    assert "the client secret is wrong" in done.err
    assert "hunter2" not in done.err


def test_workload_identity_and_a_federated_token_that_has_expired(
    azure: Azure, cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    token = project / "token"
    token.write_text("fresh", encoding="utf-8")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(token))
    assert cli("job", "list").json == []
    token.write_text("expired", encoding="utf-8")
    assert "AZURE_FEDERATED_TOKEN_FILE" in cli("job", "list", code=3).err


def test_no_login_at_all(azure: Azure, cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "dev")  # no managed identity: its address is outside this machine
    monkeypatch.setenv("PATH", str(project))
    done = cli("job", "list", code=3)
    assert "no login to Azure was found" in done.err
    assert "az login" in done.err


@pytest.mark.parametrize(
    ("gone", "said", "fix"),
    [
        ("missing", "there is no workspace mlw-categorize-dev", "forestay infra up --env dev"),
        ("group", "there is no resource group rg-categorize-dev", "forestay infra up --env dev"),
        ("soft", "was deleted and can still be recovered", "Recently deleted"),
    ],
)
def test_no_workspace(azure: Azure, cli: Cli, job_file: Path, gone: str, said: str, fix: str) -> None:
    azure.service.gone = gone
    for words in (["list"], ["show", "calm_bay"], ["submit", str(job_file)]):
        done = cli("job", *words, code=3)
        assert said in done.err
        assert fix in done.err


def test_a_missing_role_is_named(azure: Azure, cli: Cli, job_file: Path) -> None:
    azure.service.forbidden = "GET .*/jobs"
    done = cli("job", "list", code=3)
    assert "AzureML Data Scientist" in done.err
    azure.service.forbidden = "PUT .*/computes"
    done = cli("job", "submit", job_file, "--set", "compute=azureml:new", "--create-compute", code=3)
    assert "AzureML Compute Operator" in done.err


def test_a_stack_that_is_not_there(azure: Azure, cli: Cli) -> None:
    done = cli("job", "list", code=2, env="prod")
    assert "no stack 'prod'" in done.err
    assert azure.log == []


def test_azure_out_of_reach(azure: Azure, cli: Cli) -> None:
    azure.fault(Fault("GET management", times=99))
    done = cli("job", "list", code=3)
    assert "management.azure.com can't be reached" in done.err


@pytest.mark.parametrize("number", sorted(login._KNOWN))
def test_every_known_refusal_says_what_to_do(number: str) -> None:
    error = login.told(f"ClientSecretCredential: {number}: something long. Trace ID: x")
    assert error.exit_code == 3
    assert number in str(error)
    assert error.problems[0].fix
