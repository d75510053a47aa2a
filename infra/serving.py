"""The served models of an environment: what runs on ACI and on AKS, each as one component, and who hears of failures.

Everything of the estate is named by its id, which the settings give: a deploy reads no other stack, and never
touches the estate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_azure_native import Provider, managedidentity

from infra.addresses import Address, Addresses, names_of
from infra.components.alerts import Alerts, AlertsArgs
from infra.components.base import Common
from infra.components.identities import IdentityFacts
from infra.services import Service, part_of, states_of
from infra.settings import StackSettings
from infra.stackfile import PROJECT

if TYPE_CHECKING:
    from infra.components.aci import ContainerGroup
    from infra.components.aks_service import AksService

# What stands in for a secret that nobody decrypted: a plan has no passphrase.
MASKED = "0" * 32
LAYER = "services"


def declare_services(settings: StackSettings) -> None:
    """Declare the served models of an environment and export their addresses."""
    stack = _Stack(settings, Addresses(settings), _common(settings))
    alerts = None
    if settings.alert_mails and settings.services:
        alerts = Alerts("alerts", AlertsArgs(stack.common, settings.alert_mails, LAYER))
    urls: dict[str, pulumi.Output[str]] = {}
    candidates: dict[str, pulumi.Output[str]] = {}
    on_cluster = {name: one for name, one in settings.services.items() if one.target == "aks"}
    for name, service in settings.services.items():
        if service.target == "aci":
            urls[name] = _on_aci(stack, name, service)
            candidate = service.as_candidate()
            if candidate:
                candidates[name] = _group(stack, name, candidate).url
    if on_cluster:
        for name, made in _on_aks(stack, on_cluster).items():
            urls[name] = made.url
            if made.trial_url is not None:
                candidates[name] = made.trial_url
    if alerts:
        _watch(stack, alerts, urls)
    pulumi.export("services", urls)
    pulumi.export("candidates", candidates)
    # What a deploy compares its stack file with: somebody with a newer one may have been here since.
    pulumi.export("deployed", states_of(settings.services))


@dataclass(frozen=True)
class _Stack:
    settings: StackSettings
    addresses: Addresses
    common: Common

    def provider(self, name: str, place: Address) -> pulumi.ProviderResource | None:
        """azure-native for another subscription than the stack's, where a place lies in one."""
        if place.subscription.lower() == self.settings.subscription_id.lower():
            return None
        return Provider(name, subscription_id=place.subscription)


def _common(settings: StackSettings) -> Common:
    group = Addresses(settings).group.name
    return Common(names_of(settings), settings.location, group, settings.tags, settings.protect)


def _keys(name: str, service: Service) -> dict[str, pulumi.Output[str]]:
    """The keys of a service, secret from the configuration to where they are used."""
    if service.keys is None:
        return {}
    found = pulumi.Config(PROJECT).get_secret_object("services")

    def key(which: str) -> pulumi.Output[str]:
        if found is None:
            return pulumi.Output.secret(MASKED)
        return pulumi.Output.secret(found.apply(lambda services: str(services[name]["keys"][which])))

    return {which: key(which) for which in ("primary", "secondary")}


def _group(stack: _Stack, name: str, service: Service) -> ContainerGroup:
    """The group of a service. Behind a front each state of it is a group of its own, in the program, too."""
    from infra.components.aci import ContainerGroup, ContainerGroupArgs

    identity = stack.addresses.of("endpointIdentity").id
    subnet = stack.addresses.subnet("aci") if service.inside(private=stack.settings.network.private) else None
    return ContainerGroup(
        part_of(name, service),
        ContainerGroupArgs(stack.common, name, service, identity_id=identity, subnet=subnet, keys=_keys(name, service)),
    )


def _on_aci(stack: _Stack, name: str, service: Service) -> pulumi.Output[str]:
    from infra.components.front import (
        ApplicationGateway,
        ApplicationGatewayArgs,
        DnsRecord,
        DnsRecordArgs,
        TrafficManager,
        TrafficManagerArgs,
    )

    private = stack.settings.network.private
    group = _group(stack, name, service)
    if service.front == "traffic_manager":
        front = TrafficManager(f"{name}-front", TrafficManagerArgs(stack.common, name, service, group.host))
        return front.url
    if service.front == "dns" and stack.addresses.serving_zone:
        zone = stack.addresses.serving_zone
        target = group.address if private else group.host
        there = stack.provider(f"{name}-zone-subscription", zone)
        return DnsRecord(f"{name}-front", DnsRecordArgs(service, zone, target, there)).url
    if service.front == "application_gateway":
        vault = stack.addresses.of("keyVault").name
        gateway = ApplicationGateway(
            f"{name}-front",
            ApplicationGatewayArgs(
                stack.common,
                name,
                service,
                group_id=stack.addresses.group.id,
                subnet=stack.addresses.subnet("gateway"),
                target=group.address,
                identity_id=stack.addresses.of("endpointIdentity").id,
                certificate=f"https://{vault}.vault.azure.net/secrets/{service.certificate}",
            ),
        )
        return gateway.url
    return group.url


def _on_aks(stack: _Stack, services: Mapping[str, Service]) -> dict[str, AksService]:
    from infra.components.aks_home import Home, HomeArgs
    from infra.components.aks_service import AksService, AksServiceArgs

    addresses = stack.addresses
    place, vault = addresses.of("aks"), addresses.of("keyVault")
    serving = addresses.of("endpointIdentity")
    found = managedidentity.get_user_assigned_identity_output(
        resource_group_name=serving.group, resource_name=serving.name
    )
    identity = IdentityFacts(found.client_id, found.tenant_id)
    labels = {"app.kubernetes.io/managed-by": "forestay", "app.kubernetes.io/part-of": stack.settings.stem}
    home = Home("home", HomeArgs(place, identity, labels, stack.provider("cluster-subscription", place)))
    at_vault = stack.provider("vault-subscription", vault)
    return {
        name: AksService(
            name, AksServiceArgs(name, service, identity, vault, _keys(name, service), labels, home, at_vault)
        )
        for name, service in services.items()
    }


def _watch(stack: _Stack, alerts: Alerts, urls: Mapping[str, pulumi.Output[str]]) -> None:
    """Availability of what has a public address (web tests reach no other); restarts of what runs on the cluster."""
    from infra.components.aks import NAMESPACE

    insights, logs = stack.addresses.of("applicationInsights").id, stack.addresses.of("logAnalytics").id
    for name, service in stack.settings.services.items():
        if service.public or (service.target == "aci" and not stack.settings.network.private):
            alerts.unreachable(name, urls[name], service.ends_tls, insights, logs)
        if service.target == "aks":
            alerts.restarting(name, NAMESPACE, logs)
