"""The network of a private estate: every service has an address in it, and a name that leads there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from tests.infra.conftest import Changed
from tests.infra.recording import Recorded, record
from tests.infra.test_estate import THEIRS, existing_id

THEIR_NETWORK = {
    "virtualNetwork": existing_id("Microsoft.Network/virtualNetworks", "hub"),
    "subnets": {
        name: existing_id("Microsoft.Network/virtualNetworks", f"hub/subnets/{name}")
        for name in ("endpoints", "aci", "aks", "gateway")
    },
    "dnsZones": "/subscriptions/99999999-9999-4999-8999-999999999999/resourceGroups/names",
}
FACES = {"blob", "file", "queue", "table", "vault", "registry", "amlworkspace", "azuremonitor"}
Shipped = Callable[[str], Recorded]


def test_a_public_estate_has_no_network(shipped: Shipped) -> None:
    for kind in ("network:VirtualNetwork", "network:PrivateEndpoint", "privatedns:PrivateZone", "network:NatGateway"):
        assert not shipped("dev").of(kind)


def test_subnets_have_a_way_out_and_rules(shipped: Shipped) -> None:
    made = shipped("prod").one("network:VirtualNetwork").inputs
    subnets = {one["name"]: one for one in made["subnets"]}
    assert set(subnets) == {"runners", "endpoints", "aci", "gateway", "aks"}
    assert {name for name, one in subnets.items() if "natGateway" in one} == {"runners", "aci", "aks"}
    assert all("networkSecurityGroup" in one and one["defaultOutboundAccess"] is False for one in subnets.values())
    assert subnets["aci"]["delegations"][0]["serviceName"] == "Microsoft.ContainerInstance/containerGroups"
    rules = shipped("prod").one("network:NetworkSecurityGroup", "network-gateway").inputs["securityRules"]
    assert {"65200-65535", "443"} <= {one["destinationPortRange"] for one in rules if one["access"] == "Allow"}
    closed = shipped("prod").one("network:NetworkSecurityGroup", "network-aks").inputs["securityRules"]
    assert [(one["access"], one["sourceAddressPrefix"]) for one in closed] == [("Deny", "Internet")]


def test_every_service_has_an_endpoint_and_every_zone_it_needs(shipped: Shipped) -> None:
    found = shipped("prod")
    endpoints = {
        one.inputs["privateLinkServiceConnections"][0]["groupIds"][0] for one in found.of("network:PrivateEndpoint")
    }
    assert endpoints == FACES
    zones = {one.inputs["privateZoneName"] for one in found.of("privatedns:PrivateZone")}
    assert zones >= {
        "privatelink.api.azureml.ms",
        "privatelink.notebooks.azure.net",
        "privatelink.vaultcore.azure.net",
        "privatelink.azurecr.io",
        "westeurope.data.privatelink.azurecr.io",
        "privatelink.westeurope.azmk8s.io",
        "privatelink.monitor.azure.com",
        "privatelink.agentsvc.azure-automation.net",
        *(f"privatelink.{one}.core.windows.net" for one in ("blob", "file", "queue", "table")),
    }
    assert len(found.of("privatedns:VirtualNetworkLink")) == len(zones)
    workspace = found.one("network:PrivateDnsZoneGroup", "endpoint-amlworkspace-names").inputs
    assert len(workspace["privateDnsZoneConfigs"]) == 2
    linked = found.of("monitor:PrivateLinkScopedResource")
    assert {one.name for one in linked} == {"monitor-scope-logs", "monitor-scope-insights"}
    assert "monitor-scope-insights" in found.one("network:PrivateEndpoint", "endpoint-azuremonitor").depends_on


def test_a_policy_of_the_company_may_make_the_names(changed: Changed) -> None:
    found = record(changed("prod", network={"access": "private", "dnsZones": "none"}))
    assert not found.of("privatedns:PrivateZone")
    assert not found.of("network:PrivateDnsZoneGroup")
    assert len(found.of("network:PrivateEndpoint")) == len(FACES)
    cluster = found.one("containerservice:ManagedCluster").inputs["apiServerAccessProfile"]
    assert cluster["privateDNSZone"] == "system"


def test_a_network_of_others_is_used_and_not_changed(changed: Changed) -> None:
    found = record(changed("prod", existing=THEIR_NETWORK))
    for kind in ("network:VirtualNetwork", "network:NatGateway", "privatedns:PrivateZone", "network:PublicIPAddress"):
        assert not found.of(kind)
    theirs = THEIR_NETWORK["subnets"]
    assert {one.inputs["subnet"]["id"] for one in found.of("network:PrivateEndpoint")} == {theirs["endpoints"]}
    zones = found.one("network:PrivateDnsZoneGroup", "endpoint-vault-names").inputs["privateDnsZoneConfigs"]
    assert zones[0]["privateDnsZoneId"].startswith(THEIR_NETWORK["dnsZones"])
    scopes = {
        one.inputs["scope"] for one in found.of("authorization:RoleAssignment") if one.name.startswith("cluster-")
    }
    assert theirs["aks"] in scopes
    # How nodes get out of a network of others is its owner's; no NAT gateway of ours is there.
    assert found.one("containerservice:ManagedCluster").inputs["networkProfile"]["outboundType"] == "loadBalancer"


def test_our_network_is_linked_to_the_zones_of_others(changed: Changed) -> None:
    theirs = {"dnsZones": THEIR_NETWORK["dnsZones"]}
    found = record(changed("prod", existing=theirs))
    assert not found.of("privatedns:PrivateZone")
    links = found.of("privatedns:VirtualNetworkLink")
    assert len(links) == len({one.inputs["privateZoneName"] for one in links}) == 14
    assert {one.inputs["resourceGroupName"] for one in links} == {"names"}
    assert all("zones-subscription" in one.options.provider for one in links)
    names = {f"{one.inputs['privateZoneName']}-link" for one in links}
    assert names <= set(found.one("network:PrivateEndpoint", "endpoint-vault").depends_on)
    # Their owner may link them; and a network of others is linked by its owner.
    unlinked = record(changed("prod", existing=theirs, network={"access": "private", "zoneLinks": "none"}))
    assert not unlinked.of("privatedns:VirtualNetworkLink")
    assert not record(changed("prod", existing=THEIR_NETWORK)).of("privatedns:VirtualNetworkLink")


def test_what_others_own_gets_no_endpoint_of_ours(changed: Changed) -> None:
    found = record(changed("prod", existing=THEIRS))
    faces = {one.name.removeprefix("endpoint-") for one in found.of("network:PrivateEndpoint")}
    assert faces == {"amlworkspace", "azuremonitor"}


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"existing": {"virtualNetwork": THEIR_NETWORK["virtualNetwork"]}}, "without existing.subnets.endpoints"),
        (
            {"existing": {"workspace": existing_id("Microsoft.MachineLearningServices/workspaces", "w")}},
            "without existing.storageAccount",
        ),
        (
            {"existing": {"resourceGroup": "/subscriptions/99999999-9999-4999-8999-999999999999/resourceGroups/g"}},
            "in another subscription",
        ),
        (
            {
                "existing": {
                    **THEIR_NETWORK,
                    "subnets": {key: id_ for key, id_ in THEIR_NETWORK["subnets"].items() if key != "gateway"},
                },
                "network": {"access": "private", "gateways": True},
            },
            "without existing.subnets.gateway",
        ),
        ({"principals": {"submitters": ["someone"]}}, "must be a GUID"),
        ({"registry": {"sku": "standard", "zoneRedundant": True}}, "is zoneRedundant and standard"),
        ({"encryption": {"keyVault": THEIRS["keyVault"], "key": "k", "version": "new"}}, "a key's version"),
    ],
)
def test_settings_that_lack_a_part_are_refused(changed: Changed, sections: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        changed("prod", **sections)
