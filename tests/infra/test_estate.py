"""The estate: each component says to Azure what the settings say, and waits for what it needs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from infra import stackfile
from infra.components.roles import DEFINITIONS, RULES, assignment_name, assignment_words, grants
from infra.plan.arm import guid
from infra.settings import StackSettings
from tests.infra.conftest import Changed
from tests.infra.recording import GUID, ROOT, Recorded, record, run_program

Shipped = Callable[[str], Recorded]
ESTATES = ("dev", "test", "prod")
DEPLOYER = "22222222-2222-4222-8222-222222222222"
PRINCIPALS = {"submitters": [GUID], "deployers": [{"id": DEPLOYER, "kind": "service_principal"}]}


def existing_id(kind: str, name: str) -> str:
    return f"/subscriptions/99999999-9999-4999-8999-999999999999/resourceGroups/theirs/providers/{kind}/{name}"


THEIRS = {
    "storageAccount": existing_id("Microsoft.Storage/storageAccounts", "theirstore"),
    "keyVault": existing_id("Microsoft.KeyVault/vaults", "theirvault"),
    "containerRegistry": existing_id("Microsoft.ContainerRegistry/registries", "theirregistry"),
    "logAnalytics": existing_id("Microsoft.OperationalInsights/workspaces", "theirlogs"),
}


@pytest.mark.parametrize("name", ESTATES)
def test_everything_lies_in_one_group_and_carries_the_tags(shipped: Shipped, name: str) -> None:
    settings = stackfile.load(ROOT, name).settings
    found = shipped(name)
    for one in found.resources:
        if "tags" in one.inputs:
            assert one.inputs["tags"] == settings.tags, one.name
        if "resourceGroupName" in one.inputs:
            assert one.inputs["resourceGroupName"] == found.one("resources:ResourceGroup").inputs["resourceGroupName"]
    taggable = ("StorageAccount", "Vault", "Registry", "UserAssignedIdentity", "Workspace", "Component", "Compute")
    ours = [one for one in found.resources if one.type.startswith("azure-native:")]
    assert all("tags" in one.inputs for one in ours if one.type.rpartition(":")[2] in taggable)


def test_the_storage_account_is_shut_to_the_public_and_keeps_what_is_deleted(shipped: Shipped) -> None:
    dev, prod = (shipped(name).one("storage:StorageAccount").inputs for name in ("dev", "prod"))
    for one in (dev, prod):
        assert (one["allowBlobPublicAccess"], one["allowSharedKeyAccess"]) == (False, False)
        assert (one["minimumTlsVersion"], one["enableHttpsTrafficOnly"]) == ("TLS1_2", True)
    assert (dev["sku"]["name"], prod["sku"]["name"]) == ("Standard_LRS", "Standard_ZRS")
    assert (dev["publicNetworkAccess"], prod["publicNetworkAccess"]) == ("Enabled", "Disabled")
    assert prod["networkRuleSet"] == {"bypass": "AzureServices", "defaultAction": "Deny"}
    blobs = shipped("prod").one("storage:BlobServiceProperties").inputs
    assert blobs["isVersioningEnabled"] is True
    assert blobs["deleteRetentionPolicy"] == {"enabled": True, "days": 30}
    rule = shipped("prod").one("storage:ManagementPolicy").inputs["policy"]["rules"][0]["definition"]["actions"]
    assert rule["baseBlob"]["tierToCool"] == {"daysAfterModificationGreaterThan": 90}


def test_the_vault_grants_by_role_and_says_purge_protection_only_when_on(shipped: Shipped) -> None:
    dev, prod = (shipped(name).one("keyvault:Vault").inputs["properties"] for name in ("dev", "prod"))
    assert dev["enableRbacAuthorization"] is True
    assert "enablePurgeProtection" not in dev  # Azure refuses False
    assert prod["enablePurgeProtection"] is True
    assert (prod["publicNetworkAccess"], prod["networkAcls"]["defaultAction"]) == ("Disabled", "Deny")
    assert dev["tenantId"] == guid("tenant")  # of the identities


def test_the_registry_has_no_admin_and_never_quarantines(shipped: Shipped) -> None:
    dev, prod = (shipped(name).one("containerregistry:Registry").inputs for name in ("dev", "prod"))
    assert (dev["adminUserEnabled"], dev["anonymousPullEnabled"]) == (False, False)
    assert (dev["sku"]["name"], prod["sku"]["name"]) == ("Basic", "Premium")
    assert "policies" not in dev
    assert (dev["zoneRedundancy"], prod["zoneRedundancy"]) == ("Disabled", "Enabled")
    assert prod["policies"]["quarantinePolicy"]["status"] == "disabled"
    assert prod["policies"]["retentionPolicy"] == {"days": 30, "status": "enabled"}
    assert (prod["publicNetworkAccess"], prod["networkRuleBypassOptions"]) == ("Disabled", "AzureServices")


def test_the_workspace_acts_by_identity_and_waits_for_its_grants(shipped: Shipped) -> None:
    for name in ("dev", "prod"):
        found = shipped(name)
        workspace = found.one("machinelearningservices:Workspace")
        assert workspace.inputs["identity"]["type"] == "UserAssigned"
        assert workspace.inputs["systemDatastoresAuthMode"] == "Identity"
        its = [one.name for one in found.of("authorization:RoleAssignment") if one.name.startswith("workspace-")]
        before = {one for one in its if not one.endswith(("-on-workspace", "-on-cluster"))}
        assert before
        assert before <= set(workspace.depends_on)
        assert workspace.options.customTimeouts.create == "60m"


def test_a_private_workspace_is_isolated_and_builds_its_images_itself(shipped: Shipped) -> None:
    dev, prod = (shipped(name).one("machinelearningservices:Workspace").inputs for name in ("dev", "prod"))
    assert "managedNetwork" not in dev
    assert "imageBuildCompute" not in dev
    assert prod["managedNetwork"]["isolationMode"] == "AllowInternetOutbound"
    assert (prod["provisionNetworkNow"], prod["publicNetworkAccess"]) == (True, "Disabled")
    builder = shipped("prod").one("machinelearningservices:Compute", "builder")
    assert builder.inputs["computeName"] == prod["imageBuildCompute"]
    assert builder.inputs["properties"]["properties"]["enableNodePublicIp"] is False


def test_approved_hosts_become_rules_one_after_the_other(changed: Changed) -> None:
    network = {"access": "private", "outbound": "approved", "approvedHosts": ["a.contoso.com", "*.contoso.net"]}
    found = record(changed("prod", network=network))
    workspace = found.one("machinelearningservices:Workspace").inputs
    assert workspace["managedNetwork"]["isolationMode"] == "AllowOnlyApprovedOutbound"
    assert workspace["managedNetwork"]["firewallSku"] == "Basic"
    first, second = found.of("machinelearningservices:ManagedNetworkSettingsRule")
    assert [one.inputs["properties"]["destination"] for one in (first, second)] == ["a.contoso.com", "*.contoso.net"]
    assert first.name in second.depends_on


def test_the_training_cluster_is_what_the_settings_say(shipped: Shipped, changed: Changed) -> None:
    cluster = shipped("dev").one("machinelearningservices:Compute", "training")
    given = cluster.inputs["properties"]["properties"]
    assert (given["vmSize"], given["vmPriority"]) == ("Standard_DS3_v2", "LowPriority")
    scale = {"minNodeCount": 0, "maxNodeCount": 2, "nodeIdleTimeBeforeScaleDown": "PT600S"}
    assert given["scaleSettings"] == scale
    assert cluster.options.deleteBeforeReplace
    assert "properties.properties.vmSize" in cluster.options.replaceOnChanges
    assert "workspace" in cluster.depends_on
    serverless = record(changed("dev", training={"serverless": True}))
    assert not serverless.of("machinelearningservices:Compute")


def test_logs_go_to_log_analytics(shipped: Shipped) -> None:
    found = shipped("prod")
    assert found.one("operationalinsights:Workspace").inputs["retentionInDays"] == 90
    assert found.one("applicationinsights:Component").inputs["ingestionMode"] == "LogAnalytics"
    setting = found.one("monitor:DiagnosticSetting", "workspace-logs").inputs
    assert setting["logs"] == [{"categoryGroup": "allLogs", "enabled": True}]


def test_locks_are_on_data_holders_alone_and_come_after_the_grants(shipped: Shipped) -> None:
    assert not shipped("dev").of("authorization:ManagementLockByScope")
    locks = shipped("prod").of("authorization:ManagementLockByScope")
    assert {one.name for one in locks} == {f"locks-{one}" for one in ("storage", "vault", "registry", "logs")}
    assert {one.inputs["level"] for one in locks} == {"CanNotDelete"}
    grants_made = {one.name for one in shipped("prod").of("authorization:RoleAssignment")}
    assert all(grants_made <= set(one.depends_on) for one in locks)


def test_what_cannot_be_made_again_is_protected_where_the_settings_say(shipped: Shipped) -> None:
    keepers = ("resources:ResourceGroup", "storage:StorageAccount", "keyvault:Vault", "containerregistry:Registry")
    for kind in (*keepers, "operationalinsights:Workspace", "machinelearningservices:Workspace"):
        assert shipped("prod").one(kind).protect, kind
        assert not shipped("dev").one(kind).protect, kind
    assert not any(one.protect for one in shipped("prod").of("authorization:RoleAssignment"))


@pytest.mark.parametrize("name", ESTATES)
def test_each_grant_of_the_table_is_made_with_its_reason(changed: Changed, name: str) -> None:
    settings = changed(name, principals=PRINCIPALS)
    found = record(settings)
    made = {one.name: one.inputs for one in _of(found)}
    wanted = grants(settings)
    assert len(made) == len(wanted)
    kinds = {GUID: "Group", DEPLOYER: "ServicePrincipal"}
    for grant in wanted:
        one = made[assignment_words(grant)]
        assert one["description"] == grant.reason
        assert len(grant.reason) > 10
        assert one["roleDefinitionId"].endswith(DEFINITIONS[grant.role])
        assert one["principalType"] == kinds.get(one["principalId"], "ServicePrincipal")
        # The same grant always has the same GUID.
        again = assignment_name(one["scope"], one["principalId"], DEFINITIONS[grant.role])
        assert one["roleAssignmentName"] == again


def _of(found: Recorded) -> list:  # type: ignore[type-arg]
    return found.of("authorization:RoleAssignment")


def test_no_rule_is_there_twice_and_none_is_an_owner() -> None:
    assert len({(rule.principal, rule.role, rule.scope) for rule in RULES}) == len(RULES)
    assert not {rule.role for rule in RULES} & {"Owner", "User Access Administrator"}
    assert {rule.role for rule in RULES} == set(DEFINITIONS)
    assert not [rule for rule in RULES if rule.role == "Contributor" and rule.scope == "group"]


def test_what_others_own_is_granted_on_and_never_made(changed: Changed) -> None:
    settings = changed("dev", existing=THEIRS, lock=True)
    found = record(settings)
    for kind in ("storage:StorageAccount", "keyvault:Vault", "containerregistry:Registry"):
        assert not found.of(kind)
    assert not found.of("operationalinsights:Workspace")
    assert not found.of("authorization:ManagementLockByScope")
    workspace = found.one("machinelearningservices:Workspace").inputs
    assert workspace["storageAccount"] == THEIRS["storageAccount"]
    assert workspace["keyVault"] == THEIRS["keyVault"]
    theirs = [one.inputs for one in _of(found) if one.inputs["scope"] in THEIRS.values()]
    assert {one["scope"] for one in theirs} == {id_ for key, id_ in THEIRS.items() if key != "logAnalytics"}
    # A role's id is one of the scope's subscription.
    assert all(one["roleDefinitionId"].startswith("/subscriptions/99999999-") for one in theirs)


def test_a_workspace_of_others_keeps_what_it_stands_on(changed: Changed) -> None:
    theirs = {**THEIRS, "workspace": existing_id("Microsoft.MachineLearningServices/workspaces", "theirspace")}
    found = record(changed("dev", existing=theirs))
    assert not found.of("machinelearningservices:Workspace")
    cluster = found.one("machinelearningservices:Compute", "training")
    assert (cluster.inputs["workspaceName"], cluster.inputs["resourceGroupName"]) == ("theirspace", "theirs")
    assert "workspace-subscription" in cluster.options.provider
    assert {one.inputs["resourceName"] for one in found.of("managedidentity:UserAssignedIdentity")}


def test_failures_of_models_are_told_with_a_workspace_of_others(changed: Changed) -> None:
    """Alerts ask the logs of others, and Application Insights on them is ours."""
    theirs = {**THEIRS, "workspace": existing_id("Microsoft.MachineLearningServices/workspaces", "theirspace")}
    found = record(changed("test", existing=theirs))
    assert not found.of("operationalinsights:Workspace")
    assert found.one("applicationinsights:Component").inputs["workspaceResourceId"] == THEIRS["logAnalytics"]
    assert found.one("monitor:ScheduledQueryRule").inputs["scopes"] == [THEIRS["logAnalytics"]]
    addon = found.one("containerservice:ManagedCluster").inputs["addonProfiles"]["omsagent"]
    assert addon["config"]["logAnalyticsWorkspaceResourceID"] == THEIRS["logAnalytics"]
    without = {key: id_ for key, id_ in theirs.items() if key != "logAnalytics"}
    with pytest.raises(ValidationError, match=r"existing\.logAnalytics, which forestay:alertMails needs"):
        changed("test", existing=without)


def test_who_deploys_may_reach_what_a_front_needs(changed: Changed) -> None:
    """Joining subnets in a network, gateways where the settings say so, records in a zone of others."""

    def given(name: str, **sections: object) -> set[tuple[str, str]]:
        found = grants(changed(name, principals=PRINCIPALS, **sections))
        return {(one.role, one.scope) for one in found if one.principal.startswith("deployers")}

    joined = ("Network Contributor", "subnet aci")
    gateways = {("Network Contributor", "subnet gateway"), ("Network Contributor", "group")}
    plain, private = given("dev"), given("prod")
    assert joined not in plain
    assert joined in private
    assert not gateways & private
    assert gateways <= given("prod", network={"access": "private", "gateways": True})
    inside = {"servingZone": existing_id("Microsoft.Network/privateDnsZones", "a.contoso.com")}
    public = {"servingZone": existing_id("Microsoft.Network/dnsZones", "a.contoso.com")}
    assert ("Private DNS Zone Contributor", "serving zone") in given("prod", existing=inside)
    assert ("DNS Zone Contributor", "serving zone") in given("dev", existing=public)
    made = record(changed("dev", principals=PRINCIPALS, existing=public))
    assert public["servingZone"] in {one.inputs["scope"] for one in _of(made)}


def test_a_customer_key_encrypts_what_holds_data(changed: Changed) -> None:
    vault = existing_id("Microsoft.KeyVault/vaults", "keys")
    found = record(
        changed("dev", encryption={"keyVault": vault, "key": "forestay", "version": "a" * 32, "storage": True})
    )
    account = found.one("storage:StorageAccount")
    assert account.inputs["encryption"]["keyVaultProperties"]["keyVaultUri"] == "https://keys.vault.azure.net"
    assert any("encryption-vault" in name for name in account.depends_on)
    workspace = found.one("machinelearningservices:Workspace").inputs["encryption"]
    assert workspace["keyVaultProperties"]["keyIdentifier"] == f"https://keys.vault.azure.net/keys/forestay/{'a' * 32}"


def test_a_customer_key_encrypts_the_registry_by_the_identity_that_entra_knows(changed: Changed) -> None:
    vault = existing_id("Microsoft.KeyVault/vaults", "keys")
    key = {"keyVault": vault, "key": "forestay", "version": "a" * 32, "registry": True}
    found = record(changed("prod", encryption=key))
    registry = found.one("containerregistry:Registry")
    given = registry.inputs["encryption"]["keyVaultProperties"]
    assert given["keyIdentifier"] == "https://keys.vault.azure.net/keys/forestay"
    assert len(given["identity"]) == 36
    assert next(iter(registry.inputs["identity"]["userAssignedIdentities"])).endswith(
        found.one("managedidentity:UserAssignedIdentity", "identities-workspace").inputs["resourceName"]
    )
    assert any("encryption-vault" in name for name in registry.depends_on)
    assert "encryption" in registry.options.replaceOnChanges
    assert "encryption" not in found.one("storage:StorageAccount").inputs
    with pytest.raises(ValidationError, match="only Premium can"):
        changed("dev", encryption=key)


def test_the_existing_group_is_not_made(changed: Changed) -> None:
    settings: StackSettings = changed("dev", existing={"resourceGroup": f"/subscriptions/{GUID}/resourceGroups/given"})
    found = record(settings)
    assert not found.of("resources:ResourceGroup")
    assert found.one("keyvault:Vault").inputs["resourceGroupName"] == "given"


def test_outputs_say_where_things_are_and_keep_secrets(shipped: Shipped) -> None:
    exports = shipped("dev").exports
    assert exports["workspace"].startswith("mlw-")
    assert "1b47061264138c4ac30d75fd1eb44270" in str(exports["connectionString"])  # Pulumi's mark of a secret


def test_the_program_is_a_pure_function_of_its_settings(shipped: Shipped) -> None:
    again = run_program(stackfile.load(ROOT, "dev").settings, {})
    known = {one.urn: one.inputs for one in shipped("dev").resources}
    assert {one.urn: one.inputs for one in again.resources} == known
