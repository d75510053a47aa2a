"""`doctor --env`: what an environment in Azure lacks, each with its one fix, against the stand-in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from automl_jobs.azure import network
from forestay.doctor import checks, estate
from infra import stackfile
from infra.addresses import Addresses
from tests.azure.conftest import Azure, Cli, Done
from tests.azure.standin.service import CLIENT, refused
from tests.azure.standin.subscription import SUBSCRIPTION, Subscription
from tests.azure.standin.wire import Fault

pytestmark = pytest.mark.usefixtures("quick", "planned")
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
DATA_SCIENTIST = "f6c7c914-8db3-469d-8ca1-694a8f32e121"
BLOBS, FILES = "ba92f5b4-2d11-453d-a403-e96b0029c9fe", "69566ab7-960f-475b-8e7c-b3118f30c6bd"


@pytest.fixture(scope="module")
def _plan() -> dict[str, Any]:
    return {}


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch, _plan: dict[str, Any]) -> None:
    """The real plan of the stack, made once for all tests here."""
    from infra.plan import build

    make = build.plan

    def once(stack: Any, *more: Any) -> Any:
        key = stack.path.read_text(encoding="utf-8")
        if key not in _plan:
            _plan[key] = make(stack, *more)
        return _plan[key]

    monkeypatch.setattr(build, "plan", once)


@pytest.fixture
def subscription(azure: Azure, project: Path) -> Subscription:
    """The subscription, with the estate's registry, storage and vault in the group."""
    found: Subscription = azure.service.subscription
    addresses = Addresses(stackfile.load(project, "dev").settings)
    found.there = [addresses.of(kind).id for kind in ("containerRegistry", "storageAccount", "keyVault")]
    return found


def lines(done: Done, check: str) -> list[tuple[str, str, str]]:
    return [(one["status"], one["detail"], one["fix"]) for one in done.json if one["check"] == check]


def test_an_environment_that_is_well(azure: Azure, subscription: Subscription, cli: Cli) -> None:
    done = cli("doctor")
    assert {one["status"] for one in done.json} <= {"ok", "warning"}
    asked = {one["check"] for one in done.json if one["status"] == "ok"}
    assert {"stack", "plan", "login", "subscription", "providers", "quota", "names", "workspace", "roles"} <= asked
    assert {"registry", "network", "python", "uv", "disk", "memory", "project", "run store", "locks"} <= asked
    assert all(set(one) == {"check", "status", "detail", "fix"} for one in done.json)
    assert all(one["fix"] is None or "\n" not in one["fix"] for one in done.json)
    ((_, login, _),) = lines(done, "login")
    assert login.startswith("the AZURE_* variables: a service principal")
    assert CLIENT in login
    assert azure.service.refusals == []
    assert {request.method for request in azure.log if request.host == "management.azure.com"} <= {"GET", "POST"}
    assert not azure.sent("PUT")


@pytest.mark.parametrize("name", ["AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"])
def test_a_login_that_is_refused(azure: Azure, cli: Cli, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "99999999-9999-4999-8999-999999999999")
    done = cli("doctor", code=3)
    ((status, detail, fix),) = lines(done, "login")
    assert (status, "Azure refuses the login" in detail) == ("problem", True)
    assert name in fix
    skipped = " ".join(detail for _, detail, _ in lines(done, "skipped"))
    for check in ("subscription", "quota", "roles", "names", "workspace", "registry"):
        assert check in skipped
    assert lines(done, "plan")[0][0] == "ok"  # needs no login


def test_a_stack_file_that_is_wrong(azure: Azure, project: Path, cli: Cli) -> None:
    file = project / "stacks" / "Pulumi.dev.yaml"
    file.write_text(
        file.read_text(encoding="utf-8") + "  forestay:aci: perhaps\n  forestay:stems: x\n", encoding="utf-8"
    )
    done = cli("doctor", code=1)
    found = lines(done, "stack")
    assert [status for status, _, _ in found] == ["problem", "problem"]
    assert all("Pulumi.dev.yaml:" in detail and fix for _, detail, fix in found)
    assert azure.log == []


def test_an_environment_that_is_not_there(azure: Azure, cli: Cli) -> None:
    assert "no stack 'prod'" in cli("doctor", env="prod", code=2).err


@pytest.mark.parametrize(
    ("state", "status", "code"), [("Disabled", "problem", 3), ("PastDue", "warning", 0), ("Enabled", "ok", 0)]
)
def test_a_subscription_that_is_switched_off(
    subscription: Subscription, cli: Cli, state: str, status: str, code: int
) -> None:
    subscription.state = state
    done = cli("doctor", code=code)
    assert lines(done, "subscription")[0][0] == status


def test_a_subscription_that_the_login_does_not_see(azure: Azure, project: Path, cli: Cli) -> None:
    file = project / "stacks" / "Pulumi.dev.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("11111111-1111", "12121212-1212"), encoding="utf-8")
    ((status, detail, fix),) = lines(cli("doctor", code=3), "subscription")
    assert (status, "sees no subscription 12121212" in detail, "az login" in fix) == ("problem", True, True)


def test_providers_that_are_not_registered(subscription: Subscription, cli: Cli) -> None:
    subscription.providers["Microsoft.MachineLearningServices"] = "NotRegistered"
    ((status, detail, fix),) = lines(cli("doctor", code=3), "providers")
    assert (status, detail) == ("problem", "not registered: Microsoft.MachineLearningServices")
    assert fix.startswith("az provider register --subscription 1111")
    subscription.providers["Microsoft.MachineLearningServices"] = "Registering"
    del subscription.providers["Microsoft.ContainerInstance"], subscription.providers["Microsoft.Storage"]
    ((_, detail, fix),) = lines(cli("doctor", code=3), "providers")
    assert detail == "not registered: Microsoft.ContainerInstance, Microsoft.Storage"
    assert fix.startswith("for name in Microsoft.ContainerInstance Microsoft.Storage; do az provider register")


@pytest.mark.parametrize(
    ("used", "granted", "status", "code"),
    [(0, 100, "ok", 0), (95, 100, "warning", 0), (0, 4, "problem", 3)],
)
def test_quota_against_what_the_stack_takes(
    azure: Azure, subscription: Subscription, cli: Cli, used: int, granted: int, status: str, code: int
) -> None:
    azure.service.quota["standardDSv2Family"] = (used, granted)  # two nodes of four cores
    found = lines(cli("doctor", code=code), "quota")
    told = [one for one in found if "standardDSv2Family" in one[1]]
    assert [one[0] for one in told] == [status]
    assert f"take up to 8 cores, {granted} are granted, {used} in use" in told[0][1]
    assert (told[0][2] is None) == (status == "ok")


def test_a_family_that_the_region_lacks(azure: Azure, subscription: Subscription, cli: Cli) -> None:
    azure.service.quota.clear()
    found = lines(cli("doctor"), "quota")
    assert ("warning", "take a VM size that the region offers") in [(status, fix) for status, _, fix in found]


def grants(*found: tuple[str, str]) -> list[tuple[str, str]]:
    return [(role, f"{SUBSCRIPTION}{scope}") for role, scope in found]


@pytest.mark.parametrize(
    ("held", "told"),
    [
        (grants((CONTRIBUTOR, ""), (BLOBS, ""), (FILES, "")), ["ok", "ok", "warning"]),
        (grants((DATA_SCIENTIST, ""), (BLOBS, ""), (FILES, "")), ["ok", "warning", "warning"]),
        (grants((DATA_SCIENTIST, "/resourceGroups/rg-categorize-dev-other"), (BLOBS, "")), ["problem"]),
        ([], ["problem"]),
    ],
)
def test_roles(subscription: Subscription, cli: Cli, held: list[tuple[str, str]], told: list[str]) -> None:
    subscription.roles = held
    found = lines(cli("doctor", code=3 if "problem" in told else 0), "roles")
    assert [status for status, _, _ in found] == told
    if told[-1] == "warning":
        assert "Role Based Access Control Administrator" in found[-1][1]
        assert found[-1][2].startswith(f"by an owner: az role assignment create --assignee {CLIENT} --role ")
    if told[0] == "problem":
        assert "forestay:principals: submitters:" in found[0][2]


def test_an_owner_has_no_right_to_data(subscription: Subscription, cli: Cli) -> None:
    """The one that surprises everybody: an Owner's first upload ends in a 403."""
    submit, _, change = lines(cli("doctor"), "roles")
    assert change[0] == "ok"
    assert (submit[0], "Storage Blob Data Contributor" in submit[1]) == ("warning", True)


@pytest.mark.parametrize("gone", ["missing", "group"])
def test_an_estate_that_was_never_made(azure: Azure, cli: Cli, gone: str) -> None:
    azure.service.gone = gone
    done = cli("doctor")
    assert lines(done, "workspace")[0][::2] == ("warning", "forestay infra up --env dev")
    assert lines(done, "names")[0][0] == "ok"


def test_names_that_azure_keeps(azure: Azure, cli: Cli, project: Path) -> None:
    stack = stackfile.load(project, "dev")
    vault, kept = stack.names.of("keyVault"), stack.names.of("keyVault", "state")
    subscription: Subscription = azure.service.subscription
    subscription.deleted = {vault: False, kept: True}
    azure.service.gone = "soft"
    found = lines(cli("doctor", code=3), "names")
    assert [status for status, _, _ in found] == ["problem"] * 3
    workspace, own, state = found
    assert "mlw-categorize-dev" in workspace[1]
    assert workspace[2].startswith("az rest --method delete --url 'https://management.azure.com/subscriptions/1111")
    assert workspace[2].endswith("&forceToPurge=true'")
    assert own[2] == f"az keyvault purge --name {vault} --location westeurope"
    assert "until 2026-12-24" in own[1]
    assert state[2] == f"az keyvault recover --name {kept} --location westeurope"


def test_names_that_somebody_else_has(azure: Azure, cli: Cli, project: Path) -> None:
    name = stackfile.load(project, "dev").names.of("storageAccount")
    azure.service.subscription.taken.add(name)
    ((status, detail, fix),) = lines(cli("doctor"), "names")
    assert (status, name in detail) == ("warning", True)
    assert fix.startswith("choose another: forestay:names: {storageAccount: NAME}")


def test_a_workspace_whose_own_service_is_away(azure: Azure, subscription: Subscription, cli: Cli) -> None:
    azure.fault(Fault(r"api\.azureml\.ms/history", times=9))
    ((status, detail, _),) = lines(cli("doctor", code=3), "workspace")
    assert (status, "westeurope.api.azureml.ms can't be reached" in detail) == ("problem", True)


def test_a_registry_that_refuses(azure: Azure, subscription: Subscription, cli: Cli) -> None:
    azure.fault(Fault(r"azurecr\.io/v2/", refused(403, "DENIED", "client with IP is not allowed"), times=9))
    ((status, detail, _),) = lines(cli("doctor", code=3), "registry")
    assert (status, "refuses with 403" in detail) == ("problem", True)


def test_from_outside_of_a_private_network(
    azure: Azure, subscription: Subscription, project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project / "stacks" / "Pulumi.dev.yaml"
    file.write_text(
        file.read_text(encoding="utf-8") + "  forestay:network: private\n  forestay:registry: {sku: premium}\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(network, "_through_proxy", lambda _: False)
    monkeypatch.setattr(network, "addresses", lambda _: ("20.61.99.1",))
    done = cli("doctor", code=3)
    ((status, detail, fix),) = lines(done, "network")
    assert (status, "this machine is outside" in detail, "`runners`" in fix) == ("warning", True, True)
    assert "inside its private network only" in lines(done, "registry")[0][1]
    monkeypatch.setattr(network, "addresses", lambda _: ("10.20.1.5",))
    assert "this machine is inside" in lines(cli("doctor"), "network")[0][1]
    monkeypatch.setattr(network, "addresses", lambda _: ())
    assert "can't be told" in lines(cli("doctor"), "network")[0][1]


def test_azure_that_does_not_answer_in_time(
    azure: Azure, subscription: Subscription, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "ASKING", 1.0)
    azure.fault(Fault(r"roleAssignments", delay=3.0, answer=refused(503, "ServerBusy", "later")))
    ((status, detail, _),) = lines(cli("doctor", code=3), "roles")
    assert (status, detail) == ("problem", "no answer within 1 s")


def test_a_plan_that_policies_refuse(
    azure: Azure, subscription: Subscription, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from infra.plan.model import Finding, Plan

    finding = Finding("no-public-data", "mandatory", "urn", "is public", "close it")
    monkeypatch.setattr("infra.plan.build.plan", lambda *_: Plan("dev", "westeurope", (), policy=(finding,)))
    ((status, detail, fix),) = lines(cli("doctor"), "plan")
    assert (status, "no-public-data" in detail, fix) == (
        "warning",
        True,
        "forestay infra plan --env dev says where",
    )


def test_without_the_extra_infra_the_rest_is_looked_at(
    azure: Azure, subscription: Subscription, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estate, "find_spec", lambda _: None)
    done = cli("doctor")
    assert lines(done, "plan")[0][::2] == ("warning", "pip install 'forestay[infra]'")
    assert lines(done, "quota") == lines(done, "roles") == []
    assert lines(done, "workspace")[0][0] == "ok"


def test_the_list_is_one_json_document(azure: Azure, subscription: Subscription, cli: Cli) -> None:
    done = cli("doctor")
    assert isinstance(json.loads(done.out), list)
    assert "{" not in done.err
