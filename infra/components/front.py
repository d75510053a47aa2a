"""What stands before a container group, so that its groups can change behind one name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_azure_native import network as net
from pulumi_azure_native import trafficmanager

from infra.addresses import Address
from infra.components.base import Common, Component, Text
from infra.components.handover import Inputs, moving
from infra.existing import PRIVATE_ZONE
from infra.services import Service

TTL_SECONDS = 30  # how long callers remember where the old group was
PUBLIC, PRIVATE = "public", "private"
DRAIN_SECONDS = 60  # how long a gateway lets requests to the old group end
Path = tuple[str | int, ...]
# Where the inputs of a front have the group that it leads to: of a record, an alias, a profile, a gateway.
ADDRESS: Path = ("aRecords", 0, "ipv4Address")
ALIAS: Path = ("cnameRecord", "cname")
TARGET: Path = ("endpoints", 0, "target")
BACKEND: Path = ("backendAddressPools", 0, "backendAddresses", 0, "ipAddress")


@dataclass(frozen=True)
class DnsRecordArgs:
    """`zone` is others'; `target` is the address of the group in a private zone, its host name in a public one.

    `provider` is azure-native of the zone's subscription, where that is another.
    """

    settings: Service
    zone: Address
    target: Text
    provider: pulumi.ProviderResource | None = None


class DnsRecord(Component):
    """A name in a zone that leads to the group; it ends no TLS.

    Attributes
    ----------
    url: where callers ask.
    """

    url: pulumi.Output[str]

    def __init__(self, name: str, args: DnsRecordArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("DnsRecord", name, opts)
        from pulumi_azure_native import dns, privatedns

        settings, zone = args.settings, args.zone
        port = settings.port
        record = (settings.host or "")[: -len(zone.name) - 1]
        if f"/{PRIVATE_ZONE}/".lower() in zone.id.lower():
            made: pulumi.CustomResource = privatedns.PrivateRecordSet(
                name,
                relative_record_set_name=record,
                record_type="A",
                private_zone_name=zone.name,
                resource_group_name=zone.group,
                ttl=TTL_SECONDS,
                a_records=[privatedns.ARecordArgs(ipv4_address=args.target)],
                opts=self.options(provider=args.provider, hooks=moving(name, leads_to(port, ADDRESS), TTL_SECONDS)),
            )
        else:
            made = dns.RecordSet(
                name,
                relative_record_set_name=record,
                record_type="CNAME",
                zone_name=zone.name,
                resource_group_name=zone.group,
                ttl=TTL_SECONDS,
                cname_record=dns.CnameRecordArgs(cname=args.target),
                opts=self.options(provider=args.provider, hooks=moving(name, leads_to(port, ALIAS), TTL_SECONDS)),
            )
        self.url = made.id.apply(lambda _: f"http://{settings.host}:{port}")  # what asks it waits for the record
        self.register_outputs({"url": self.url})


@dataclass(frozen=True)
class TrafficManagerArgs:
    """`target` is the host name of the group that serves."""

    common: Common
    service: str
    settings: Service
    target: Text


class TrafficManager(Component):
    """A name of Traffic Manager that leads to the group; it moves names, not requests, and ends no TLS.

    Attributes
    ----------
    url: where callers ask.
    """

    url: pulumi.Output[str]

    def __init__(self, name: str, args: TrafficManagerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("TrafficManager", name, opts)
        own = args.common.names.of("trafficManager", args.service)
        profile = trafficmanager.Profile(
            name,
            profile_name=own,
            resource_group_name=args.common.group,
            location="global",
            profile_status=trafficmanager.ProfileStatus.ENABLED,
            traffic_routing_method=trafficmanager.TrafficRoutingMethod.PRIORITY,
            dns_config=trafficmanager.DnsConfigArgs(relative_name=own, ttl=TTL_SECONDS),
            monitor_config=trafficmanager.MonitorConfigArgs(
                protocol=trafficmanager.MonitorProtocol.HTTP,
                port=args.settings.port,
                path="/",
                interval_in_seconds=30,
                timeout_in_seconds=10,
                tolerated_number_of_failures=3,
            ),
            endpoints=[
                trafficmanager.EndpointArgs(
                    name=args.service,
                    type="Microsoft.Network/TrafficManagerProfiles/ExternalEndpoints",
                    target=args.target,
                    endpoint_status=trafficmanager.EndpointStatus.ENABLED,
                    priority=1,
                )
            ],
            tags=args.common.tags,
            opts=self.options(hooks=moving(name, leads_to(args.settings.port, TARGET), TTL_SECONDS)),
        )
        self.url = profile.dns_config.apply(
            lambda found: f"http://{(found and found.fqdn) or own + '.trafficmanager.net'}:{args.settings.port}"
        )
        self.register_outputs({"url": self.url})


@dataclass(frozen=True)
class ApplicationGatewayArgs:
    """One gateway.

    Attributes
    ----------
    group_id: the resource group's ARM id. subnet: the gateway's own. target: the address of the group that serves.
    settings: a service that is public is asked at the gateway's public address, any other at the one in the subnet.
    identity_id: what reads the certificate. certificate: the secret identifier of it in the key vault, no version.
    """

    common: Common
    service: str
    settings: Service
    group_id: str
    subnet: Text
    target: Text
    identity_id: Text
    certificate: str


class ApplicationGateway(Component):
    """A gateway in the network that ends TLS. Azure wants a public address on it; nothing listens there, but for a
    service that is public.

    Attributes
    ----------
    url: where callers ask.
    """

    url: pulumi.Output[str]

    def __init__(self, name: str, args: ApplicationGatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ApplicationGateway", name, opts)
        common, settings = args.common, args.settings
        own = common.names.of("applicationGateway", args.service)
        gateway = f"{args.group_id}/providers/Microsoft.Network/applicationGateways/{own}"

        def part(kind: str, word: str) -> net.SubResourceArgs:
            """A reference from one part of the gateway to another, which Azure wants as a whole id."""
            return net.SubResourceArgs(id=f"{gateway}/{kind}/{word}")

        address = net.PublicIPAddress(
            f"{name}-address",
            public_ip_address_name=common.names.of("publicAddress", args.service),
            resource_group_name=common.group,
            location=common.location,
            sku=net.PublicIPAddressSkuArgs(name=net.PublicIPAddressSkuName.STANDARD),
            public_ip_allocation_method=net.IPAllocationMethod.STATIC,
            # What the callers' host name can be an alias of.
            dns_settings=(
                net.PublicIPAddressDnsSettingsArgs(domain_name_label=common.names.of("dnsLabel", args.service))
                if settings.public
                else None
            ),
            tags=common.tags,
            opts=self.options(),
        )
        frontends = [
            net.ApplicationGatewayFrontendIPConfigurationArgs(
                name=PUBLIC, public_ip_address=net.SubResourceArgs(id=address.id)
            )
        ]
        if not settings.public:
            inside = net.ApplicationGatewayFrontendIPConfigurationArgs(
                name=PRIVATE,
                subnet=net.SubResourceArgs(id=args.subnet),
                private_ip_allocation_method=net.IPAllocationMethod.STATIC,
                private_ip_address=settings.address,
            )
            frontends.append(inside)
        net.ApplicationGateway(
            name,
            application_gateway_name=own,
            resource_group_name=common.group,
            location=common.location,
            sku=net.ApplicationGatewaySkuArgs(
                name=net.ApplicationGatewaySkuName.STANDARD_V2, tier=net.ApplicationGatewayTier.STANDARD_V2
            ),
            autoscale_configuration=net.ApplicationGatewayAutoscaleConfigurationArgs(min_capacity=0, max_capacity=4),
            identity=net.ManagedServiceIdentityArgs(
                type=net.ResourceIdentityType.USER_ASSIGNED, user_assigned_identities=[args.identity_id]
            ),
            gateway_ip_configurations=[
                net.ApplicationGatewayIPConfigurationArgs(name="subnet", subnet=net.SubResourceArgs(id=args.subnet))
            ],
            frontend_ip_configurations=frontends,
            frontend_ports=[net.ApplicationGatewayFrontendPortArgs(name="https", port=443)],
            ssl_certificates=[
                net.ApplicationGatewaySslCertificateArgs(name="host", key_vault_secret_id=args.certificate)
            ],
            ssl_policy=net.ApplicationGatewaySslPolicyArgs(
                policy_type=net.ApplicationGatewaySslPolicyType.PREDEFINED,
                policy_name=net.ApplicationGatewaySslPolicyName.APP_GW_SSL_POLICY20220101_S,
            ),
            http_listeners=[
                net.ApplicationGatewayHttpListenerArgs(
                    name="https",
                    frontend_ip_configuration=part("frontendIPConfigurations", PUBLIC if settings.public else PRIVATE),
                    frontend_port=part("frontendPorts", "https"),
                    protocol=net.ApplicationGatewayProtocol.HTTPS,
                    ssl_certificate=part("sslCertificates", "host"),
                    host_name=settings.host,
                )
            ],
            backend_address_pools=[
                net.ApplicationGatewayBackendAddressPoolArgs(
                    name="group",
                    backend_addresses=[net.ApplicationGatewayBackendAddressArgs(ip_address=args.target)],
                )
            ],
            probes=[
                net.ApplicationGatewayProbeArgs(
                    name="alive",
                    protocol=net.ApplicationGatewayProtocol.HTTP,
                    host="127.0.0.1",
                    path="/",
                    interval=10,
                    timeout=10,
                    unhealthy_threshold=3,
                )
            ],
            backend_http_settings_collection=[
                net.ApplicationGatewayBackendHttpSettingsArgs(
                    name="http",
                    port=settings.port,
                    protocol=net.ApplicationGatewayProtocol.HTTP,
                    request_timeout=60,
                    probe=part("probes", "alive"),
                    connection_draining=net.ApplicationGatewayConnectionDrainingArgs(
                        enabled=True, drain_timeout_in_sec=DRAIN_SECONDS
                    ),
                )
            ],
            request_routing_rules=[
                net.ApplicationGatewayRequestRoutingRuleArgs(
                    name="all",
                    priority=100,
                    rule_type=net.ApplicationGatewayRequestRoutingRuleType.BASIC,
                    http_listener=part("httpListeners", "https"),
                    backend_address_pool=part("backendAddressPools", "group"),
                    backend_http_settings=part("backendHttpSettingsCollection", "http"),
                )
            ],
            tags=common.tags,
            opts=self.options(hooks=moving(name, leads_to(settings.port, BACKEND), DRAIN_SECONDS)),
        )
        self.url = pulumi.Output.from_input(f"https://{settings.host}")
        self.register_outputs({"url": self.url})


def leads_to(port: int, path: Path) -> Callable[[Inputs], str]:
    """The group that a front leads to, as a URL, by where its inputs have it; empty where it leads nowhere yet."""

    def group(inputs: Inputs) -> str:
        found: Any = inputs
        for step in path:
            try:
                found = found[step]
            except (KeyError, IndexError, TypeError):
                return ""
        return f"http://{found}:{port}/"

    return group
