"""Each rule with what it refuses and what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra import stackfile
from infra.components.roles import DEFINITIONS
from infra.plan.model import PlannedResource
from infra.policies.check import check
from infra.policies.estate import STACK_RULES
from infra.policies.model import Facts
from infra.policies.roles import ROLES
from infra.policies.rules import RULES, TAGGED
from tests.infra.conftest import Changed
from tests.infra.recording import record
from tests.infra.test_arm import COMBINATIONS

ROOT = Path(__file__).parents[2]
SUBSCRIPTION = "/subscriptions/11111111-1111-4111-8111-111111111111"
IN_GROUP = f"{SUBSCRIPTION}/resourceGroups/rg"
STORE = f"{IN_GROUP}/providers/Microsoft.Storage/storageAccounts/st"
ROLE = "/providers/Microsoft.Authorization/roleDefinitions/"
READER, OWNER, ACR_PULL = (
    ROLE + guid
    for guid in (
        "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
        "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    )
)
DIGEST = "cr.azurecr.io/churn@sha256:" + "a" * 64
DEV, PROD, PRIVATE = Facts(development=True), Facts(production=True), Facts(private=True)
TAGS = Facts(required_tags=("owner",))
ANY = Facts()


def made(kind: str, inputs: dict[str, Any], **more: Any) -> PlannedResource:
    token = kind if kind.startswith("kubernetes:") else f"azure-native:{kind}"
    given = {"urn": f"urn:pulumi:x::forestay::{token}::{more.get('name', 'one')}", "id": STORE, **more}
    return PlannedResource(type=token, parent=None, depends_on=(), inputs=inputs, **{"name": "one", **given})


def pods(image: str, key: str = "containers") -> dict[str, Any]:
    containers = {"containers": [{"name": "main", "image": DIGEST}]}
    return {"spec": {"template": {"spec": {**containers, key: [{"name": "main", "image": image}]}}}}


def scale(least: int) -> dict[str, Any]:
    scaling = {"scaleSettings": {"minNodeCount": least}}
    return {"properties": {"properties": scaling, "disableLocalAuth": True}}


def api(**profile: Any) -> dict[str, Any]:
    return {"disableLocalAccounts": True, "apiServerAccessProfile": profile}


CASES = [
    (
        "no-public-blob",
        ANY,
        "storage:StorageAccount",
        {"allowBlobPublicAccess": True},
        {"allowBlobPublicAccess": False},
    ),
    ("no-public-blob", ANY, "storage:StorageAccount", {}, {"allowBlobPublicAccess": False}),
    ("no-public-blob", ANY, "storage:BlobContainer", {"publicAccess": "Blob"}, {"publicAccess": "None"}),
    ("no-admin-registry", ANY, "containerregistry:Registry", {"adminUserEnabled": True}, {"adminUserEnabled": False}),
    ("no-admin-registry", ANY, "containerregistry:Registry", {"anonymousPullEnabled": True}, {}),
    (
        "no-quarantine",
        ANY,
        "containerregistry:Registry",
        {"policies": {"quarantinePolicy": {"status": "enabled"}}},
        {"policies": {"quarantinePolicy": {"status": "disabled"}}},
    ),
    (
        "identity-instead-of-keys",
        ANY,
        "keyvault:Vault",
        {"properties": {"accessPolicies": []}},
        {"properties": {"enableRbacAuthorization": True}},
    ),
    ("identity-instead-of-keys", ANY, "containerservice:ManagedCluster", {}, {"disableLocalAccounts": True}),
    ("identity-instead-of-keys", ANY, "machinelearningservices:Compute", {"properties": {}}, scale(0)),
    (
        "identity-instead-of-keys",
        ANY,
        "machinelearningservices:Compute",
        {"properties": {"computeType": "AmlCompute"}},
        {"properties": {"computeType": "Kubernetes", "resourceId": "a cluster"}},
    ),
    (
        "identity-instead-of-keys",
        ANY,
        "containerinstance:ContainerGroup",
        {"imageRegistryCredentials": [{"server": "cr.azurecr.io", "username": "u", "password": "p"}]},
        {"imageRegistryCredentials": [{"server": "cr.azurecr.io", "identity": "id"}]},
    ),
    (
        "no-shared-keys",
        ANY,
        "machinelearningservices:Workspace",
        {"systemDatastoresAuthMode": "AccessKey"},
        {"systemDatastoresAuthMode": "Identity"},
    ),
    (
        "tls-floor",
        ANY,
        "network:ApplicationGateway",
        {"sslPolicy": {"policyType": "Predefined", "policyName": "AppGwSslPolicy20150501"}},
        {"sslPolicy": {"policyType": "Predefined", "policyName": "AppGwSslPolicy20220101S"}},
    ),
    ("no-shared-keys", ANY, "storage:StorageAccount", {"allowSharedKeyAccess": True}, {"allowSharedKeyAccess": False}),
    ("tls-floor", ANY, "storage:StorageAccount", {"minimumTlsVersion": "TLS1_0"}, {"minimumTlsVersion": "TLS1_2"}),
    (
        "tls-floor",
        ANY,
        "storage:StorageAccount",
        {"minimumTlsVersion": "TLS1_2", "enableHttpsTrafficOnly": False},
        {"minimumTlsVersion": "TLS1_3", "enableHttpsTrafficOnly": True},
    ),
    ("tls-floor", ANY, "network:ApplicationGateway", {"sslPolicy": {"minProtocolVersion": "TLSv1_0"}}, {}),
    (
        "pinned-digests",
        ANY,
        "containerinstance:ContainerGroup",
        {"containers": [{"name": "a", "image": "cr.azurecr.io/churn:latest"}]},
        {"containers": [{"name": "a", "image": DIGEST}]},
    ),
    ("pinned-digests", ANY, "kubernetes:apps/v1:Deployment", pods("churn:1"), pods(DIGEST)),
    ("pinned-digests", ANY, "kubernetes:apps/v1:Deployment", pods("churn:1", "initContainers"), pods(DIGEST)),
    ("required-tags", TAGS, "storage:StorageAccount", {"tags": {"team": "x"}}, {"tags": {"owner": "ml"}}),
    ("required-tags", TAGS, "keyvault:Vault", {}, {"tags": {"owner": "ml"}}),
    ("development-scales-to-zero", DEV, "machinelearningservices:Compute", scale(1), scale(0)),
    (
        "development-scales-to-zero",
        DEV,
        "containerservice:AgentPool",
        {"mode": "User", "enableAutoScaling": True, "minCount": 1},
        {"mode": "User", "enableAutoScaling": True, "minCount": 0},
    ),
    (
        "development-scales-to-zero",
        DEV,
        "containerservice:ManagedCluster",
        {"agentPoolProfiles": [{"name": "u", "mode": "User", "count": 2}]},
        {"agentPoolProfiles": [{"name": "s", "mode": "System", "count": 2}]},
    ),
    (
        "private-means-private",
        PRIVATE,
        "containerregistry:Registry",
        {"sku": {"name": "Basic"}, "publicNetworkAccess": "Disabled"},
        {"sku": {"name": "Premium"}, "publicNetworkAccess": "Disabled"},
    ),
    (
        "private-means-private",
        PRIVATE,
        "machinelearningservices:Workspace",
        {"publicNetworkAccess": "Disabled"},
        {"publicNetworkAccess": "Disabled", "imageBuildCompute": "build"},
    ),
    ("private-means-private", PRIVATE, "storage:StorageAccount", {}, {"publicNetworkAccess": "Disabled"}),
    (
        "private-means-private",
        PRIVATE,
        "keyvault:Vault",
        {"properties": {}},
        {"properties": {"publicNetworkAccess": "disabled"}},
    ),
    (
        "private-means-private",
        PRIVATE,
        "containerinstance:ContainerGroup",
        {"ipAddress": {"type": "Public"}},
        {"ipAddress": {"type": "Private"}},
    ),
    (
        "listed-roles",
        ANY,
        "authorization:RoleAssignment",
        {"roleDefinitionId": OWNER, "scope": STORE},
        {"roleDefinitionId": READER, "scope": STORE},
    ),
    (
        "listed-roles",
        ANY,
        "authorization:RoleAssignment",
        {"roleDefinitionId": READER, "scope": SUBSCRIPTION},
        {"roleDefinitionId": READER, "scope": STORE.replace("Storage/", "storage/")},
    ),
    (
        "listed-roles",
        ANY,
        "authorization:RoleAssignment",
        {"roleDefinitionId": ACR_PULL, "scope": IN_GROUP},
        {"roleDefinitionId": ACR_PULL, "scope": f"{IN_GROUP}/providers/Microsoft.ContainerRegistry/registries/cr"},
    ),
    ("closed-cluster-api", PROD, "containerservice:ManagedCluster", api(), api(enablePrivateCluster=True)),
    (
        "closed-cluster-api",
        PROD,
        "containerservice:ManagedCluster",
        api(authorizedIPRanges=["0.0.0.0/0"]),
        api(authorizedIPRanges=["203.0.113.0/24"]),
    ),
    (
        "purge-protection",
        PROD,
        "keyvault:Vault",
        {"properties": {}},
        {"properties": {"enablePurgeProtection": True}},
    ),
]


@pytest.mark.parametrize(("rule", "facts", "kind", "bad", "good"), CASES)
def test_a_rule_refuses_and_takes(
    rule: str, facts: Facts, kind: str, bad: dict[str, Any], good: dict[str, Any]
) -> None:
    found = [one for one in check([made(kind, bad)], facts) if one.rule == rule]
    assert len(found) == 1
    assert found[0].message
    assert found[0].fix
    assert found[0].resource.endswith("::one")
    assert not [one for one in check([made(kind, good)], facts) if one.rule == rule]


def test_every_rule_has_a_case() -> None:
    assert {rule.name for rule in RULES} == {case[0] for case in CASES}


@pytest.mark.parametrize(
    ("rule", "kind", "bad"),
    [(rule, kind, bad) for rule, facts, kind, bad, _ in CASES if facts is not ANY],
)
def test_rules_of_an_environment_leave_others_alone(rule: str, kind: str, bad: dict[str, Any]) -> None:
    assert not [one for one in check([made(kind, bad)], ANY) if one.rule == rule]


def test_data_is_locked_in_production() -> None:
    store = made("storage:StorageAccount", {}, protect=True, urn="urn:store")
    lock = made("authorization:ManagementLockByScope", {"scope": STORE.upper(), "level": "CanNotDelete"}, id="lock")
    coming = made(
        "authorization:ManagementLockByScope",
        {"scope": "?", "level": "CanNotDelete"},
        sources={"scope": ("urn:store",)},
    )
    elsewhere = made("authorization:ManagementLockByScope", {"scope": f"{STORE}2"}, id="lock")

    def rules(*stack: PlannedResource, facts: Facts = PROD) -> list[str]:
        return [one.rule for one in check(stack, facts) if one.rule in {rule.name for rule in STACK_RULES}]

    assert rules(store) == rules(store, elsewhere) == ["locked-data"]
    assert not rules(store, lock)
    assert not rules(store, coming)
    assert not rules(store, facts=DEV)


def test_what_lives_long_is_protected_in_production() -> None:
    workspace = made("machinelearningservices:Workspace", {})
    kept = made("machinelearningservices:Workspace", {}, protect=True)
    assert [one.rule for one in check([workspace], PROD) if one.rule == "protected"]
    assert not [one for one in check([kept], PROD) if one.rule == "protected"]
    assert not [one for one in check([workspace], DEV) if one.rule == "protected"]


def test_no_lock_lies_on_a_group() -> None:
    group = made("resources:ResourceGroup", {}, id=IN_GROUP, urn="urn:group")
    for lock in (
        made("authorization:ManagementLockByScope", {"scope": IN_GROUP, "level": "CanNotDelete"}),
        made("authorization:ManagementLockAtResourceGroupLevel", {"level": "CanNotDelete"}),
        made("authorization:ManagementLockByScope", {"scope": STORE, "level": "ReadOnly"}),
    ):
        assert [one.rule for one in check([group, lock], ANY)] == ["narrow-locks"]
    fine = made("authorization:ManagementLockByScope", {"scope": STORE, "level": "CanNotDelete"})
    assert not check([group, fine], ANY)


@pytest.mark.parametrize("name", COMBINATIONS)
def test_what_the_program_declares_violates_no_mandatory_rule(changed: Changed, name: str) -> None:
    stack, sections = COMBINATIONS[name]
    settings = changed(stack, **sections)
    found = [one for one in check(record(settings).planned, Facts.of(settings)) if one.level == "mandatory"]
    assert found == []


def test_what_others_own_is_not_judged() -> None:
    assert not check([made("storage:StorageAccount", {}, external=True)], PROD)


def test_facts_come_from_the_settings() -> None:
    stacks = {name: Facts.of(stackfile.load(ROOT, name).settings) for name in stackfile.names_in(ROOT)}
    assert (stacks["prod"].production, stacks["prod"].private, stacks["prod"].development) == (True, True, False)
    assert stacks["prod-services"] == stacks["prod"]
    assert stacks["dev"] == Facts(development=True, required_tags=("owner", "costCenter"))
    assert not stacks["test"].production


def test_the_program_gives_only_what_the_list_names() -> None:
    assert {guid: role.name for guid, role in ROLES.items() if role.name in DEFINITIONS} == {
        guid: name for name, guid in DEFINITIONS.items()
    }


def test_tags_are_asked_of_types_that_take_them() -> None:
    import importlib

    for token in TAGGED:
        _, module, cls = token.split(":")
        found = getattr(importlib.import_module(f"pulumi_azure_native.{module}"), cls)
        assert "tags" in vars(found), token
