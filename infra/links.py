"""What a private estate's parts reach each other by: its network, the zones of names in it, private endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pulumi
from pulumi_azure_native import Provider

from infra.addresses import address
from infra.components import network, roles
from infra.components.base import Reference, Text

if TYPE_CHECKING:
    from infra.estate import Estate

# What a private endpoint leads to: of each resource, the faces that Azure ML and its users speak to.
FACES = {
    "storage": ("blob", "file", "queue", "table"),
    "vault": ("vault",),
    "registry": ("registry",),
    "workspace": ("amlworkspace",),
    "monitor": ("azuremonitor",),
}

# Subnets of what serves models: roles are given on them.
SERVING = ("aci", "gateway", "aks")


class Links:
    """The network of a private estate and its private endpoints; endpoints for what is ours, since one to someone
    else's resource would be a change of it."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.settings = estate.settings.network
        self.zone_ids: Mapping[str, Text] = {}
        self.zone_links: list[pulumi.Resource] = []
        found = estate.existing("virtualNetwork")
        if found:
            self.subnets: Mapping[str, Text] = {"endpoints": estate.addresses.subnet("endpoints")}
            theirs = [use for use in SERVING if getattr(estate.settings.existing.subnets, use)]
            estate.scopes.update({f"subnet {use}": estate.addresses.subnet(use) for use in theirs})
        else:
            made = network.VirtualNetwork("network", network.NetworkArgs(estate.common, self.settings))
            found, self.subnets = made.reference, made.subnets
            estate.scopes.update({f"subnet {use}": made.subnets[use] for use in SERVING})
        estate.add("network", found)
        self._zones(found)

    def _zones(self, found: Reference) -> None:
        estate = self.estate
        location = estate.settings.location
        groups = [group for faces in FACES.values() for group in faces]
        names = list(dict.fromkeys(zone for group in groups for zone in network.zones_of(group, location)))
        if roles.cluster_zone(estate.settings):
            names.append(network.cluster_zone(location))
        theirs = estate.settings.existing.dns_zones
        if theirs:
            self.zone_ids = {zone: f"{theirs}/providers/Microsoft.Network/privateDnsZones/{zone}" for zone in names}
            if found.owned and self.settings.zone_links == "create":
                self.zone_links = self._link(names, found, theirs)
        elif self.settings.dns_zones == "create":
            made = network.Zones("zones", network.ZonesArgs(estate.common, names, found.id))
            self.zone_ids, self.zone_links = made.ids, made.links
        zone = self.zone_ids.get(network.cluster_zone(location))
        if zone is not None:
            estate.scopes["zone aks"] = zone

    def _link(self, names: list[str], found: Reference, theirs: str) -> list[pulumi.Resource]:
        """Links of our network in the zones of others, in whatever subscription these lie."""
        place, provider = address(theirs), None
        if place.subscription.lower() != self.estate.settings.subscription_id.lower():
            provider = Provider("zones-subscription", subscription_id=place.subscription)
        args = network.ZonesArgs(self.estate.common, names, found.id, place.group, provider)
        return network.Zones("zone-links", args).links

    def declare_endpoints(self) -> None:
        """Private endpoints of everything that is ours."""
        estate, common = self.estate, self.estate.common
        targets = {word: one.id for word, one in estate.references.items() if word in FACES and one.owned}
        after: list[pulumi.Resource] = []
        logs = {word: one.id for word in ("logs", "insights") if (one := estate.references.get(word)) and one.owned}
        if logs:
            scope = network.MonitorScope("monitor-scope", network.MonitorScopeArgs(common, logs))
            targets["monitor"], after = scope.id, scope.linked
        for word, target in targets.items():
            for group in FACES[word]:
                names = network.zones_of(group, common.location)
                zones = {zone: self.zone_ids[zone] for zone in names if zone in self.zone_ids}
                waits = [*self.zone_links, *(after if word == "monitor" else ())]
                network.PrivateEndpoint(
                    f"endpoint-{group}",
                    network.EndpointArgs(common, target, group, self.subnets["endpoints"], zones, waits),
                )
