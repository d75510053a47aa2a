"""The network of a private estate: subnets with a way out, private endpoints, and the names that lead to them.

Since 2026 a new network has no way out by default: a NAT gateway is it. Training runs in the workspace's managed
network, which Azure ML keeps itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import network as net

from infra.components.base import Common, Component, Reference, Text
from infra.settings import Network

GATEWAY = "gateway"
ENDPOINTS = "endpoints"
# Subnets whose own traffic leaves by the NAT gateway; private endpoints start none, an Application Gateway has its own.
OUTGOING = ("runners", "aci", "aks")
DELEGATIONS = {"aci": "Microsoft.ContainerInstance/containerGroups"}
ALLOW, DENY = net.SecurityRuleAccess.ALLOW, net.SecurityRuleAccess.DENY


@dataclass(frozen=True)
class NetworkArgs:
    """The ranges of `forestay:network`."""

    common: Common
    settings: Network


class VirtualNetwork(Component):
    """A network with one subnet for each use.

    Attributes
    ----------
    reference: the network. subnets: ids by use.
    """

    reference: Reference
    subnets: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Network", name, opts)
        common = args.common
        address = net.PublicIPAddress(
            f"{name}-way-out-address",
            public_ip_address_name=common.names.of("publicAddress"),
            resource_group_name=common.group,
            location=common.location,
            sku=net.PublicIPAddressSkuArgs(name=net.PublicIPAddressSkuName.STANDARD),
            public_ip_allocation_method=net.IPAllocationMethod.STATIC,
            tags=common.tags,
            opts=self.options(protect=common.protect),  # firewalls of others know it
        )
        nat = net.NatGateway(
            f"{name}-way-out",
            nat_gateway_name=common.names.of("natGateway"),
            resource_group_name=common.group,
            location=common.location,
            sku=net.NatGatewaySkuArgs(name=net.NatGatewaySkuName.STANDARD),
            public_ip_addresses=[net.SubResourceArgs(id=address.id)],
            tags=common.tags,
            opts=self.options(),
        )
        # In one request with the network: subnets of their own would be refused while another one is being made.
        subnets = [
            net.SubnetArgs(
                name=use,
                address_prefix=str(addresses),
                default_outbound_access=False,
                network_security_group=net.NetworkSecurityGroupArgs(id=self._rules(f"{name}-{use}", use, common)),
                nat_gateway=net.SubResourceArgs(id=nat.id) if use in OUTGOING else None,
                private_endpoint_network_policies="Disabled" if use == ENDPOINTS else None,
                delegations=(
                    [net.DelegationArgs(name=use, service_name=DELEGATIONS[use])] if use in DELEGATIONS else None
                ),
            )
            for use, addresses in args.settings.subnets.ranges().items()
        ]
        made = net.VirtualNetwork(
            name,
            virtual_network_name=common.names.of("virtualNetwork"),
            resource_group_name=common.group,
            location=common.location,
            address_space=net.AddressSpaceArgs(address_prefixes=[args.settings.address_space]),
            subnets=subnets,
            tags=common.tags,
            opts=self.options(protect=common.protect),
        )
        self.reference = Reference(made.id, made.name)
        self.subnets = {
            use: made.id.apply(lambda found, use=use: f"{found}/subnets/{use}")
            for use in args.settings.subnets.ranges()
        }
        self.register_outputs({"id": made.id, "subnets": self.subnets})

    def _rules(self, name: str, use: str, common: Common) -> pulumi.Output[str]:
        """The security group of a subnet; Azure's default rules already shut out the internet."""
        group = net.NetworkSecurityGroup(
            name,
            network_security_group_name=common.names.of("networkSecurityGroup", use),
            resource_group_name=common.group,
            location=common.location,
            security_rules=GATEWAY_RULES if use == GATEWAY else CLOSED_RULES,
            tags=common.tags,
            opts=self.options(),
        )
        return group.id


def _rule(
    name: str, priority: int, access: net.SecurityRuleAccess, source: str, ports: str, why: str
) -> net.SecurityRuleArgs:
    return net.SecurityRuleArgs(
        name=name,
        description=why,
        priority=priority,
        direction=net.SecurityRuleDirection.INBOUND,
        access=access,
        protocol=net.SecurityRuleProtocol.TCP if access is ALLOW else net.SecurityRuleProtocol.ASTERISK,
        source_address_prefix=source,
        source_port_range="*",
        destination_address_prefix="*",
        destination_port_range=ports,
    )


CLOSED_RULES = [_rule("no-internet", 4000, DENY, "Internet", "*", "nothing here answers to the internet")]
GATEWAY_RULES = [
    _rule("gateway-manager", 100, ALLOW, "GatewayManager", "65200-65535", "Azure looks after the gateway this way"),
    _rule("balancer", 110, ALLOW, "AzureLoadBalancer", "*", "probes of the platform"),
    _rule("callers", 120, ALLOW, "VirtualNetwork", "443", "callers inside of the network"),
    *CLOSED_RULES,
]


def zones_of(group: str, location: str) -> tuple[str, ...]:
    """The private DNS zones of a target, the first the one of its main name.

    Azure Private Endpoint private DNS zone values; notebooks.azure.net is needed by the studio's notebooks.
    """
    zones = {
        "blob": ("privatelink.blob.core.windows.net",),
        "file": ("privatelink.file.core.windows.net",),
        "queue": ("privatelink.queue.core.windows.net",),
        "table": ("privatelink.table.core.windows.net",),
        "dfs": ("privatelink.dfs.core.windows.net",),
        "vault": ("privatelink.vaultcore.azure.net",),
        "registry": ("privatelink.azurecr.io", f"{location}.data.privatelink.azurecr.io"),
        "amlworkspace": ("privatelink.api.azureml.ms", "privatelink.notebooks.azure.net"),
        "azuremonitor": (
            "privatelink.monitor.azure.com",
            "privatelink.oms.opinsights.azure.com",
            "privatelink.ods.opinsights.azure.com",
            "privatelink.agentsvc.azure-automation.net",
            "privatelink.blob.core.windows.net",  # where agents fetch their solution packs
        ),
    }
    return zones[group]


def cluster_zone(location: str) -> str:
    return f"privatelink.{location}.azmk8s.io"


@dataclass(frozen=True)
class ZonesArgs:
    """Which zones, and the network whose machines ask them.

    Attributes
    ----------
    group: the resource group of zones that others own, which are linked alone; None makes them in ours.
    provider: azure-native of their subscription, if it is another.
    """

    common: Common
    zones: Sequence[str]
    network: Text
    group: str | None = None
    provider: pulumi.ProviderResource | None = None


class Zones(Component):
    """Private DNS zones, linked to the network: without the link nobody in it asks them.

    Attributes
    ----------
    ids: of the zones that are ours, by zone. links: what must be there before a name resolves.
    """

    ids: dict[str, Text]
    links: list[pulumi.Resource]

    def __init__(self, name: str, args: ZonesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        from pulumi_azure_native import privatedns

        super().__init__("Zones", name, opts)
        self.ids, self.links = {}, []
        for zone in args.zones:
            zone_name: Text = zone
            if args.group is None:
                made = privatedns.PrivateZone(
                    zone,
                    private_zone_name=zone,
                    resource_group_name=args.common.group,
                    location="global",
                    tags=args.common.tags,
                    opts=self.options(),
                )
                self.ids[zone], zone_name = made.id, made.name
            link = privatedns.VirtualNetworkLink(
                f"{zone}-link",
                virtual_network_link_name=args.common.names.of("virtualNetwork"),
                private_zone_name=zone_name,
                resource_group_name=args.group or args.common.group,
                location="global",
                registration_enabled=False,
                virtual_network=privatedns.SubResourceArgs(id=args.network),
                tags=args.common.tags,
                opts=self.options(provider=args.provider),
            )
            self.links.append(link)
        self.register_outputs({})


@dataclass(frozen=True)
class EndpointArgs:
    """One private endpoint.

    Attributes
    ----------
    target: the id of what it leads to. group: which of the target's faces. subnet: where it gets its address.
    zones: ids of the zones that get its name; none where a policy of the company writes them.
    """

    common: Common
    target: Text
    group: str
    subnet: Text
    zones: Mapping[str, Text]
    after: Sequence[pulumi.Resource] = ()


class PrivateEndpoint(Component):
    """An address in the network that leads to a service of Azure, and its name."""

    def __init__(self, name: str, args: EndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("PrivateEndpoint", name, opts)
        common = args.common
        endpoint = net.PrivateEndpoint(
            name,
            private_endpoint_name=common.names.of("privateEndpoint", args.group),
            resource_group_name=common.group,
            location=common.location,
            subnet=net.SubnetArgs(id=args.subnet),
            private_link_service_connections=[
                net.PrivateLinkServiceConnectionArgs(
                    name=args.group, private_link_service_id=args.target, group_ids=[args.group]
                )
            ],
            tags=common.tags,
            opts=self.options(after=args.after),
        )
        if args.zones:
            net.PrivateDnsZoneGroup(
                f"{name}-names",
                private_dns_zone_group_name="default",
                private_endpoint_name=endpoint.name,
                resource_group_name=common.group,
                private_dns_zone_configs=[
                    net.PrivateDnsZoneConfigArgs(name=zone.replace(".", "-"), private_dns_zone_id=id_)
                    for zone, id_ in args.zones.items()
                ],
                opts=self.options(),
            )
        self.register_outputs({})


@dataclass(frozen=True)
class MonitorScopeArgs:
    """What logs and traces go to, by a word."""

    common: Common
    targets: Mapping[str, Text]


class MonitorScope(Component):
    """Azure Monitor's private link scope: Log Analytics and Application Insights have no private endpoint themselves.

    Attributes
    ----------
    id: what the private endpoint leads to. linked: what the endpoint waits for.
    """

    id: pulumi.Output[str]
    linked: list[pulumi.Resource]

    def __init__(self, name: str, args: MonitorScopeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        from pulumi_azure_native import monitor

        super().__init__("MonitorScope", name, opts)
        scope = monitor.PrivateLinkScope(
            name,
            scope_name=args.common.names.of("monitorScope"),
            resource_group_name=args.common.group,
            location="global",
            # Open: a network's names of Azure Monitor are shared by all its workspaces, others' public ones too.
            access_mode_settings=monitor.AccessModeSettingsArgs(
                ingestion_access_mode=monitor.AccessMode.OPEN, query_access_mode=monitor.AccessMode.OPEN
            ),
            tags=args.common.tags,
            opts=self.options(),
        )
        before: list[pulumi.Resource] = []
        for word, target in args.targets.items():  # one after the other: the scope takes one change at a time
            before = [
                monitor.PrivateLinkScopedResource(
                    f"{name}-{word}",
                    name=word,
                    scope_name=scope.name,
                    resource_group_name=args.common.group,
                    linked_resource_id=target,
                    opts=self.options(after=before),
                )
            ]
        self.id, self.linked = scope.id, before
        self.register_outputs({"id": scope.id})
