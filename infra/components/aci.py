"""A served model as a container group of Azure Container Instances, and what callers reach in front of it.

A change restarts a group's container in place, and some changes need a new group. Behind a front, each state of a
service is a group of its own: the new one is made and asked until it answers, the front is moved, and the old one goes
when nobody is led to it any more (see handover.py). Without a front there is an outage while the image is pulled and
the model is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import containerinstance as aci

from infra.components.base import Common, Component, Text
from infra.services import KEY_VARIABLES, Service, part_of

# Azure changes none of these in a group that exists. Its address it changes by itself, when the group restarts.
FIXED = (
    "osType",
    "restartPolicy",
    "ipAddress.type",
    "ipAddress.ports",
    "ipAddress.dnsNameLabel",
    "subnetIds",
    "containers[*].resources",
    "containers[*].ports",
    "sku",
    "zones",
)


@dataclass(frozen=True)
class Probe:
    """When the container is asked whether it serves; times in seconds."""

    initial: int
    period: int
    failures: int

    @property
    def seconds(self) -> int:
        """From the start until it is given up."""
        return self.initial + self.period * self.failures


READINESS, LIVENESS = Probe(initial=5, period=10, failures=30), Probe(initial=120, period=30, failures=5)


@dataclass(frozen=True)
class ContainerGroupArgs:
    """One served model.

    Attributes
    ----------
    service: its name. identity_id: what pulls the image. subnet: where a private group gets its address.
    keys: secret values by `primary` and `secondary`.
    """

    common: Common
    service: str
    settings: Service
    identity_id: Text
    subnet: Text | None
    keys: Mapping[str, pulumi.Output[str]]


class ContainerGroup(Component):
    """One container that serves a model.

    Attributes
    ----------
    address: its IP address. host: its name in public, or the address where it has none. url: where callers ask.
    """

    address: pulumi.Output[str]
    host: pulumi.Output[str]
    url: pulumi.Output[str]

    def __init__(self, name: str, args: ContainerGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ContainerGroup", name, opts)
        common, settings = args.common, args.settings
        part = part_of(args.service, settings)
        port = aci.PortArgs(port=settings.port, protocol=aci.ContainerGroupNetworkProtocol.TCP)
        group = aci.ContainerGroup(
            name,
            container_group_name=common.names.of("containerGroup", part),
            resource_group_name=common.group,
            location=common.location,
            os_type=aci.OperatingSystemTypes.LINUX,
            sku=aci.ContainerGroupSku.STANDARD,
            restart_policy=aci.ContainerGroupRestartPolicy.ALWAYS,
            identity=aci.ContainerGroupIdentityArgs(
                type=aci.ResourceIdentityType.USER_ASSIGNED, user_assigned_identities=[args.identity_id]
            ),
            image_registry_credentials=[
                aci.ImageRegistryCredentialArgs(server=settings.image.split("/", 1)[0], identity=args.identity_id)
            ],
            containers=[self._container(args)],
            ip_address=aci.IpAddressArgs(
                type=aci.ContainerGroupIpAddressType.PRIVATE if args.subnet else aci.ContainerGroupIpAddressType.PUBLIC,
                ports=[port],
                dns_name_label=None if args.subnet else common.names.of("dnsLabel", part),
                auto_generated_domain_name_label_scope=(
                    None if args.subnet else aci.DnsNameLabelReusePolicy.SUBSCRIPTION_REUSE
                ),
            ),
            subnet_ids=[aci.ContainerGroupSubnetIdArgs(id=args.subnet)] if args.subnet else None,
            tags={**common.tags, "forestay-service": args.service, "forestay-model": settings.model},
            opts=self.options(replace_on=FIXED, delete_first=not settings.beside),
        )
        self.address = group.ip_address.apply(lambda found: (found and found.ip) or "")
        self.host = group.ip_address.apply(lambda found: (found and (found.fqdn or found.ip)) or "")
        self.url = self.host.apply(lambda host: f"http://{host}:{settings.port}")
        self.register_outputs({"url": self.url})

    def _container(self, args: ContainerGroupArgs) -> aci.ContainerArgs:
        settings = args.settings
        given = settings.plain_environment
        plain = [aci.EnvironmentVariableArgs(name=key, value=value) for key, value in given.items()]
        keys = [
            aci.EnvironmentVariableArgs(name=KEY_VARIABLES[which], secure_value=value)
            for which, value in args.keys.items()
        ]
        return aci.ContainerArgs(
            name=args.service,
            image=settings.image,
            ports=[aci.ContainerPortArgs(port=settings.port, protocol=aci.ContainerNetworkProtocol.TCP)],
            resources=aci.ResourceRequirementsArgs(
                requests=aci.ResourceRequestsArgs(cpu=settings.cpu, memory_in_gb=settings.memory_gb)
            ),
            environment_variables=[*plain, *keys],
            readiness_probe=_probe(settings.port, READINESS),
            liveness_probe=_probe(settings.port, LIVENESS),
            security_context=aci.SecurityContextDefinitionArgs(allow_privilege_escalation=False, privileged=False),
        )


def _probe(port: int, probe: Probe) -> aci.ContainerProbeArgs:
    return aci.ContainerProbeArgs(
        http_get=aci.ContainerHttpGetArgs(path="/", port=port, scheme=aci.Scheme.HTTP),
        initial_delay_seconds=probe.initial,
        period_seconds=probe.period,
        timeout_seconds=5,
        failure_threshold=probe.failures,
    )
