"""The recording monitor: what a program registers, seen whole, and nothing of it left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi_azure_native import authorization, managedidentity, resources, storage

from infra import stackfile
from infra.plan import arm, run
from infra.plan.model import PlannedResource
from infra.settings import StackSettings

GUID = "11111111-1111-4111-8111-111111111111"
TEXT = f"""config:
  azure-native:location: westeurope
  azure-native:subscriptionId: {GUID}
  forestay:stem: churn
  other:token:
    secure: v1:abc
  other:numbers: [1, 2]
"""


def stack(tmp_path: Path, name: str = "dev") -> stackfile.Stack:
    (tmp_path / "stacks").mkdir(exist_ok=True)
    stackfile.stack_path(tmp_path, name).write_text(TEXT, encoding="utf-8")
    return stackfile.load(tmp_path, name)


class Store(pulumi.ComponentResource):
    def __init__(self, name: str, group: pulumi.Output[str], opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("forestay:infra:Store", name, None, opts)
        under = pulumi.ResourceOptions(parent=self, protect=True, aliases=[pulumi.Alias(name="old")])
        self.account = storage.StorageAccount(
            "account",
            account_name="stchurn",
            resource_group_name=group,
            kind=storage.Kind.STORAGE_V2,
            sku=storage.SkuArgs(name=storage.SkuName.STANDARD_LRS),
            opts=under,
        )
        self.register_outputs({"blob": self.account.primary_endpoints.blob})


def declare(settings: StackSettings) -> None:
    group = resources.ResourceGroup("group", resource_group_name=f"rg-{settings.stem}")
    identity = managedidentity.UserAssignedIdentity("identity", resource_group_name=group.name, resource_name_="id-1")
    store = Store("store", group.name)
    authorization.RoleAssignment(
        "grant",
        principal_id=identity.principal_id,
        principal_type="ServicePrincipal",
        role_definition_id=identity.id.apply(lambda _: "/providers/Microsoft.Authorization/roleDefinitions/x"),
        role_assignment_name="ra",
        scope=store.account.id,
        opts=pulumi.ResourceOptions(depends_on=[store]),
    )
    storage.BlobServiceProperties(
        "blobs",
        account_name=store.account.name,
        blob_services_name="default",
        resource_group_name=group.name,
        delete_retention_policy=storage.DeleteRetentionPolicyArgs(enabled=True, days=7),
        default_service_version=pulumi.Output.secret("2020-06-12"),
        opts=pulumi.ResourceOptions(parent=store, ignore_changes=["isVersioningEnabled"]),
    )
    pulumi.export("endpoint", store.account.primary_endpoints.blob)
    pulumi.export("token", pulumi.Config("other").require_secret("token"))


def named(found: Any) -> dict[str, PlannedResource]:
    return {one.name: one for one in found.recorded.values()}


def test_a_registration_is_seen_whole(tmp_path: Path) -> None:
    found = run.record(stack(tmp_path), declare)
    by_name = named(found)
    group = f"/subscriptions/{GUID}/resourceGroups/rg-churn"
    account = by_name["account"]
    assert account.urn == (
        "urn:pulumi:dev::forestay::forestay:infra:Store$azure-native:storage:StorageAccount::account"
    )
    assert account.place == "forestay:infra:Store$azure-native:storage:StorageAccount::account"
    assert account.id == f"{group}/providers/Microsoft.Storage/storageAccounts/stchurn"
    assert account.parent == by_name["store"].urn
    assert (account.protect, account.aliases[0]) == (True, "name=old")
    assert (by_name["store"].component, by_name["store"].id, by_name["store"].parent) == (True, "", None)
    grant = by_name["grant"]
    assert set(grant.depends_on) >= {account.urn, by_name["identity"].urn}
    assert grant.inputs["scope"] == account.id
    assert grant.inputs["principalId"] == arm.guid(by_name["identity"].id.lower(), "principalId")
    assert by_name["blobs"].ignore_changes == ("isVersioningEnabled",)
    assert found.answers.principals[grant.inputs["principalId"]] == "identity"


def test_numbers_are_whole_and_secrets_masked(tmp_path: Path) -> None:
    found = run.record(stack(tmp_path), declare)
    blobs = named(found)["blobs"]
    assert json.dumps(blobs.inputs["deleteRetentionPolicy"], sort_keys=True) == '{"days": 7, "enabled": true}'
    assert blobs.inputs["defaultServiceVersion"] == "[secret]"
    assert blobs.secret_paths == ("defaultServiceVersion",)
    assert found.exports == {"endpoint": "https://stchurn.blob.core.windows.net/", "token": "[secret]"}


def test_two_plans_in_one_process_know_nothing_of_each_other(tmp_path: Path) -> None:
    one = run.record(stack(tmp_path), declare)
    two = run.record(stack(tmp_path, "prod"), declare)
    again = run.record(stack(tmp_path), declare)
    assert one.recorded == again.recorded
    assert {urn.replace(":dev:", ":prod:") for urn in one.recorded} == set(two.recorded)
    assert pulumi.runtime.get_root_resource() is None


def test_children_follow_their_parents(tmp_path: Path) -> None:
    order = [one.name for one in run.in_order(run.record(stack(tmp_path), declare).recorded)]
    assert order[:3] == ["store", "blobs", "account"]
    assert set(order[3:]) == {"grant", "identity", "group"}


def test_what_goes_wrong_in_the_program_is_raised(tmp_path: Path) -> None:
    def wrong(_: StackSettings) -> None:
        raise KeyError("no such subnet")

    def unknown(_: StackSettings) -> None:
        group = resources.ResourceGroup("group")
        resources.ResourceGroup("other", tags={"key": group.tags.apply(lambda tags: tags["a"])})

    def twice(_: StackSettings) -> None:
        resources.ResourceGroup("group")
        resources.ResourceGroup("group")

    for program, told in ((wrong, "no such subnet"), (unknown, "does not know tags.key"), (twice, "declared twice")):
        with pytest.raises((KeyError, ValueError), match=told):
            run.record(stack(tmp_path), program)


def test_the_configuration_is_what_the_engine_hands_over(tmp_path: Path) -> None:
    texts, secret = run.configuration(stack(tmp_path))
    assert (texts["forestay:stem"], texts["other:token"], texts["other:numbers"]) == ("churn", "[secret]", "[1, 2]")
    assert secret == ["other:token"]


@pytest.mark.parametrize(
    ("kind", "inputs", "path"),
    [
        ("storage:BlobContainer", {"accountName": "a", "containerName": "c"}, "storageAccounts/a/blobServices/default"),
        ("network:RouteTable", {"routeTableName": "r"}, "Microsoft.Network/routeTables/r"),
        ("authorization:ManagementLockByScope", {"scope": "/s", "lockName": "k"}, "/s/providers/Microsoft.Auth"),
        (
            "kubernetesconfiguration:Extension",
            {
                "clusterRp": "Microsoft.ContainerService",
                "clusterResourceName": "managedClusters",
                "clusterName": "aks",
                "extensionName": "azureml",
            },
            "managedClusters/aks/providers/Microsoft.KubernetesConfiguration/extensions/azureml",
        ),
    ],
)
def test_ids_are_those_of_azure(kind: str, inputs: dict[str, Any], path: str) -> None:
    found = arm.identify(f"azure-native:{kind}", "x", {"resourceGroupName": "g", **inputs}, GUID)
    assert path in found.id
