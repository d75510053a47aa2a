"""Logins that are missing, wrong or not enough: told within seconds, exit code 3."""

from __future__ import annotations

import http.server
import json
import threading
from pathlib import Path

import pytest

from forestay import login
from forestay.errors import OutsideError
from tests.azure.conftest import Azure, Cli
from tests.azure.standin.service import refused
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


def test_a_federated_token_that_the_pipeline_has_renewed_is_read_again(
    azure: Azure, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours into a watch: azure-identity would use the old file's text for ten minutes more."""
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    file = project / "token"
    file.write_text("expired", encoding="utf-8")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(file))
    found = login.Login()
    with pytest.raises(OutsideError, match="AADSTS700024"):
        found.get_token(login.SCOPE)
    file.write_text("fresh", encoding="utf-8")
    assert found.get_token(login.SCOPE).token


def test_github_is_asked_for_a_new_assertion_each_time(azure: Azure, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its assertions hold for minutes; a job of hours logs in with as many as it needs."""
    asked: list[tuple[str, str]] = []

    class Runner(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            body = json.dumps({"value": "fresh"}).encode()
            self.send_response(200 if "right" in self.headers["Authorization"] else 403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Runner) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        monkeypatch.delenv("AZURE_CLIENT_SECRET")
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"http://127.0.0.1:{server.server_port}/token?job=1")
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "right")
        assert cli("job", "list").json == []
        assert asked == [("/token?job=1&audience=api://AzureADTokenExchange", "Bearer right")]
        expired = refused(401, "ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than now.")
        azure.fault(Fault("GET management.*/jobs$", expired))
        assert cli("job", "list").json == []
        assert len(asked) == 3
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "wrong")
        assert "id-token: write" in cli("job", "list", code=3).err
        server.shutdown()


def test_the_login_of_az(azure: Azure, cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`az login`, of the right tenant and of another one."""
    from tests.azure.standin.service import TENANT, token

    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    monkeypatch.setenv("PATH", f"{project}:/usr/bin:/bin")
    az = project / "az"
    for tenant, code in ((TENANT, 0), ("99999999-9999-4999-8999-999999999999", 3)):
        found = {
            "accessToken": token("https://management.azure.com", 3600, tenant),
            "expiresOn": "2099-01-01 00:00:00.000000",
            "expires_on": 4070908800,
            "subscription": "s",
            "tenant": tenant,
            "tokenType": "Bearer",
        }
        az.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(found)}\nEND\n", encoding="utf-8")
        az.chmod(0o755)
        done = cli("job", "list", code=code)
    assert "of another tenant than the subscription" in done.err
    assert "az login --tenant" in done.err


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
