"""The cluster, the budget and the alerts of an estate."""

from __future__ import annotations

from collections.abc import Callable

from tests.infra.conftest import Changed
from tests.infra.recording import Recorded, record
from tests.infra.test_estate import existing_id

THEIR_CLUSTER = existing_id("Microsoft.ContainerService/managedClusters", "theircluster")
EVERYTHING = {
    "pools": [{"name": "system", "zones": ["1", "2"]}, {"name": "big", "mode": "user", "minNodes": 0}],
    "defender": True,
    "policyAddon": True,
    "azureMlExtension": True,
    "kubernetesVersion": "1.33",
    "upgradeChannel": "node_image",
}
Shipped = Callable[[str], Recorded]


def test_the_cluster_has_identities_no_passwords_and_a_policy_engine(shipped: Shipped) -> None:
    for name in ("test", "prod"):
        found = shipped(name)
        made = found.one("containerservice:ManagedCluster")
        cluster = made.inputs
        assert cluster["disableLocalAccounts"] is True
        assert cluster["aadProfile"] == {"managed": True, "enableAzureRBAC": True}
        assert cluster["oidcIssuerProfile"]["enabled"] is True
        assert cluster["securityProfile"]["workloadIdentity"]["enabled"] is True
        network = cluster["networkProfile"]
        assert (network["networkPlugin"], network["networkPluginMode"]) == ("azure", "overlay")
        assert (network["networkDataplane"], network["networkPolicy"]) == ("cilium", "cilium")
        assert cluster["identity"]["type"] == "UserAssigned"
        assert "kubeletidentity" in cluster["identityProfile"]
        assert cluster["addonProfiles"]["azureKeyvaultSecretsProvider"]["enabled"] is True
        assert {"cluster-managed-identity-operator-on-identity-kubelet", "kubelet-acrpull-on-registry"} <= set(
            made.depends_on
        )


def test_what_azure_counts_and_upgrades_is_no_change_of_ours(shipped: Shipped) -> None:
    found = shipped("prod")
    ignored = set(found.one("containerservice:ManagedCluster").options.ignoreChanges)
    assert {"agentPoolProfiles[0].count", "kubernetesVersion"} <= ignored
    pool = found.one("containerservice:AgentPool")
    assert "count" in pool.options.ignoreChanges
    assert (pool.inputs["minCount"], pool.inputs["maxCount"], pool.inputs["mode"]) == (2, 10, "User")
    system = found.one("containerservice:ManagedCluster").inputs["agentPoolProfiles"][0]
    assert (system["enableAutoScaling"], system["availabilityZones"]) == (True, ["1", "2", "3"])


def test_a_private_cluster_lies_in_the_subnet_and_leaves_by_the_nat_gateway(shipped: Shipped) -> None:
    prod, test = (shipped(name).one("containerservice:ManagedCluster").inputs for name in ("prod", "test"))
    assert prod["apiServerAccessProfile"]["enablePrivateCluster"] is True
    assert prod["apiServerAccessProfile"]["privateDNSZone"].endswith("privatelink.westeurope.azmk8s.io")
    assert prod["agentPoolProfiles"][0]["vnetSubnetID"].endswith("/subnets/aks")
    assert prod["networkProfile"]["outboundType"] == "userAssignedNATGateway"
    assert prod["securityProfile"]["defender"]["securityMonitoring"]["enabled"] is True
    assert prod["addonProfiles"]["azurepolicy"]["enabled"] is True
    assert test["apiServerAccessProfile"]["authorizedIPRanges"] == ["203.0.113.0/24"]
    assert test["networkProfile"]["outboundType"] == "loadBalancer"
    assert "vnetSubnetID" not in test["agentPoolProfiles"][0]


def test_pods_are_trusted_by_the_cluster_that_issues_their_tokens(shipped: Shipped) -> None:
    trust = shipped("test").one("managedidentity:FederatedIdentityCredential").inputs
    assert trust["issuer"].startswith("https://westeurope.oic.prod-aks.azure.com/")
    assert trust["subject"] == "system:serviceaccount:forestay-services:forestay-serving"
    assert trust["resourceName"].startswith("id-serve-")


def test_the_extension_is_attached_after_reader_was_granted(changed: Changed) -> None:
    found = record(changed("test", aks=EVERYTHING))
    extension = found.one("kubernetesconfiguration:Extension")
    assert extension.inputs["configurationSettings"]["inferenceRouterHA"] == "False"  # fewer than three nodes
    attached = found.one("machinelearningservices:Compute", "aks-azureml-compute")
    assert attached.inputs["properties"]["computeType"] == "Kubernetes"
    assert {"workspace-reader-on-cluster", "aks-azureml-extension"} <= set(attached.depends_on)


def test_a_cluster_of_others_may_pull_and_is_not_made(changed: Changed) -> None:
    found = record(changed("dev", existing={"aks": THEIR_CLUSTER}, aks={}))
    assert not found.of("containerservice:ManagedCluster")
    pull = found.one("authorization:RoleAssignment", "kubelet-acrpull-on-registry")
    assert len(pull.inputs["principalId"]) == 36
    assert not [one for one in found.of("managedidentity:UserAssignedIdentity") if "cluster" in one.name]


def test_the_budget_tells_at_each_share_and_at_the_forecast(shipped: Shipped) -> None:
    budget = shipped("prod").one("consumption:Budget").inputs
    assert budget["timePeriod"]["startDate"] == "2026-01-01T00:00:00Z"
    assert set(budget["notifications"]) == {"actual-50", "actual-80", "actual-100", "forecast-100"}
    assert budget["notifications"]["actual-50"]["contactEmails"] == ["ml-team@contoso.com", "finance@contoso.com"]
    assert budget["scope"].endswith(shipped("prod").one("resources:ResourceGroup").inputs["resourceGroupName"])


def test_failures_of_served_models_are_mailed(shipped: Shipped) -> None:
    found = shipped("prod")
    group = found.one("monitor:ActionGroup").inputs
    assert [one["emailAddress"] for one in group["emailReceivers"]] == ["ml-oncall@contoso.com"]
    rule = found.one("monitor:ScheduledQueryRule").inputs
    assert "AppRequests" in rule["criteria"]["allOf"][0]["query"]
    assert len(rule["actions"]["actionGroups"]) == 1
    assert not shipped("dev").of("monitor:ActionGroup")
